//! One tick, and what becomes of the work between two of them.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinError;
use tracing::{error, info};

use super::alarms::{self, Observations};
use super::run::{self, Claimed, PendingRun, RunResult};
use super::workers::{Job, WorkerEvent};
use super::{Engine, FinishedRun};
use crate::flow::Flow;
use crate::history::{Outcome, RowRange};
use crate::planner::DueRun;
use crate::platform::clock::SET_BACK;
use crate::platform::faults::hang_point;
use crate::store::{NewNode, StoreError};

/// A pause between two ticks after which nothing counts as late before it had its chance.
const DOWNTIME: SignedDuration = SignedDuration::from_mins(1);
/// Between two rounds of the chores.
const CHORES_DONE_EVERY: Duration = Duration::from_hours(1);
/// Runs that are claimed in one transaction; a look at the state waits as long.
const CLAIMED_TOGETHER: usize = 500;
/// Between two checks of the alarms.
const ALARMS_CHECKED_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// What a tick has begun and seen.
#[derive(Debug, Default)]
pub struct Tick {
    /// The flows that have come due.
    pub due: Vec<Arc<Flow>>,
    /// Whether all is well, where it was time to look.
    pub is_well: Option<bool>,
}

impl Engine {
    /// Does what is to be done at this moment. Runs that it begins continue beside it; [`Engine::next`] says what
    /// came of them.
    ///
    /// # Errors
    /// When the state fails. What has not been done is done at the next tick.
    pub async fn tick(&mut self) -> Result<Tick, StoreError> {
        let now = self.ctx.clock.now();
        let before = self.see_time(now).await?;
        if before.is_some_and(|before| now.duration_since(before).abs() > DOWNTIME) {
            // The machine slept, or its clock was set: what was missed is made up for, and not late yet.
            self.on_time_since = now;
            self.ctx.store.set_on_time_since(now).await?;
        }
        if self.beat(now).await? {
            self.fulfil_requests(now).await?;
        }
        hang_point("planner").await;
        let jobs: Vec<Job> =
            self.planner.due(now).into_iter().map(|DueRun { flow, order }| Job { flow, order }).collect();
        let due = jobs.iter().map(|job| Arc::clone(&job.flow)).collect();
        self.claim(jobs).await?;
        self.workers.record(&self.ctx);
        self.delivery_task.tick();
        let steady = self.ctx.clock.steady();
        if self.is_first && self.chores_done.is_none_or(|at| steady.saturating_sub(at) >= CHORES_DONE_EVERY) {
            self.chores_done = Some(steady);
            // They may take longer than a lease.
            let held = self.hold_lease();
            tokio::select! {
                biased;
                done = self.do_chores(now) => done?,
                never = held => match never {},
            }
        }
        let mut is_well = None;
        if self.is_first
            && self.alarms_checked.is_none_or(|at| now.duration_since(at).abs() >= ALARMS_CHECKED_EVERY)
        {
            self.alarms_checked = Some(now);
            is_well = Some(self.check_alarms().await?);
        }
        Ok(Tick { due, is_well })
    }

    /// The next ends of runs, taken in; it waits for them for as long as it takes.
    ///
    /// # Errors
    /// When the state fails for good, or the delivery has ended, which it does by such a failure alone.
    pub async fn next(&mut self) -> Result<Vec<FinishedRun>, StoreError> {
        let event = tokio::select! {
            // One order, so that a simulation can be played again.
            biased;
            Some(event) = self.workers.next() => event,
            failed = self.delivery_task.ended() => return Err(failed.err().unwrap_or(StoreError::Stopped)),
        };
        self.take_in(event)
    }

    /// The moment of the tick before; what runs are due since is put right where the clock was set back.
    async fn see_time(&mut self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let before = self.last_tick;
        let steady = self.ctx.clock.steady();
        if let Some((_, at)) = before {
            self.ctx.meters.ticked(steady.saturating_sub(at));
        }
        let passed = |(before, at): (Timestamp, Duration)| set_back(before, now, steady.saturating_sub(at));
        if let Some(by) = before.and_then(passed) {
            let due = self.planner.passed_before_set_back(by, now);
            self.ctx.store.clock_went_back(by, due, now).await?;
            self.planner.set_back(by, now);
        }
        self.last_tick = Some((now, steady));
        Ok(before.map(|(before, _)| before))
    }

    /// Checks what is wrong and reports it. Returns whether all is well.
    async fn check_alarms(&mut self) -> Result<bool, StoreError> {
        let ends = self.signature_ends.now(&self.config, &self.ctx.runner).await;
        let now = self.ctx.clock.now();
        let nodes = if self.ctx.store.has_leases() { self.ctx.store.nodes().await? } else { Vec::new() };
        let here = NewNode { digest: self.config.digest.clone(), ..self.ctx.node.clone() };
        self.node_differences.take_in(&here, &nodes, now);
        let observations = Observations {
            file: self.invalid_file.clone(),
            held_up: self.workers.held_up(self.on_time_since, now),
            ends,
            nodes,
            differences: self.node_differences.clone(),
        };
        let alarms = alarms::check_alarms(&self.ctx, &self.config, observations).await?;
        self.delivery_task.notify();
        self.ctx.services.close_idle();
        // A warning must not silence the heartbeat, whose silence means a dead daemon.
        let is_well = alarms.iter().all(|alarm| alarm.kind.is_warning());
        self.is_well = Some(is_well);
        Ok(is_well)
    }

