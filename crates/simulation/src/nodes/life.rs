//! The life of a node's process: it joins, ticks, joins anew when its lease has ended, and stops, as the daemon does.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::super::process::broken;
use super::super::seat::Seat;
use super::super::services::SimulatedServices;
use super::super::story::SECOND;
use super::super::table::number_of;
use super::super::world::{NEVER, World};
use super::super::{Break, Violation};
use super::name_of;
use leadflow::engine::{Engine, FinishedRun, RunContext};
use leadflow::flow::{Config, Flow};
use leadflow::history::Outcome;
use leadflow::platform::blocking::{Interruption, Runner};
use leadflow::platform::clock::{Clock, DrivenClock};
use leadflow::platform::lease::Lease;
use leadflow::store::{LEASE, NewNode, StoreError};

/// The process on a host.
pub(super) struct Life {
    seat: Arc<Seat>,
    configs: Arc<Vec<Arc<Config>>>,
    engine: Engine,
    /// The lease has ended: the engine does nothing any more.
    is_out: bool,
    /// The file that is in force.
    file: usize,
}

/// Between two tries to join.
const AGAIN: i64 = SECOND / 2;

/// Lives until it stops by itself.
pub(super) async fn live(seat: Arc<Seat>, configs: Arc<Vec<Arc<Config>>>) -> Result<(), Violation> {
    let file = seat.world.lock().hosts[seat.host].file;
    let ctx = context(&seat);
    let joined = joined(&seat, &ctx, &configs[file]).await;
    let Some(engine) = endured(&seat.world, joined)? else { return Ok(()) };
    take_file(&seat.world, 0, file);
    seat.world.lock().tick_at_once(seat.host);
    let mut life = Life { seat, configs, engine, is_out: false, file };
    life.work().await?;
    life.drain().await;
    Ok(())
}

fn context(seat: &Arc<Seat>) -> RunContext {
    let world = &seat.world;
    let clock = Clock::Driven(world.lock().hosts[seat.host].clock.clone());
    let runner = Runner::Inline(Arc::clone(seat) as Arc<dyn Interruption>);
    let services = Arc::new(SimulatedServices(Arc::clone(seat)));
    let store = world.store.for_another().by(runner);
    let mut ctx = RunContext::new(store, clock, PathBuf::from("/nonexistent"), services);
    ctx.node = NewNode { name: name_of(seat.host), ..NewNode::default() };
    if world.break_it == Some(Break::NoLeaseGuard) {
        // By a clock that stands still it never ends.
        ctx.lease = Lease::endless(Clock::Driven(DrivenClock::new(ctx.clock.now())));
    }
    ctx
}

/// As the daemon joins.
async fn joined(seat: &Seat, ctx: &RunContext, config: &Arc<Config>) -> Result<Engine, StoreError> {
    let asked = ctx.clock.steady();
    loop {
        match Engine::start(ctx.clone(), Arc::clone(config)).await {
            Err(StoreError::NameHeld(_)) if ctx.clock.steady().saturating_sub(asked) < LEASE * 2 => {
                let again = seat.world.lock().now + AGAIN;
                seat.sleep_until(again).await;
            }
            other => return other,
        }
    }
}

/// A state that is out of reach may be well again, and who comes too late joins anew; anything else is a fault.
fn endured<T>(world: &World, result: Result<T, StoreError>) -> Result<Option<T>, Violation> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_passing() || matches!(error, StoreError::NameHeld(_)) => {
            let mut state = world.lock();
            state.counts.endured += 1;
            state.log_now(|| error.to_string());
            Ok(None)
        }
        Err(error) => Err(broken(&format!("the state fails: {error}"))),
    }
}

/// A file is in force on one node more.
fn take_file(world: &World, old: usize, file: usize) {
    let mut state = world.lock();
    let now = state.now;
    state.file = state.file.max(file);
    for (flow, is) in world.story.files[file].iter().enumerate() {
        if is.is_wide && !world.story.files[old][flow].is_wide {
            state.flows[flow].is_wide_since = Some(now);
        }
    }
}

impl Life {
    async fn work(&mut self) -> Result<(), Violation> {
        loop {
            let tick = self.seat.tick();
            let ends = tokio::select! {
                biased;
                ends = self.engine.next(), if !self.is_out => Some(ends),
                () = tick => None,
            };
            match ends {
                Some(Ok(ends)) => ends.into_iter().for_each(|end| self.note_end(end)),
                Some(Err(error)) => self.lose_lease(error).await?,
                None => {
                    if self.is_to_stop() {
                        return Ok(());
                    }
                    self.tick().await?;
                    self.next_tick();
                }
            }
            self.publish();
        }
    }

