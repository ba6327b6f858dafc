//! The task that delivers beside the runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tracing::error;

use super::Delivery;
use crate::engine::Pulse;
use crate::engine::RunContext;
use crate::flow::Config;
use crate::outbox;
use crate::platform::faults::hang_point;
use crate::store::StoreError;

/// A handle to the task that delivers beside the runs.
#[derive(Debug)]
pub(crate) struct DeliveryTask {
    config: watch::Sender<Arc<Config>>,
    bell: Arc<Bell>,
    pulse: Pulse,
    delivery: Arc<Delivery>,
    /// Until it has ended.
    task: Option<JoinHandle<Result<(), StoreError>>>,
}

#[derive(Debug, Default)]
struct Bell {
    rung: Notify,
    /// There may be new message, whatever the last round said.
    is_fresh: AtomicBool,
    is_stopping: AtomicBool,
}

impl DeliveryTask {
    /// One that delivers from now on.
    pub(crate) fn start(ctx: &RunContext, config: Arc<Config>) -> Self {
        Self::with(Bell::default(), ctx, config)
    }

    /// One whose task ends at once: messages leave by [`DeliveryTask::delivery`] alone.
    pub(crate) fn at_rest(ctx: &RunContext, config: Arc<Config>) -> Self {
        Self::with(Bell { is_stopping: AtomicBool::new(true), ..Bell::default() }, ctx, config)
    }

    fn with(bell: Bell, ctx: &RunContext, config: Arc<Config>) -> Self {
        let (config, mut receive) = watch::channel(config);
        // The first one counts as a change: whatever waits is tried at once.
        receive.mark_changed();
        let bell = Arc::new(bell);
        let pulse = Pulse::start();
        let delivery = Arc::new(Delivery::new(ctx));
        let work = deliver(Arc::clone(&delivery), receive, Arc::clone(&bell), pulse.clone());
        let task = Some(tokio::spawn(work));
        Self { config, bell, pulse, delivery, task }
    }

    /// Beats in each round of the task; each tick makes one.
    pub(crate) fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// What delivers, with what is known of the connections.
    pub(crate) fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// Lets the task look for messages that are due.
    pub(crate) fn tick(&self) {
        self.bell.rung.notify_one();
    }

    /// There may be new message.
    pub(crate) fn notify(&self) {
        self.bell.is_fresh.store(true, Ordering::Relaxed);
        self.bell.rung.notify_one();
    }

    /// Replaces the configuration from the next message on; everything that waits is tried at once.
    pub(crate) fn replace(&self, config: Arc<Config>) {
        self.config.send_replace(config);
        self.bell.rung.notify_one();
    }

    /// Lets the message under way finish.
    pub(crate) async fn stop(&mut self) {
        self.bell.is_stopping.store(true, Ordering::Relaxed);
        self.bell.rung.notify_one();
        let _ = self.ended().await;
    }

    /// Ends the task at once, whatever it has in hands, and waits until it is.
    pub(crate) async fn abandon(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        let _ = self.ended().await;
    }

    /// Returns when the task has ended: by itself where the state fails.
    pub(crate) async fn ended(&mut self) -> Result<(), StoreError> {
        let Some(task) = &mut self.task else { return Err(StoreError::Stopped) };
        let ended = task.await;
        self.task = None;
        ended.unwrap_or(Err(StoreError::Stopped))
    }
}

async fn deliver(
    delivery: Arc<Delivery>,
    mut config: watch::Receiver<Arc<Config>>,
    bell: Arc<Bell>,
    pulse: Pulse,
) -> Result<(), StoreError> {
    let mut round =
        Round { delivery: &delivery, bell: &bell, busy: Vec::new(), next_try: None, has_doubt: false };
    let mut lanes = FuturesUnordered::new();
    let mut of_now = Arc::clone(&config.borrow());
    let mut is_new = false;
    loop {
        hang_point("delivery").await;
        pulse.beat();
        let is_stopping = bell.is_stopping.load(Ordering::Relaxed);
        if is_stopping && lanes.is_empty() {
            return Ok(());
        }
        if !is_stopping {
            if config.has_changed().unwrap_or(false) {
                (of_now, is_new) = (Arc::clone(&config.borrow_and_update()), true);
            }
            match round.due_lanes(is_new, delivery.clock.now()).await {
                Ok(due) => {
                    is_new = false;
                    let start =
                        |lane| deliver_lane(&delivery, lane, Arc::clone(&of_now), config.clone(), &bell);
                    lanes.extend(due.into_iter().map(start));
                }
                Err(error) => round.endure(error)?,
            }
        }
        tokio::select! {
            // One order, so that a simulation can be played again.
            biased;
            () = bell.rung.notified() => {}
            Some((lane, ended)) = lanes.next() => {
                round.busy.retain(|busy| *busy != lane);
                // What came for the lane while it was busy.
                bell.is_fresh.store(true, Ordering::Relaxed);
                if let Err(error) = ended {
                    round.has_doubt = true;
                    round.endure(error)?;
                    bell.rung.notified().await;
                }
            }
        }
    }
}

/// Delivers a lane's messages, until the file changes or the daemon stops.
async fn deliver_lane(
    delivery: &Delivery,
    lane: Vec<String>,
    of_now: Arc<Config>,
    config: watch::Receiver<Arc<Config>>,
    bell: &Bell,
) -> (Vec<String>, Result<(), StoreError>) {
    let stop = || bell.is_stopping.load(Ordering::Relaxed) || !Arc::ptr_eq(&config.borrow(), &of_now);
    let ended = delivery.deliver_lane(&of_now, &lane, stop).await;
    (lane, ended.map(drop))
}

/// Which lanes are under way, and when the next message is due.
struct Round<'a> {
    delivery: &'a Delivery,
    bell: &'a Bell,
    busy: Vec<Vec<String>>,
    next_try: Option<Timestamp>,
    /// A lane broke off, perhaps with a message whose reply could not be recorded.
    has_doubt: bool,
}

impl Round<'_> {
    /// The lanes that have message to deliver and are not under way; they count as under way now.
    async fn due_lanes(&mut self, is_new: bool, now: Timestamp) -> Result<Vec<Vec<String>>, StoreError> {
        let is_due = self.next_try.is_some_and(|at| outbox::is_due(at, now));
        if !is_new && !self.bell.is_fresh.swap(false, Ordering::Relaxed) && !is_due {
            return Ok(Vec::new());
        }
        if self.has_doubt && self.busy.is_empty() {
            self.delivery.mark_interrupted_uncertain().await?;
            self.has_doubt = false;
        }
        if is_new {
            self.delivery.retry_all_now().await?;
        }
        let mut due = self.delivery.lanes().await?;
        due.retain(|lane| !self.busy.contains(lane));
        // The last that can fail: a lane that is called busy and is not started would never be delivered.
        self.next_try = self.delivery.next_try().await?;
        self.busy.extend(due.iter().cloned());
        Ok(due)
    }

    /// A state that is busy, or whose disk is full, may work again at the next tick.
    fn endure(&self, error: StoreError) -> Result<(), StoreError> {
        if !error.is_passing() {
            return Err(error);
        }
        error!("cannot read or write the outbox: {error}; trying again");
        self.bell.is_fresh.store(true, Ordering::Relaxed);
        Ok(())
    }
}
