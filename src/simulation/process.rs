//! The machine and its process: it starts, ticks, runs what is due, delivers, dies and starts
//! again, as `daemon` has it. What it runs is the real thing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::{join, join_all};
use jiff::Timestamp;

use super::story::{Event, HOUR, MINUTE, SECOND};
use super::world::{Crash, World};
use super::{Break, Kind, Violation};
use crate::agenda::{Agenda, Due};
use crate::clock::Clock;
use crate::daemon;
use crate::flow::Config;
use crate::history::{Cause, Outcome};
use crate::outbox;
use crate::postman::Postman;
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
const MOST_TICKS: u32 = 20_000;

/// One process.
struct Process {
    agenda: Agenda,
    postman: Postman,
    /// The postman is to start over: the process or its file is new.
    is_changed: bool,
    is_fresh: bool,
    next_try: Option<Timestamp>,
}

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
            () = world.crashed() => Ok(End::Killed),
            end = self.work() => end,
        }
    }

    /// What the end of a process means to the world, and how long the machine takes to start again.
    pub(super) fn bury(&mut self, end: &End) {
        let mut state = self.world.lock();
        let was_delivering = state.is_delivering;
        match end {
            End::Killed => {
                state.cut_attempts();
                state.crashes.push(Crash { was_delivering });
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
                return Ok(end);
            }
            if !self.tick(&mut process).await? {
                return Ok(End::Stopped);
            }
            if self.calm.is_some_and(|rounds| rounds >= CALM) {
                return Ok(End::Over);
            }
            self.pass_time(&process);
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
        let postman = Postman::new(self.place.store.clone(), self.place.clock.clone());
        let mut process =
            Process { agenda: Agenda::default(), postman, is_changed: true, is_fresh: true, next_try: None };
        Ok(self.plan(&mut process).await?.map(|()| process))
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.configs[self.world.lock().file])
    }

    async fn plan(&self, process: &mut Process) -> Result<Option<()>, Violation> {
        let (config, now) = (self.config(), self.place.clock.now());
        let flows = config.flows.clone();
        let look = move |store: &mut Store| {
            let mut known = BTreeMap::new();
            for name in config.flows.keys() {
                known.insert(name.clone(), daemon::known_of(store, name, now)?);
            }
            Ok::<_, StoreError>(known)
        };
        let Some(known) = self.endured(self.place.store.call(look).await)? else { return Ok(None) };
        process.agenda.replace(&flows, &known, now);
        Ok(Some(()))
    }

    /// A tick of the daemon, and all that it starts; false when the process cannot go on.
    async fn tick(&mut self, process: &mut Process) -> Result<bool, Violation> {
        self.world.lock().counts.ticks += 1;
        let now = self.place.clock.now();
        if !self.fulfil_requests(process, now).await? {
            return Ok(true);
        }
        let due = process.agenda.due(now);
        let config = self.config();
        let runs = join_all(due.iter().map(|due| self.run(&config, due)));
        let Process { postman, is_changed, is_fresh, next_try, .. } = process;
        let delivery = self.deliver(&config, postman, is_changed, is_fresh, next_try);
        let (ended, delivered) = join(runs, delivery).await;
        delivered?;
        for (due, is_recorded) in due.iter().zip(ended) {
            if is_recorded? {
                process.agenda.ended(&due.flow.name);
            } else {
                process.agenda.give_back(due);
            }
            process.is_fresh = true;
        }
        let Process { postman, is_changed, is_fresh, next_try, .. } = process;
        self.deliver(&config, postman, is_changed, is_fresh, next_try).await?;
        Ok(true)
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
            };
            process.agenda.set_off(flow, is_off, now);
        }
        Ok(true)
    }

    /// Whether the run was recorded.
    async fn run(&self, config: &Config, due: &Due) -> Result<bool, Violation> {
        let file = self.world.lock().file;
        let result = run::run(&self.place, config, &due.flow, Cause::Schedule, Some(due.slot)).await;
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

    /// As the daemon's delivery has it.
    async fn deliver(
        &self,
        config: &Config,
        postman: &mut Postman,
        is_changed: &mut bool,
        is_fresh: &mut bool,
        next_try: &mut Option<Timestamp>,
    ) -> Result<(), Violation> {
        let is_due = next_try.is_some_and(|at| outbox::is_due(at, self.place.clock.now()));
        if !*is_changed && !std::mem::take(is_fresh) && !is_due {
            return Ok(());
        }
        {
            let mut state = self.world.lock();
            (state.is_delivering, state.round_began) = (true, state.attempts.len());
        }
        let round = async {
            if std::mem::take(is_changed) {
                postman.start_over().await?;
            }
            postman.deliver(config, || false).await
        };
        match self.endured(round.await)? {
            Some(round) => *next_try = round.next_try,
            None => {
                *is_fresh = true;
                self.world.lock().cut_attempts();
            }
        }
        self.world.lock().is_delivering = false;
        Ok(())
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
        let is_over = self.next_event >= self.world.story.events.len()
            && self.world.lock().now >= self.world.story.end;
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
                let limited = self.place.store.at_once(|store| store.limit(pages));
                limited.map_err(|error| Violation::new(Kind::Broken, error.to_string()))
            }
            Event::Offset(_) | Event::Dateless(_) | Event::Busy(_) | Event::Tables(_) | Event::Mails(..) | Event::Crash(_) => {
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
        {
            let mut state = self.world.lock();
            let (now, old) = (state.now, state.file);
            state.file = file;
            for flow in 0..self.world.story.plans.len() {
                let (was, is) = (&self.world.story.files[old][flow], &self.world.story.files[file][flow]);
                if is.is_wide && !was.is_wide {
                    state.flows[flow].is_wide_since = Some(now);
                }
            }
        }
        let Some(process) = process else { return Ok(()) };
        process.is_changed = true;
        self.plan(process).await.map(drop)
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
    fn pass_time(&mut self, process: &Process) {
        let mut state = self.world.lock();
        let offset = state.offset;
        let at = |moment: Timestamp| moment.as_microsecond() - offset;
        let slot = process.agenda.next().map(|(_, slot)| at(slot));
        let next_try = process.next_try.map(at).filter(|next| *next > state.now);
        if let Some(rounds) = self.calm {
            // Every flow has run, and no mail waits: some hours later, once more.
            let is_done = state.flows.iter().all(|flow| flow.calm_runs > rounds) && next_try.is_none();
            if is_done {
                self.calm = Some(rounds + 1);
                state.advance(9 * HOUR);
                return;
            }
        }
        let mut step = if self.calm.is_some() { SECOND } else { self.world.story.step };
        // What fails each second is tried now and then, so that the history stays short.
        if std::mem::replace(&mut self.endured, state.counts.endured) < state.counts.endured {
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
