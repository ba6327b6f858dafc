//! The machine and its process: it starts, ticks, dies and starts again. What it drives is the real engine, as the
//! daemon does.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::journal::BrokenOff;
use super::seat::Seat;
use super::services::SimulatedServices;
use super::story::{HOUR, MINUTE, SECOND};
use super::world::World;
use super::{Break, Kind, Violation, state};
use leadflow::engine::{Engine, RunContext};
use leadflow::flow::Config;
use leadflow::platform::blocking::{Interruption, Runner};
use leadflow::platform::clock::Clock;
use leadflow::store::{Store, StoreError};

/// The machine through all its processes.
pub(super) struct Machine {
    pub(super) world: Arc<World>,
    seat: Arc<Seat>,
    pub(super) configs: Vec<Arc<Config>>,
    /// The next event of the story.
    pub(super) next_event: usize,
    /// Rounds of the calm at the end.
    pub(super) calm: Option<u32>,
    /// When it began.
    pub(super) calm_since: i64,
    /// Runs that ended with their process, by their flows, until the next one has ticked.
    pub(super) broken_off: BTreeMap<String, BrokenOff>,
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
/// Ticks that come while runs of another one are under way.
const TICKS_BESIDE: u32 = 3;

/// One process.
pub(super) struct Process {
    pub(super) engine: Engine,
    /// The file that is to be read once the state can be used again.
    pub(super) unread: Option<usize>,
    /// When the last run of a flow failed, in true time, and how often the state had failed by then; only where
    /// nothing has come between since.
    pub(super) failed: BTreeMap<String, (i64, u64)>,
}

/// What a tick has started has come to rest by then, in the runtime's own time, which passes when
/// nothing else is to be done.
const REST: Duration = Duration::from_secs(20);

impl Machine {
    pub(super) fn new(world: Arc<World>, configs: Vec<Arc<Config>>) -> Self {
        Self {
            seat: Seat::new(&world, 0),
            world,
            configs,
            next_event: 0,
            calm: None,
            calm_since: 0,
            broken_off: BTreeMap::new(),
            endured: 0,
        }
    }

    /// Lives from a start of the process to its end.
    pub(super) async fn live(&mut self) -> Result<End, Violation> {
        let seat = Arc::clone(&self.seat);
        tokio::select! {
            biased;
            () = seat.stopped() => {
                if seat.world.lock().hosts[0].goes_in_circles() {
                    return Err(Violation::new(Kind::Broken, "a tick does not come to its end".to_owned()));
                }
                Ok(End::Killed)
            }
            end = self.work() => end,
        }
    }

    /// What the end of a process means to the world, and how long the machine takes to start again.
    pub(super) fn bury(&mut self, end: &End) {
        self.note_broken_off();
        let mut state = self.world.lock();
        match end {
            End::Killed => {
                state.cut_attempts(0);
                state.was_disturbed = true;
                state.counts.crashes += 1;
                state.log_now(|| "the process is killed".to_owned());
            }
            End::Stopped => {
                state.counts.restarts += 1;
                state.log_now(|| "the process stops".to_owned());
            }
            End::Over => {}
        }
        let most = if state.dice.bool() { 10 * SECOND } else { HOUR };
        let pause = state.dice.i64(SECOND..most);
        state.advance(pause);
    }

    async fn work(&mut self) -> Result<End, Violation> {
        self.world.lock().rise(0);
        // The world continues while there is no process, and a new one reads the file as it is then.
        self.happen(None).await?;
        let Some(mut process) = self.start().await? else { return Ok(End::Stopped) };
        for _ in 0..MOST_TICKS {
            if let Some(end) = self.happen(Some(&mut process)).await? {
                self.drain(&mut process).await?;
                return Ok(end);
            }
            let is_to_stop = self.step(&mut process).await?;
            if self.calm.is_some_and(|rounds| rounds >= CALM) {
                return Ok(End::Over);
            }
            if !is_to_stop {
                self.pass_time(&process)?;
            }
        }
        Err(Violation::new(Kind::Broken, "the history does not come to its end".to_owned()))
    }

