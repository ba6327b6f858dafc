//! The end of a daemon.

use tokio::sync::mpsc;
use tracing::{info, warn};

use super::supervisor::Supervisor;
use super::{Daemon, Signal};

impl Daemon {
    /// Ends in bounded time; a second stop ends at once.
    pub(super) async fn drain(mut self, signals: &mut mpsc::Receiver<Signal>) {
        Supervisor::stopping();
        info!(runs = self.engine.snapshot().under_way, "stopping");
        let again = async {
            while let Some(signal) = signals.recv().await {
                if signal == Signal::Stop {
                    return;
                }
            }
            std::future::pending::<()>().await;
        };
        let held = self.engine.hold_lease();
        let finish = async {
            // Without the lease it has nothing to finish.
            if !self.is_out {
                self.engine.finish_runs().await;
                self.engine.finish_delivery().await;
            }
        };
        let is_cut_short = tokio::select! {
            () = finish => false,
            never = held => match never {},
            () = again => true,
        };
        if is_cut_short {
            warn!("stopped at once");
            self.engine.break_off().await;
        }
        self.engine.leave().await;
        info!("stopped");
    }
}
