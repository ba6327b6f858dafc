//! From a seed to a history: flows, what a writer writes, what befalls the machine and the servers.

use fastrand::Rng;

use super::servers::{self, Poison};

/// Microseconds.
pub(super) const SECOND: i64 = 1_000_000;
pub(super) const MINUTE: i64 = 60 * SECOND;
pub(super) const HOUR: i64 = 60 * MINUTE;
/// 2026-03-02T08:00:00Z.
const EPOCH: i64 = 1_772_438_400 * SECOND;

/// A history before it happens. All moments are microseconds since 1970, in the true time, which
/// is the table service's.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) start: i64,
    /// From here on all is well.
    pub(super) end: i64,
    /// The machine is not looked at more often than this.
    pub(super) step: i64,
    pub(super) offset: i64,
    pub(super) plans: Vec<Plan>,
    /// `files[version][flow]`.
    pub(super) files: Vec<Vec<Definition>>,
    pub(super) writes: Vec<Write>,
    pub(super) events: Vec<(i64, Event)>,
    /// Recipients that the mail servers refuse for good.
    pub(super) refused: Vec<u8>,
    /// What breaks the sessions of mail servers.
    pub(super) poison: Option<Poison>,
}

/// What never changes of a flow.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) is_change: bool,
    pub(super) each_row: bool,
    pub(super) catch_up: bool,
    pub(super) window: i64,
    pub(super) overlap: i64,
    pub(super) look_back: i64,
}

/// What a reload may change of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Definition {
    pub(super) enabled: bool,
    pub(super) table: usize,
    pub(super) rule: Rule,
    /// Rows of both kinds, not of the plain kind alone.
    pub(super) is_wide: bool,
    pub(super) to: Vec<u8>,
    pub(super) connections: Vec<usize>,
    pub(super) minutes: i64,
    pub(super) per_hour: u32,
}

/// The condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// `length > 0` or `length >= n`: rows gather until it holds.
    AtLeast(usize),
    /// `length == 0`: a heartbeat, rows are skipped.
    Nothing,
}

/// A write to a table.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) table: usize,
    pub(super) key: String,
    pub(super) is_plain: bool,
    /// `None` deletes.
    pub(super) timestamp: Option<i64>,
    pub(super) visible: i64,
}

/// Something that befalls the machine, its file or the servers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    Reload(usize),
    Off(usize),
    On(usize),
    /// The machine's clock against the true time.
    Offset(i64),
    Dateless(bool),
    /// Pages that are left on the disk.
    Disk(Option<i64>),
    /// How many operations on the state of a hundred find it held by another process.
    Busy(u8),
    /// How many pages of a hundred fail of a table.
    Table(usize, u8),
    Mails(usize, Mood),
    /// The process dies this many steps later.
    Crash(u32),
    Restart,
    /// The machine stands still so long.
    Standstill(i64),
}

/// How a mail server is today.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mood {
    pub(super) is_down: bool,
    pub(super) refuses_sender: bool,
    /// How many messages of a hundred meet a failure.
    pub(super) failures: u8,
}

impl Story {
    pub(super) fn from_seed(seed: u64) -> Self {
        let mut dice = Rng::with_seed(seed ^ 0x1eaf_f10a_5eed_0001);
        let minutes = dice.choice([10, 30, 60, 60, 360, 1440]).unwrap_or(60);
        let start = EPOCH + dice.i64(0..60 * 24 * HOUR);
        let base = minutes * MINUTE;
        let end = start + base * dice.i64(5..14);
        let tables = dice.usize(1..=2);
        let (count, servers) = (dice.choice([1, 1, 1, 2, 2, 3]).unwrap_or(1), servers::count(&mut dice));
        let plans: Vec<Plan> = (0..count).map(|flow| plan(&mut dice, flow, base)).collect();
        let first: Vec<_> = plans.iter().map(|_| definition(&mut dice, minutes, tables, servers)).collect();
        let mut files = vec![first];
        for _ in 0..dice.choice([0, 0, 1, 1, 2, 3, 4]).unwrap_or(0) {
            let next = files.last().map(|last| edited(&mut dice, last, minutes, tables, servers));
            files.extend(next);
        }
        let whole = files.last().cloned().unwrap_or_default();
        files.push(whole.into_iter().map(|flow| Definition { enabled: true, ..flow }).collect());
        let most_late = plans.iter().map(|plan| plan.overlap).max().unwrap_or(MINUTE);
        let poison = Poison::draw(&mut dice, servers);
        // A mail is held only when many others have gone through.
        let is_long = minutes <= 60 && poison.is_some() && dice.bool();
        let end = if is_long { end + 20 * base } else { end };
        let many = if is_long { dice.usize(24..60) } else { dice.usize(2..16) };
        let writes = writes(&mut dice, tables, (start, end, base), most_late, many);
        let events = events(&mut dice, (start, end, base), count, tables, servers, files.len() - 1);
        let refused = if dice.u8(0..4) == 0 { vec![dice.u8(0..4)] } else { Vec::new() };
        let step = dice.choice([SECOND, base / 4, base / 2]).unwrap_or(base);
        let offset = if dice.bool() { 0 } else { dice.i64(-4 * MINUTE..4 * MINUTE) };
        Self { start, end, step, offset, plans, files, writes, events, refused, poison }
    }
}

