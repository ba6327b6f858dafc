//! `leadflow list`.

use std::process::ExitCode;

use jiff::Timestamp;
use leadflow::config::Loaded;
use leadflow::platform::clock::Clock;
use leadflow::tasks::flow_list::flow_list;
use leadflow::views::flows::FlowView;

use super::columns::{Column, Table};
use super::daemon::Worker;
use super::{daemon, output};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
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
    let flows = flow_list(loaded, store.as_ref()).await?;
    let views = flows.iter().map(|(flow, known)| FlowView::new(flow, known, is_running, now));
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

fn state(flow: &FlowView) -> String {
    let by = flow.off_by.as_deref().unwrap_or("command");
    match (flow.enabled_in_file, flow.off_by_command_since) {
        (true, None) => "on".to_owned(),
        (true, Some(_)) => format!("off (by {by})"),
        (false, None) => "off (in flows.toml)".to_owned(),
        (false, Some(_)) => format!("off (in flows.toml and by {by})"),
    }
}

fn cells(flow: &FlowView, moment: impl Fn(Timestamp) -> String, now: Timestamp) -> Vec<String> {
    let dash = || "–".to_owned();
    let next = |at: Timestamp| if at <= now { "now".to_owned() } else { moment(at) };
    vec![
        flow.flow.clone(),
        state(flow),
        flow.recurrence.clone(),
        flow.last_run.as_ref().map_or_else(dash, |run| moment(run.started)),
        flow.last_run.as_ref().map_or_else(dash, |run| run.outcome.to_owned()),
        flow.next_run.map_or_else(dash, next),
        flow.waiting_mails.to_string(),
    ]
}
