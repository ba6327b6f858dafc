//! What is forgotten in time: old runs, the bytes of sent mails, tables that were left.

use jiff::{SignedDuration, Timestamp};
use tracing::info;

use super::Engine;
use crate::store::{Retention, StoreError};

/// Transactions in which a round forgets tables that were left, so that a tick stays short.
const PRUNED_IN_A_ROUND: usize = 20;
/// How long what became of a request is kept.
const ANSWERS: SignedDuration = SignedDuration::from_hours(1);
/// How long the bytes of sent mails are kept.
const SENT_BYTES: SignedDuration = SignedDuration::from_hours(7 * 24);

impl Engine {
    pub(super) async fn do_chores(&self, now: Timestamp) -> Result<(), StoreError> {
        let history = self.config.settings.history;
        let before = |length| now.checked_sub(length).unwrap_or(Timestamp::MIN);
        let history = before(history);
        let retention = Retention { history, message_bytes: before(SENT_BYTES), answers: before(ANSWERS) };
        let runs = self.ctx.store.prune(retention).await?;
        if runs > 0 {
            info!(runs, "runs older than settings.history are deleted");
        }
        if self.ctx.store.has_leases() {
            // A daemon that is gone is an alarm; a command was seen to end.
            let ended = self.ctx.store.nodes().await?.into_iter();
            for node in ended.filter(|node| node.is_command() && !node.is_alive) {
                self.ctx.store.forget_node(&node.node.name).await?;
            }
        }
        for _ in 0..PRUNED_IN_A_ROUND {
            if !self.ctx.store.prune_sources(history).await? {
                break;
            }
        }
        Ok(())
    }
}