fn plan(dice: &mut Rng, flow: usize, base: i64) -> Plan {
    let overlap = dice.choice([MINUTE, 5 * MINUTE, 15 * MINUTE, 15 * MINUTE]).unwrap_or(MINUTE);
    Plan {
        name: format!("flow{flow}"),
        is_change: dice.u8(0..3) == 0,
        each_row: dice.u8(0..4) == 0,
        catch_up: dice.u8(0..6) != 0,
        window: if dice.bool() { base } else { MINUTE * dice.i64(1..=60) },
        overlap,
        look_back: if dice.bool() { 7 * 24 * HOUR } else { MINUTE },
    }
}

fn definition(dice: &mut Rng, minutes: i64, tables: usize, servers: usize) -> Definition {
    let mut to: Vec<u8> = (0..4).collect();
    dice.shuffle(&mut to);
    to.truncate(dice.usize(1..=3));
    let mut connections: Vec<usize> = (0..servers).collect();
    dice.shuffle(&mut connections);
    connections.truncate(dice.usize(1..=servers));
    Definition {
        enabled: dice.u8(0..12) != 0,
        table: dice.usize(0..tables),
        rule: rule(dice),
        is_wide: dice.u8(0..3) != 0,
        to,
        connections,
        minutes: minutes * dice.i64(1..=2),
        per_hour: if dice.u8(0..5) == 0 { 2 } else { 1_000 },
    }
}

fn rule(dice: &mut Rng) -> Rule {
    match dice.u8(0..10) {
        0 => Rule::Nothing,
        1..=2 => Rule::AtLeast(3),
        _ => Rule::AtLeast(1),
    }
}

/// A person changes some of it.
fn edited(
    dice: &mut Rng,
    old: &[Definition],
    minutes: i64,
    tables: usize,
    servers: usize,
) -> Vec<Definition> {
    let mut new = old.to_vec();
    for flow in &mut new {
        let other = definition(dice, minutes, tables, servers);
        match dice.u8(0..9) {
            0 => flow.to = other.to,
            1 => flow.minutes = other.minutes,
            2 => flow.rule = other.rule,
            3 => flow.is_wide |= other.is_wide,
            4 => flow.connections = other.connections,
            5..=7 => flow.table = (flow.table + 1) % tables,
            _ => flow.enabled = other.enabled,
        }
    }
    new
}

/// What is known of a key while its writes are made up.
struct Written {
    table: usize,
    key: String,
    is_plain: bool,
    last: i64,
    is_there: bool,
}

fn writes(
    dice: &mut Rng,
    tables: usize,
    (start, end, base): (i64, i64, i64),
    most_late: i64,
    count: usize,
) -> Vec<Write> {
    let mut times: Vec<i64> = (0..count).map(|_| moment(dice, start, end, base)).collect();
    times.sort_unstable();
    let mut keys: Vec<Written> = Vec::new();
    let mut writes = Vec::new();
    let mut last = None;
    for time in times {
        // Two rows of one batch have one Timestamp.
        let at = last.filter(|_| dice.u8(0..5) == 0).unwrap_or(time);
        last = Some(at);
        let known: Vec<usize> = (0..keys.len()).filter(|index| keys[*index].last < at).collect();
        let index = if let Some(index) = dice.choice(&known).filter(|_| dice.u8(0..10) < 4) {
            *index
        } else {
            let table = dice.usize(0..tables);
            let key = format!("p{}/{:03}", dice.u8(0..3), keys.len());
            // Anywhere among the keys, so that a scan may have passed its place already.
            let key = format!("{}-{key}", dice.char('a'..='f'));
            keys.push(Written { table, key, is_plain: dice.u8(0..4) != 0, last: 0, is_there: false });
            keys.len() - 1
        };
        let known = &mut keys[index];
        let deletes = known.is_there && dice.bool();
        let late = if deletes { 0 } else { late(dice, most_late) };
        // A row that is stamped before a scan and seen after it, or a row that comes while it goes on.
        let at = if dice.bool() { at } else { (at - late).max(known.last + 1) };
        let visible = at + late;
        known.is_there = !deletes;
        known.last = visible;
        writes.push(Write {
            table: known.table,
            key: known.key.clone(),
            is_plain: known.is_plain,
            timestamp: (!deletes).then_some(at),
            visible,
        });
    }
    writes.sort_by_key(|write| write.visible);
    writes
}

