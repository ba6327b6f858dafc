//! `leadflow list`.

use std::process::ExitCode;
use std::sync::Arc;

use jiff::Timestamp;
use leadflow::config::Loaded;
use leadflow::flow::Flow;
use leadflow::planner;
use leadflow::platform::clock::Clock;
use leadflow::store::{FlowOverview, Store};
use leadflow::views::flows::FlowView;
use leadflow::views::runs::RunView;

use super::columns::{Column, Table};
use super::daemon::Worker;
use super::{daemon, output};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A flow of the file.
enum ListedFlow {
    Whole(Arc<Flow>),
    /// Of a file with mistakes.
    Broken {
        name: String,
        is_on: bool,
    },
}

/// Shown in place of a recurrence that cannot be read.
const UNREADABLE: &str = "(not valid in flows.toml)";

impl ListedFlow {
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

    fn description(&self) -> Option<String> {
        match self {
            Self::Whole(flow) => flow.description.clone(),
            Self::Broken { .. } => None,
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
async fn flows(loaded: &Loaded, store: Option<&Store>) -> anyhow::Result<Vec<ListedFlow>> {
    let mut all: Vec<ListedFlow> = loaded.config.flows.values().cloned().map(ListedFlow::Whole).collect();
    let Some(invalid) = &loaded.invalid else { return Ok(all) };
    let broken = |(name, is_on): (&String, &bool)| ListedFlow::Broken { name: name.clone(), is_on: *is_on };
    all.extend(invalid.flows.iter().map(broken));
    if let Some(store) = store.filter(|_| all.is_empty()) {
        let known = store.flow_names().await?;
        all.extend(known.into_iter().map(|name| ListedFlow::Broken { name, is_on: true }));
    }
    all.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(all)
}

pub(super) async fn list(loaded: &Loaded, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let store = super::state_of(loaded).await?;
    let now = Clock::System.now();
    // A user who may read and not lock cannot know.
    let worker = match &store {
        Some(store) => daemon::worker(loaded, store).await.ok(),
        None => Some(None),
    };
    let is_running = worker.as_ref().map(|worker| *worker == Some(Worker::Daemon));
    let flows = flows(loaded, store.as_ref()).await?;
    let mut known = match &store {
        Some(store) => store.overview(flows.iter().map(|flow| flow.name().to_owned()).collect()).await?,
        None => Vec::new(),
    };
    known.resize_with(flows.len(), FlowOverview::default);
    let views = flows.iter().zip(known).map(|(flow, known)| view_of(flow, known, is_running, now));
    let all: Vec<FlowView> = views.collect();
    if arguments.json {
        output::print_json(&all)?;
    } else if all.is_empty() {
        output::print("this file defines no flow")?;
    } else {
        let zone = &loaded.config.settings.time_zone;
        let width = output::width();
        let moment = |at| output::moment_within(at, zone, now, width);
        let rows = all.iter().map(|flow| cells(flow, moment, now)).collect();
        output::print(&Table::new(&columns(), rows, width).to_string())?;
        if let Some(worker) = worker.filter(|_| is_running == Some(false)) {
            let consequence = ", so no flow runs automatically";
            output::eprint(&daemon::none_is_running(loaded, worker.as_ref(), consequence));
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

fn view_of(flow: &ListedFlow, overview: FlowOverview, is_running: Option<bool>, now: Timestamp) -> FlowView {
    let FlowOverview { schedule, off_since, last_run, waiting_mails } = overview;
    let next_run = match flow {
        ListedFlow::Whole(flow) => schedule.and_then(|state| planner::next_run(flow, &state, now)),
        ListedFlow::Broken { .. } => None,
    };
    FlowView {
        flow: flow.name().to_owned(),
        description: flow.description(),
        on: flow.is_on() && off_since.is_none(),
        enabled_in_file: flow.is_on(),
        off_by_command_since: off_since,
        recurrence: flow.recurrence(),
        last_run: last_run.as_ref().map(RunView::from),
        daemon_is_running: is_running,
        next_run,
        waiting_mails,
    }
}

fn state(flow: &FlowView) -> &'static str {
    match (flow.enabled_in_file, flow.off_by_command_since) {
        (true, None) => "on",
        (true, Some(_)) => "off (by command)",
        (false, None) => "off (in flows.toml)",
        (false, Some(_)) => "off (in flows.toml and by command)",
    }
}

fn cells(flow: &FlowView, moment: impl Fn(Timestamp) -> String, now: Timestamp) -> Vec<String> {
    let dash = || "–".to_owned();
    let next = |at: Timestamp| if at <= now { "now".to_owned() } else { moment(at) };
    vec![
        flow.flow.clone(),
        state(flow).to_owned(),
        flow.recurrence.clone(),
        flow.last_run.as_ref().map_or_else(dash, |run| moment(run.started)),
        flow.last_run.as_ref().map_or_else(dash, |run| run.outcome.to_owned()),
        flow.next_run.map_or_else(dash, next),
        flow.waiting_mails.to_string(),
    ]
}
