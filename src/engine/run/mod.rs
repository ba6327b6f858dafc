//! The row's way, from a slot that has come due to a mail that lies in the outbox.
//!
//! 1. **due**: the slot is claimed, with all others of its tick; a flow never runs beside itself.
//! 2. **window**: how far back this run reads, and what the flow's first run passes over.
//! 3. **query**: every page to the clean end, into a bounded spool.
//! 4. **new rows**: those that the flow has not handed on yet, told page by page.
//! 5. **condition**: whether they make a mail.
//! 6. **render**: the final bytes.
//! 7. **commit**: keys, mails, watermark and record in one transaction. Until here nothing has moved. Runs
//!    that found nothing to hand on may share one.
//! 8. **send** is the outbox's, from what was committed.
//! 9. **history** is what each step noted on its way.

mod commit;
mod error;
mod marks;
mod query;
mod recorder;
mod source;
mod window;

use std::sync::Arc;

use jiff::Timestamp;
use tracing::{error, info, warn};

use super::RunContext;
use crate::flow::condition::Verdict;
use crate::flow::{Config, Flow};
use crate::history::{Cause, ConditionInputs, ConditionOutputs, Order, Outcome, Step};
use crate::platform::faults::crash_point;
use crate::store::{ClaimedRun, FailedRun, NewRun, ScanResult, StoreError};

pub use error::RunError;
use recorder::{RunFacts, StepRecorder};
pub use source::source_of;

/// A run that is claimed and has done nothing yet.
#[derive(Debug)]
pub(crate) struct Claimed {
    begun: ClaimedRun,
    order: Order,
    started: Timestamp,
}

impl Claimed {
    /// The run's number.
    pub(crate) fn run(&self) -> i64 {
        self.begun.run
    }

    /// When it was claimed.
    pub(crate) fn started(&self) -> Timestamp {
        self.started
    }
}

/// How a run has come to its end.
#[derive(Debug)]
pub(crate) enum Done {
    /// It is recorded.
    Recorded(Ended),
    /// It has handed on no row and is to be recorded, perhaps together with others.
    Quiet(Box<Quiet>),
}

/// What a run that handed on no row leaves to be recorded.
#[derive(Debug)]
pub(crate) struct Quiet {
    told: Told,
    scanned: Arc<ScanResult>,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The run's number.
    pub run: i64,
    /// What came of it so far; its mail may still wait.
    pub outcome: Outcome,
    /// The outcome in a sentence.
    pub summary: String,
}

/// Runs a flow once, as the order says. A run that fails moves nothing, and is recorded as failed.
///
/// # Errors
/// Only when the run could not even be claimed or recorded: the state fails.
pub async fn run(
    ctx: &RunContext,
    config: &Config,
    flow: &Arc<Flow>,
    order: &Order,
) -> Result<Ended, StoreError> {
    let claimed = claim(ctx, vec![(flow.name.clone(), *order)]).await?.pop().ok_or(StoreError::Stopped)?;
    match work(ctx, config, flow, claimed).await? {
        Done::Recorded(ended) => Ok(ended),
        Done::Quiet(quiet) => record(ctx, vec![*quiet]).await?.pop().ok_or(StoreError::Stopped),
    }
}

/// Claims runs of these flows, all or none.
///
/// # Errors
/// When the state fails.
pub(crate) async fn claim(
    ctx: &RunContext,
    wanted: Vec<(String, Order)>,
) -> Result<Vec<Claimed>, StoreError> {
    let started = ctx.clock.now();
    let orders: Vec<Order> = wanted.iter().map(|(_, order)| *order).collect();
    let new = wanted.into_iter().map(|(flow, order)| NewRun { flow, order, started });
    let begun = ctx.store.claim_runs(new.collect()).await?;
    crash_point("run-claimed");
    Ok(begun.into_iter().zip(orders).map(|(begun, order)| Claimed { begun, order, started }).collect())
}

/// Does what was claimed, up to the record of a run that handed on no row.
///
/// # Errors
/// Only when the run could not be recorded: the state fails.
pub(crate) async fn work(
    ctx: &RunContext,
    config: &Config,
    flow: &Arc<Flow>,
    claimed: Claimed,
) -> Result<Done, StoreError> {
    let mut recorder = StepRecorder::default();
    let run = claimed.run();
    let cause = claimed.order.cause;
    let started = claimed.started;
    let due_since = claimed.begun.due_since;
    recorder.record_turn(ctx.clock.now().duration_since(started));
    let result = rows_way(ctx, config, flow, claimed, &mut recorder).await;
    let told = Told { flow: Arc::clone(flow), run, cause, facts: recorder.facts(), started };
    match result {
        Ok(Way::Quiet(scanned)) => Ok(Done::Quiet(Box::new(Quiet { told, scanned: Arc::new(scanned) }))),
        Ok(Way::Committed(outcome, summary)) => {
            told.ended(outcome, &summary, ctx.clock.now());
            Ok(Done::Recorded(Ended { run, outcome, summary }))
        }
        Err(RunError::Store(error)) if error.is_lasting() => Err(error),
        Err(failure) => {
            // The connection string or the certificates may be others by now.
            ctx.services.renew(&flow.table.connection);
            told.failed(&failure, ctx.clock.now());
            let summary = failure.to_string();
            Box::pin(end_failed(ctx, (run, due_since), &failure, recorder)).await?;
            Ok(Done::Recorded(Ended { run, outcome: Outcome::Failed, summary }))
        }
    }
}

