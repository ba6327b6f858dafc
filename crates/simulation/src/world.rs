//! The world around the process: the true time, the tables, and what everybody wrote down.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use jiff::Timestamp;

use super::host::Host;
use super::mail::{Attempt, Messages};
use super::nodes::{MOST_NODES, Record};
use super::servers::SERVERS;
use super::story::{Definition, Mood, Story, Write};
use super::{Break, Violation};
use leadflow::platform::clock::DrivenClock;
use leadflow::store::Store;

/// The world of one history.
pub(super) struct World {
    pub(super) story: Story,
    /// Without anything that befalls it.
    pub(super) store: Store,
    /// How many nodes share the state; `None` where one process has it for itself.
    pub(super) nodes: Option<usize>,
    pub(super) break_it: Option<Break>,
    state: Mutex<State>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("story", &self.story).finish_non_exhaustive()
    }
}

/// What moves.
pub(super) struct State {
    pub(super) dice: Rng,
    /// The true time, microseconds.
    pub(super) now: i64,
    /// The same for the state, where leases end by it.
    true_time: Arc<AtomicI64>,
    /// The machines, each with a process of leadflow or none.
    pub(super) hosts: Vec<Host>,
    pending: VecDeque<Write>,
    /// By table: the version of each row that can be read now.
    pub(super) tables: Vec<BTreeMap<String, usize>>,
    /// Every version of every row that ever could be read.
    pub(super) versions: Vec<Version>,
    pub(super) flows: Vec<FlowJournal>,
    pub(super) messages: Messages,
    pub(super) attempts: Vec<Attempt>,
    pub(super) moods: Vec<Mood>,
    /// How many pages of a hundred fail, by table.
    pub(super) table_failures: [u8; TABLES],
    /// How many operations on the state of a hundred fail.
    pub(super) busy: u8,
    /// Pages that are left on the disk.
    pub(super) disk: Option<i64>,
    pub(super) is_dateless: bool,
    /// The file that is in force.
    pub(super) file: usize,
    /// A mail was ever refused, deferred or lost, or a process killed.
    pub(super) was_disturbed: bool,
    /// When the machine's clock was last set back; the slots of flows lie otherwise since.
    pub(super) set_back: Option<i64>,
    /// When the clock was set back while no process lived.
    pub(super) set_back_unseen: Option<i64>,
    /// Nothing fails any more.
    pub(super) is_calm: bool,
    /// What nodes have under way, and by which right.
    pub(super) record: Record,
    /// What one of them has done against the promise.
    pub(super) violation: Option<Violation>,
    pub(super) events: Option<Vec<String>>,
    pub(super) counts: super::Report,
}

/// One version of a row.
#[derive(Debug)]
pub(super) struct Version {
    pub(super) table: usize,
    pub(super) key: String,
    pub(super) is_plain: bool,
    pub(super) timestamp: i64,
    pub(super) visible: i64,
    /// When it was written over or deleted.
    pub(super) gone: Option<i64>,
    pub(super) json: String,
}

/// What is known of a flow from outside.
#[derive(Debug, Default)]
pub(super) struct FlowJournal {
    pub(super) tables: [TableJournal; TABLES],
    /// Versions that a run with `length == 0` has seen.
    pub(super) skipped: BTreeSet<usize>,
    /// Rows of both kinds are asked for since.
    pub(super) is_wide_since: Option<i64>,
    pub(super) calm_runs: u32,
}

/// What is known of a flow's way with a table from outside.
#[derive(Debug, Default)]
pub(super) struct TableJournal {
    /// When the flow was first due to read it, in true time, and what the machine's clock showed.
    pub(super) due: Option<(i64, i64)>,
    /// The recurrence by which it was due when the state could not be used, so that no claim of a run recorded it.
    pub(super) unrecorded: Option<i64>,
    /// A run has asked it for something.
    pub(super) was_asked: bool,
    /// The service sent no time when it was asked for it.
    pub(super) began_dateless: bool,
    /// The scans of the run that is under way, by its host.
    pub(super) under_way: [Spans; MOST_NODES],
    /// Scans of runs that ended well, in their order.
    pub(super) scans: Vec<Scan>,
    /// The scan of what lies before the baseline, of the first run that ended well.
    pub(super) first: Option<Scan>,
}

/// The scans of a run.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spans {
    /// Of the rows before the baseline.
    pub(super) before: Option<Span>,
    pub(super) main: Option<Span>,
}

/// From the first request to the last answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) start: i64,
    pub(super) end: Option<i64>,
}

/// A complete scan of a run that ended well.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scan {
    pub(super) file: usize,
    pub(super) start: i64,
    pub(super) end: i64,
}