/// Often close to a slot, where rows are lost if they are lost at all.
fn moment(dice: &mut Rng, start: i64, end: i64, base: i64) -> i64 {
    let at = match dice.u8(0..10) {
        0 => dice.i64(start - 2 * base..start),
        1..=5 => {
            let slot = start + base * dice.i64(0..=(end - start) / base);
            slot + dice.i64(-MINUTE..20 * SECOND)
        }
        _ => dice.i64(start..end),
    };
    at.min(end)
}

fn late(dice: &mut Rng, most: i64) -> i64 {
    match dice.u8(0..20) {
        0..=9 => dice.i64(0..SECOND),
        10..=17 => dice.i64(0..=most),
        18 => most,
        // Outside the promise.
        _ => dice.i64(most..6 * most),
    }
}

fn events(
    dice: &mut Rng,
    (start, end, base): (i64, i64, i64),
    flows: usize,
    tables: usize,
    servers: usize,
    files: usize,
) -> Vec<(i64, Event)> {
    let mut events = Vec::new();
    if dice.u8(0..4) == 0 {
        // The first runs fail, for longer than a window.
        let table = dice.usize(0..tables);
        events.push((start, Event::Table(table, 100)));
        events.push(((start + dice.i64(0..4 * base)).min(end - 1), Event::Table(table, 0)));
    }
    let mut reloads: Vec<i64> = (1..files).map(|_| dice.i64(start..end)).collect();
    reloads.sort_unstable();
    events.extend(reloads.into_iter().zip(1..).map(|(at, file)| (at, Event::Reload(file))));
    let quirks = dice.bool();
    if quirks {
        let server = dice.usize(0..servers);
        events.push((start, Event::Mails(server, Mood { failures: dice.u8(5..40), ..Mood::default() })));
    }
    for _ in 0..dice.u8(0..7) {
        let at = dice.i64(start..end);
        let until = at + dice.i64(MINUTE..(end - start) / 2);
        let (first, second) = happening(dice, flows, tables, servers, (end - start) / 4);
        events.push((at, first));
        events.extend(second.map(|second| (until, second)));
    }
    // The order of those that fall together is the order in which they were made up.
    events.sort_by_key(|(at, _)| *at);
    events
}

/// What begins, and how it ends.
fn happening(
    dice: &mut Rng,
    flows: usize,
    tables: usize,
    servers: usize,
    long: i64,
) -> (Event, Option<Event>) {
    let server = dice.usize(0..servers);
    let flow = dice.usize(0..flows);
    let calm = Mood::default();
    let mood = Mood::default();
    match dice.u8(0..23) {
        0..=6 => (Event::Crash(dice.u32(1..70)), None),
        7..=8 => (Event::Restart, None),
        9 => (Event::Standstill(dice.i64(MINUTE..long + 3 * 24 * HOUR)), None),
        10 => (Event::Off(flow), Some(Event::On(flow))),
        11 => (Event::Offset(dice.i64(-3 * 24 * HOUR..3 * 24 * HOUR)), Some(Event::Offset(0))),
        12 => (Event::Offset(dice.i64(-8 * MINUTE..8 * MINUTE)), Some(Event::Offset(dice.i64(0..MINUTE)))),
        13 => (Event::Dateless(true), Some(Event::Dateless(false))),
        22 => (Event::Busy(dice.choice([20, 60, 100]).unwrap_or(50)), Some(Event::Busy(0))),
        14..=15 => (Event::Disk(Some(dice.i64(0..3))), Some(Event::Disk(None))),
        16..=17 => {
            let table = dice.usize(0..tables);
            let failures = if dice.bool() { 100 } else { dice.u8(10..60) };
            (Event::Table(table, failures), Some(Event::Table(table, 0)))
        }
        18 => (Event::Mails(server, Mood { is_down: true, ..mood }), Some(Event::Mails(server, calm))),
        19 => (Event::Mails(server, Mood { refuses_sender: true, ..mood }), Some(Event::Mails(server, calm))),
        _ => {
            let failures = dice.u8(20..80);
            (Event::Mails(server, Mood { failures, ..mood }), Some(Event::Mails(server, calm)))
        }
    }
}