/// Records runs that handed on no row, all or none.
///
/// # Errors
/// When the state fails; then nothing has moved.
pub(crate) async fn record(ctx: &RunContext, quiet: Vec<Quiet>) -> Result<Vec<Ended>, StoreError> {
    let scans = quiet.iter().map(|quiet| (quiet.told.run, Arc::clone(&quiet.scanned)));
    ctx.store.commit_empty_scans(scans.collect()).await?;
    crash_point("after-commit");
    let ended = |Quiet { told, scanned }: Quiet| {
        let ScanResult { outcome, summary, now, .. } = scanned.as_ref();
        let run = told.run;
        told.ended(*outcome, summary, *now);
        Ended { run, outcome: *outcome, summary: summary.clone() }
    };
    Ok(quiet.into_iter().map(ended).collect())
}

/// The run's one line in the log.
#[derive(Debug)]
struct Told {
    flow: Arc<Flow>,
    run: i64,
    cause: Cause,
    facts: RunFacts,
    started: Timestamp,
}

impl Told {
    /// The JSON of the log has no number of 128 bits.
    fn took_ms(&self, now: Timestamp) -> u64 {
        u64::try_from(now.duration_since(self.started).as_millis()).unwrap_or_default()
    }

    fn ended(self, outcome: Outcome, summary: &str, now: Timestamp) {
        let run = self.run;
        let took_ms = self.took_ms(now);
        let RunFacts { past_time, pages, scanned, new, mails } = self.facts;
        let past_time = past_time.map(|at| at.to_string());
        let flow = &self.flow.name;
        let cause = self.cause.word();
        let outcome = outcome.word();
        info!(flow, run, cause, outcome, new, scanned, pages, mails, past_time, took_ms, "{summary}");
    }

    fn failed(self, failure: &RunError, now: Timestamp) {
        let run = self.run;
        let took_ms = self.took_ms(now);
        let RunFacts { past_time, pages, scanned, new, .. } = self.facts;
        let past_time = past_time.map(|at| at.to_string());
        let flow = &self.flow.name;
        let cause = self.cause.word();
        let outcome = Outcome::Failed.word();
        let help = failure.help();
        error!(
            flow,
            run, cause, outcome, new, scanned, pages, past_time, took_ms, help, "the run failed: {failure}"
        );
    }
}

/// Where the row's way has come to.
enum Way {
    Committed(Outcome, String),
    /// No row is handed on, and the rest may be committed with that of other runs.
    Quiet(ScanResult),
}

/// What few runs come to is boxed, so that the others, which may be thousands, are not made large by it.
async fn rows_way(
    ctx: &RunContext,
    config: &Config,
    flow: &Arc<Flow>,
    claimed: Claimed,
    recorder: &mut StepRecorder,
) -> Result<Way, RunError> {
    let table = ctx.services.table(config.table_of(flow)?).await?;
    let Claimed { begun, order, started } = claimed;
    let run = begun.run;
    let plan = window::plan_scan(ctx, flow, &*table, (begun, started), order.range, recorder).await?;
    let new_rows = query::new_rows(ctx, flow, &*table, &plan, recorder).await?;
    let verdict = decide(flow, new_rows.spool.len(), recorder);
    // It is never closed.
    let _desk = if verdict == Verdict::Mail { ctx.desks.acquire().await.ok() } else { None };
    let (mails, new_rows) = match verdict {
        Verdict::Mail => Box::pin(commit::render(ctx, config, flow, run, &plan, new_rows, recorder)).await?,
        Verdict::NothingNew | Verdict::Gather | Verdict::PassOver => (None, new_rows),
    };
    for note in mails.iter().flat_map(crate::compose::Mails::notes) {
        warn!(flow = flow.name, run, "{note}");
    }
    crash_point("before-commit");
    let decided = commit::RunDecision { plan, new_rows, verdict, mails };
    commit::commit(ctx, flow, run, decided, recorder).await
}

fn decide(flow: &Flow, length: u64, recorder: &mut StepRecorder) -> Verdict {
    let verdict = flow.condition.decide(length);
    let inputs = ConditionInputs { condition: flow.condition.to_string(), length };
    let outputs = ConditionOutputs { result: verdict == Verdict::Mail, then: verdict };
    recorder.push(Step::Condition { inputs, outputs });
    verdict
}

async fn end_failed(
    ctx: &RunContext,
    (run, due_since): (i64, Timestamp),
    failure: &RunError,
    mut recorder: StepRecorder,
) -> Result<(), StoreError> {
    let failed = FailedRun {
        summary: failure.to_string(),
        help: failure.help().to_owned(),
        steps: recorder.take_steps(),
        due_since,
    };
    ctx.store.fail_run(run, failed, ctx.clock.now()).await
}
