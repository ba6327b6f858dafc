//! The daemon: loads, ticks, runs what is due, delivers, reloads, drains.

mod change;
pub mod delivery;
mod drain;
mod ends;
mod heartbeat;
mod reload;
mod requests;
mod runs;
mod status;
mod supervisor;
pub mod ticker;
mod turns;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use crate::alarm::{Alarm, Kind};
use crate::config::{Level, Loaded, Problem};
use crate::engine::RunContext;
use crate::engine::alarms::{self, Seen};
use crate::engine::run::{self, Claimed};
use crate::flow::Config;
use crate::history::{Outcome, Range};
use crate::planner::{Agenda, Due, Known};
use crate::platform::clock::{Clock, SET_BACK};
use crate::platform::faults::crash_point;
use crate::platform::faults::hang_point;
use crate::store::state;
use crate::store::{Changes, Lock, Retention, Store, StoreError, TakenOver};
use delivery::Delivery;
use ends::Ends;
use heartbeat::Heartbeat;
use runs::{Came, Job, Runs};
use supervisor::Supervisor;

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

/// Transactions in which a round of the chores forgets tables that were left, so that a tick stays short.
const PRUNED_IN_A_ROUND: usize = 20;
/// Between two rounds of the chores.
const CHORES: Duration = Duration::from_hours(1);
/// A pause between two ticks after which nothing counts as late before it had its chance.
const STOOD_STILL: SignedDuration = SignedDuration::from_mins(1);
/// Runs that are claimed in one transaction; a look at the state waits as long.
const CLAIMED_TOGETHER: usize = 500;
/// How long what became of a request is kept.
const ANSWERS: SignedDuration = SignedDuration::from_hours(1);
/// Between two looks for what is wrong, and between two heartbeats.
const LOOK: SignedDuration = SignedDuration::from_mins(1);
/// How long the bytes of sent mails are kept.
const SENT_BYTES: SignedDuration = SignedDuration::from_hours(7 * 24);
struct Daemon {
    config: Arc<Config>,
    place: RunContext,
    agenda: Agenda,
    runs: Runs,
    delivery: Delivery,
    lock: Lock,
    /// Of the state, where commands leave what they ask for.
    changes: Changes,
    watch: Option<Watch>,
    chores_done: Option<Instant>,
    /// What is wrong with flows.toml as it is now.
    invalid_file: Option<Alarm>,
    /// By the wall clock, and by one that nobody sets.
    last_tick: Option<(Timestamp, Instant)>,
    /// Since when what is due counts as late if it does not happen.
    planned: Timestamp,
    /// The file has changed and could not be taken yet, for the state failed.
    is_unread: bool,
    /// When it was last looked for what is wrong, by the wall clock.
    looked: Option<Timestamp>,
    /// Whether nothing was.
    is_well: Option<bool>,
    heartbeat: Heartbeat,
    ends: Ends,
    supervisor: Supervisor,
}

