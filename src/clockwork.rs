//! The ticker: `tokio-cron-scheduler` carries one job that ticks each second, and a guard on the
//! monotonic clock builds it anew when it goes quiet, which it does when the wall clock steps.
//!
//! Ticks reach the daemon through a channel, so that a test drives it with ticks of its own.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tracing::{error, warn};

use crate::hang_point::hang_point;

/// The silence after which the ticker is built anew.
const QUIET: Duration = Duration::from_secs(5);
/// Before another try to build it.
const AGAIN: Duration = Duration::from_secs(1);
/// Every second.
const EACH_SECOND: &str = "* * * * * *";

/// Starts the ticker. A tick that finds the last one still unread is dropped. It ends when the
/// receiver is dropped.
pub fn start() -> mpsc::Receiver<()> {
    let (send, receive) = mpsc::channel(1);
    tokio::spawn(guard(send));
    receive
}

async fn guard(ticks: mpsc::Sender<()>) {
    while !ticks.is_closed() {
        let (send, mut receive) = mpsc::channel(1);
        let mut scheduler = match build(send).await {
            Ok(scheduler) => scheduler,
            Err(error) => {
                error!("the ticker cannot be started: {error}; trying again");
                tokio::time::sleep(AGAIN).await;
                continue;
            }
        };
        while let Ok(Some(())) = timeout(QUIET, receive.recv()).await {
            hang_point("ticker").await;
            if let Err(mpsc::error::TrySendError::Closed(())) = ticks.try_send(()) {
                break;
            }
        }
        if !ticks.is_closed() {
            warn!("the ticker went quiet, perhaps because the clock was set: it is built anew");
        }
        if let Err(error) = scheduler.shutdown().await {
            warn!("the old ticker does not stop: {error}");
        }
    }
}

async fn build(ticks: mpsc::Sender<()>) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    let tick = move |_, _| {
        let _ = ticks.try_send(());
    };
    scheduler.add(Job::new(EACH_SECOND, tick)?).await?;
    scheduler.start().await?;
    Ok(scheduler)
}
