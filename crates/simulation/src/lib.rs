//! Deterministic simulation: the real engine in a simulated world, driven by a seed, against an
//! oracle of the promise.
//!
//! [`play`] makes a history of a seed: some flows, a writer's rows (late ones, merges, deletes),
//! and what befalls the machine and the servers. It then drives the real [`leadflow::engine`],
//! [`leadflow::planner`] and [`leadflow::store`] (on an in-memory `SQLite` that outlives
//! the process) through it. Simulated are the edges alone: the table service, the mail servers, the
//! clock, and the death of the process at any operation of the state, any page, any step of a mail
//! session. At the end the oracle compares what the writer wrote with what the mail servers took.
//!
//! With [`Options::nodes`] several engines share the state, each on a machine of its own; see `nodes`.
//!
//! Nothing that is not of the seed has a say: one thread, a driven clock, no wall time, no random
//! numbers of the system where they could change what happens.

mod events;
mod file;
mod host;
mod journal;
mod mail;
mod nodes;
mod oracle;
mod process;
mod seat;
mod servers;
mod services;
mod state;
mod story;
mod table;
mod world;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use leadflow::platform::blocking::Runner;
use leadflow::store::Store;
use process::{End, Machine};
use story::Story;
use tokio::runtime::Runtime;
use world::World;

/// Makes the runtime of a process: one thread, and a time that is paused and passes when nothing else is to be
/// done. It comes from outside, since tokio has such a time for tests alone: a program that is built beside this
/// crate is to be the same as without it.
pub type NewRuntime = fn() -> io::Result<Runtime>;

/// How a history is played.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// A fault that is put into leadflow, to see that the oracle finds it.
    pub break_it: Option<Break>,
    /// Keep the list of what happened.
    pub log: bool,
    /// Nodes that share the state; without it one process has it for itself.
    pub nodes: Option<Nodes>,
}

/// How many nodes share a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nodes {
    /// So many, up to three.
    Exactly(usize),
    /// From one to three, as the seed says.
    Any,
}

impl Nodes {
    fn count(self, seed: u64) -> usize {
        match self {
            Self::Exactly(count) => count.clamp(1, nodes::MOST_NODES),
            Self::Any => nodes::count(seed),
        }
    }
}

/// A fault that a broken leadflow could have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// Nothing before the watermark is read again.
    NoOverlap,
    /// The watermark moves when a scan begins, and not with its commit.
    WatermarkBeforeCommit,
    /// A new process does not know which rows are seen.
    ForgottenKeys,
    /// A new process takes a mail that was being sent for one that was not.
    NoDoubt,
    /// A flow begins one window before the table answers, however late that is.
    BeginByAnswer,
    /// What is known of a table is forgotten when the flow reads another one.
    ForgottenTables,
    /// A failed run waits for the next slot.
    NoRetry,
    /// A mail in the middle of which a session broke stays the first of its lane.
    NoStepAside,
    /// A slot counts as taken before its run has ended.
    SlotBeforeEnd,
    /// A node whose lease was taken over commits all the same.
    NoFence,
    /// A lease is taken over before it ends.
    EarlyTakeover,
    /// A node goes on to send when its lease has ended.
    NoLeaseGuard,
    /// A node begins a run of a flow that another one has under way.
    TwoRunners,
}

impl Break {
    /// Every fault of one process, with its name on a command line.
    pub const ALL: [(&str, Self); 9] = [
        ("no-overlap", Self::NoOverlap),
        ("watermark-before-commit", Self::WatermarkBeforeCommit),
        ("forgotten-keys", Self::ForgottenKeys),
        ("no-doubt", Self::NoDoubt),
        ("begin-by-answer", Self::BeginByAnswer),
        ("forgotten-tables", Self::ForgottenTables),
        ("no-retry", Self::NoRetry),
        ("no-step-aside", Self::NoStepAside),
        ("slot-before-end", Self::SlotBeforeEnd),
    ];
    /// Faults of nodes that share a state.
    pub const OF_NODES: [(&str, Self); 4] = [
        ("no-fence", Self::NoFence),
        ("early-takeover", Self::EarlyTakeover),
        ("no-lease-guard", Self::NoLeaseGuard),
        ("two-runners", Self::TwoRunners),
    ];
}

