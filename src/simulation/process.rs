//! The machine and its process: it starts, ticks, runs what is due, delivers, dies and starts
//! again, as `daemon` has it. What it runs is the real thing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;

use super::story::{Event, HOUR, MINUTE, SECOND};
use super::world::World;
use super::{Break, Kind, Violation};
use crate::agenda::{Agenda, Due};
use crate::clock::Clock;
use crate::daemon;
use crate::daemon::delivery::Delivery;
use crate::flow::Config;
use crate::history::{Cause, Order, Outcome};
use crate::run::{self, Workplace};
use crate::store::{Request, SharedStore, Store, StoreError};

/// The machine through all its processes.
pub(super) struct Machine {
    pub(super) world: Arc<World>,
    configs: Vec<Arc<Config>>,
    place: Workplace,
    /// The next event of the story.
    next_event: usize,
    /// Rounds of the calm at the end.
    calm: Option<u32>,
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
const MOST_TICKS: u32 = 3_000;

/// One process.
struct Process {
    agenda: Agenda,
    delivery: Delivery,
    /// The file that is to be read once the state can be used again.
    unread: Option<usize>,
}

/// What a tick has started has come to rest by then, in the runtime's own time, which passes when
/// nothing else is to be done.
const REST: Duration = Duration::from_secs(20);

impl Machine {
    pub(super) fn new(world: Arc<World>, configs: Vec<Arc<Config>>, store: SharedStore) -> Self {
        let clock = Clock::Driven(world.clock.clone());
        let place = Workplace { store, clock, folder: PathBuf::from("/nonexistent") };
        Self { world, configs, place, next_event: 0, calm: None, endured: 0 }
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
            let _ = self.place.store.at_once(Store::forget_keys);
        }
        if self.world.break_it == Some(Break::NoDoubt) {
            let _ = self.place.store.at_once(Store::forget_sending);
        }
        let now = self.place.clock.now();
        let woken = self.place.store.call(move |store| daemon::wake(store, now)).await;
        if self.endured(woken)?.is_none() {
            return Ok(None);
        }
        let delivery = Delivery::start(&self.place, self.config());
        let mut process = Process { agenda: Agenda::default(), delivery, unread: None };
        let file = self.world.lock().file;
        let planned = self.plan(&mut process, file).await?;
        Ok(planned.then_some(process))
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.configs[self.world.lock().file])
    }

    /// As the daemon gives every flow its slots; false when the state cannot be used now.
    async fn plan(&self, process: &mut Process, file: usize) -> Result<bool, Violation> {
        let (config, now) = (Arc::clone(&self.configs[file]), self.place.clock.now());
        let flows = config.flows.clone();
        let look = move |store: &mut Store| {
            let mut known = BTreeMap::new();
            for name in config.flows.keys() {
                known.insert(name.clone(), daemon::known_of(store, name, now)?);
            }
            store.set_planned(now)?;
            Ok::<_, StoreError>(known)
        };
        let Some(known) = self.endured(self.place.store.call(look).await)? else { return Ok(false) };
        process.agenda.replace(&flows, &known, now);
        Ok(true)
    }

    /// A tick of the daemon, and all that it starts.
    async fn tick(&mut self, process: &mut Process) -> Result<(), Violation> {
        self.world.lock().begin_tick();
        if let Some(file) = process.unread.take() {
            self.swap(file, process).await?;
        }
        let now = self.place.clock.now();
        if !self.fulfil_requests(process, now).await? {
            return Ok(());
        }
        process.delivery.tick();
        let due = process.agenda.due(now);
        let config = self.config();
        let ended = join_all(due.iter().map(|due| self.run(&config, due))).await;
        for (due, is_recorded) in due.iter().zip(ended) {
            if is_recorded? {
                process.agenda.ended(&due.flow.name);
            } else {
                process.agenda.give_back(due);
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

    async fn fulfil_requests(&self, process: &mut Process, now: Timestamp) -> Result<bool, Violation> {
        let fulfil = move |store: &mut Store| {
            let requests = store.requests()?;
            for (id, request) in &requests {
                store.fulfil(*id, request, now)?;
            }
            Ok::<_, StoreError>(requests)
        };
        let Some(requests) = self.endured(self.place.store.call(fulfil).await)? else { return Ok(false) };
        for (_, request) in requests {
            let (flow, is_off) = match &request {
                Request::Off(flow) => (flow, true),
                Request::On(flow) => (flow, false),
                Request::Run { .. } | Request::Retry(_) | Request::Drop(_) => continue,
            };
            process.agenda.set_off(flow, is_off, now);
        }
        Ok(true)
    }

    /// Whether the run was recorded.
    async fn run(&self, config: &Config, due: &Due) -> Result<bool, Violation> {
        let file = self.world.lock().file;
        let order = Order::new(Cause::Schedule, Some(due.slot));
        let result = run::run(&self.place, config, &due.flow, &order).await;
        let Some(ended) = self.endured(result)? else { return Ok(false) };
        let mut state = self.world.lock();
        state.counts.runs += 1;
        let flow = self.world.story.plans.iter().position(|plan| plan.name == due.flow.name);
        if let Some(flow) = flow.filter(|_| ended.outcome != Outcome::Failed) {
            state.committed(flow, file);
            state.flows[flow].calm_runs += u32::from(self.calm.is_some());
        }
        state.tell_now(|| format!("{} ran: {} ({})", due.flow.name, ended.summary, ended.outcome.word()));
        Ok(true)
    }

    /// What the story has for this moment; then the calm.
    async fn happen(&mut self, mut process: Option<&mut Process>) -> Result<Option<End>, Violation> {
        while let Some((_, event)) = self.due_event() {
            self.next_event += 1;
            self.world.lock().tell_now(|| format!("{event:?}"));
            match event {
                Event::Restart if process.is_some() => return Ok(Some(End::Stopped)),
                Event::Standstill(length) => {
                    self.world.lock().advance(length);
                    if process.is_some() {
                        return Ok(Some(End::Stopped));
                    }
                }
                event => self.befall(event, process.as_deref_mut()).await?,
            }
        }
        let is_over =
            self.next_event >= self.world.story.events.len() && self.world.lock().now >= self.world.story.end;
        if is_over && self.calm.is_none() {
            self.calm = Some(0);
            self.heal(process).await?;
        }
        Ok(None)
    }

    fn due_event(&self) -> Option<(i64, Event)> {
        let now = self.world.lock().now;
        self.world.story.events.get(self.next_event).copied().filter(|(at, _)| *at <= now)
    }

    async fn befall(&self, event: Event, process: Option<&mut Process>) -> Result<(), Violation> {
        match event {
            Event::Off(flow) => self.request(Request::Off(self.name(flow))),
            Event::On(flow) => self.request(Request::On(self.name(flow))),
            Event::Reload(file) => self.reload(file, process).await,
            Event::Disk(pages) => {
                self.world.lock().disk = pages;
                let limited = self.place.store.at_once(|store| store.limit(pages));
                limited.map_err(|error| Violation::new(Kind::Broken, error.to_string()))
            }
            Event::Offset(_)
            | Event::Dateless(_)
            | Event::Busy(_)
            | Event::Tables(_)
            | Event::Mails(..)
            | Event::Crash(_) => {
                let mut state = self.world.lock();
                match event {
                    Event::Offset(offset) => state.offset = offset,
                    Event::Dateless(is_dateless) => state.is_dateless = is_dateless,
                    Event::Busy(failures) => state.busy = failures,
                    Event::Tables(failures) => state.table_failures = failures,
                    Event::Mails(server, mood) => state.moods[server] = mood,
                    Event::Crash(steps) => state.kill_after(Some(steps)),
                    _ => {}
                }
                state.set_clock();
                Ok(())
            }
            Event::Restart | Event::Standstill(_) => Ok(()),
        }
    }

    fn name(&self, flow: usize) -> String {
        self.world.story.plans[flow].name.clone()
    }

    /// A command leaves it; on a full disk it fails and the person sees it.
    fn request(&self, request: Request) -> Result<(), Violation> {
        let now = self.place.clock.now();
        let left = self.place.store.at_once(move |store| store.leave_request(&request, now));
        self.endured(left).map(drop)
    }

    async fn reload(&self, file: usize, process: Option<&mut Process>) -> Result<(), Violation> {
        if let Some(process) = process {
            return self.swap(file, process).await;
        }
        // The next process reads it at its start.
        self.take_file(file);
        Ok(())
    }

    /// As the daemon: all that can fail comes first, and is tried again at the next tick.
    async fn swap(&self, file: usize, process: &mut Process) -> Result<(), Violation> {
        if self.plan(process, file).await? {
            self.take_file(file);
            process.delivery.replace(self.config());
        } else {
            process.unread = Some(file);
        }
        Ok(())
    }

    fn take_file(&self, file: usize) {
        let mut state = self.world.lock();
        let (now, old) = (state.now, state.file);
        state.file = file;
        for (flow, is) in self.world.story.files[file].iter().enumerate() {
            if is.is_wide && !self.world.story.files[old][flow].is_wide {
                state.flows[flow].is_wide_since = Some(now);
            }
        }
    }

    /// From here on nothing fails any more.
    async fn heal(&mut self, mut process: Option<&mut Process>) -> Result<(), Violation> {
        {
            let mut state = self.world.lock();
            state.tell_now(|| "all is well from here on".to_owned());
            (state.offset, state.is_dateless, state.table_failures, state.busy) = (0, false, 0, 0);
            state.moods.fill(super::story::Mood::default());
            state.kill_after(None);
            let after_all = state.last_write().unwrap_or(state.now).max(state.now);
            state.advance_to(after_all);
        }
        self.befall(Event::Disk(None), process.as_deref_mut()).await?;
        for flow in 0..self.world.story.plans.len() {
            self.request(Request::On(self.name(flow)))?;
        }
        self.reload(self.world.story.files.len() - 1, process).await
    }

    /// To the next moment at which something is to be done.
    fn pass_time(&mut self, process: &Process) -> Result<(), Violation> {
        let next_try = self.endured(self.place.store.at_once(|store| store.next_try()))?.flatten();
        let mut state = self.world.lock();
        let offset = state.offset;
        let at = |moment: Timestamp| moment.as_microsecond() - offset;
        let slot = process.agenda.next().map(|(_, slot)| at(slot));
        let next_try = next_try.map(at);
        if let Some(rounds) = self.calm {
            // Every flow has run, and no mail waits: some hours later, once more.
            let is_done = state.flows.iter().all(|flow| flow.calm_runs > rounds) && next_try.is_none();
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
    fn endured<T>(&self, result: Result<T, StoreError>) -> Result<Option<T>, Violation> {
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
