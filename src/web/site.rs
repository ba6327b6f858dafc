//! What every request works with.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore, watch};

use super::access::{Sessions, Tries};
use super::failure::Failure;
use crate::config::Loaded;
use crate::engine::Meters;
use crate::flow::{Config, PageSettings};
use crate::platform::clock::Clock;
use crate::store::{Store, state};

/// The state of the whole page.
pub(super) struct Site {
    config: watch::Receiver<Arc<Config>>,
    pub(super) clock: Clock,
    pub(super) signs: DaemonSigns,
    /// Opened when it is first needed, and again where it was lost.
    store: Mutex<Option<Store>>,
    pub(super) sessions: Sessions,
    pub(super) tries: Tries,
    /// Of those who read a table at the same time.
    pub(super) table_room: Semaphore,
}

/// What the daemon shows of itself to the page.
#[derive(Debug, Clone)]
pub struct DaemonSigns {
    /// What it counts.
    pub(super) meters: Meters,
    /// When it ticked last, in milliseconds of the steady clock; 0 before the first tick.
    ticked: Arc<AtomicU64>,
}

/// Tables that are read at the same time for those who look.
const TABLES_AT_ONCE: usize = 2;
/// A tick that is older than this means that the daemon hangs.
const STALE: Duration = Duration::from_secs(30);

impl DaemonSigns {
    /// Of a daemon that counts by these.
    pub fn new(meters: Meters) -> Self {
        Self { meters, ticked: Arc::default() }
    }

    /// The daemon has ticked at this moment of the steady clock.
    pub fn tick(&self, at: Duration) {
        self.ticked.store(u64::try_from(at.as_millis()).unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
    }

    /// Whether it has ticked lately.
    pub(super) fn is_alive(&self, now: Duration) -> bool {
        match self.ticked.load(Ordering::Relaxed) {
            0 => false,
            at => now.saturating_sub(Duration::from_millis(at)) < STALE,
        }
    }
}

impl Site {
    pub(super) fn new(config: watch::Receiver<Arc<Config>>, clock: Clock, signs: DaemonSigns) -> Self {
        Self {
            config,
            clock,
            signs,
            store: Mutex::new(None),
            sessions: Sessions::default(),
            tries: Tries::default(),
            table_room: Semaphore::new(TABLES_AT_ONCE),
        }
    }

    /// The file that is in force.
    pub(super) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.borrow())
    }

    /// As commands have it; what is wrong with the file of now is among the alarms.
    pub(super) fn loaded(&self) -> Loaded {
        Loaded { config: self.config(), warnings: Vec::new(), invalid: None }
    }

    /// Who may see the page. A file that has none any more is about to end it.
    pub(super) fn page(&self) -> Option<PageSettings> {
        self.config.borrow().settings.page.clone()
    }

    /// The state.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) async fn store(&self) -> Result<Store, Failure> {
        let mut kept = self.store.lock().await;
        if let Some(store) = kept.as_ref().filter(|store| store.is_in_place()) {
            return Ok(store.clone());
        }
        let opened = state::open_to_change(&self.config()).await?;
        let store = opened.ok_or_else(Failure::no_state)?;
        *kept = Some(store.clone());
        Ok(store)
    }
}
