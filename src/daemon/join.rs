//! The daemon among the processes that share its state: it joins, and joins anew when its lease has ended.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::Daemon;
use super::trouble::Trouble;
use crate::engine::{Engine, RunContext};
use crate::flow::Config;
use crate::platform::clock::Clock;
use crate::platform::faults::crash_point;
use crate::store::state;
use crate::store::{LEASE, NewNode, StoreError};

/// Between two tries for a name that an earlier process still has, or for a database that is away.
const AGAIN: Duration = Duration::from_millis(500);

/// An engine that has joined. What other processes or a server keep it from for a while is waited for, where the state is
/// not this machine's alone.
pub(super) async fn joined(clock: &Clock, config: &Arc<Config>) -> Result<Engine, StoreError> {
    let asked = clock.steady();
    let mut trouble = Trouble::default();
    let mut is_waiting_said = false;
    loop {
        let error = match started(clock, config).await {
            Err(error) if config.settings.postgres.is_some() => error,
            other => return other,
        };
        let waited = clock.steady().saturating_sub(asked);
        let is_held = matches!(error, StoreError::NameHeld(_)) && waited < LEASE * 2;
        if !error.is_passing() && !is_held {
            return Err(error);
        }
        match error {
            StoreError::NameHeld(node) => {
                if !std::mem::replace(&mut is_waiting_said, true) {
                    info!(node, "waiting until the lease of the last process ends");
                }
            }
            error => trouble.log(&error, clock.steady()),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn started(clock: &Clock, config: &Arc<Config>) -> Result<Engine, StoreError> {
    let store = state::open(config, clock.now()).await?;
    crash_point("state-opened");
    let ctx = RunContext::online(store, clock.clone(), config.settings.state.clone());
    Engine::start(ctx.as_node(NewNode::of_daemon(config)), Arc::clone(config)).await
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

    /// Joins again.
    ///
    /// # Errors
    /// When the state fails.
    pub(super) async fn rejoin(&mut self) -> Result<(), StoreError> {
        let (ctx, config) = (self.engine.context().clone(), Arc::clone(self.engine.config()));
        match Engine::start(ctx, config).await {
            // For a lease, or for as long as another one has the name.
            Err(error @ StoreError::NameHeld(_)) => {
                self.trouble.log(&error, self.engine.context().clock.steady());
                Ok(())
            }
            joined => {
                self.engine = joined?;
                self.is_out = false;
                info!("this node has joined again");
                Ok(())
            }
        }
    }
}
