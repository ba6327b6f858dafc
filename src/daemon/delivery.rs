//! The task that delivers beside the runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tracing::error;

use crate::flow::Config;
use crate::postman::{Postman, Round};
use crate::run::Workplace;

/// A handle to the task.
pub(super) struct Delivery {
    config: watch::Sender<Arc<Config>>,
    bell: Arc<Bell>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Bell {
    rung: Notify,
    /// There may be new mail, whatever the last round said.
    is_fresh: AtomicBool,
    is_stopping: AtomicBool,
}

impl Delivery {
    pub(super) fn start(place: &Workplace, config: Arc<Config>) -> Self {
        let (config, receive) = watch::channel(config);
        let bell = Arc::new(Bell::default());
        bell.is_fresh.store(true, Ordering::Relaxed);
        let task = tokio::spawn(deliver(place.clone(), receive, Arc::clone(&bell)));
        Self { config, bell, task }
    }

    /// Looks whether the time of a mail has come.
    pub(super) fn tick(&self) {
        self.bell.rung.notify_one();
    }

    /// There may be new mail.
    pub(super) fn wake(&self) {
        self.bell.is_fresh.store(true, Ordering::Relaxed);
        self.bell.rung.notify_one();
    }

    pub(super) fn replace(&self, config: Arc<Config>) {
        self.config.send_replace(config);
    }

    /// Lets the mail under way finish.
    pub(super) async fn stop(&mut self) {
        self.bell.is_stopping.store(true, Ordering::Relaxed);
        self.bell.rung.notify_one();
        let _ = (&mut self.task).await;
    }
}

async fn deliver(place: Workplace, config: watch::Receiver<Arc<Config>>, bell: Arc<Bell>) {
    let mut postman = Postman::new(place.store.clone(), place.clock.clone());
    let mut next_try = None;
    while !bell.is_stopping.load(Ordering::Relaxed) {
        let is_due = next_try.is_some_and(|at| at <= place.clock.now());
        if bell.is_fresh.swap(false, Ordering::Relaxed) || is_due {
            let config = Arc::clone(&config.borrow());
            match postman.deliver(&config, || bell.is_stopping.load(Ordering::Relaxed)).await {
                Ok(Round { next_try: next, .. }) => next_try = next,
                Err(error) => {
                    error!("the outbox cannot be read or written: {error}");
                    // Not before another tick.
                    next_try = Some(place.clock.now());
                    bell.rung.notified().await;
                }
            }
        } else {
            bell.rung.notified().await;
        }
    }
}
