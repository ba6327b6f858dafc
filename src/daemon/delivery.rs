//! The task that delivers beside the runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tracing::error;

use crate::flow::Config;
use crate::outbox;
use crate::postman::Postman;
use crate::run::Workplace;
use crate::store::StoreError;

/// A handle to the task.
pub(super) struct Delivery {
    config: watch::Sender<Arc<Config>>,
    bell: Arc<Bell>,
    task: JoinHandle<Result<(), StoreError>>,
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
        let (config, mut receive) = watch::channel(config);
        // The first one counts as a change: whatever waits is tried at once.
        receive.mark_changed();
        let bell = Arc::new(Bell::default());
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

    /// From the next mail on; everything that waits is tried at once.
    pub(super) fn replace(&self, config: Arc<Config>) {
        self.config.send_replace(config);
        self.bell.rung.notify_one();
    }

    /// Lets the mail under way finish.
    pub(super) async fn stop(&mut self) {
        self.bell.is_stopping.store(true, Ordering::Relaxed);
        self.bell.rung.notify_one();
        let _ = (&mut self.task).await;
    }

    /// Returns when the task has ended by itself: the state fails.
    pub(super) async fn ended(&mut self) -> Result<(), StoreError> {
        (&mut self.task).await.unwrap_or(Err(StoreError::Stopped))
    }
}

async fn deliver(
    place: Workplace,
    mut config: watch::Receiver<Arc<Config>>,
    bell: Arc<Bell>,
) -> Result<(), StoreError> {
    let mut postman = Postman::new(place.store.clone(), place.clock.clone());
    let mut next_try = None;
    let is_stopping = || bell.is_stopping.load(Ordering::Relaxed);
    let is_changed = |config: &watch::Receiver<_>| config.has_changed().unwrap_or(false);
    while !is_stopping() {
        let is_due = next_try.is_some_and(|at| outbox::is_due(at, place.clock.now()));
        if !is_changed(&config) && !bell.is_fresh.swap(false, Ordering::Relaxed) && !is_due {
            bell.rung.notified().await;
            continue;
        }
        let round = async {
            if is_changed(&config) {
                postman.start_over().await?;
            }
            let of_now = Arc::clone(&config.borrow_and_update());
            postman.deliver(&of_now, || is_stopping() || is_changed(&config)).await
        };
        match round.await {
            Ok(round) => next_try = round.next_try,
            Err(error) if error.is_passing() => {
                error!("the outbox cannot be read or written: {error}; trying again");
                bell.is_fresh.store(true, Ordering::Relaxed);
                bell.rung.notified().await;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
