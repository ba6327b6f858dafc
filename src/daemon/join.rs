//! The daemon among the processes that share its state: it joins, and joins anew when its lease has ended.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::Daemon;
use crate::engine::{Engine, RunContext};
use crate::flow::Config;
use crate::store::{LEASE, StoreError};

/// Between two tries for a name that an earlier process still has.
const AGAIN: Duration = Duration::from_millis(500);

/// An engine that has joined. The lease of an earlier process of this name may still hold for a while.
pub(super) async fn joined(ctx: &RunContext, config: &Arc<Config>) -> Result<Engine, StoreError> {
    let asked = ctx.clock.steady();
    let mut is_told = false;
    loop {
        match Engine::start(ctx.clone(), Arc::clone(config)).await {
            Err(StoreError::NameHeld(name)) if ctx.clock.steady().saturating_sub(asked) < LEASE * 2 => {
                if !is_told {
                    info!(node = name, "waiting for the lease of the process before to end");
                }
                is_told = true;
                tokio::time::sleep(AGAIN).await;
            }
            other => return other,
        }
    }
}

impl Daemon {
    /// Others may have taken over what this process had under way: it moves nothing of that any more, and joins anew at
    /// the next tick.
    ///
    /// # Errors
    /// The error, where it says something else.
    pub(super) async fn lose_lease(&mut self, error: StoreError) -> Result<(), StoreError> {
        if !matches!(error, StoreError::TakenOver) || !self.engine.context().store.has_leases() {
            return Err(error);
        }
        warn!(
            "the lease of this node ended before it was renewed: what it had under way is the other nodes' now"
        );
        self.engine.abandon().await;
        self.is_out = true;
        Ok(())
    }

    /// Joins anew.
    ///
    /// # Errors
    /// When the state fails.
    pub(super) async fn rejoin(&mut self) -> Result<(), StoreError> {
        let (ctx, config) = (self.engine.context().clone(), Arc::clone(self.engine.config()));
        self.engine = joined(&ctx, &config).await?;
        self.is_out = false;
        info!("this node has joined again");
        Ok(())
    }
}
