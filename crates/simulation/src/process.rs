//! The machine and its process: it starts, ticks, runs what is due, delivers, dies and starts
//! again, as `daemon` has it. What it runs is the real thing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;

use super::services::SimulatedServices;
use super::story::{HOUR, MINUTE, SECOND};
use super::world::World;
use super::{Break, Kind, Violation, state};
use leadflow::daemon;
use leadflow::daemon::delivery::Delivery;
use leadflow::engine::RunContext;
use leadflow::engine::run::{self, Done, Ended};
use leadflow::flow::Config;
use leadflow::history::Outcome;
use leadflow::planner::{Agenda, Due};
use leadflow::platform::blocking::{Interruption, Runner};
use leadflow::platform::clock::Clock;
use leadflow::store::{Request, Store, StoreError};

/// The machine through all its processes.
pub(super) struct Machine {
    pub(super) world: Arc<World>,
    pub(super) configs: Vec<Arc<Config>>,
    pub(super) place: RunContext,
    /// The next event of the story.
    pub(super) next_event: usize,
    /// Rounds of the calm at the end.
    pub(super) calm: Option<u32>,
    /// When it began.
    pub(super) calm_since: i64,
    /// Failures of the state up to the last tick.
    endured: u64,
}

/// How a process ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    Killed,
    Stopped,
    /// The history is over.
    Over,
}

/// Rounds of the calm, each some hours after the one before.
const CALM: u32 = 4;
/// Ticks of one process, far more than any history takes.
const MOST_TICKS: u32 = 10_000;

/// One process.
pub(super) struct Process {
    pub(super) agenda: Agenda,
    pub(super) delivery: Delivery,
    /// The file that is to be read once the state can be used again.
    pub(super) unread: Option<usize>,
    /// The last tick, by the machine's clock and in true time.
    last_tick: Option<(Timestamp, i64)>,
    /// When the last run of a flow failed, in true time, and how often the state had failed by then; only where
    /// nothing has come between since.
    pub(super) failed: BTreeMap<String, (i64, u64)>,
}

/// What a tick has started has come to rest by then, in the runtime's own time, which passes when
/// nothing else is to be done.
const REST: Duration = Duration::from_secs(20);

impl Machine {
    pub(super) fn new(world: Arc<World>, configs: Vec<Arc<Config>>) -> Self {
        let clock = Clock::Driven(world.clock.clone());
        let store = world.store.clone().by(Runner::Inline(Arc::clone(&world) as Arc<dyn Interruption>));
        let services = Arc::new(SimulatedServices(Arc::clone(&world)));
        let place = RunContext::new(store, clock, PathBuf::from("/nonexistent"), services);
        Self { world, configs, place, next_event: 0, calm: None, calm_since: 0, endured: 0 }
    }

    /// Lives from a start of the process to its end.
    pub(super) async fn live(&mut self) -> Result<End, Violation> {
        let world = Arc::clone(&self.world);
        tokio::select! {
            biased;
            () = world.crashed() => {
                if world.lock().goes_in_circles() {
                    return Err(Violation::new(Kind::Broken, "a tick does not come to its end".to_owned()));
                }
                Ok(End::Killed)
            }
            end = self.work() => end,
        }
    }

    /// What the end of a process means to the world, and how long the machine takes to start again.
    pub(super) fn bury(&mut self, end: &End) {
        let mut state = self.world.lock();
        match end {
            End::Killed => {
                state.cut_attempts();
                state.was_disturbed = true;
                state.counts.crashes += 1;
                state.tell_now(|| "the process is killed".to_owned());
            }
            End::Stopped => {
                state.counts.restarts += 1;
                state.tell_now(|| "the process stops".to_owned());
            }
            End::Over => {}
        }
        let most = if state.dice.bool() { 10 * SECOND } else { HOUR };
        let pause = state.dice.i64(SECOND..most);
        state.advance(pause);
    }

    async fn work(&mut self) -> Result<End, Violation> {
        self.world.lock().rise();
        // The world goes on while there is no process, and a new one reads the file of now.
        self.happen(None).await?;
        let Some(mut process) = self.start().await? else { return Ok(End::Stopped) };
        for _ in 0..MOST_TICKS {
            if let Some(end) = self.happen(Some(&mut process)).await? {
                process.delivery.stop().await;
                return Ok(end);
            }
            self.tick(&mut process).await?;
            if self.calm.is_some_and(|rounds| rounds >= CALM) {
                return Ok(End::Over);
            }
            self.pass_time(&process)?;
        }
        Err(Violation::new(Kind::Broken, "the history does not come to its end".to_owned()))
    }

