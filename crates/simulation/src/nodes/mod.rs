//! Several nodes on one state, each the real engine, driven as the daemon does, with a clock and a runtime of its own.
//!
//! They take turns on one thread: at each step the dice say whether a node goes on, another one does, or it is killed
//! or stands still there. Time passes when none has anything to do; while all are at rest it goes on to the next moment
//! at which something is due, and their leases are renewed on the way.

mod advance;
mod befall;
mod fate;
mod faults;
mod life;
mod record;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::host::Motion;
use super::process::broken;
use super::seat::Seat;
use super::story::{Event, HOUR, SECOND};
use super::world::World;
use super::{NewRuntime, Violation};
use fate::Blow;
use leadflow::flow::Config;
use leadflow::store::StoreError;

pub(crate) use fate::{MOST_NODES, count};
pub(crate) use faults::{begin_fault, end_fault};
pub(crate) use record::Record;

/// The nodes of a history, and what is still to befall them.
struct Cluster {
    world: Arc<World>,
    configs: Arc<Vec<Arc<Config>>>,
    new_runtime: NewRuntime,
    nodes: Vec<Node>,
    /// The next event of the story.
    events: VecDeque<(i64, Event)>,
    blows: VecDeque<(i64, Blow)>,
    /// Rounds of the calm at the end.
    calm: Option<u32>,
    calm_since: i64,
    /// Moments in a row at which all were at rest, and something was long due.
    idle: u32,
}

/// A host, and its process.
struct Node {
    seat: Arc<Seat>,
    process: Option<Process>,
    /// When the next process starts.
    rises_at: i64,
}

struct Process {
    life: Pin<Box<dyn Future<Output = Result<(), Violation>>>>,
    runtime: Runtime,
    /// The moment up to which its own time has passed.
    driven_to: i64,
    /// It may have something to do.
    is_awake: bool,
}

/// How a turn of a process ends.
enum Turn {
    /// It waits for time to pass.
    Waits,
    /// It is killed, or stands still.
    Stopped,
    Over(Result<(), Violation>),
}

/// Rounds of the calm, each some hours after the one before.
const CALM: u32 = 3;
/// Turns of a history, far more than any takes.
const MOST_TURNS: u32 = 2_000_000;

/// The name of the node of this host.
pub(crate) fn name_of(host: usize) -> String {
    format!("node{host}")
}

/// The host of a node's name.
fn host_of(name: &str) -> Option<usize> {
    name.strip_prefix("node")?.parse().ok()
}

/// How far the clocks of nodes may be from each other, more than they ever are.
pub(crate) const MOST_DIFFERENCE: i64 = 4 * fate::MOST_OFFSET;

/// Takes in what the process of this host has done up to here.
pub(crate) fn take_in(world: &World, host: usize) {
    if world.is_alone() {
        return;
    }
    let mut state = world.lock();
    if let Err(violation) = record::take(&world.store, &mut state, host) {
        state.violation.get_or_insert(violation);
    }
}

/// Plays a history of several nodes to its end.
pub(super) fn play(
    seed: u64,
    world: &Arc<World>,
    configs: Vec<Arc<Config>>,
    new_runtime: NewRuntime,
) -> Result<(), Violation> {
    let count = world.nodes.unwrap_or(1);
    let fate = fate::Fate::from_seed(seed, count, &world.story);
    let failed = |error: StoreError| broken(&error.to_string());
    record::begin(&world.store).map_err(failed)?;
    faults::prepare(world).map_err(failed)?;
    {
        let mut state = world.lock();
        for (host, offset) in state.hosts.iter_mut().zip(&fate.offsets) {
            host.offset = *offset;
        }
        state.set_clock();
    }
    let node = |host| Node { seat: Seat::new(world, host), process: None, rises_at: world.story.start };
    let mut cluster = Cluster {
        world: Arc::clone(world),
        configs: Arc::new(configs),
        new_runtime,
        nodes: (0..count).map(node).collect(),
        events: world.story.events.iter().copied().collect(),
        blows: fate.blows.into(),
        calm: None,
        calm_since: 0,
        idle: 0,
    };
    cluster.play()
}

