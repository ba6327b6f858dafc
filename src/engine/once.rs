//! Runs that somebody wants now, and their mails, for a process that does nothing else.

use std::sync::Arc;

use super::workers::Job;
use super::{Engine, RunEnd};
use crate::flow::Flow;
use crate::history::{Cause, Order};
use crate::store::StoreError;

impl Engine {
    /// Runs flows now, due or not, one after the other; then tries every mail that waits, until only the time of a
    /// later try holds the others back. [`Cause::Once`] covers the slots that its flow has missed. A flow that runs
    /// already is left out. Returns the ends of the runs. For an engine of [`Engine::start_once`].
    ///
    /// # Errors
    /// When the state fails.
    pub async fn run_now(mut self, wanted: Vec<(Arc<Flow>, Order)>) -> Result<Vec<RunEnd>, StoreError> {
        // What waits already leaves before what the runs make.
        self.delivery.postman().start_over().await?;
        let mut ends = Vec::new();
        for (flow, mut order) in wanted {
            if !self.agenda.claim(&flow.name) {
                continue;
            }
            if order.cause == Cause::Once {
                // No daemon makes up for them.
                order.since = self.agenda.missed(&flow.name);
            }
            self.claim(vec![Job { flow, order }]).await?;
            while let Some(some) = self.finish_next().await? {
                ends.extend(some);
            }
        }
        self.deliver_all().await?;
        Ok(ends)
    }

    /// Whether the flow is on, by the file and by the state.
    pub fn is_on(&self, flow: &str) -> bool {
        self.agenda.is_on(flow)
    }

    /// Waits only for a connection's `per_minute`.
    async fn deliver_all(&self) -> Result<(), StoreError> {
        let postman = self.delivery.postman();
        loop {
            let round = postman.deliver(&self.config, || false).await?;
            let Some(next_try) = round.next_try.filter(|_| round.is_paced) else { return Ok(()) };
            let wait = next_try.duration_since(self.ctx.clock.now());
            tokio::time::sleep(wait.try_into().unwrap_or_default()).await;
        }
    }
}
