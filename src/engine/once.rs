//! Runs that somebody wants now, and their mails, for a process that does nothing else.

use std::sync::Arc;

use tokio::sync::watch;

use super::finish::mail_may_finish;
use super::workers::Job;
use super::{Engine, FinishedRun};
use crate::flow::Flow;
use crate::history::{Cause, RunOrder};
use crate::store::StoreError;

impl Engine {
    /// Runs flows now, due or not, one after the other; then tries every mail that waits, until only the time of a
    /// later try holds the others back. [`Cause::Once`] covers the slots that its flow has missed. A flow that runs
    /// already is left out. Once `stop` says so nothing more is begun, and what is under way may finish for a while.
    /// Returns the ends of the runs. For an engine of [`Engine::start_once`].
    ///
    /// # Errors
    /// When the state fails.
    pub async fn run_now(
        self,
        wanted: Vec<(Arc<Flow>, RunOrder)>,
        stop: watch::Receiver<bool>,
    ) -> Result<Vec<FinishedRun>, StoreError> {
        // Nobody ticks here.
        let held = self.hold_lease();
        tokio::select! {
            biased;
            ends = self.run_all(wanted, stop) => ends,
            never = held => match never {},
        }
    }

    async fn run_all(
        mut self,
        wanted: Vec<(Arc<Flow>, RunOrder)>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<Vec<FinishedRun>, StoreError> {
        // What waits already leaves before what the runs make.
        self.delivery_task.delivery().retry_all_now().await?;
        let mut ends = Vec::new();
        for (flow, mut order) in wanted {
            if *stop.borrow() {
                break;
            }
            if !self.planner.claim(&flow.name) {
                continue;
            }
            if order.cause == Cause::Once {
                // No daemon makes up for them.
                order.since = self.planner.missed(&flow.name);
            }
            self.claim(vec![Job { flow, order }]).await?;
            let is_stopped = tokio::select! {
                biased;
                finished = self.finish_all(&mut ends) => finished.map(|()| false)?,
                () = stopped(&mut stop) => true,
            };
            if is_stopped {
                ends.extend(self.finish_runs().await);
            }
        }
        self.deliver_all(stop).await?;
        self.leave().await;
        Ok(ends)
    }

    async fn finish_all(&mut self, ends: &mut Vec<FinishedRun>) -> Result<(), StoreError> {
        while let Some(some) = self.finish_next().await? {
            ends.extend(some);
        }
        Ok(())
    }

    /// Whether the flow is on, by the file and by the state.
    pub fn is_on(&self, flow: &str) -> bool {
        self.planner.is_on(flow)
    }

    /// Waits only for a connection's `per_minute`.
    async fn deliver_all(&self, mut stop: watch::Receiver<bool>) -> Result<(), StoreError> {
        let delivery = self.delivery_task.delivery();
        let stopping = stop.clone();
        loop {
            let deliver = delivery.deliver(&self.config, || *stopping.borrow());
            tokio::pin!(deliver);
            let round = tokio::select! {
                biased;
                round = &mut deliver => round?,
                () = stopped(&mut stop) => {
                    let mut result = Ok(());
                    mail_may_finish(async { result = deliver.await.map(drop) }).await;
                    return result;
                }
            };
            let Some(next_try) = round.next_try.filter(|_| round.is_rate_limited) else { return Ok(()) };
            let wait = next_try.duration_since(self.ctx.clock.now());
            tokio::select! {
                () = tokio::time::sleep(wait.try_into().unwrap_or_default()) => {}
                () = stopped(&mut stop) => return Ok(()),
            }
        }
    }
}

/// Waits until the work is to end early.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}