/// What happened in a history that kept the promise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Rows that were inserted, merged or deleted.
    pub writes: u64,
    /// Ticks of the daemon.
    pub ticks: u64,
    /// Runs that were recorded.
    pub runs: u64,
    /// Versions of rows that had to be mailed.
    pub owed: u64,
    /// Mails that were offered to a mail server.
    pub mails: u64,
    /// Tries to hand one over.
    pub tries: u64,
    /// Processes that were killed.
    pub crashes: u64,
    /// Processes that stopped by themselves.
    pub restarts: u64,
    /// Machines that stood still.
    pub stalls: u64,
    /// Machines that could not reach the state.
    pub cuts: u64,
    /// Leases that ended and were taken over.
    pub lapses: u64,
    /// Operations that failed since the disk was full or the state busy.
    pub endured: u64,
    /// Recipients of mails with the mark of uncertainty.
    pub uncertain: u64,
    /// Recipients that got a mail more than once; each has the mark.
    pub repeats: u64,
    /// Recipients that were refused for good, or are held after three uncertain tries.
    pub held: u64,
    /// Recipients that are held since the mail broke each session.
    pub broken: u64,
    /// What happened, if it was asked for.
    pub events: Vec<String>,
}

impl Report {
    /// Adds the figures of another history.
    pub fn add(&mut self, other: &Self) {
        self.writes += other.writes;
        self.ticks += other.ticks;
        self.runs += other.runs;
        self.owed += other.owed;
        self.mails += other.mails;
        self.tries += other.tries;
        self.crashes += other.crashes;
        self.restarts += other.restarts;
        self.stalls += other.stalls;
        self.cuts += other.cuts;
        self.lapses += other.lapses;
        self.endured += other.endured;
        self.uncertain += other.uncertain;
        self.repeats += other.repeats;
        self.held += other.held;
        self.broken += other.broken;
    }
}

/// A history in which the promise was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// In which way.
    pub kind: Kind,
    /// What is wrong.
    pub message: String,
    /// What happened before.
    pub events: Vec<String>,
}

/// The ways to break the promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A row, or a recipient of its mail, was left out.
    Lost,
    /// Something was sent again without the mark.
    Repeated,
    /// A mark of uncertainty without a cause.
    Marked,
    /// Mails of a flow left in another order, a flow stood still, the state is damaged.
    Broken,
}

impl Violation {
    fn new(kind: Kind, message: String) -> Self {
        Self { kind, message, events: Vec::new() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.message)
    }
}

/// Plays the history of a seed. The same seed plays the same history, whatever else happens.
///
/// # Errors
/// When the promise is broken, with all that happened.
pub fn play(seed: u64, options: Options, new_runtime: NewRuntime) -> Result<Report, Violation> {
    let result = play_once(seed, options, new_runtime);
    if result.is_ok() || options.log {
        return result;
    }
    play_once(seed, Options { log: true, ..options }, new_runtime)
}

fn play_once(seed: u64, options: Options, new_runtime: NewRuntime) -> Result<Report, Violation> {
    let broken = |error: &dyn fmt::Display| Violation::new(Kind::Broken, error.to_string());
    let true_time = Arc::new(AtomicI64::new(0));
    let hands = Arc::clone(&true_time);
    let store = match options.nodes {
        None => Store::in_memory(),
        Some(_) => Store::of_nodes(Arc::new(move || hands.load(Ordering::Relaxed))),
    };
    let store = store.map_err(|error| broken(&error))?.by(Runner::Inline(Arc::new(state::Undisturbed)));
    let world = World::new(seed, Story::from_seed(seed), store, true_time, options);
    let configs = file::configs(&world)?;
    let played = if world.is_alone() {
        live(&mut Machine::new(Arc::clone(&world), configs), new_runtime)
    } else {
        nodes::play(seed, &world, configs, new_runtime)
    };
    let result = played.and_then(|()| oracle::judge(&world));
    let events = world.lock().events.take().unwrap_or_default();
    match result {
        Ok(()) => Ok(Report { events, ..world.lock().counts.clone() }),
        Err(violation) => Err(Violation { events, ..violation }),
    }
}

/// Each process has a runtime of its own, whose end is the end of all its tasks.
fn live(machine: &mut Machine, new_runtime: NewRuntime) -> Result<(), Violation> {
    loop {
        let runtime = new_runtime().map_err(|error| Violation::new(Kind::Broken, error.to_string()))?;
        let end = runtime.block_on(machine.live())?;
        drop(runtime);
        if end == End::Over {
            return Ok(());
        }
        machine.bury(&end);
    }
}
