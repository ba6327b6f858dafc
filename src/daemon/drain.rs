//! The end of a daemon.

use std::time::Duration;

use tokio::sync::mpsc;
use tracing::{info, warn};

use super::supervisor::Supervisor;
use super::{Daemon, Signal};
use crate::store::StoreError;

/// How long runs may go on after a stop; what they have not committed is done anew.
const FOR_RUNS: Duration = Duration::from_secs(5);
/// How long the mail under way may take after a stop; then it is marked uncertain.
const FOR_MAIL: Duration = Duration::from_secs(15);

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
        let finish = async {
            let runs = async {
                if let Err(error) = self.engine.withdraw_waiting().await {
                    warn!("runs that wait for their turn are done anew at the next start: {error}");
                }
                while self.engine.finish_next().await?.is_some() {}
                Ok::<_, StoreError>(())
            };
            if !matches!(tokio::time::timeout(FOR_RUNS, runs).await, Ok(Ok(()))) {
                warn!(
                    "runs under way are broken off; they moved nothing and are done anew at the next start"
                );
            }
            if tokio::time::timeout(FOR_MAIL, self.engine.stop_delivery()).await.is_err() {
                warn!(
                    "the mail under way is broken off: it is uncertain and is sent again at the next start"
                );
            }
        };
        tokio::select! {
            () = finish => {}
            () = again => warn!("stopped at once"),
        }
        info!("stopped");
    }
}
