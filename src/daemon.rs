//! The daemon: loads, ticks, runs what is due, delivers, reloads, drains.

mod change;
mod delivery;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use sd_notify::NotifyState;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::agenda::{Agenda, Due, Known};
use crate::clock::Clock;
use crate::config::{self, Level, Loaded, Problem};
use crate::flow::Config;
use crate::history::Cause;
use crate::run::{self, Workplace};
use crate::store::{Lock, Request, SharedStore, Store, StoreError};
use delivery::Delivery;

pub use watch::Watch;

/// What a person or the system tells the daemon.
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

/// How long runs may go on after a stop; what they have not committed is done anew.
const FOR_RUNS: Duration = Duration::from_secs(5);
/// How long the mail under way may take after a stop; then it is marked uncertain.
const FOR_MAIL: Duration = Duration::from_secs(15);
/// Between two rounds of the chores.
const CHORES: Duration = Duration::from_hours(1);
/// How long the bytes of sent mails are kept.
const SENT_BYTES: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Runs at the same time.
const MOST_RUNS: usize = 8;

struct Daemon {
    config: Arc<Config>,
    place: Workplace,
    agenda: Agenda,
    /// Each ends with its slot, and whether the run was recorded.
    runs: JoinSet<(Due, bool)>,
    waiting: Vec<Due>,
    delivery: Delivery,
    lock: Lock,
    watch: Option<Watch>,
    chores_done: Option<Instant>,
}

/// Runs until it is told to stop.
///
/// # Errors
/// When another daemon holds the state folder, or the state cannot be used.
pub async fn run(loaded: Loaded, drive: Drive) -> Result<(), StoreError> {
    let Drive { clock, mut ticks, mut signals, watch } = drive;
    tell_warnings(&loaded.warnings);
    let config = Arc::new(loaded.config);
    let lock = Lock::take(&config.settings.state)?;
    let mut store = Store::open(&config.settings.state)?;
    wake(&mut store, clock.now())?;
    let place = Workplace { store: SharedStore::new(store), clock, folder: config.settings.state.clone() };
    let delivery = Delivery::start(&place, Arc::clone(&config));
    let mut daemon = Daemon {
        config,
        place,
        agenda: Agenda::default(),
        runs: JoinSet::new(),
        waiting: Vec::new(),
        delivery,
        lock,
        watch,
        chores_done: None,
    };
    daemon.plan().await?;
    daemon.say_ready();
    loop {
        tokio::select! {
            tick = ticks.recv() => match tick {
                Some(()) => daemon.tick().await.or_else(endure)?,
                None => break,
            },
            Some(ended) = daemon.runs.join_next() => daemon.ended(ended),
            failed = daemon.delivery.ended() => return failed,
            signal = signals.recv() => match signal {
                Some(Signal::Reload) => daemon.reload().await.or_else(endure)?,
                Some(Signal::Stop) | None => break,
            },
        }
    }
    daemon.drain(&mut signals).await;
    Ok(())
}

/// What the last process left under way is settled, and what waits is tried at once.
pub(crate) fn wake(store: &mut Store, now: Timestamp) -> Result<(), StoreError> {
    let runs = store.interrupt_runs(None, now)?;
    let mails = store.doubt_interrupted_mails(now)?;
    if runs > 0 {
        warn!(runs, "the last process ended during runs; they are done anew");
    }
    if mails > 0 {
        warn!(
            mails,
            "the last process ended while mails were being sent: they are uncertain and are sent again"
        );
    }
    Ok(())
}

impl Daemon {
    /// Gives every flow its slots.
    async fn plan(&mut self) -> Result<(), StoreError> {
        let (config, now) = (Arc::clone(&self.config), self.place.clock.now());
        let look = move |store: &mut Store| {
            let mut known = BTreeMap::new();
            for name in config.flows.keys() {
                known.insert(name.clone(), known_of(store, name, now)?);
            }
            Ok::<_, StoreError>(known)
        };
        let known = self.place.store.call(look).await?;
        self.agenda.replace(&self.config.flows, &known, now);
        Ok(())
    }