    /// A process that stops does not tick any more.
    fn is_to_stop(&self) -> bool {
        let mut state = self.seat.world.lock();
        let host = &mut state.hosts[self.seat.host];
        if host.is_to_stop {
            host.next_tick = NEVER;
        }
        host.is_to_stop
    }

    async fn tick(&mut self) -> Result<(), Violation> {
        {
            let mut state = self.seat.world.lock();
            state.begin_tick(self.seat.host);
            state.hosts[self.seat.host].next_tick = NEVER;
        }
        let done = self.tick_or_rejoin().await;
        match done {
            Err(error @ StoreError::TakenOver) => self.lose_lease(error).await,
            other => endured(&self.seat.world, other).map(drop),
        }
    }

    async fn tick_or_rejoin(&mut self) -> Result<(), StoreError> {
        if self.is_out {
            let (ctx, config) = (self.engine.context().clone(), Arc::clone(self.engine.config()));
            self.engine = joined(&self.seat, &ctx, &config).await?;
            self.is_out = false;
            return Ok(());
        }
        self.reload().await?;
        self.engine.tick().await.map(drop)
    }

    async fn reload(&mut self) -> Result<(), StoreError> {
        let unread = self.seat.world.lock().hosts[self.seat.host].unread;
        let Some(file) = unread else { return Ok(()) };
        self.engine.reload(Arc::clone(&self.configs[file])).await?;
        take_file(&self.seat.world, self.file, file);
        self.file = file;
        let mut state = self.seat.world.lock();
        let host = &mut state.hosts[self.seat.host];
        host.unread = host.unread.filter(|unread| *unread != file);
        state.log_now(|| format!("node {} has read file {file}", self.seat.host));
        Ok(())
    }

    async fn lose_lease(&mut self, error: StoreError) -> Result<(), Violation> {
        if !matches!(error, StoreError::TakenOver) {
            return Err(broken(&format!("the engine ends: {error}")));
        }
        self.engine.abandon().await;
        self.is_out = true;
        let mut state = self.seat.world.lock();
        state.log_now(|| format!("node {} has lost its lease", self.seat.host));
        Ok(())
    }

    fn next_tick(&self) {
        let mut state = self.seat.world.lock();
        let at = state.now + state.dice.i64(SECOND..4 * SECOND);
        state.hosts[self.seat.host].next_tick = at;
    }

    /// What the world sees of it.
    fn publish(&self) {
        let snapshot = self.engine.snapshot();
        let mut state = self.seat.world.lock();
        let host = &mut state.hosts[self.seat.host];
        host.next_slot = snapshot.next.map(|(_, slot)| slot.as_microsecond());
        host.is_at_rest =
            snapshot.under_way == 0 && !self.is_out && host.unread.is_none() && !host.is_to_stop;
    }

    /// As the daemon stops.
    async fn drain(&mut self) {
        self.seat.world.lock().hosts[self.seat.host].is_at_rest = false;
        let held = self.engine.hold_lease();
        let ends = tokio::select! {
            biased;
            ends = async {
                let ends = self.engine.finish_runs().await;
                self.engine.finish_delivery().await;
                ends
            } => ends,
            never = held => match never {},
        };
        for end in ends {
            self.note_end(end);
        }
        self.engine.leave().await;
    }

    /// Tells the oracle of the end of a run.
    fn note_end(&self, end: FinishedRun) {
        let FinishedRun { flow, result } = end;
        let name = &flow.name;
        let mut state = self.seat.world.lock();
        let Some(ended) = result else {
            state.counts.endured += 1;
            state.log_now(|| format!("the run of {name} is not recorded"));
            return;
        };
        state.counts.runs += 1;
        let node = self.seat.host;
        state
            .log_now(|| format!("{name} ran on node {node}: {} ({})", ended.summary, ended.outcome.as_str()));
        let number = self.seat.world.story.plans.iter().position(|plan| plan.name == *name);
        if ended.outcome != Outcome::Failed
            && let (Some(number), Some(table)) = (number, number_of(&flow.table.name))
        {
            state.committed(number, table, self.file_of(&flow), node);
            let is_calm = state.is_calm;
            state.flows[number].calm_runs += u32::from(is_calm);
        }
    }

    /// The file that a flow is from.
    fn file_of(&self, flow: &Arc<Flow>) -> usize {
        let is_of =
            |config: &Arc<Config>| config.flows.get(&flow.name).is_some_and(|it| Arc::ptr_eq(it, flow));
        self.configs.iter().position(is_of).unwrap_or_default()
    }
}

/// What a timer of the runtime needs at least to pass.
pub(super) const INSTANT: Duration = Duration::from_millis(1);
