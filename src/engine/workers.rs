//! The runs that are claimed: those under way, those that wait for their turn, and those that have
//! processed no row and wait to be recorded.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tracing::error;

use super::RunContext;
use super::run::{self, EmptyRun, PendingRun, RunEnd, RunResult};
use super::turns::{Turn, Turns, WaitingRun};
use crate::alarm::HeldUp;
use crate::flow::{Config, Flow};
use crate::history::RunOrder;
use crate::store::StoreError;

/// Empty runs that are recorded together. While others are under way, recording waits for so many or for one second. A
/// query of the state waits as long as they take, some hundredths of a second.
const TOGETHER: usize = 500;
/// What a flow waits at least before it counts as held up. A flow that runs each few seconds would be soon.
const SHORTEST_WAIT: SignedDuration = SignedDuration::from_mins(1);

/// A run that is to be made.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) flow: Arc<Flow>,
    pub(super) order: RunOrder,
}

/// What happened to runs.
#[derive(Debug)]
pub(super) enum WorkerEvent {
    /// A run has ended, and what came of it; or why that could not be recorded.
    Ended(Job, Turn, Result<RunResult, StoreError>),
    /// A run panicked, which is a bug in leadflow.
    BrokeOff(Job, Turn),
    /// A run that processed no row is to be recorded.
    Empty(Job, Turn, Box<EmptyRun>),
    /// Empty runs are recorded, or why they could not be.
    Recorded(Vec<Job>, Result<Vec<RunResult>, StoreError>),
}

/// The runs of an engine.
#[derive(Debug, Default)]
pub(super) struct Workers {
    work: JoinSet<WorkerEvent>,
    turns: Turns<(Job, PendingRun)>,
    empty_runs: Vec<(Job, EmptyRun)>,
    is_recording: bool,
}

impl Workers {
    /// Jobs that are claimed.
    pub(super) fn add(&mut self, jobs: impl IntoIterator<Item = (Job, PendingRun)>) {
        for (job, pending) in jobs {
            let flow = Arc::clone(&job.flow);
            self.turns.add(&flow.table.connection, &flow.name, (job, pending));
        }
    }

    /// Starts those whose turn has come, and records those that wait for it.
    pub(super) fn start_runs(&mut self, ctx: &RunContext, config: &Arc<Config>) {
        while let Some((turn, (job, pending))) = self.turns.next(Instant::now()) {
            self.work.spawn(execute(ctx.clone(), Arc::clone(config), job, turn, pending));
        }
        if self.empty_runs.len() >= TOGETHER || self.count() == 0 {
            self.record(ctx);
        }
    }

    /// Records those that wait for it, unless others are being recorded.
    pub(super) fn record(&mut self, ctx: &RunContext) {
        if !self.is_recording && !self.empty_runs.is_empty() {
            self.is_recording = true;
            let together = self.empty_runs.len().min(TOGETHER);
            self.work.spawn(record_empty_runs(ctx.clone(), self.empty_runs.drain(..together).collect()));
        }
    }

    /// The next event; `None` when no run is under way.
    pub(super) async fn next(&mut self) -> Option<Result<WorkerEvent, JoinError>> {
        self.work.join_next().await
    }

    /// The run is recorded with the next ones.
    pub(super) fn keep_empty_run(&mut self, job: Job, run: EmptyRun) {
        self.empty_runs.push((job, run));
    }

    /// The run needs its turn no longer.
    pub(super) fn end_turn(&mut self, turn: &Turn) {
        self.turns.end(turn);
    }

    /// The next empty runs may be recorded.
    pub(super) fn end_recording(&mut self) {
        self.is_recording = false;
    }

    /// Ends those that are under way at once.
    pub(super) fn abort(&mut self) {
        self.work.abort_all();
    }

    /// Ends those that are under way at once, and waits until they are.
    pub(super) async fn abandon(&mut self) {
        self.work.shutdown().await;
    }

    /// Takes out those that wait for their turn.
    pub(super) fn take_waiting(&mut self) -> Vec<(Job, PendingRun)> {
        self.turns.take_waiting()
    }

    /// How many are under way.
    pub(super) fn count(&self) -> usize {
        self.turns.count()
    }

    /// The table connections whose flows wait for their turn longer than their recurrence. What was before
    /// `on_time_since` does not count: the machine slept, perhaps.
    pub(super) fn held_up(&self, on_time_since: Timestamp, now: Timestamp) -> Vec<HeldUp> {
        let late_since = |waiting: &WaitingRun<(Job, PendingRun)>| {
            let (job, pending) = &waiting.run;
            let since = pending.started().max(on_time_since);
            is_beyond_recurrence(&job.flow, since, now).then(|| (waiting.flow.clone(), since))
        };
        let held_up = self.turns.queues().filter_map(|(connection, waiting, under_way)| {
            let mut late = waiting.filter_map(late_since);
            let (flow, since) = late.next()?;
            let others = late.count();
            let holders = under_way.map(str::to_owned).collect();
            Some(HeldUp { connection: connection.to_owned(), flow, since, others, holders })
        });
        held_up.collect()
    }
}

/// Whether the time from one slot to the next has passed since then.
fn is_beyond_recurrence(flow: &Flow, since: Timestamp, now: Timestamp) -> bool {
    let waited = now.duration_since(since);
    waited >= SHORTEST_WAIT
        && flow.recurrence.next(since, since).is_some_and(|next| waited >= next.duration_since(since))
}

/// A fault in one run ends neither the daemon nor the flow.
async fn execute(
    ctx: RunContext,
    config: Arc<Config>,
    job: Job,
    turn: Turn,
    pending: PendingRun,
) -> WorkerEvent {
    let flow = &job.flow.name;
    let work = Box::pin(run::execute(&ctx, &config, &job.flow, pending));
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(Ok(RunEnd::Empty(run))) => WorkerEvent::Empty(job, turn, run),
        Ok(Ok(RunEnd::Recorded(result))) => WorkerEvent::Ended(job, turn, Ok(result)),
        Ok(Err(error)) => {
            error!(flow, "cannot record the run: {error}");
            WorkerEvent::Ended(job, turn, Err(error))
        }
        Err(_) => {
            error!(flow, "the run panicked, which is a bug in leadflow; see the log lines above");
            WorkerEvent::BrokeOff(job, turn)
        }
    }
}

async fn record_empty_runs(ctx: RunContext, ended: Vec<(Job, EmptyRun)>) -> WorkerEvent {
    let (jobs, runs): (Vec<_>, Vec<_>) = ended.into_iter().unzip();
    let recorded = run::record_empty_runs(&ctx, runs).await;
    if let Err(error) = &recorded {
        error!(runs = jobs.len(), "cannot record runs that found nothing: {error}");
    }
    WorkerEvent::Recorded(jobs, recorded)
}
