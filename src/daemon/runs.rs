//! The runs under way, and those that wait for their turn.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::task::{JoinError, JoinSet};
use tracing::error;

use crate::flow::{Config, Flow};
use crate::history::Order;
use crate::run::{self, Workplace};
use crate::store::StoreError;

/// Runs at the same time, and on the same table connection: a service that hangs keeps up its own
/// flows alone.
const MOST: usize = 16;
const MOST_OF_A_CONNECTION: usize = 4;

/// A run that is to be.
pub(super) struct Job {
    pub(super) flow: Arc<Flow>,
    pub(super) order: Order,
}

/// How a run ends: its job, and why it could not be recorded.
pub(super) type Ended = (Job, Result<(), StoreError>);

#[derive(Default)]
pub(super) struct Runs {
    under_way: JoinSet<Ended>,
    /// By table connection, as are those under way.
    waiting: BTreeMap<String, VecDeque<Job>>,
    busy: BTreeMap<String, usize>,
}

impl Runs {
    /// Jobs whose flows are claimed.
    pub(super) fn add(&mut self, jobs: impl IntoIterator<Item = Job>) {
        for job in jobs {
            self.waiting.entry(job.flow.table.connection.clone()).or_default().push_back(job);
        }
    }

    /// Starts those whose turn has come.
    pub(super) fn start(&mut self, place: &Workplace, config: &Arc<Config>) {
        while self.under_way.len() < MOST
            && let Some(job) = self.next_waiting()
        {
            *self.busy.entry(job.flow.table.connection.clone()).or_default() += 1;
            let (place, config, flow) = (place.clone(), Arc::clone(config), Arc::clone(&job.flow));
            let order = job.order;
            // A task of its own, so that a fault in one run ends neither the daemon nor the flow.
            let work = tokio::spawn(async move { run::run(&place, &config, &flow, &order).await });
            self.under_way.spawn(async move {
                let flow = &job.flow.name;
                let recorded = match work.await {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err(error)) => {
                        error!(flow, "the run cannot be recorded: {error}");
                        Err(error)
                    }
                    Err(fault) => {
                        error!(flow, "the run broke off: {fault}");
                        Ok(())
                    }
                };
                (job, recorded)
            });
        }
    }

    /// The first flow that waits for the table connection which has the fewest runs, and a turn to give.
    fn next_waiting(&mut self) -> Option<Job> {
        self.waiting.retain(|_, jobs| !jobs.is_empty());
        let runs_of = |connection: &String| self.busy.get(connection).copied().unwrap_or_default();
        let free =
            self.waiting.iter_mut().filter(|(connection, _)| runs_of(connection) < MOST_OF_A_CONNECTION);
        free.min_by_key(|(connection, _)| runs_of(connection))?.1.pop_front()
    }

    /// The next run that ends; `None` when none is under way.
    pub(super) async fn next_end(&mut self) -> Option<Result<Ended, JoinError>> {
        self.under_way.join_next().await
    }

    /// The run of this job has ended.
    pub(super) fn end(&mut self, job: &Job) {
        if let Some(runs) = self.busy.get_mut(&job.flow.table.connection) {
            *runs -= 1;
        }
    }

    /// Those that wait for their turn, which they do not any more.
    pub(super) fn take_waiting(&mut self) -> impl Iterator<Item = Job> + use<> {
        std::mem::take(&mut self.waiting).into_values().flatten()
    }

    /// How many are under way.
    pub(super) fn count(&self) -> usize {
        self.under_way.len()
    }
}
