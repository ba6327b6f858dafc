//! The daemon: the process around the engine. It loads, ticks, reloads, and drains.

mod change;
mod drain;
mod heartbeat;
mod join;
mod page;
mod reload;
mod status;
mod supervisor;
pub mod ticker;
mod trouble;
mod watch;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::config::{Level, Loaded, Problem};
use crate::engine::{Engine, RunContext};
use crate::platform::clock::Clock;
use crate::store::{Lock, Owner, StoreError};
use heartbeat::Heartbeat;
use page::Page;
use supervisor::Supervisor;
use trouble::Trouble;

pub use watch::Watch;

/// What a person or the system wants of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// flows.toml or a template may have changed.
    Reload,
    /// End: runs and the mail under way may finish, for a while.
    Stop,
}

/// What a daemon is driven by.
#[derive(Debug)]
pub struct Drive {
    /// The wall clock.
    pub clock: Clock,
    /// A tick a second.
    pub ticks: mpsc::Receiver<()>,
    /// Signals; the daemon also stops when nobody can send any more.
    pub signals: mpsc::Receiver<Signal>,
    /// Sends [`Signal::Reload`] when the file changes.
    pub watch: Option<Watch>,
}

struct Daemon {
    engine: Engine,
    /// The lease has ended, and others may have taken over: the engine does nothing any more.
    is_out: bool,
    lock: Lock,
    watch: Option<Watch>,
    /// The file has changed and could not be taken yet, for the state failed.
    is_unread: bool,
    trouble: Trouble,
    /// Since when flows.toml cannot be used.
    refused_since: Option<Timestamp>,
    heartbeat: Heartbeat,
    supervisor: Supervisor,
    page: Page,
}

/// Runs until a signal stops it.
///
/// # Errors
/// When another daemon holds the state folder, or the state cannot be used.
pub async fn run(loaded: Loaded, drive: Drive) -> Result<(), StoreError> {
    let Drive { clock, mut ticks, mut signals, watch } = drive;
    let Loaded { config, warnings, .. } = loaded;
    log_warnings(warnings);
    let lock = Lock::take(&config.settings.state, &Owner::Daemon)?;
    let engine = tokio::select! {
        joined = join::joined(&clock, &config) => joined?,
        () = stopped(&mut signals) => return Ok(()),
    };
    let page = Page::start(&engine);
    let mut daemon = Daemon {
        engine,
        is_out: false,
        lock,
        watch,
        is_unread: false,
        trouble: Trouble::default(),
        refused_since: None,
        heartbeat: Heartbeat::start(),
        supervisor: Supervisor::start(),
        page,
    };
    daemon.say_ready();
    loop {
        tokio::select! {
            tick = ticks.recv() => match tick {
                Some(()) => {
                    let ticked = daemon.tick_or_lose_lease().await;
                    daemon.endure(ticked)?;
                    daemon.page.tick(&daemon.engine);
                    daemon.notify_supervisor();
                }
                None => break,
            },
            ended = daemon.engine.next(), if !daemon.is_out => match ended {
                Ok(ends) => drop(ends),
                Err(error) => daemon.lose_lease(error).await?,
            },
            signal = signals.recv() => match signal {
                Some(Signal::Reload) if daemon.is_out => daemon.is_unread = true,
                Some(Signal::Reload) => {
                    let reloaded = daemon.reload().await;
                    daemon.endure(reloaded)?;
                }
                Some(Signal::Stop) | None => break,
            },
        }
    }
    daemon.drain(&mut signals).await;
    Ok(())
}

impl Daemon {
    async fn tick_or_lose_lease(&mut self) -> Result<(), StoreError> {
        if self.is_out {
            return self.rejoin().await;
        }
        match self.tick().await {
            Err(error) => self.lose_lease(error).await,
            Ok(()) => Ok(()),
        }
    }

    async fn tick(&mut self) -> Result<(), StoreError> {
        let RunContext { store, folder, .. } = self.engine.context();
        if !self.lock.is_held() || !store.is_in_place() {
            return Err(StoreError::Replaced(folder.clone()));
        }
        if self.is_unread {
            self.reload().await?;
        }
        if self.engine.tick().await?.is_well == Some(true) {
            self.heartbeat.beat(self.engine.config().settings.heartbeat_url.as_ref());
        }
        Ok(())
    }

    /// A database that is busy, or a disk that is full, may be well again at the next tick.
    fn endure(&mut self, result: Result<(), StoreError>) -> Result<(), StoreError> {
        let now = self.engine.context().clock.steady();
        match result {
            Err(error) if error.is_passing() => self.trouble.log(&error, now),
            Err(error) => return Err(error),
            Ok(()) if self.is_out => {}
            Ok(()) => self.trouble.end(now),
        }
        Ok(())
    }

    fn say_ready(&mut self) {
        let status = self.status();
        let config = self.engine.config();
        let flows = config.flows.len();
        let file = config.path.display();
        let state = config.settings.state_in_words();
        info!(flows, %file, state, "ready: {status}");
        self.supervisor.ready(status);
    }

    fn notify_supervisor(&mut self) {
        if self.supervisor.is_there() {
            let status = self.status();
            self.supervisor.show(status);
        }
        self.supervisor.feed(self.engine.delivery_pulse());
    }

    fn status(&self) -> String {
        let now = self.engine.context().clock.now();
        status::text(self.engine.snapshot(), now, &self.engine.config().settings.time_zone)
    }
}

/// Waits until a signal stops the daemon, and does not hear others.
async fn stopped(signals: &mut mpsc::Receiver<Signal>) {
    while signals.recv().await.is_some_and(|signal| signal != Signal::Stop) {}
}

/// They have the text of the file with them, so they are not kept.
fn log_warnings(warnings: Vec<Problem>) {
    for problem in warnings.into_iter().filter(|problem| problem.level == Level::Warning) {
        warn!("{}", problem.in_one_line());
    }
}
