//! The ticker: `tokio-cron-scheduler` carries one job that ticks each second, and a guard on the
//! monotonic clock builds a new one when it goes quiet, which it does when the wall clock steps.
//!
//! Ticks reach the daemon through a channel, so that a test drives it with ticks of its own.

use std::io;
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tracing::{error, warn};

use crate::platform::faults::hang_point;

/// The silence after which a new ticker is built.
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
        let _ticker = match Ticker::start(send) {
            Ok(ticker) => ticker,
            Err(error) => {
                error!("cannot start the ticker: {error}; trying again");
                tokio::time::sleep(AGAIN).await;
                continue;
            }
        };
        let is_quiet = loop {
            match timeout(QUIET, receive.recv()).await {
                Ok(Some(())) => hang_point("ticker").await,
                Ok(None) => break false,
                Err(_) => break true,
            }
            if let Err(mpsc::error::TrySendError::Closed(())) = ticks.try_send(()) {
                return;
            }
        };
        if is_quiet {
            warn!("the ticker stopped firing, perhaps because the clock was set: restarting it");
        } else {
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// A scheduler on a thread and a runtime of its own, which end when this is dropped. The tasks of a
/// scheduler hold each other alive, whatever is asked of it: only the end of their runtime frees them.
struct Ticker {
    _stop: oneshot::Sender<()>,
}

impl Ticker {
    fn start(ticks: mpsc::Sender<()>) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let work = move || {
            runtime.block_on(async {
                match build(ticks).await {
                    Ok(_scheduler) => drop(stopped.await),
                    Err(error) => error!("cannot build the ticker: {error}; trying again"),
                }
            });
        };
        thread::Builder::new().name("ticker".to_owned()).spawn(work)?;
        Ok(Self { _stop: stop })
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The sender is in the innermost of what a scheduler is made of: where it is gone, all is.
    #[tokio::test]
    async fn nothing_is_left_of_a_ticker_that_was_put_away() {
        for number in 0..20 {
            let (send, mut receive) = mpsc::channel(1);
            let ticker = Ticker::start(send).unwrap();
            if number == 0 {
                assert_eq!(receive.recv().await, Some(()), "it ticks");
            }
            drop(ticker);
            let rest = async { while receive.recv().await.is_some() {} };
            timeout(Duration::from_mins(1), rest).await.expect("the scheduler ends");
        }
    }
}
