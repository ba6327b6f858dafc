//! Commands that change something: done at once where no daemon runs, otherwise left for it.

mod terminal;
mod wait;

use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use leadflow::config::Loaded;
use leadflow::history::{Run, RunOrder};
use leadflow::platform::clock::Clock;
use leadflow::platform::ownership::who_asks;
use leadflow::store::state;
use leadflow::store::{Request, RunFilter, Store};
use leadflow::views::runs::RunView;
use tokio::sync::watch;

use super::output;
use super::stop::{Stopped, unless_stopped};
pub(super) use terminal::{can_ask, is_agreed, spinner};
use wait::{DaemonWatch, until_answered, until_open, until_ours, until_sent};

/// How long the daemon may take to answer a request, and another command to end.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a run may wait for another run of its flow.
const FOR_ITS_TURN: Duration = Duration::from_mins(10);
/// Between two queries.
const PAUSE: Duration = Duration::from_millis(100);

/// Who does what a command asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doer {
    /// The running daemon.
    Daemon,
    /// This process, as none is running.
    Here,
}

/// Does what needs no run; returns who has done it when it is done.
pub(super) async fn ask(loaded: &Loaded, request: Request) -> anyhow::Result<Doer> {
    let turn = until_ours(loaded, name_of(&request), PATIENCE).await?;
    let now = Clock::System.now();
    let store = match turn {
        Some(_) => state::open(&loaded.config, now).await?,
        None => until_open(loaded, PATIENCE).await?,
    };
    let id = store.add_request(request, &who_asks(), now).await?;
    if turn.is_some() {
        store.take_requests(now).await?;
    }
    until_answered(&store, id, PATIENCE, &mut DaemonWatch::start(loaded, turn.as_ref())).await?;
    Ok(if turn.is_some() { Doer::Here } else { Doer::Daemon })
}

/// What was typed.
fn name_of(request: &Request) -> &'static str {
    match request {
        Request::Off(_) => "off",
        Request::On(_) => "on",
        Request::Run { cause, .. } => cause.as_str(),
        Request::Retry(_) => "outbox retry",
        Request::Drop(_) => "outbox drop",
        Request::Send(..) => "outbox send",
    }
}

/// Lets a flow run, shows the run as it goes, and prints its result: by the daemon, or here where
/// none runs.
pub(super) async fn run_flow(loaded: &Loaded, request: Request, as_json: bool) -> anyhow::Result<Run> {
    let progress = spinner("waiting for the daemon");
    let turn = until_ours(loaded, name_of(&request), FOR_ITS_TURN).await?;
    let mut daemon = DaemonWatch::start(loaded, turn.as_ref());
    let (ended, stopped_by) = if let Some(turn) = turn {
        if let Some(invalid) = &loaded.invalid {
            // No daemon has the flows as they were.
            return Err(invalid.report.clone().into());
        }
        progress.set_message("running");
        unless_stopped(async |stop| {
            let run = here(loaded, &request, stop.clone()).await?;
            drop(turn);
            until_sent(&until_open(loaded, PATIENCE).await?, run, &progress, &mut daemon, || *stop.borrow())
                .await
        })
        .await?
    } else {
        let store = until_open(loaded, PATIENCE).await?;
        let id = store.add_request(request, &who_asks(), Clock::System.now()).await?;
        match until_answered(&store, id, FOR_ITS_TURN, &mut daemon).await? {
            Some(run) => (until_sent(&store, run, &progress, &mut daemon, || false).await?, None),
            None => bail!("the daemon dropped the request without a run; run the command again"),
        }
    };
    progress.finish_and_clear();
    if as_json {
        output::print_json(&RunView::from(&ended))?;
    } else {
        output::print(&run_text(&until_open(loaded, PATIENCE).await?, &ended).await?)?;
    }
    match stopped_by {
        Some(code) => Err(Stopped::in_order(code).into()),
        None => Ok(ended),
    }
}

/// The exit status for the run that was asked for.
pub(super) fn exit_of(run: &Run) -> ExitCode {
    if run.outcome.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the flow and delivers, in this process.
async fn here(loaded: &Loaded, request: &Request, stop: watch::Receiver<bool>) -> anyhow::Result<i64> {
    let Request::Run { flow, cause, range } = request else { bail!("this request is not for a run") };
    let flow = super::flow_named(&loaded.config, flow)?;
    let engine = super::run::engine(&loaded.config, name_of(request)).await?;
    let store = engine.context().store.clone();
    let order = RunOrder { asked_by: Some(who_asks()), ..RunOrder::without_slot(*cause, *range) };
    let wanted = vec![(Arc::clone(flow), order)];
    let ends = engine.run_now(wanted, stop.clone()).await?;
    let is_left_out = ends.is_empty();
    match ends.into_iter().find_map(|end| end.result) {
        Some(ended) => Ok(ended.run),
        // It was broken off.
        None if *stop.borrow() => {
            let last = RunFilter { flow: Some(flow.name.clone()), limit: Some(1), ..RunFilter::default() };
            let run = store.find_runs(last).await?.pop().context("the run was not begun")?;
            Ok(run.id)
        }
        None if is_left_out => bail!("{}", super::run::run_elsewhere(&flow.name)),
        None => bail!("the result of the run could not be recorded; see the log above"),
    }
}

async fn run_text(store: &Store, run: &Run) -> anyhow::Result<String> {
    let mut text = super::run::line_of(run);
    if let Some(help) = &run.help {
        let _ = write!(text, "\n  {}", output::line(help));
    }
    for mail in store.mails_of(run.id).await? {
        for recipient in &mail.recipients {
            let _ = write!(text, "\n  {}", output::line(&super::history::recipient_text(recipient)));
        }
    }
    let _ = write!(text, "\nfor details: leadflow history show {}", run.id);
    Ok(text)
}
