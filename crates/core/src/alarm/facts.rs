//! From the facts of the state to the alarms of now.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Alarm, AlarmKind, held_up, nodes};
use crate::flow::{Config, Flow};
use crate::text::counted::counted;

/// What the state says of a flow's health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowState {
    /// When the flow was first seen.
    pub anchor: Timestamp,
    /// When `leadflow on` last turned it on.
    pub on_since: Option<Timestamp>,
    /// `leadflow off` keeps it off.
    pub is_off: bool,
    /// When a run last read the table to its end.
    pub last_read: Option<Timestamp>,
    /// The watermark of the table that it reads.
    pub watermark: Option<Timestamp>,
    /// Runs that failed since then.
    pub failures: u32,
    /// When the first of them ended.
    pub failing_since: Option<Timestamp>,
    /// The last one: its number, what happened, what to do about it.
    pub last_failure: Option<(i64, String, Option<String>)>,
    /// Why the last scan moved no watermark.
    pub clock_problem: Option<String>,
    /// Mails with a recipient that is held.
    pub held: Option<HeldMails>,
    /// Mails that wait for more than their flow's `per_hour`, and when the oldest of them was made.
    pub waiting: Option<(u32, Timestamp)>,
    /// What the server said last of one of them.
    pub waiting_reply: Option<String>,
}

/// Mails of a flow with a recipient that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldMails {
    /// How many.
    pub count: u32,
    /// When the oldest of them was made.
    pub since: Timestamp,
    /// Its number.
    pub oldest: i64,
}

/// A mail connection whose last try failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionState {
    /// Failed tries in a row.
    pub failures: u32,
    /// When the first of them was.
    pub failing_since: Timestamp,
    /// What happened.
    pub what: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// All that alarms are made of beside flows.toml.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Every flow that was ever seen.
    pub flows: BTreeMap<String, FlowState>,
    /// Mail connections that fail.
    pub connections: BTreeMap<String, ConnectionState>,
    /// Since when what is due counts as late.
    pub on_time_since: Option<Timestamp>,
    /// Table connections that hold their flows up.
    pub held_up: NotedAlarms,
    /// When the signatures of table connections end, and where each lies.
    pub ends: BTreeMap<String, (Timestamp, String)>,
    /// Nodes that are gone, and when each was heard of last.
    pub gone_nodes: BTreeMap<String, Timestamp>,
    /// Nodes that have other files or another version.
    pub differing_nodes: NotedAlarms,
}

/// By name, since when and what happens.
pub type NotedAlarms = BTreeMap<String, (Timestamp, String)>;

/// How long before its end a signature is an alarm.
pub const EXPIRES_SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Mail that waits longer than this is late.
const LATE_MAIL: SignedDuration = SignedDuration::from_hours(1);
/// Slots without a completed run that make a flow late.
const SLOTS: u32 = 3;
/// What the last of them is given beyond its time, so that a flow of seconds has some patience.
const GRACE: SignedDuration = SignedDuration::from_mins(5);
/// Failed tries in a row that make a connection's failure an alarm: two to four minutes.
const FAILED_TRIES: u32 = 3;

/// Everything that is wrong at `now`, causes before their effects; an effect whose cause is there
/// is left out.
pub fn current_alarms(config: &Config, facts: &Facts, now: Timestamp) -> Vec<Alarm> {
    let mut alarms: Vec<Alarm> = facts
        .connections
        .iter()
        .filter(|(name, state)| config.mails.contains_key(*name) && state.failures >= FAILED_TRIES)
        .map(|(name, state)| connection(name, state))
        .collect();
    let explains_waiting = !alarms.is_empty();
    let held_up = facts.held_up.iter().filter(|(name, _)| config.tables.contains_key(*name));
    alarms.extend(held_up.map(|(name, (since, what))| held_up::alarm(name, *since, what.clone())));
    for (name, state) in &facts.flows {
        let flow = config.flows.get(name).filter(|flow| flow.enabled && !state.is_off);
        let of_reading = flow.into_iter().flat_map(|flow| of_reading(flow, state, facts.on_time_since, now));
        let is_explained = |kind| {
            kind == AlarmKind::Late
                && flow.is_some_and(|flow| facts.held_up.contains_key(&flow.table.connection))
        };
        alarms.extend(of_reading.filter(|alarm| !is_explained(alarm.kind)));
        alarms.extend(held(name, state));
        alarms.extend(waiting(name, state, now).filter(|_| !explains_waiting));
    }
    alarms.extend(facts.gone_nodes.iter().map(|(name, seen)| nodes::gone(name, *seen)));
    let differing = facts.differing_nodes.iter();
    alarms.extend(differing.filter_map(|(name, (since, what))| nodes::differs(name, *since, what, now)));
    alarms.extend(facts.ends.iter().filter_map(|(name, end)| expiring(name, end, now)));
    alarms
}