    async fn tick(&mut self) -> Result<(), StoreError> {
        if !self.lock.is_held() {
            return Err(StoreError::Replaced(self.place.folder.clone()));
        }
        let now = self.place.clock.now();
        let _ = sd_notify::notify(&[NotifyState::Watchdog]);
        self.fulfil_requests(now).await?;
        self.waiting.extend(self.agenda.due(now));
        self.start_runs();
        self.delivery.tick();
        if self.chores_done.is_none_or(|at| at.elapsed() >= CHORES) {
            self.chores_done = Some(Instant::now());
            self.do_chores(now).await?;
        }
        Ok(())
    }

    fn start_runs(&mut self) {
        while self.runs.len() < MOST_RUNS && !self.waiting.is_empty() {
            let due = self.waiting.remove(0);
            let (place, config, flow) = (self.place.clone(), Arc::clone(&self.config), Arc::clone(&due.flow));
            let slot = Some(due.slot);
            // A task of its own, so that a fault in one run ends neither the daemon nor the flow.
            let work =
                tokio::spawn(async move { run::run(&place, &config, &flow, Cause::Schedule, slot).await });
            self.runs.spawn(async move {
                let flow = &due.flow.name;
                let is_recorded = match work.await {
                    Ok(Ok(_)) => true,
                    Ok(Err(error)) => {
                        error!(flow, "the run cannot be recorded: {error}");
                        false
                    }
                    Err(fault) => {
                        error!(flow, "the run broke off: {fault}");
                        true
                    }
                };
                (due, is_recorded)
            });
        }
    }

    fn ended(&mut self, ended: Result<(Due, bool), tokio::task::JoinError>) {
        match ended {
            Ok((due, true)) => self.agenda.ended(&due.flow.name),
            // Its slot is due again at the next tick.
            Ok((due, false)) => self.agenda.give_back(&due),
            Err(fault) => error!("a run was lost: {fault}"),
        }
        self.start_runs();
        self.delivery.wake();
        self.show_status();
    }

    async fn fulfil_requests(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let fulfil = move |store: &mut Store| {
            let requests = store.requests()?;
            for (id, request) in &requests {
                store.fulfil(*id, request, now)?;
            }
            Ok::<_, StoreError>(requests)
        };
        for (_, request) in self.place.store.call(fulfil).await? {
            let (flow, is_off) = match &request {
                Request::Off(flow) => (flow, true),
                Request::On(flow) => (flow, false),
            };
            self.agenda.set_off(flow, is_off, now);
            info!(flow, "turned {} by command", if is_off { "off" } else { "on" });
        }
        Ok(())
    }

    async fn do_chores(&self, now: Timestamp) -> Result<(), StoreError> {
        let history = self.config.settings.history;
        let before = move |length| now.checked_sub(length).unwrap_or(Timestamp::MIN);
        let prune = move |store: &mut Store| {
            store.purge_sent(before(SENT_BYTES))?;
            store.prune_history(before(history))
        };
        let runs = self.place.store.call(prune).await?;
        if runs > 0 {
            info!(runs, "runs older than settings.history are deleted");
        }
        Ok(())
    }

    /// Checks the new file whole, then swaps; an invalid one changes nothing.
    async fn reload(&mut self) -> Result<(), StoreError> {
        let monotonic = NotifyState::monotonic_usec_now().ok();
        let _ = sd_notify::notify(&[NotifyState::Reloading].into_iter().chain(monotonic).collect::<Vec<_>>());
        let path = self.config.path.clone();
        let loading = tokio::task::spawn_blocking(move || config::load(&path)).await;
        match loading.map_err(|_| StoreError::Stopped)? {
            Err(report) => {
                for problem in report.problems.iter().filter(|problem| problem.level == Level::Error) {
                    error!("{}", one_line(problem));
                }
                error!("{report}: the old flows go on");
            }
            Ok(loaded) if loaded.config.settings.state != self.config.settings.state => {
                error!("settings.state has changed, which takes a restart: the old flows go on");
                drop(loaded);
            }
            Ok(loaded) if loaded.config.flows.is_empty() && !self.config.flows.is_empty() => {
                error!("the file has no flow any more: the old flows go on; stop leadflow if that is meant");
                drop(loaded);
            }
            Ok(loaded) => self.swap(loaded).await?,
        }
        if let Some(watch) = &mut self.watch {
            watch.follow();
        }
        let _ = sd_notify::notify(&[NotifyState::Ready]);
        Ok(())
    }

