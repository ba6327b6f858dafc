//! The runs that are claimed: those under way, those that wait for their turn, and those that have handed
//! on no row and wait to be recorded.

use std::collections::{BTreeMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use tokio::task::{JoinError, JoinSet};
use tracing::error;

use crate::flow::{Config, Flow};
use crate::history::{Order, Outcome};
use crate::run::{self, Claimed, Done, Quiet, Workplace};
use crate::store::StoreError;

/// Runs at the same time, and on the same table connection: a service that hangs keeps up its own
/// flows alone.
const MOST: usize = 16;
const MOST_OF_A_CONNECTION: usize = 4;
/// Runs that are recorded together. While others are under way so many are waited for, or one second; a
/// look at the state waits as long as they take, some hundredths of one.
const TOGETHER: usize = 500;

/// A run that is to be.
pub(super) struct Job {
    pub(super) flow: Arc<Flow>,
    pub(super) order: Order,
}

/// What the work for runs comes to.
pub(super) enum Came {
    /// A run has ended, and what came of it; or why that could not be recorded.
    Ended(Job, Result<Outcome, StoreError>),
    /// A run is to be recorded.
    Quiet(Job, Box<Quiet>),
    /// Those that were to be are recorded; or why they could not be.
    Recorded(Vec<Job>, Result<(), StoreError>),
}

#[derive(Default)]
pub(super) struct Runs {
    work: JoinSet<Came>,
    /// By table connection, as are those under way.
    waiting: BTreeMap<String, VecDeque<(Job, Claimed)>>,
    busy: BTreeMap<String, usize>,
    quiet: Vec<(Job, Quiet)>,
    is_recording: bool,
}

impl Runs {
    /// Jobs that are claimed.
    pub(super) fn add(&mut self, jobs: impl IntoIterator<Item = (Job, Claimed)>) {
        for (job, claimed) in jobs {
            self.waiting.entry(job.flow.table.connection.clone()).or_default().push_back((job, claimed));
        }
    }

    /// Starts those whose turn has come, and records those that wait for it.
    pub(super) fn go_on(&mut self, place: &Workplace, config: &Arc<Config>) {
        while self.count() < MOST
            && let Some((job, claimed)) = self.next_waiting()
        {
            *self.busy.entry(job.flow.table.connection.clone()).or_default() += 1;
            self.work.spawn(work(place.clone(), Arc::clone(config), job, claimed));
        }
        if self.quiet.len() >= TOGETHER || self.count() == 0 {
            self.record(place);
        }
    }

    /// Records those that wait for it, unless others are being recorded.
    pub(super) fn record(&mut self, place: &Workplace) {
        if !self.is_recording && !self.quiet.is_empty() {
            self.is_recording = true;
            let together = self.quiet.len().min(TOGETHER);
            self.work.spawn(record(place.clone(), self.quiet.drain(..together).collect()));
        }
    }

    /// The first flow that waits for the table connection which has the fewest runs, and a turn to give.
    fn next_waiting(&mut self) -> Option<(Job, Claimed)> {
        self.waiting.retain(|_, jobs| !jobs.is_empty());
        let runs_of = |connection: &String| self.busy.get(connection).copied().unwrap_or_default();
        let free =
            self.waiting.iter_mut().filter(|(connection, _)| runs_of(connection) < MOST_OF_A_CONNECTION);
        free.min_by_key(|(connection, _)| runs_of(connection))?.1.pop_front()
    }

    /// What the work comes to next; `None` when there is none.
    pub(super) async fn next(&mut self) -> Option<Result<Came, JoinError>> {
        self.work.join_next().await
    }

    /// The run is recorded with the next ones.
    pub(super) fn keep(&mut self, job: Job, quiet: Quiet) {
        self.quiet.push((job, quiet));
    }

    /// The run of this job gives its turn to another.
    pub(super) fn end_turn(&mut self, job: &Job) {
        if let Some(runs) = self.busy.get_mut(&job.flow.table.connection) {
            *runs -= 1;
        }
    }

    /// The next ones may be recorded.
    pub(super) fn end_recording(&mut self) {
        self.is_recording = false;
    }

    /// Those that wait for their turn, which they do not any more.
    pub(super) fn take_waiting(&mut self) -> Vec<(Job, Claimed)> {
        std::mem::take(&mut self.waiting).into_values().flatten().collect()
    }

    /// How many are under way.
    pub(super) fn count(&self) -> usize {
        self.busy.values().sum()
    }
}

/// A fault in one run ends neither the daemon nor the flow.
async fn work(place: Workplace, config: Arc<Config>, job: Job, claimed: Claimed) -> Came {
    let flow = &job.flow.name;
    let work = Box::pin(run::work(&place, &config, &job.flow, claimed));
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(Ok(Done::Quiet(quiet))) => Came::Quiet(job, quiet),
        Ok(Ok(Done::Recorded(ended))) => Came::Ended(job, Ok(ended.outcome)),
        Ok(Err(error)) => {
            error!(flow, "the run cannot be recorded: {error}");
            Came::Ended(job, Err(error))
        }
        Err(_) => {
            error!(flow, "the run broke off by a fault of leadflow, which the lines before tell of");
            Came::Ended(job, Ok(Outcome::Failed))
        }
    }
}

async fn record(place: Workplace, ended: Vec<(Job, Quiet)>) -> Came {
    let (jobs, quiet): (Vec<_>, Vec<_>) = ended.into_iter().unzip();
    let recorded = run::record(&place, quiet).await;
    if let Err(error) = &recorded {
        error!(runs = jobs.len(), "runs that found nothing cannot be recorded: {error}");
    }
    Came::Recorded(jobs, recorded.map(drop))
}
