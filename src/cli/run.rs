//! `leadflow run` and `leadflow run --once`.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use leadflow::config::Loaded;
use leadflow::daemon::ticker;
use leadflow::daemon::{self, Drive, Signal, Watch};
use leadflow::engine::delivery::Postman;
use leadflow::engine::{RunContext, run};
use leadflow::flow::Flow;
use leadflow::history::{Cause, Order, Outcome, Run};
use leadflow::planner;
use leadflow::platform::clock::Clock;
use leadflow::store::state;
use leadflow::store::{Lock, Store, StoreError};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::output;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Run the flows now, deliver, and exit; exit status 1 while a mail still waits
    #[arg(long)]
    once: bool,
    /// The flows to run once; all that are on without it
    #[arg(requires = "once")]
    flows: Vec<String>,
}

pub(super) async fn run(loaded: Loaded, arguments: Arguments) -> anyhow::Result<ExitCode> {
    if arguments.once { once(loaded, &arguments.flows).await } else { daemon(loaded).await }
}

async fn daemon(loaded: Loaded) -> anyhow::Result<ExitCode> {
    let (send, signals) = mpsc::channel(4);
    listen(&send)?;
    let watch = Watch::start(&loaded.config, send)
        .inspect_err(|error| {
            warn!("changes of flows.toml are not seen by themselves: {error}; send SIGHUP after a change");
        })
        .ok();
    let drive = Drive { clock: Clock::System, ticks: ticker::start(), signals, watch };
    daemon::run(loaded, drive).await?;
    Ok(ExitCode::SUCCESS)
}

/// SIGHUP reloads; SIGTERM and Ctrl-C stop.
pub(super) fn listen(send: &mpsc::Sender<Signal>) -> anyhow::Result<()> {
    let kinds = [
        (SignalKind::hangup(), Signal::Reload),
        (SignalKind::terminate(), Signal::Stop),
        (SignalKind::interrupt(), Signal::Stop),
    ];
    for (kind, meaning) in kinds {
        let mut stream = signal(kind).context("cannot listen for signals")?;
        let send = send.clone();
        tokio::spawn(
            async move { while stream.recv().await.is_some() && send.send(meaning).await.is_ok() {} },
        );
    }
    Ok(())
}

async fn once(loaded: Loaded, names: &[String]) -> anyhow::Result<ExitCode> {
    let config = loaded.config;
    let flows: Vec<Arc<Flow>> = if names.is_empty() {
        config.flows.values().filter(|flow| flow.enabled).cloned().collect()
    } else {
        let find = |name: &String| super::flow_named(&config, name).cloned();
        names.iter().map(find).collect::<Result<_, _>>()?
    };
    let _lock = Lock::take(&config.settings.state)?;
    let file = config.path.display();
    let state = config.settings.state.display();
    info!(flows = flows.len(), %file, %state, "running once");
    let clock = Clock::System;
    let store = state::open(&config, clock.now()).await?;
    take_over(&store, clock.now()).await?;
    let all = config.flows.iter().map(|(name, flow)| (name.clone(), flow.enabled));
    let plan = store.plan_of(all.collect(), clock.now()).await?;
    let place = RunContext::online(store, clock, config.settings.state.clone());
    let mut runs = Vec::new();
    for flow in &flows {
        let Some(known) = plan.get(&flow.name) else { continue };
        if known.is_off && names.is_empty() {
            continue;
        }
        // One that is off is not due, though it is run.
        let is_on = flow.enabled && !known.is_off;
        let since = is_on.then(|| planner::first_missed(flow, known, place.clock.now())).flatten();
        let order = Order { since, ..Order::new(Cause::Once, None) };
        runs.push(run::run(&place, &config, flow, &order).await?);
    }
    if runs.is_empty() {
        bail!("no flow is on");
    }
    deliver(&place, &config).await?;
    let mut is_done = true;
    for ended in runs {
        let Some(run) = place.store.run(ended.run).await? else { continue };
        let waiting = place.store.waiting_mails(&run.flow).await?;
        output::print(&line_of(&run))?;
        let is_well = matches!(run.outcome, Outcome::Sent | Outcome::NothingNew | Outcome::ConditionFalse);
        is_done &= is_well && waiting == 0;
        if waiting > 0 {
            output::complain(&format!("{}: mails that still wait: {waiting}", run.flow));
        }
    }
    if !is_done {
        output::complain("not everything was done; `leadflow history show RUN` tells why");
    }
    Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A run on one line.
pub(super) fn line_of(run: &Run) -> String {
    output::line(&format!("{} · run {} · {} · {}", run.flow, run.id, run.outcome.word(), run.summary))
}

/// Settles what the last process left, for one that works on the state without a daemon.
pub(super) async fn take_over(store: &Store, now: jiff::Timestamp) -> Result<(), StoreError> {
    store.take_over(now).await?;
    store.take_requests(now).await?;
    store.retry_all_now(now).await
}

/// Tries every mail, and waits only for a connection's `per_minute`.
pub(super) async fn deliver(place: &RunContext, config: &leadflow::flow::Config) -> anyhow::Result<()> {
    let postman = Postman::new(place);
    loop {
        let round = postman.deliver(config, || false).await?;
        let Some(next_try) = round.next_try.filter(|_| round.is_paced) else { return Ok(()) };
        let wait = next_try.duration_since(place.clock.now());
        tokio::time::sleep(wait.try_into().unwrap_or_default()).await;
    }
}