    async fn swap(&mut self, loaded: Loaded) -> Result<(), StoreError> {
        tell_warnings(&loaded.warnings);
        let config = Arc::new(loaded.config);
        for change in change::between(&self.config, &config) {
            info!("{change}");
        }
        self.config = config;
        self.delivery.replace(Arc::clone(&self.config));
        // A flow that waited for its turn is planned anew with all others.
        for due in std::mem::take(&mut self.waiting) {
            self.agenda.give_back(&due);
        }
        self.plan().await?;
        info!(flows = self.config.flows.len(), "flows.toml is reloaded");
        self.show_status();
        Ok(())
    }

    fn say_ready(&self) {
        let flows = self.config.flows.len();
        info!(flows, state = %self.place.folder.display(), "ready: {}", self.status());
        let _ = sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&self.status())]);
    }

    fn show_status(&self) {
        let _ = sd_notify::notify(&[NotifyState::Status(&self.status())]);
    }

    fn status(&self) -> String {
        match self.agenda.next() {
            Some((flow, next)) => {
                let zone = self.config.settings.time_zone.clone();
                let next = next
                    .max(self.place.clock.now())
                    .to_zoned(zone)
                    .strftime("%Y-%m-%d %H:%M:%S %Z")
                    .to_string();
                format!("{flow} runs next, {next}")
            }
            None => "no flow is on".to_owned(),
        }
    }

    /// Ends in bounded time; a second stop ends at once.
    async fn drain(mut self, signals: &mut mpsc::Receiver<Signal>) {
        let _ = sd_notify::notify(&[NotifyState::Stopping]);
        info!(runs = self.runs.len(), "stopping");
        let again = async {
            while let Some(signal) = signals.recv().await {
                if signal == Signal::Stop {
                    return;
                }
            }
            std::future::pending::<()>().await;
        };
        let finish = async {
            let runs = async { while self.runs.join_next().await.is_some() {} };
            if tokio::time::timeout(FOR_RUNS, runs).await.is_err() {
                warn!(
                    "runs under way are broken off; they moved nothing and are done anew at the next start"
                );
            }
            if tokio::time::timeout(FOR_MAIL, self.delivery.stop()).await.is_err() {
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

/// A database that is busy, or a disk that is full, may be well again at the next tick.
fn endure(error: StoreError) -> Result<(), StoreError> {
    if !error.is_passing() {
        return Err(error);
    }
    error!("{error}; trying again");
    Ok(())
}

/// What the state knows of a flow, which is seen `now` if it never was.
pub(crate) fn known_of(store: &mut Store, flow: &str, now: Timestamp) -> Result<Known, StoreError> {
    Ok(Known {
        anchor: store.anchor(flow, now)?,
        last_slot: store.last_slot(flow)?,
        is_off: store.off_since(flow)?.is_some(),
    })
}

fn tell_warnings(warnings: &[Problem]) {
    for problem in warnings.iter().filter(|problem| problem.level == Level::Warning) {
        warn!("{}", one_line(problem));
    }
}

fn one_line(problem: &Problem) -> String {
    let (file, at) = problem.place();
    let at = at.map_or_else(String::new, |(line, column)| format!(":{line}:{column}"));
    let help = problem.help.as_ref().map_or_else(String::new, |help| format!("; {help}"));
    format!("{file}{at}: {}{help}", problem.message)
}
