//! The end: what is under way may finish, for a while; the rest is interrupted, and recorded so.

use std::time::Duration;

use tokio::time::timeout;
use tracing::{error, warn};

use super::{Engine, FinishedRun};
use crate::store::StoreError;

/// How long runs may continue after a stop; what they have not committed is done again.
const FOR_RUNS: Duration = Duration::from_secs(5);
/// How long the mail under way may take after a stop; then it is marked uncertain.
const FOR_MAIL: Duration = Duration::from_secs(15);
/// How long a state that does not answer may keep the end from being recorded.
pub(super) const FOR_THE_RECORD: Duration = Duration::from_secs(2);

impl Engine {
    /// Takes back the runs whose turn has not come; they are due again at the next start.
    ///
    /// # Errors
    /// When the state fails.
    pub async fn withdraw_waiting(&mut self) -> Result<(), StoreError> {
        let waiting = self.workers.take_waiting();
        self.withdraw(&waiting).await
    }

    /// The next ends of runs; `None` once none is under way.
    ///
    /// # Errors
    /// When the state fails for good.
    pub async fn finish_next(&mut self) -> Result<Option<Vec<FinishedRun>>, StoreError> {
        // Those under way may hang; what has ended is not lost with them.
        self.workers.record(&self.ctx);
        match self.workers.next().await {
            Some(event) => self.take_in(event).map(Some),
            None => Ok(None),
        }
    }

    /// Lets the runs under way finish for a while; those that do not are interrupted. Returns the ends of the others.
    pub async fn finish_runs(&mut self) -> Vec<FinishedRun> {
        let mut ends = Vec::new();
        let finish = async {
            if let Err(error) = self.withdraw_waiting().await {
                warn!("waiting runs are run again at the next start: {error}");
            }
            while let Some(some) = self.finish_next().await? {
                ends.extend(some);
            }
            Ok::<_, StoreError>(())
        };
        if !matches!(timeout(FOR_RUNS, finish).await, Ok(Ok(()))) {
            warn!(
                "runs under way are interrupted; they committed nothing and are run again at the next \
                 start"
            );
            self.break_off().await;
        }
        ends
    }

    /// Ends the runs under way at once; the history says that they are interrupted.
    pub async fn break_off(&mut self) {
        self.workers.abort();
        let now = self.ctx.clock.now();
        let recorded = timeout(FOR_THE_RECORD, self.ctx.store.interrupt_runs(now)).await;
        if let Err(error) = recorded.unwrap_or(Err(StoreError::Stopped)) {
            error!("cannot record that runs are interrupted; the next start does: {error}");
        }
    }

    /// Lets the mail under way finish; no other is begun.
    pub async fn stop_delivery(&mut self) {
        self.delivery_task.stop().await;
    }

    /// Lets the mail under way finish for a while.
    pub async fn finish_delivery(&mut self) {
        mail_may_finish(self.stop_delivery()).await;
    }
}

/// Waits for the mail under way, for a while.
pub(super) async fn mail_may_finish(finish: impl Future<Output = ()>) {
    if timeout(FOR_MAIL, finish).await.is_err() {
        warn!("the mail under way is interrupted: it is uncertain and is sent again at the next start");
    }
}
