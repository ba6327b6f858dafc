//! `leadflow list`.

use std::process::ExitCode;
use std::sync::Arc;

use jiff::Timestamp;
use leadflow::agenda;
use leadflow::clock::Clock;
use leadflow::config::Loaded;
use leadflow::flow::Flow;
use leadflow::history::Run;
use leadflow::store::Store;
use serde_json::json;

use super::columns::{Column, Table};
use super::output;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// For scripts
    #[arg(long)]
    json: bool,
}

struct Line {
    flow: Arc<Flow>,
    off_since: Option<Timestamp>,
    last: Option<Run>,
    next: Option<Timestamp>,
    waiting: i64,
}

pub(super) fn list(loaded: &Loaded, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let store = super::state_of(loaded)?;
    let now = Clock::System.now();
    let lines: Vec<Line> = loaded
        .config
        .flows
        .values()
        .map(|flow| line(flow, store.as_ref(), now))
        .collect::<anyhow::Result<_>>()?;
    if arguments.json {
        let all: Vec<_> = lines.iter().map(Line::json).collect();
        output::print_json(&json!(all))?;
    } else if lines.is_empty() {
        output::print("there is no flow in this file")?;
    } else {
        let (zone, width) = (&loaded.config.settings.time_zone, output::width());
        let moment = |at| output::moment_within(at, zone, now, width);
        let rows = lines.iter().map(|line| line.cells(moment, now)).collect();
        output::print(&Table::new(&columns(), rows, width).to_string())?;
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

fn line(flow: &Arc<Flow>, store: Option<&Store>, now: Timestamp) -> anyhow::Result<Line> {
    let Some(store) = store else {
        return Ok(Line { flow: Arc::clone(flow), off_since: None, last: None, next: None, waiting: 0 });
    };
    let off_since = store.off_since(&flow.name)?;
    let known = store.plan(&flow.name)?;
    let next = known.and_then(|known| agenda::next_run(flow, &known, now));
    Ok(Line {
        flow: Arc::clone(flow),
        off_since,
        last: store.runs(Some(&flow.name), 1)?.pop(),
        next,
        waiting: store.waiting_mails(&flow.name)?,
    })
}

impl Line {
    fn state(&self) -> &'static str {
        match (self.flow.enabled, self.off_since) {
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
            self.flow.name.clone(),
            self.state().to_owned(),
            self.flow.recurrence.to_string(),
            self.last.as_ref().map_or_else(dash, |run| moment(run.started)),
            self.last.as_ref().map_or_else(dash, |run| run.outcome.word().to_owned()),
            self.next.map_or_else(dash, next),
            self.waiting.to_string(),
        ]
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "flow": self.flow.name, "description": self.flow.description,
            "on": self.flow.enabled && self.off_since.is_none(), "enabled_in_file": self.flow.enabled,
            "off_by_command_since": self.off_since.map(|at| at.to_string()),
            "recurrence": self.flow.recurrence.to_string(),
            "last_run": self.last.as_ref().map(super::history::json_of_run),
            "next_run": self.next.map(|at| at.to_string()), "waiting_mails": self.waiting,
        })
    }
}
