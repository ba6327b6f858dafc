//! `leadflow list`.

use std::process::ExitCode;
use std::sync::Arc;

use jiff::Timestamp;
use leadflow::config::Loaded;
use leadflow::flow::Flow;
use leadflow::history::Run;
use leadflow::planner;
use leadflow::platform::clock::Clock;
use leadflow::store::Store;
use serde_json::json;

use super::columns::{Column, Table};
use super::{daemon, output};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// For scripts
    #[arg(long)]
    json: bool,
}

struct Line {
    flow: Named,
    off_since: Option<Timestamp>,
    last: Option<Run>,
    next: Option<Timestamp>,
    waiting: i64,
}

/// A flow of the file.
enum Named {
    Whole(Arc<Flow>),
    /// Of a file with mistakes.
    Broken {
        name: String,
        is_on: bool,
    },
}

/// What stands for the recurrence of a flow that cannot be read.
const UNREADABLE: &str = "(not valid in flows.toml)";

impl Named {
    fn name(&self) -> &str {
        match self {
            Self::Whole(flow) => &flow.name,
            Self::Broken { name, .. } => name,
        }
    }

    fn is_on(&self) -> bool {
        match self {
            Self::Whole(flow) => flow.enabled,
            Self::Broken { is_on, .. } => *is_on,
        }
    }

    fn recurrence(&self) -> String {
        match self {
            Self::Whole(flow) => flow.recurrence.to_string(),
            Self::Broken { .. } => UNREADABLE.to_owned(),
        }
    }
}

/// The flows by name. Where the file has no flow that can be read, those that the state knows.
fn flows(loaded: &Loaded, store: Option<&Store>) -> anyhow::Result<Vec<Named>> {
    let mut all: Vec<Named> = loaded.config.flows.values().cloned().map(Named::Whole).collect();
    let Some(invalid) = &loaded.invalid else { return Ok(all) };
    let broken = |(name, is_on): (&String, &bool)| Named::Broken { name: name.clone(), is_on: *is_on };
    all.extend(invalid.flows.iter().map(broken));
    if all.is_empty() {
        let known = store.map(Store::flow_names).transpose()?.unwrap_or_default();
        all.extend(known.into_iter().map(|name| Named::Broken { name, is_on: true }));
    }
    all.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(all)
}

pub(super) fn list(loaded: &Loaded, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let store = super::state_of(loaded)?;
    let now = Clock::System.now();
    let flows = flows(loaded, store.as_ref())?.into_iter();
    let lines: Vec<Line> =
        flows.map(|flow| line(flow, store.as_ref(), now)).collect::<anyhow::Result<_>>()?;
    // Who may look and not lock cannot know.
    let is_running = if store.is_some() { daemon::is_running(loaded).ok() } else { Some(false) };
    if arguments.json {
        let all: Vec<_> = lines.iter().map(|line| line.json(is_running)).collect();
        output::print_json(&json!(all))?;
    } else if lines.is_empty() {
        output::print("there is no flow in this file")?;
    } else {
        let (zone, width) = (&loaded.config.settings.time_zone, output::width());
        let moment = |at| output::moment_within(at, zone, now, width);
        let rows = lines.iter().map(|line| line.cells(moment, now)).collect();
        output::print(&Table::new(&columns(), rows, width).to_string())?;
        if is_running == Some(false) {
            output::complain(&format!(
                "no daemon is running, so that no flow runs by itself; start it: {}",
                daemon::how_to_start(loaded)
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn columns() -> [Column; 7] {
    [
        Column::text("flow").shrinks(8),
        Column::text("state").shrinks(5),
        Column::text("recurrence").shrinks(10).if_room(1),
        Column::text("last run"),
        Column::text("outcome").shrinks(7),
        Column::text("next run"),
        Column::number("waiting"),
    ]
}

fn line(flow: Named, store: Option<&Store>, now: Timestamp) -> anyhow::Result<Line> {
    let Some(store) = store else {
        return Ok(Line { flow, off_since: None, last: None, next: None, waiting: 0 });
    };
    let name = flow.name();
    let next = match &flow {
        Named::Whole(flow) => store.plan(name)?.and_then(|known| planner::next_run(flow, &known, now)),
        Named::Broken { .. } => None,
    };
    let (off_since, last) = (store.off_since(name)?, store.runs(Some(name), 1)?.pop());
    let waiting = store.waiting_mails(name)?;
    Ok(Line { flow, off_since, last, next, waiting })
}

impl Line {
    fn state(&self) -> &'static str {
        match (self.flow.is_on(), self.off_since) {
            (true, None) => "on",
            (true, Some(_)) => "off (by command)",
            (false, None) => "off (in flows.toml)",
            (false, Some(_)) => "off (in flows.toml and by command)",
        }
    }

    fn cells(&self, moment: impl Fn(Timestamp) -> String, now: Timestamp) -> Vec<String> {
        let dash = || "–".to_owned();
        let next = |at: Timestamp| if at <= now { "now".to_owned() } else { moment(at) };
        vec![
            self.flow.name().to_owned(),
            self.state().to_owned(),
            self.flow.recurrence(),
            self.last.as_ref().map_or_else(dash, |run| moment(run.started)),
            self.last.as_ref().map_or_else(dash, |run| run.outcome.word().to_owned()),
            self.next.map_or_else(dash, next),
            self.waiting.to_string(),
        ]
    }

    fn json(&self, is_running: Option<bool>) -> serde_json::Value {
        let description = match &self.flow {
            Named::Whole(flow) => flow.description.as_ref(),
            Named::Broken { .. } => None,
        };
        json!({
            "flow": self.flow.name(), "description": description,
            "on": self.flow.is_on() && self.off_since.is_none(), "enabled_in_file": self.flow.is_on(),
            "off_by_command_since": self.off_since.map(|at| at.to_string()),
            "recurrence": self.flow.recurrence(),
            "last_run": self.last.as_ref().map(super::history::json_of_run),
            "daemon_is_running": is_running, "next_run": self.next.map(|at| at.to_string()), "waiting_mails": self.waiting,
        })
    }
}