    /// Claims runs, some hundred at a time; then those begin whose turn it is.
    pub(super) async fn claim(&mut self, jobs: Vec<Job>) -> Result<(), StoreError> {
        let mut jobs = jobs.into_iter();
        loop {
            let some: Vec<Job> = jobs.by_ref().take(CLAIMED_TOGETHER).collect();
            if some.is_empty() {
                break;
            }
            let wanted = some.iter().map(|job| (job.flow.name.clone(), job.order.clone())).collect();
            match run::claim_runs(&self.ctx, wanted).await {
                Ok(claimed) => self.take_in_claims(some, claimed),
                Err(error) => {
                    for job in some.into_iter().chain(jobs) {
                        self.give_back(&job);
                    }
                    return Err(error);
                }
            }
        }
        self.workers.start_runs(&self.ctx, &self.config);
        Ok(())
    }

    fn take_in_claims(&mut self, jobs: Vec<Job>, claimed: Vec<Claimed>) {
        for (job, claimed) in jobs.into_iter().zip(claimed) {
            match claimed {
                Claimed::Pending(pending) => {
                    if job.order.request.is_some() {
                        let cause = job.order.cause.as_str();
                        let asked_by = job.order.asked_by.as_deref();
                        info!(flow = job.flow.name, cause, asked_by, "a run is requested by command");
                    }
                    self.workers.add([(job, *pending)]);
                }
                Claimed::UnderWay => self.give_back(&job),
                Claimed::Settled(state) => self.planner.follow(&job.flow.name, &state),
            }
        }
    }

    /// Takes back the claims of runs whose turn has not come.
    pub(super) async fn withdraw(&self, waiting: &[(Job, PendingRun)]) -> Result<(), StoreError> {
        let claims = waiting.iter().map(|(_, pending)| pending.claim().clone()).collect();
        self.ctx.store.withdraw_runs(claims).await
    }

    /// Takes in what the work for runs has come to.
    pub(super) fn take_in(
        &mut self,
        event: Result<WorkerEvent, JoinError>,
    ) -> Result<Vec<FinishedRun>, StoreError> {
        let ends = match event {
            Ok(WorkerEvent::Empty(job, turn, empty)) => {
                self.workers.end_turn(&turn);
                self.workers.keep_empty_run(job, *empty);
                Vec::new()
            }
            Ok(WorkerEvent::Ended(job, turn, result)) => {
                self.workers.end_turn(&turn);
                self.delivery_task.notify();
                vec![self.end(job, result)?]
            }
            Ok(WorkerEvent::BrokeOff(job, turn)) => {
                self.workers.end_turn(&turn);
                self.delivery_task.notify();
                // The history says so once the flow runs again.
                self.ctx.meters.runs_interrupted(1);
                self.failed(&job, None);
                vec![FinishedRun { flow: job.flow, result: None }]
            }
            Ok(WorkerEvent::Recorded(jobs, results)) => {
                self.workers.end_recording();
                self.end_together(jobs, results)?
            }
            Err(fault) => {
                error!("a run was lost: {fault}");
                Vec::new()
            }
        };
        self.workers.start_runs(&self.ctx, &self.config);
        Ok(ends)
    }

    fn end_together(
        &mut self,
        jobs: Vec<Job>,
        results: Result<Vec<RunResult>, StoreError>,
    ) -> Result<Vec<FinishedRun>, StoreError> {
        match results {
            Ok(results) => jobs.into_iter().zip(results).map(|(job, it)| self.end(job, Ok(it))).collect(),
            Err(error) if error.is_lasting() => Err(error),
            Err(_) => Ok(jobs.into_iter().map(|job| self.not_recorded(job)).collect()),
        }
    }

    /// Only a run of the new rows says that they can be read.
    fn end(&mut self, job: Job, result: Result<RunResult, StoreError>) -> Result<FinishedRun, StoreError> {
        let ended = match result {
            Ok(ended) => ended,
            Err(error) if error.is_lasting() => return Err(error),
            Err(_) => return Ok(self.not_recorded(job)),
        };
        match (ended.outcome, job.order.range) {
            (Outcome::Failed, _) => self.failed(&job, Some(ended.run)),
            (_, RowRange::New) => self.planner.succeeded(&job.flow.name),
            (_, RowRange::Replay { .. }) => self.planner.ended(&job.flow.name),
        }
        Ok(FinishedRun { flow: job.flow, result: Some(ended) })
    }

    fn failed(&mut self, job: &Job, run: Option<i64>) {
        match job.order.range {
            RowRange::New => self.planner.failed(&job.flow.name, run, self.ctx.clock.now()),
            RowRange::Replay { .. } => self.planner.ended(&job.flow.name),
        }
    }

    fn not_recorded(&mut self, job: Job) -> FinishedRun {
        self.give_back(&job);
        FinishedRun { flow: job.flow, result: None }
    }

    /// A run that did not come to be: what it was for is due again at the next tick.
    pub(super) fn give_back(&mut self, job: &Job) {
        self.planner.return_slot(&job.flow.name, &job.order);
    }
}

/// By how much the clock was set back in this time, if it was.
fn set_back(before: Timestamp, now: Timestamp, elapsed: Duration) -> Option<SignedDuration> {
    let elapsed = SignedDuration::try_from(elapsed).unwrap_or_default();
    Some(before.duration_since(now) + elapsed).filter(|by| *by > SET_BACK)
}