    /// As `daemon::run` starts.
    async fn start(&mut self) -> Result<Option<Process>, Violation> {
        if self.world.break_it == Some(Break::ForgottenKeys) {
            let _ = state::forget_keys(&self.world.store);
        }
        if self.world.break_it == Some(Break::NoDoubt) {
            let _ = state::forget_sending(&self.world.store);
        }
        let now = self.place.clock.now();
        let woken = daemon::take_over(&self.place.store, now).await;
        if self.endured(woken)?.is_none() {
            return Ok(None);
        }
        let delivery = Delivery::start(&self.place, self.config());
        let mut process = Process {
            agenda: Agenda::default(),
            delivery,
            unread: None,
            last_tick: None,
            failed: BTreeMap::new(),
        };
        let file = self.world.lock().file;
        let planned = self.plan(&mut process, file).await?;
        Ok(planned.then_some(process))
    }

    pub(super) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.configs[self.world.lock().file])
    }

    /// As the daemon gives every flow its slots; false when the state cannot be used now.
    pub(super) async fn plan(&self, process: &mut Process, file: usize) -> Result<bool, Violation> {
        let (config, now) = (Arc::clone(&self.configs[file]), self.place.clock.now());
        let flows = config.flows.clone();
        let of_file = config.flows.iter().map(|(name, flow)| (name.clone(), flow.enabled));
        let known = self.place.store.plan_of(of_file.collect(), now).await;
        let Some(known) = self.endured(known)? else { return Ok(false) };
        if self.endured(state::at_once(self.world.store.set_planned(now)))?.is_none() {
            return Ok(false);
        }
        process.agenda.replace(&flows, &known, now);
        process.failed.clear();
        for (flow, plan) in self.world.story.files[file].iter().enumerate() {
            self.world.lock().leave_tables(flow, plan.enabled.then_some(plan.table));
        }
        Ok(true)
    }

    /// A tick of the daemon, and all that it starts.
    async fn tick(&mut self, process: &mut Process) -> Result<(), Violation> {
        self.world.lock().begin_tick();
        if let Some(file) = process.unread.take() {
            self.swap(file, process).await?;
        }
        let now = self.place.clock.now();
        if !self.see_clock(process, now).await? {
            return Ok(());
        }
        if !self.fulfil_requests(process, now).await? {
            return Ok(());
        }
        process.delivery.tick();
        let due = process.agenda.due(now);
        self.note_due(&due, process)?;
        let config = self.config();
        let ended = self.run(&config, &due).await?;
        for (due, ended) in due.iter().zip(ended) {
            let name = &due.flow.name;
            match ended {
                Some(ended) => {
                    self.tell(name, &ended);
                    if ended.outcome == Outcome::Failed {
                        self.fail(process, name);
                    } else {
                        process.agenda.succeeded(name);
                    }
                }
                None => process.agenda.give_back(name, &due.order),
            }
            process.delivery.wake();
        }
        tokio::select! {
            biased;
            failed = process.delivery.ended() => {
                let message = format!("the delivery ends: {:?}", failed.map_err(|error| error.to_string()));
                Err(Violation::new(Kind::Broken, message))
            }
            () = tokio::time::sleep(REST) => Ok(()),
        }
    }

    /// As the daemon notices that the clock was set back.
    async fn see_clock(&self, process: &mut Process, now: Timestamp) -> Result<bool, Violation> {
        let at = self.world.lock().now;
        let set_back = |(before, then): (Timestamp, i64)| {
            daemon::set_back(before, now, Duration::from_micros((at - then).unsigned_abs()))
        };
        if let Some(by) = process.last_tick.and_then(set_back) {
            let noted = self.place.store.clock_went_back(by, now).await;
            if self.endured(noted)?.is_none() {
                return Ok(false);
            }
            process.agenda.set_back(by);
            // A retry may be up to half an hour later by the clock of now.
            process.failed.clear();
        }
        process.last_tick = Some((now, at));
        Ok(true)
    }

    async fn fulfil_requests(&self, process: &mut Process, now: Timestamp) -> Result<bool, Violation> {
        let taken = self.place.store.take_requests(now).await;
        let Some(requests) = self.endured(taken)? else { return Ok(false) };
        for (_, request) in requests {
            let (flow, is_off) = match &request {
                Request::Off(flow) => (flow, true),
                Request::On(flow) => (flow, false),
                Request::Run { .. } | Request::Retry(_) | Request::Drop(_) | Request::Send(..) => continue,
            };
            process.agenda.set_off(flow, is_off, now);
            process.failed.remove(flow);
            if let Some(number) = self.number(flow).filter(|_| is_off) {
                self.world.lock().leave_tables(number, None);
            }
        }
        Ok(true)
    }

    /// Claims the runs together and records those together that handed on no row, as the daemon does; of
    /// each what came of it, or nothing where it could not be recorded.
    async fn run(&self, config: &Config, due: &[Due]) -> Result<Vec<Option<Ended>>, Violation> {
        let order = |due: &Due| (due.flow.name.clone(), due.order);
        let mut ended: Vec<Option<Ended>> = due.iter().map(|_| None).collect();
        self.sabotage();
        let claimed = run::claim(&self.place, due.iter().map(order).collect()).await;
        let Some(claimed) = self.endured(claimed)? else { return Ok(ended) };
        let runs =
            due.iter().zip(claimed).map(|(due, claimed)| run::work(&self.place, config, &due.flow, claimed));
        let (mut quiet, mut of) = (Vec::new(), Vec::new());
        for (at, done) in join_all(runs).await.into_iter().enumerate() {
            match self.endured(done)? {
                Some(Done::Recorded(it)) => ended[at] = Some(it),
                Some(Done::Quiet(it)) => {
                    quiet.push(*it);
                    of.push(at);
                }
                None => {}
            }
        }
        if !quiet.is_empty() {
            let recorded = self.endured(run::record(&self.place, quiet).await)?;
            for (at, it) in of.into_iter().zip(recorded.into_iter().flatten()) {
                ended[at] = Some(it);
            }
        }
        Ok(ended)
    }

    /// What a broken leadflow would forget before a run.
    fn sabotage(&self) {
        let forget: fn(&Store) -> Result<(), StoreError> = match self.world.break_it {
            Some(Break::BeginByAnswer) => state::forget_due,
            Some(Break::ForgottenTables) => state::forget_left_sources,
            _ => return,
        };
        let _ = forget(&self.world.store);
    }

    /// Tells the oracle of a run that is recorded.
    fn tell(&self, name: &str, ended: &Ended) {
        let mut state = self.world.lock();
        let file = state.file;
        state.counts.runs += 1;
        if let Some(flow) = self.number(name).filter(|_| ended.outcome != Outcome::Failed) {
            let table = self.world.story.files[file][flow].table;
            state.committed(flow, table, file);
            state.flows[flow].calm_runs += u32::from(self.calm.is_some());
        }
        state.tell_now(|| format!("{name} ran: {} ({})", ended.summary, ended.outcome.word()));
    }

    /// To the next moment at which something is to be done.
    fn pass_time(&mut self, process: &Process) -> Result<(), Violation> {
        let next_try = self.endured(state::at_once(self.world.store.next_try()))?.flatten();
        let is_waiting = self.calm.is_some() && self.judge_waiting()?;
        let mut state = self.world.lock();
        let offset = state.offset;
        let at = |moment: Timestamp| moment.as_microsecond() - offset;
        let slot = process.agenda.next().map(|(_, slot)| at(slot));
        let next_try = next_try.map(at);
        if let Some(rounds) = self.calm {
            // Every flow has run, and no mail waits: some hours later, once more.
            let is_done = state.flows.iter().all(|flow| flow.calm_runs > rounds) && !is_waiting;
            if is_done {
                self.calm = Some(rounds + 1);
                state.advance(9 * HOUR);
                return Ok(());
            }
        }
        let mut step = if self.calm.is_some() { SECOND } else { self.world.story.step };
        // What fails each second is tried now and then, so that the history stays short.
        let fails = std::mem::replace(&mut self.endured, state.counts.endured) < state.counts.endured;
        if fails || (self.calm.is_none() && next_try.is_some_and(|at| at <= state.now)) {
            step += state.dice.i64(0..20 * MINUTE);
        }
        let event = self.world.story.events.get(self.next_event).map(|(at, _)| *at);
        let next = [slot, next_try, event].into_iter().flatten().min().unwrap_or(self.world.story.end);
        let late = state.dice.i64(0..2 * SECOND);
        let next = next.max(state.now + step) + late;
        // Without catch_up a slot is taken only by one who was awake just before it.
        if let Some(slot) = slot.filter(|slot| *slot <= next && *slot - SECOND > state.now) {
            state.advance_to(slot - SECOND);
        } else {
            state.advance_to(next);
        }
        Ok(())
    }

    /// A database that is busy or a disk that is full may be well again; anything else is a fault.
    pub(super) fn endured<T>(&self, result: Result<T, StoreError>) -> Result<Option<T>, Violation> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_passing() => {
                let mut state = self.world.lock();
                state.counts.endured += 1;
                state.tell_now(|| error.to_string());
                Ok(None)
            }
            Err(error) => Err(Violation::new(Kind::Broken, format!("the state fails: {error}"))),
        }
    }
}