fn expiring(name: &str, (ends, place): &(Timestamp, String), now: Timestamp) -> Option<Alarm> {
    let left = ends.duration_since(now);
    let what = if left > SignedDuration::ZERO {
        format!(
            "the shared access signature expires at {ends}, in {}; runs fail after that",
            counted(left.as_hours().unsigned_abs() / 24, "day")
        )
    } else {
        format!("the shared access signature expired at {ends}")
    };
    (left < EXPIRES_SOON).then(|| Alarm {
        kind: AlarmKind::Expiring,
        about: name.to_owned(),
        since: ends.checked_sub(EXPIRES_SOON).unwrap_or(now),
        times: 1,
        what,
        help: format!(
            "make a new one (az storage table generate-sas) and put it into {place}; no rows are missed \
             meanwhile"
        ),
        look: "leadflow check".to_owned(),
    })
}

fn connection(name: &str, state: &ConnectionState) -> Alarm {
    Alarm {
        kind: AlarmKind::Connection,
        about: name.to_owned(),
        since: state.failing_since,
        times: state.failures,
        what: state.what.clone(),
        help: format!(
            "{}; `leadflow outbox retry` retries the waiting mails now",
            state.help.as_deref().unwrap_or("check the connection in flows.toml")
        ),
        look: "leadflow check --online".to_owned(),
    }
}

/// What is wrong with the reading of a flow that is on.
fn of_reading(
    flow: &Flow,
    state: &FlowState,
    on_time_since: Option<Timestamp>,
    now: Timestamp,
) -> Vec<Alarm> {
    let about = flow.name.clone();
    let mut alarms = Vec::new();
    if let Some(problem) = &state.clock_problem {
        alarms.push(Alarm {
            kind: AlarmKind::Clock,
            about: about.clone(),
            since: state.last_read.unwrap_or(now),
            times: 1,
            what: format!(
                "{problem}; no row is lost, but the watermark is not advanced, so each run reads more than \
                 the last"
            ),
            help: "set this machine's clock: timedatectl set-ntp true".to_owned(),
            look: "leadflow check --online".to_owned(),
        });
    }
    if state.failures > 0 {
        let (run, what, help) =
            state.last_failure.clone().unwrap_or((0, "the run is no longer in the history".to_owned(), None));
        alarms.push(Alarm {
            kind: AlarmKind::Failing,
            about,
            since: state.failing_since.unwrap_or(now),
            times: state.failures,
            what,
            help: format!(
                "{}; the next successful run clears this; `leadflow trigger {}` starts one now",
                help.as_deref().unwrap_or("the next run reads what this one missed"),
                flow.name
            ),
            look: format!("leadflow history show {run}"),
        });
    } else if let Some(since) = late_since(flow, state, on_time_since, now) {
        alarms.push(Alarm {
            kind: AlarmKind::Late,
            look: format!("leadflow history {about}"),
            about,
            since,
            times: 1,
            what: format!(
                "no run has read the whole table since {since}, although the flow is scheduled {}",
                flow.recurrence
            ),
            help: "check for a stuck run, then restart leadflow: systemctl restart leadflow".to_owned(),
        });
    }
    alarms
}

/// Since when no run was completed, where three slots have passed since then.
fn late_since(
    flow: &Flow,
    state: &FlowState,
    on_time_since: Option<Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    let since =
        [state.last_read, state.on_since, on_time_since, Some(state.anchor)].into_iter().flatten().max()?;
    // No slot has passed for that long, as nearly always.
    if now.duration_since(since) <= GRACE {
        return None;
    }
    let mut slot = since;
    for _ in 0..SLOTS {
        slot = flow.recurrence.next(state.anchor, slot)?;
    }
    (now.duration_since(slot) > GRACE).then_some(since)
}

fn held(name: &str, state: &FlowState) -> Option<Alarm> {
    let HeldMails { count, since, oldest } = state.held?;
    Some(Alarm {
        kind: AlarmKind::Held,
        about: name.to_owned(),
        since,
        times: 1,
        what: format!(
            "{} no longer retried: a server permanently refused a recipient, or never accepted the whole \
             mail",
            mails(count)
        ),
        help: clears_held(oldest) + if count > 1 { "; `leadflow outbox list` has the others" } else { "" },
        look: format!("leadflow outbox show {oldest}"),
    })
}

/// What a person can do with a mail that is held, each of which ends the alarm.
pub fn clears_held(mail: i64) -> String {
    format!(
        "send mail {mail} to another address with `leadflow outbox send {mail} --to ADDRESS`, to the same one \
         again with `leadflow outbox retry {mail}`, or drop it with `leadflow outbox drop {mail}`"
    )
}

fn waiting(name: &str, state: &FlowState, now: Timestamp) -> Option<Alarm> {
    let (count, since) = state.waiting.filter(|(_, since)| now.duration_since(*since) > LATE_MAIL)?;
    let reply = state.waiting_reply.as_ref().map_or_else(String::new, |reply| format!("; last: {reply}"));
    Some(Alarm {
        kind: AlarmKind::Waiting,
        about: name.to_owned(),
        since,
        times: 1,
        what: format!("{} waiting{reply}", mails(count)),
        help:
            "check the mail server; leadflow retries automatically, and `leadflow outbox retry` retries now"
                .to_owned(),
        look: format!("leadflow history {name}"),
    })
}

fn mails(count: u32) -> String {
    if count == 1 { "1 mail is".to_owned() } else { format!("{count} mails are") }
}