/// Runs until it is told to stop.
///
/// # Errors
/// When another daemon holds the state folder, or the state cannot be used.
pub async fn run(loaded: Loaded, drive: Drive) -> Result<(), StoreError> {
    let Drive { clock, mut ticks, mut signals, watch } = drive;
    let Loaded { config, warnings, .. } = loaded;
    tell_warnings(warnings);
    let config = Arc::new(config);
    let lock = Lock::take(&config.settings.state)?;
    let store = state::open(&config, clock.now()).await?;
    crash_point("state-opened");
    take_over(&store, clock.now()).await?;
    let place = RunContext::online(store, clock, config.settings.state.clone());
    let delivery = Delivery::start(&place, Arc::clone(&config));
    let changes = Changes::of(&place.folder);
    let mut daemon = Daemon {
        config,
        place,
        agenda: Agenda::default(),
        runs: Runs::default(),
        delivery,
        lock,
        changes,
        watch,
        chores_done: None,
        invalid_file: None,
        last_tick: None,
        planned: Timestamp::MIN,
        is_unread: false,
        looked: None,
        is_well: None,
        heartbeat: Heartbeat::start(),
        ends: Ends::default(),
        supervisor: Supervisor::start(),
    };
    daemon.plan().await?;
    daemon.say_ready();
    loop {
        tokio::select! {
            tick = ticks.recv() => match tick {
                Some(()) => {
                    daemon.tick().await.or_else(endure)?;
                    daemon.tell_supervisor();
                }
                None => break,
            },
            Some(came) = daemon.runs.next() => daemon.came(came)?,
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
///
/// # Errors
/// When the state fails.
pub async fn take_over(store: &Store, now: Timestamp) -> Result<(), StoreError> {
    let TakenOver { runs, mails } = store.take_over(now).await?;
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

/// By how much the clock was set back in this time, if it was.
pub fn set_back(before: Timestamp, now: Timestamp, elapsed: Duration) -> Option<SignedDuration> {
    let elapsed = SignedDuration::try_from(elapsed).unwrap_or_default();
    Some(before.duration_since(now) + elapsed).filter(|by| *by > SET_BACK)
}

impl Daemon {
    /// Gives every flow its slots.
    async fn plan(&mut self) -> Result<(), StoreError> {
        let known = self.known(&self.config).await?;
        let now = self.place.clock.now();
        self.agenda.replace(&self.config.flows, &known, now);
        self.planned = now;
        self.place.store.set_planned(now).await
    }

    /// What the state knows of the flows of a file.
    async fn known(&self, config: &Arc<Config>) -> Result<BTreeMap<String, Known>, StoreError> {
        let flows = config.flows.iter().map(|(name, flow)| (name.clone(), flow.enabled));
        self.place.store.plan_of(flows.collect(), self.place.clock.now()).await
    }

    async fn tick(&mut self) -> Result<(), StoreError> {
        if !self.lock.is_held() || !self.place.store.is_in_place() {
            return Err(StoreError::Replaced(self.place.folder.clone()));
        }
        let now = self.place.clock.now();
        let before = self.see_time(now).await?;
        if before.is_some_and(|before| now.duration_since(before).abs() > STOOD_STILL) {
            // The machine slept, or its clock was set: what was missed is made up for, and not late yet.
            self.planned = now;
            self.place.store.set_planned(now).await?;
        }
        if self.is_unread {
            self.reload().await?;
        }
        if self.changes.any() {
            self.fulfil_requests(now).await?;
        }
        hang_point("planner").await;
        let due = self.agenda.due(now).into_iter();
        let job = |Due { flow, order }| Job { flow, order };
        self.claim(due.map(job).collect()).await?;
        self.runs.record(&self.place);
        self.delivery.tick();
        if self.chores_done.is_none_or(|at| at.elapsed() >= CHORES) {
            self.chores_done = Some(Instant::now());
            self.do_chores(now).await?;
        }
        if self.looked.is_none_or(|at| now.duration_since(at).abs() >= LOOK) {
            self.looked = Some(now);
            self.look().await?;
        }
        Ok(())
    }

    /// The moment of the tick before; what runs are due since is put right where the clock was set back.
    async fn see_time(&mut self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let before = self.last_tick;
        if let Some(by) = before.and_then(|(before, at)| set_back(before, now, at.elapsed())) {
            self.place.store.clock_went_back(by, now).await?;
            self.agenda.set_back(by);
        }
        self.last_tick = Some((now, Instant::now()));
        Ok(before.map(|(before, _)| before))
    }

    /// Looks for what is wrong, and tells it.
    async fn look(&mut self) -> Result<(), StoreError> {
        let (now, ends) = (self.place.clock.now(), self.ends.now(&self.config).await);
        let seen =
            Seen { file: self.invalid_file.clone(), held_up: self.runs.held_up(self.planned, now), ends };
        let standing = alarms::look_and_tell(&self.place, &self.config, seen).await?;
        self.delivery.wake();
        self.place.services.tidy();
        // What ends in days must not silence the switch that tells of a dead daemon.
        let is_well = standing.iter().all(|alarm| alarm.kind == Kind::Expiring);
        if is_well {
            self.heartbeat.beat(self.config.settings.heartbeat_url.as_ref());
        }
        self.is_well = Some(is_well);
        Ok(())
    }

    /// Claims runs, some hundred at a time; then those begin whose turn it is.
    async fn claim(&mut self, jobs: Vec<Job>) -> Result<(), StoreError> {
        let mut jobs = jobs.into_iter();
        loop {
            let some: Vec<Job> = jobs.by_ref().take(CLAIMED_TOGETHER).collect();
            if some.is_empty() {
                break;
            }
            let wanted = some.iter().map(|job| (job.flow.name.clone(), job.order)).collect();
            match run::claim(&self.place, wanted).await {
                Ok(claimed) => self.runs.add(some.into_iter().zip(claimed)),
                Err(error) => {
                    for job in some.into_iter().chain(jobs) {
                        self.give_back(&job);
                    }
                    return Err(error);
                }
            }
        }
        self.runs.go_on(&self.place, &self.config);
        Ok(())
    }

    /// Takes back the claims of runs whose turn has not come.
    async fn withdraw(&self, waiting: &[(Job, Claimed)]) -> Result<(), StoreError> {
        let runs: Vec<i64> = waiting.iter().map(|(_, claimed)| claimed.run()).collect();
        self.place.store.withdraw_runs(runs).await
    }

    /// Takes in what the work for runs has come to.
    fn came(&mut self, came: Result<Came, tokio::task::JoinError>) -> Result<(), StoreError> {
        let (jobs, recorded) = match came {
            Ok(Came::Quiet(job, turn, quiet)) => {
                self.runs.end_turn(&turn);
                self.runs.keep(job, *quiet);
                (Vec::new(), Ok(()))
            }
            Ok(Came::Ended(job, turn, recorded)) => {
                self.runs.end_turn(&turn);
                self.delivery.wake();
                if recorded.as_ref().is_ok_and(|outcome| *outcome == Outcome::Failed) {
                    self.failed(&job);
                    (Vec::new(), Ok(()))
                } else {
                    (vec![job], recorded.map(drop))
                }
            }
            Ok(Came::Recorded(jobs, recorded)) => {
                self.runs.end_recording();
                (jobs, recorded)
            }
            Err(fault) => {
                error!("a run was lost: {fault}");
                (Vec::new(), Ok(()))
            }
        };
        let is_recorded = recorded.is_ok();
        recorded.or_else(|error| if error.is_lasting() { Err(error) } else { Ok(()) })?;
        for job in jobs {
            if is_recorded {
                self.end(&job);
            } else {
                self.give_back(&job);
            }
        }
        self.runs.go_on(&self.place, &self.config);
        Ok(())
    }

    /// Only a run of the new rows says that they can be read.
    fn end(&mut self, job: &Job) {
        match job.order.range {
            Range::New => self.agenda.succeeded(&job.flow.name),
            Range::Past { .. } => self.agenda.ended(&job.flow.name),
        }
    }

    fn failed(&mut self, job: &Job) {
        match job.order.range {
            Range::New => self.agenda.failed(&job.flow.name, self.place.clock.now()),
            Range::Past { .. } => self.agenda.ended(&job.flow.name),
        }
    }

    /// A run that did not come to be: what it was for is due again at the next tick.
    fn give_back(&mut self, job: &Job) {
        self.agenda.give_back(&job.flow.name, &job.order);
    }

    async fn do_chores(&self, now: Timestamp) -> Result<(), StoreError> {
        let history = self.config.settings.history;
        let before = |length| now.checked_sub(length).unwrap_or(Timestamp::MIN);
        let history = before(history);
        let retention = Retention { history, message_bytes: before(SENT_BYTES), answers: before(ANSWERS) };
        let runs = self.place.store.prune(retention).await?;
        if runs > 0 {
            info!(runs, "runs older than settings.history are deleted");
        }
        for _ in 0..PRUNED_IN_A_ROUND {
            if !self.place.store.prune_sources(history).await? {
                break;
            }
        }
        Ok(())
    }

    fn say_ready(&mut self) {
        let (flows, status) = (self.config.flows.len(), self.status());
        let (file, state) = (self.config.path.display(), self.place.folder.display());
        info!(flows, %file, %state, "ready: {status}");
        self.supervisor.ready(status);
    }

    fn tell_supervisor(&mut self) {
        if self.supervisor.is_there() {
            let status = self.status();
            self.supervisor.show(status);
        }
        self.supervisor.feed(self.delivery.pulse());
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

/// They have the text of the file with them, so they are not kept.
fn tell_warnings(warnings: Vec<Problem>) {
    for problem in warnings.into_iter().filter(|problem| problem.level == Level::Warning) {
        warn!("{}", problem.in_one_line());
    }
}
