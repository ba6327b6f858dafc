//! A row's way, from a slot that is due to a message in the outbox.
//!
//! 1. **due**: the slot is claimed, with all others of its tick; a flow never runs beside itself.
//! 2. **window**: how far back this run reads, and which rows the flow's first run skips.
//! 3. **query**: every page to the clean end, into a bounded spool.
//! 4. **new rows**: those that are not seen yet, page by page.
//! 5. **condition**: whether they make a mail.
//! 6. **render**: the final bytes.
//! 7. **commit**: seen rows, messages, watermark and record in one transaction. Until here nothing has moved. Runs
//!    that process no row may share one.
//! 8. **send** is the work of the delivery, from what was committed.
//! 9. **history** is what each step recorded.

mod commit;
mod error;
mod marks;
mod query;
mod recorder;
mod source;
mod window;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tracing::{error, info, warn};

use super::RunContext;
use crate::flow::condition::Verdict;
use crate::flow::{Config, Flow};
use crate::history::{Cause, ConditionInputs, ConditionOutputs, Outcome, RunOrder, Step};
use crate::planner::ScheduleState;
use crate::platform::faults::crash_point;
use crate::store::{Claim, ClaimedRun, FailedRun, NewRun, ScanResult, StoreError};

pub use error::RunError;
use recorder::{RunFacts, StepRecorder};
pub use source::source_of;

/// A run that is claimed and has done nothing yet.
#[derive(Debug)]
pub(crate) struct PendingRun {
    claim: ClaimedRun,
    order: RunOrder,
    started: Timestamp,
}

/// What became of a run that was wanted.
#[derive(Debug)]
pub(crate) enum Claimed {
    /// It waits for its turn.
    Pending(Box<PendingRun>),
    /// Another node has a run of the flow under way.
    UnderWay,
    /// Nothing is left to do of what it was wanted for; what the state knows of the flow.
    Settled(ScheduleState),
}

impl PendingRun {
    pub(crate) fn claim(&self) -> &ClaimedRun {
        &self.claim
    }

    /// When it was claimed.
    pub(crate) fn started(&self) -> Timestamp {
        self.started
    }
}

/// How a run has come to its end.
#[derive(Debug)]
pub(crate) enum RunEnd {
    /// It is recorded.
    Recorded(RunResult),
    /// It has processed no row and is to be recorded, perhaps together with others.
    Empty(Box<EmptyRun>),
}

/// What a run that processed no row leaves to be recorded.
#[derive(Debug)]
pub(crate) struct EmptyRun {
    line: RunLogLine,
    scanned: Arc<ScanResult>,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunResult {
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
    order: &RunOrder,
) -> Result<RunResult, StoreError> {
    let claimed = claim_runs(ctx, vec![(flow.name.clone(), order.clone())]).await?.pop();
    let Some(Claimed::Pending(pending)) = claimed else { return Err(StoreError::Stopped) };
    match execute(ctx, config, flow, *pending).await? {
        RunEnd::Recorded(result) => Ok(result),
        RunEnd::Empty(run) => record_empty_runs(ctx, vec![*run]).await?.pop().ok_or(StoreError::Stopped),
    }
}

/// Claims runs of these flows, each on its own.
///
/// # Errors
/// When the state fails.
pub(crate) async fn claim_runs(
    ctx: &RunContext,
    wanted: Vec<(String, RunOrder)>,
) -> Result<Vec<Claimed>, StoreError> {
    let started = ctx.clock.now();
    let orders: Vec<RunOrder> = wanted.iter().map(|(_, order)| order.clone()).collect();
    let new = wanted.into_iter().map(|(flow, order)| NewRun { flow, order, started });
    let claims = ctx.store.claim_runs(new.collect()).await?;
    crash_point("run-claimed");
    let claimed = |(claim, order)| match claim {
        Claim::Won(claim) => Claimed::Pending(Box::new(PendingRun { claim, order, started })),
        Claim::UnderWay => Claimed::UnderWay,
        Claim::Settled(state) => Claimed::Settled(state),
    };
    Ok(claims.into_iter().zip(orders).map(claimed).collect())
}

/// Does what was claimed, except for the record of a run that processes no row.
///
/// # Errors
/// Only when the run could not be recorded: the state fails.
pub(crate) async fn execute(
    ctx: &RunContext,
    config: &Config,
    flow: &Arc<Flow>,
    pending: PendingRun,
) -> Result<RunEnd, StoreError> {
    let mut recorder = StepRecorder::default();
    let run = pending.claim.run;
    let cause = pending.order.cause;
    let started = pending.started;
    let due_since = pending.claim.due_since;
    let began = ctx.clock.steady();
    recorder.record_turn(ctx.clock.now().duration_since(started));
    let result = run_steps(ctx, config, flow, pending, &mut recorder).await;
    let took = ctx.clock.steady().saturating_sub(began);
    let line = RunLogLine { flow: Arc::clone(flow), run, cause, facts: recorder.facts(), started, took };
    match result {
        Ok(StepsResult::Empty(scanned)) => {
            Ok(RunEnd::Empty(Box::new(EmptyRun { line, scanned: Arc::new(scanned) })))
        }
        Ok(StepsResult::Committed(outcome, summary)) => {
            line.count(ctx, outcome);
            line.log_end(outcome, &summary, ctx.clock.now());
            Ok(RunEnd::Recorded(RunResult { run, outcome, summary }))
        }
        Err(RunError::Store(error)) if error.is_lasting() => Err(error),
        Err(failure) => {
            // The connection string or the certificates may have been replaced by now.
            ctx.services.forget_sign_in(&flow.table.connection);
            line.log_failure(&failure, ctx.clock.now());
            let summary = failure.to_string();
            Box::pin(end_failed(ctx, (run, due_since), &failure, recorder)).await?;
            line.count(ctx, Outcome::Failed);
            Ok(RunEnd::Recorded(RunResult { run, outcome: Outcome::Failed, summary }))
        }
    }
}

/// Records runs that processed no row, all or none.
///
/// # Errors
/// When the state fails; then nothing has moved.
pub(crate) async fn record_empty_runs(
    ctx: &RunContext,
    runs: Vec<EmptyRun>,
) -> Result<Vec<RunResult>, StoreError> {
    let scans = runs.iter().map(|run| (run.line.run, Arc::clone(&run.scanned)));
    ctx.store.commit_empty_scans(scans.collect()).await?;
    crash_point("after-commit");
    let result = |EmptyRun { line, scanned }: EmptyRun| {
        let ScanResult { outcome, summary, now, .. } = scanned.as_ref();
        let run = line.run;
        line.count(ctx, *outcome);
        line.log_end(*outcome, summary, *now);
        RunResult { run, outcome: *outcome, summary: summary.clone() }
    };
    Ok(runs.into_iter().map(result).collect())
}

/// The run's one line in the log.
#[derive(Debug)]
struct RunLogLine {
    flow: Arc<Flow>,
    run: i64,
    cause: Cause,
    facts: RunFacts,
    started: Timestamp,
    /// From its turn on, by the clock that nobody sets.
    took: Duration,
}

impl RunLogLine {
    fn count(&self, ctx: &RunContext, outcome: Outcome) {
        ctx.meters.run_ended(outcome, self.facts.processed, self.took);
    }