/// A moment that does not come.
pub(super) const NEVER: i64 = i64::MAX;
/// Tables of the service.
pub(super) const TABLES: usize = 2;
impl World {
    pub(super) fn new(
        seed: u64,
        story: Story,
        shared: Store,
        true_time: Arc<AtomicI64>,
        options: super::Options,
    ) -> Arc<Self> {
        let nodes = options.nodes.map(|nodes| nodes.count(seed));
        let host = |_| Host::new(DrivenClock::new(moment(story.start)), story.offset);
        let first = story.writes.first().map_or(story.start, |write| write.visible.min(story.start)) - 1;
        let state = State {
            dice: Rng::with_seed(seed),
            now: first,
            true_time,
            hosts: (0..nodes.unwrap_or(1)).map(host).collect(),
            pending: story.writes.iter().cloned().collect(),
            tables: vec![BTreeMap::new(); TABLES],
            versions: Vec::new(),
            flows: story.plans.iter().map(|_| FlowJournal::default()).collect(),
            messages: Messages::default(),
            attempts: Vec::new(),
            moods: vec![Mood::default(); SERVERS],
            table_failures: [0; TABLES],
            busy: 0,
            disk: None,
            is_dateless: false,
            file: 0,
            was_disturbed: false,
            set_back: None,
            set_back_unseen: None,
            is_calm: false,
            record: Record::default(),
            violation: None,
            events: options.log.then(Vec::new),
            counts: super::Report::default(),
        };
        let state = Mutex::new(state);
        let break_it = options.break_it;
        let world = Self { story, store: shared, nodes, break_it, state };
        let start = world.story.start;
        world.lock().advance_to(start);
        Arc::new(world)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One process has the state for itself.
    pub(super) fn is_alone(&self) -> bool {
        self.nodes.is_none()
    }

    pub(super) fn definition<'a>(&'a self, state: &State, flow: usize) -> &'a Definition {
        &self.story.files[state.file][flow]
    }
}

impl State {
    /// The daemon of a host ticks.
    pub(super) fn begin_tick(&mut self, host: usize) {
        self.counts.ticks += 1;
        self.hosts[host].steps = 0;
    }

    /// The process of a host begins to tick.
    pub(super) fn tick_at_once(&mut self, host: usize) {
        self.hosts[host].next_tick = self.now;
    }

    /// A new process begins to live on a host.
    pub(super) fn rise(&mut self, host: usize) {
        self.hosts[host].rise(self.attempts.len());
        for table in self.flows.iter_mut().flat_map(|flow| &mut flow.tables) {
            table.under_way[host] = Spans::default();
        }
    }

    /// What was written and becomes visible on the way is in the tables then.
    pub(super) fn advance_to(&mut self, to: i64) {
        while self.pending.front().is_some_and(|write| write.visible <= to) {
            if let Some(write) = self.pending.pop_front() {
                self.write(write);
            }
        }
        self.now = self.now.max(to);
        self.set_clock();
    }

    pub(super) fn advance(&mut self, by: i64) {
        self.advance_to(self.now + by);
    }

    /// The flow reads only this table now, or none: another one that it was due to read and that no run came to
    /// ask is due again when the flow returns to it.
    pub(super) fn leave_tables(&mut self, flow: usize, but: Option<usize>) {
        for (number, table) in self.flows[flow].tables.iter_mut().enumerate() {
            if !table.was_asked && but != Some(number) {
                table.due = None;
            }
        }
    }

    /// A process knows the slots of its own file alone: one that was never recorded, and that the recurrence of now
    /// does not have, went with the process before.
    pub(super) fn forget_unrecorded(&mut self, flow: usize, recurrence: i64) {
        for table in &mut self.flows[flow].tables {
            if table.unrecorded.take().is_some_and(|noted| noted != recurrence) {
                table.due = None;
            }
        }
    }

    /// What the first machine's clock shows.
    pub(super) fn now_by_machine(&self) -> i64 {
        self.now + self.hosts[0].offset
    }

    pub(super) fn set_clock(&mut self) {
        self.true_time.store(self.now, Ordering::Relaxed);
        for host in &self.hosts {
            host.clock.set(moment(self.now + host.offset));
            host.clock.pass(Duration::from_micros(self.now.unsigned_abs()));
        }
    }

    pub(super) fn last_write(&self) -> Option<i64> {
        self.pending.back().map(|write| write.visible)
    }

    fn write(&mut self, write: Write) {
        let Write { table, key, is_plain, timestamp, visible } = write;
        if let Some(old) = self.tables[table].remove(&key) {
            self.versions[old].gone = Some(visible);
        }
        self.counts.writes += 1;
        let Some(timestamp) = timestamp else {
            self.log(visible, || format!("{key} is deleted from table {table}"));
            return;
        };
        let number = self.versions.len();
        self.log(visible, || {
            let kind = if is_plain { "plain" } else { "other" };
            let late = (visible - timestamp) / 1_000;
            format!(
                "{key} (version {number}, {kind}) is in table {table}, {late} ms after its Timestamp {}",
                moment(timestamp)
            )
        });
        let (partition, row) = key.split_once('/').unwrap_or(("", &key));
        let kind = if is_plain { "plain" } else { "other" };
        let mut json = String::with_capacity(128);
        let _ = write!(
            json,
            r#"{{"PartitionKey":"{partition}","RowKey":"{row}","Timestamp":"{:.7}","Kind":"{kind}","V":{number}}}"#,
            moment(timestamp)
        );
        self.versions.push(Version {
            table,
            key: key.clone(),
            is_plain,
            timestamp,
            visible,
            gone: None,
            json,
        });
        self.tables[table].insert(key, number);
    }

    pub(super) fn log(&mut self, at: i64, words: impl FnOnce() -> String) {
        if let Some(events) = &mut self.events {
            events.push(format!("{:.3} {}", moment(at), words()));
        }
    }

    pub(super) fn log_now(&mut self, words: impl FnOnce() -> String) {
        self.log(self.now, words);
    }
}

pub(super) fn moment(at: i64) -> Timestamp {
    Timestamp::from_microsecond(at).unwrap_or_default()
}
