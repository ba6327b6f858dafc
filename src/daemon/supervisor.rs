//! What systemd is notified of: ready, reloading, stopping, the status, and the watchdog.
//!
//! The watchdog is fed once a tick, when the tick has ended. So it starves when the ticker is silent,
//! when the planner, the state or a reload does not come back, and, beside the tick, when the delivery
//! task does not come round. A run may take its time; one that hangs has an alarm of its own.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::error;

use crate::engine::Pulse;

/// Tells systemd, where that has started the daemon.
pub(super) struct Supervisor {
    /// How long the delivery may be silent; `None` without a watchdog.
    patience: Option<Duration>,
    status: String,
    is_starving: bool,
    is_there: bool,
}

impl Supervisor {
    pub(super) fn start() -> Self {
        let patience = sd_notify::watchdog_enabled().map(|limit| limit / 2);
        let is_there = std::env::var_os("NOTIFY_SOCKET").is_some();
        Self { patience, status: String::new(), is_starving: false, is_there }
    }

    /// Whether anybody is notified.
    pub(super) fn is_there(&self) -> bool {
        self.is_there
    }

    pub(super) fn ready(&mut self, status: String) {
        let _ = sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&status)]);
        self.status = status;
    }

    pub(super) fn reloading() {
        let monotonic = NotifyState::monotonic_usec_now().ok();
        let _ = sd_notify::notify(&[NotifyState::Reloading].into_iter().chain(monotonic).collect::<Vec<_>>());
    }

    pub(super) fn reloaded() {
        let _ = sd_notify::notify(&[NotifyState::Ready]);
    }

    pub(super) fn stopping() {
        let _ = sd_notify::notify(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
    }

    /// Says what is going on, when that has changed.
    pub(super) fn show(&mut self, status: String) {
        if status != self.status {
            let _ = sd_notify::notify(&[NotifyState::Status(&status)]);
            self.status = status;
        }
    }

    /// A tick has ended: feeds the watchdog, unless the delivery has been silent for too long.
    pub(super) fn feed(&mut self, delivery: &Pulse) {
        let Some(patience) = self.patience else { return };
        let silence = delivery.silence();
        let is_starving = silence > patience;
        if is_starving && !self.is_starving {
            error!(
                "delivery has made no progress for {} s; the systemd watchdog is no longer notified",
                silence.as_secs()
            );
        }
        self.is_starving = is_starving;
        if !is_starving {
            let _ = sd_notify::notify(&[NotifyState::Watchdog]);
        }
    }
}
