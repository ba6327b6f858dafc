//! This process among those that share its state.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;
use tracing::warn;

use super::finish::FOR_THE_RECORD;
use super::{Engine, RunContext};
use crate::outbox;
use crate::store::{Beat, LEASE, StoreError, TakenOver};

/// Between two renewals while nobody ticks.
const EACH_SECOND: Duration = Duration::from_secs(1);

impl Engine {
    /// Renews the lease, and takes in what other nodes have done. Returns whether commands ask for something, as far as
    /// that is known from it.
    pub(super) async fn beat(&mut self, now: Timestamp) -> Result<bool, StoreError> {
        if !self.ctx.store.has_leases() {
            return Ok(self.changes.any());
        }
        let asked = self.ctx.clock.steady();
        let Beat { taken_over, schedule, has_requests, next_try, is_first } =
            self.ctx.store.beat(self.config.digest.clone(), now).await?;
        renew(&self.ctx, asked);
        log_taken_over(&self.ctx, taken_over);
        self.is_first = is_first;
        if self.schedule != Some(schedule) {
            let config = Arc::clone(&self.config);
            let states = self.schedule_states(&config, None).await?;
            self.planner.catch_up_with(&states, now);
            self.schedule = Some(schedule);
        }
        if next_try.is_some_and(|at| outbox::is_due(at, now)) {
            self.delivery_task.notify();
        }
        Ok(has_requests)
    }

    /// Renews the lease each second, until it is dropped: what ends meanwhile is still to be recorded.
    pub fn hold_lease(&self) -> impl Future<Output = Infallible> + use<> {
        let (ctx, digest) = (self.ctx.clone(), self.config.digest.clone());
        async move {
            while ctx.store.has_leases() {
                tokio::time::sleep(EACH_SECOND).await;
                let asked = ctx.clock.steady();
                match ctx.store.beat(digest.clone(), ctx.clock.now()).await {
                    Ok(Beat { taken_over, .. }) => {
                        renew(&ctx, asked);
                        log_taken_over(&ctx, taken_over);
                    }
                    Err(error) => warn!("cannot renew the lease of this node: {error}"),
                }
            }
            std::future::pending().await
        }
    }

    /// The process ends its work in order: others need not wait for the end of its lease.
    pub async fn leave(&self) {
        if !self.ctx.store.has_leases() {
            return;
        }
        let left = timeout(FOR_THE_RECORD, self.ctx.store.leave()).await;
        if let Err(error) = left.unwrap_or(Err(StoreError::Stopped)) {
            warn!("other nodes wait until the lease of this one ends: {error}");
        }
    }

    /// Ends all work at once, none of which is this node's any more.
    pub async fn abandon(&mut self) {
        self.workers.abandon().await;
        self.delivery_task.abandon().await;
    }
}

/// The lease holds from the moment at which it was asked for.
pub(super) fn renew(ctx: &RunContext, asked: Duration) {
    if ctx.store.has_leases() {
        ctx.lease.renew(asked, LEASE);
    }
}

pub(super) fn log_taken_over(ctx: &RunContext, TakenOver { runs, messages }: TakenOver) {
    let who = if ctx.store.has_leases() { "a node" } else { "the last process" };
    if runs > 0 {
        ctx.meters.runs_interrupted(runs);
        warn!(runs, "{who} stopped during runs; they are run again");
    }
    if messages > 0 {
        warn!(
            mails = messages,
            "{who} stopped while mails were being sent: they are uncertain and are sent again"
        );
    }
}