    /// The JSON of the log has no number of 128 bits.
    fn took_ms(&self, now: Timestamp) -> u64 {
        u64::try_from(now.duration_since(self.started).as_millis()).unwrap_or_default()
    }

    fn log_end(self, outcome: Outcome, summary: &str, now: Timestamp) {
        let run = self.run;
        let took_ms = self.took_ms(now);
        let RunFacts { past_time, pages, scanned, new, mails, .. } = self.facts;
        let past_time = past_time.map(|at| at.to_string());
        let flow = &self.flow.name;
        let cause = self.cause.as_str();
        let outcome = outcome.as_str();
        info!(flow, run, cause, outcome, new, scanned, pages, mails, past_time, took_ms, "{summary}");
    }

    fn log_failure(&self, failure: &RunError, now: Timestamp) {
        let run = self.run;
        let took_ms = self.took_ms(now);
        let RunFacts { past_time, pages, scanned, new, .. } = self.facts;
        let past_time = past_time.map(|at| at.to_string());
        let flow = &self.flow.name;
        let cause = self.cause.as_str();
        let outcome = Outcome::Failed.as_str();
        let help = failure.help();
        error!(
            flow,
            run, cause, outcome, new, scanned, pages, past_time, took_ms, help, "the run failed: {failure}"
        );
    }
}

/// What the steps of a run led to.
enum StepsResult {
    Committed(Outcome, String),
    /// No row is processed; the rest may be committed with that of other runs.
    Empty(ScanResult),
}

/// Rare branches are boxed: thousands of these futures may be alive at once.
async fn run_steps(
    ctx: &RunContext,
    config: &Config,
    flow: &Arc<Flow>,
    pending: PendingRun,
    recorder: &mut StepRecorder,
) -> Result<StepsResult, RunError> {
    let table = ctx.services.table(config.table_of(flow)?).await?;
    let PendingRun { claim, order, started } = pending;
    let run = claim.run;
    let plan = window::plan_scan(ctx, flow, &*table, (claim, started), order.range, recorder).await?;
    let new_rows = query::new_rows(ctx, flow, &*table, &plan, recorder).await?;
    let verdict = decide(flow, new_rows.spool.len(), recorder);
    // It is never closed.
    let _permit = if verdict == Verdict::Mail { ctx.compose_permits.acquire().await.ok() } else { None };
    let (mails, new_rows) = match verdict {
        Verdict::Mail => Box::pin(commit::render(ctx, config, flow, run, &plan, new_rows, recorder)).await?,
        Verdict::NothingNew | Verdict::Gather | Verdict::Skip => (None, new_rows),
    };
    for note in mails.iter().flat_map(crate::compose::ComposedMails::notes) {
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
