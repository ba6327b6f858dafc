//! `leadflow run` and `leadflow run --once`.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use leadflow::config::Loaded;
use leadflow::daemon::ticker;
use leadflow::daemon::{self, Drive, Signal, Watch};
use leadflow::engine::{Engine, FinishedRun, RunContext};
use leadflow::flow::{Config, Flow};
use leadflow::history::{Cause, Run, RunOrder};
use leadflow::platform::clock::Clock;
use leadflow::store::state;
use leadflow::store::{Lock, NewNode, Owner};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::output;
use super::stop::{Stopped, unless_stopped};

/// As whom it works on the state.
const ONCE: &str = "run --once";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Run the flows now, deliver, and exit; exit status 1 if a mail is still waiting
    #[arg(long)]
    once: bool,
    /// The flows to run once [default: all that are on]
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
            warn!("changes of flows.toml are not detected: {error}; send SIGHUP after a change");
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
    let _lock = match &config.settings.postgres {
        None => Some(Lock::take(&config.settings.state, &Owner::command(ONCE))?),
        // Who else works on the state is seen there.
        Some(_) => None,
    };
    let file = config.path.display();
    let state = config.settings.state_in_words();
    info!(flows = flows.len(), %file, state, "running once");
    let engine = engine(&config, ONCE).await?;
    let store = engine.context().store.clone();
    let is_wanted = |flow: &Arc<Flow>| !names.is_empty() || engine.is_on(&flow.name);
    let wanted: Vec<_> = flows.into_iter().filter(is_wanted).collect();
    if wanted.is_empty() {
        bail!("no flow is on");
    }
    let names: Vec<String> = wanted.iter().map(|flow| flow.name.clone()).collect();
    let wanted = wanted.into_iter().map(|flow| (flow, RunOrder::new(Cause::Once, None))).collect();
    let (ends, stopped_by) = unless_stopped(async |stop| Ok(engine.run_now(wanted, stop).await?)).await?;
    let mut is_done = true;
    let has_ended = |name: &String| ends.iter().any(|end| end.flow.name == *name);
    for name in names.iter().filter(|name| stopped_by.is_none() && !has_ended(name)) {
        output::eprint(&run_elsewhere(name));
        is_done = false;
    }
    for FinishedRun { flow, result } in ends {
        let Some(ended) = result else {
            output::eprint(&format!(
                "{}: the result of its run could not be recorded; see the log above",
                flow.name
            ));
            is_done = false;
            continue;
        };
        let Some(run) = store.run(ended.run).await? else { continue };
        let waiting = store.waiting_mails(&run.flow).await?;
        output::print(&line_of(&run))?;
        is_done &= run.outcome.is_well() && waiting == 0;
        if waiting > 0 {
            output::eprint(&format!("{}: mails still waiting: {waiting}", run.flow));
        }
    }
    if let Some(code) = stopped_by {
        return Err(Stopped::in_order(code).into());
    }
    if !is_done {
        output::eprint("not everything was done; for the reason: leadflow history show RUN");
    }
    Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// That a flow was left out.
pub(super) fn run_elsewhere(flow: &str) -> String {
    format!("{flow}: another node runs it at this moment; run the command again when that run has ended")
}

/// A run on one line.
pub(super) fn line_of(run: &Run) -> String {
    output::line(&format!("{} · run {} · {} · {}", run.flow, run.id, run.outcome.as_str(), run.summary))
}

/// An engine for one that works on the state without a daemon, by what was typed; what commands have asked for is done.
pub(super) async fn engine(config: &Arc<Config>, typed: &str) -> anyhow::Result<Engine> {
    let clock = Clock::System;
    let store = state::open(config, clock.now()).await?;
    store.take_requests(clock.now()).await?;
    let ctx = RunContext::online(store, clock, config.settings.state.clone());
    let ctx = ctx.as_node(NewNode::of_command(config, typed));
    Ok(Engine::start_once(ctx, Arc::clone(config)).await?)
}