impl Cluster {
    fn play(&mut self) -> Result<(), Violation> {
        for _ in 0..MOST_TURNS {
            self.happen()?;
            if self.calm.is_some_and(|rounds| rounds >= CALM) {
                return Ok(());
            }
            match self.choose()? {
                Some(host) => self.drive(host)?,
                None => self.advance()?,
            }
        }
        Err(broken("the history does not come to its end"))
    }

    /// Whose turn it is; `None` where nobody has anything to do before time passes.
    fn choose(&mut self) -> Result<Option<usize>, Violation> {
        let now = self.world.lock().now;
        for host in 0..self.nodes.len() {
            let node = &self.nodes[host];
            if node.process.is_none() && node.rises_at <= now {
                self.rise(host)?;
            }
        }
        let mut state = self.world.lock();
        let has_turn = |host: &usize| {
            let is_awake = self.nodes[*host].process.as_ref().is_some_and(|process| process.is_awake);
            is_awake && state.hosts[*host].stalls_until <= now
        };
        let awake: Vec<usize> = (0..self.nodes.len()).filter(has_turn).collect();
        Ok(state.dice.choice(&awake).copied())
    }

    fn rise(&mut self, host: usize) -> Result<(), Violation> {
        let runtime = (self.new_runtime)().map_err(|error| broken(&error.to_string()))?;
        let mut state = self.world.lock();
        state.rise(host);
        let driven_to = state.now;
        state.log_now(|| format!("node {host} starts"));
        drop(state);
        let life = Box::pin(life::live(Arc::clone(&self.nodes[host].seat), Arc::clone(&self.configs)));
        self.nodes[host].process = Some(Process { life, runtime, driven_to, is_awake: true });
        Ok(())
    }

    /// The process goes on until it waits for time to pass, or stops.
    fn drive(&mut self, host: usize) -> Result<(), Violation> {
        let node = &mut self.nodes[host];
        let Some(process) = &mut node.process else { return Ok(()) };
        let now = self.world.lock().now;
        let seat = Arc::clone(&node.seat);
        seat.go_on();
        let passed = Duration::from_micros((now - process.driven_to).unsigned_abs()).max(life::INSTANT);
        let Process { life, runtime, driven_to, is_awake } = process;
        let turn = runtime.block_on(async {
            tokio::select! {
                biased;
                end = life.as_mut() => Turn::Over(end),
                () = seat.stopped() => Turn::Stopped,
                () = tokio::time::sleep(passed) => Turn::Waits,
            }
        });
        if matches!(turn, Turn::Waits) {
            (*driven_to, *is_awake) = (now, false);
        }
        end_fault(&self.world);
        {
            let mut state = self.world.lock();
            if record::take(&self.world.store, &mut state, host)? {
                self.idle = 0;
            }
            if let Some(violation) = state.violation.take() {
                return Err(violation);
            }
        }
        match turn {
            Turn::Waits => Ok(()),
            Turn::Over(end) => {
                end?;
                self.bury(host, false);
                Ok(())
            }
            Turn::Stopped => self.stop(host),
        }
    }

    fn stop(&mut self, host: usize) -> Result<(), Violation> {
        let mut state = self.world.lock();
        let it = &state.hosts[host];
        if it.goes_in_circles() {
            return Err(broken("a tick does not come to its end"));
        }
        if it.motion == Motion::Dead {
            drop(state);
            self.bury(host, true);
        } else if it.stalls_until > state.now {
            let seconds = (it.stalls_until - state.now) / SECOND;
            state.counts.stalls += 1;
            state.cut_attempts(host);
            state.was_disturbed = true;
            state.log_now(|| format!("node {host} stands still for {seconds} s"));
        }
        Ok(())
    }

    /// The process has ended; another one starts some time later.
    fn bury(&mut self, host: usize, is_killed: bool) {
        self.nodes[host].process = None;
        let mut state = self.world.lock();
        if is_killed {
            state.cut_attempts(host);
            state.was_disturbed = true;
            state.counts.crashes += 1;
            state.log_now(|| format!("node {host} is killed"));
        } else {
            state.counts.restarts += 1;
            state.log_now(|| format!("node {host} stops"));
        }
        let is_soon = (state.dice.u8(0..3) != 0 && state.busy < 100) || state.is_calm;
        let most = if is_soon { 20 * SECOND } else { HOUR };
        let pause = state.dice.i64(SECOND / 2..most);
        self.nodes[host].rises_at = state.now + pause;
    }
}
