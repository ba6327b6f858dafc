//! The end: what is under way may finish. Who drives the engine says for how long.

use super::{Engine, RunEnd};
use crate::store::StoreError;

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
    pub async fn finish_next(&mut self) -> Result<Option<Vec<RunEnd>>, StoreError> {
        // Those under way may hang; what has ended is not lost with them.
        self.workers.record(&self.ctx);
        match self.workers.next().await {
            Some(event) => self.take_in(event).map(Some),
            None => Ok(None),
        }
    }

    /// Lets the mail under way finish; no other is begun.
    pub async fn stop_delivery(&mut self) {
        self.delivery.stop().await;
    }
}