    /// As the daemon starts.
    async fn start(&mut self) -> Result<Option<Process>, Violation> {
        if self.world.break_it == Some(Break::ForgottenKeys) {
            let _ = state::forget_keys(&self.world.store);
        }
        if self.world.break_it == Some(Break::NoDoubt) {
            let _ = state::forget_sending(&self.world.store);
        }
        let clock = Clock::Driven(self.world.lock().hosts[0].clock.clone());
        let runner = Runner::Inline(Arc::clone(&self.seat) as Arc<dyn Interruption>);
        let services = Arc::new(SimulatedServices(Arc::clone(&self.seat)));
        let store = self.world.store.clone().by(runner);
        let ctx = RunContext::new(store, clock, PathBuf::from("/nonexistent"), services);
        let file = self.world.lock().file;
        let started = Engine::start(ctx, Arc::clone(&self.configs[file])).await;
        let Some(engine) = self.endured(started)? else { return Ok(None) };
        self.leave_tables(file);
        self.forget_unrecorded(file);
        Ok(Some(Process { engine, unread: None, failed: BTreeMap::new() }))
    }

    /// What the daemon does until nothing is under way any more: a tick, and now and then another one, or what the
    /// story has, while runs are. Whether the process is to stop while they are.
    async fn step(&mut self, process: &mut Process) -> Result<bool, Violation> {
        self.world.lock().begin_tick(0);
        self.tick(process).await?;
        let mut beside = 0;
        loop {
            let ended = tokio::select! {
                biased;
                ended = process.engine.next() => ended,
                () = tokio::time::sleep(REST) => return Ok(false),
            };
            let ends = ended.map_err(|error| broken(&format!("the engine ends: {error}")))?;
            for end in ends {
                self.note_end(end, process);
            }
            if beside < TICKS_BESIDE && self.world.lock().dice.u8(0..4) == 0 {
                beside += 1;
                if self.happen_beside(process).await? {
                    return Ok(true);
                }
                self.tick(process).await?;
            }
        }
    }

    async fn tick(&mut self, process: &mut Process) -> Result<(), Violation> {
        if let Some(file) = process.unread.take() {
            self.swap(file, process).await?;
        }
        let mut to_be_due = self.to_be_due(process);
        let asked = self.requests();
        self.sabotage();
        let ticked = process.engine.tick().await;
        let ticked = self.endured(ticked)?;
        self.note_requests(&asked, process);
        if let Some(tick) = ticked {
            self.note_due(&tick.due, process)?;
        } else {
            // A tick that fails may have turned a flow off before, or not have come to it.
            let turned_off = |flow: &str| asked.iter().any(|it| it.is_off && it.flow == flow);
            let name = |number: usize| &self.world.story.plans[number].name;
            to_be_due.retain(|number| !turned_off(name(*number)));
            to_be_due.retain(|number| process.engine.planner().is_on(name(*number)));
            self.note_first_due(&to_be_due, false);
        }
        if self.world.break_it == Some(Break::SlotBeforeEnd) {
            let _ = state::take_slots(&self.world.store);
        }
        Ok(())
    }

    /// As the daemon stops.
    async fn drain(&mut self, process: &mut Process) -> Result<(), Violation> {
        let withdrawn = process.engine.withdraw_waiting().await;
        self.endured(withdrawn)?;
        loop {
            let ended = process.engine.finish_next().await;
            let Some(ends) = self.endured(ended)?.flatten() else { break };
            for end in ends {
                self.note_end(end, process);
            }
        }
        process.engine.stop_delivery().await;
        Ok(())
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

    /// To the next moment at which something is to be done.
    fn pass_time(&mut self, process: &Process) -> Result<(), Violation> {
        let next_try = self.endured(state::at_once(self.world.store.next_try()))?.flatten();
        let is_waiting = self.calm.is_some() && self.judge_waiting()?;
        let mut state = self.world.lock();
        let offset = state.hosts[0].offset;
        let at = |moment: Timestamp| moment.as_microsecond() - offset;
        let slot = process.engine.snapshot().next.map(|(_, slot)| at(slot));
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
                state.log_now(|| error.to_string());
                Ok(None)
            }
            Err(error) => Err(broken(&format!("the state fails: {error}"))),
        }
    }
}

pub(super) fn broken(message: &str) -> Violation {
    Violation::new(Kind::Broken, message.to_owned())
}
