//! What the nodes do to the state, in its order, and whether they may: each claim, commit and takeover is held against
//! the leases by the true time.

use std::collections::BTreeMap;

use super::super::world::State;
use super::super::{Kind, Violation};
use leadflow::store::{LEASE, Store, StoreError};

/// What is known of owners, runs and mails that are under way.
#[derive(Debug, Default)]
pub(crate) struct Record {
    owners: BTreeMap<String, Owner>,
    /// The owner of each host's last process that joined.
    last: BTreeMap<usize, String>,
    runs: BTreeMap<i64, (String, String)>,
    /// Mails that are being sent: their lane and their owner.
    sending: BTreeMap<i64, (String, String)>,
}

#[derive(Debug)]
struct Owner {
    host: usize,
    /// When its lease ends, by the true time.
    until: i64,
}

/// The end of a lease that was taken over.
const GONE: i64 = i64::MIN;

/// One change.
#[derive(Debug)]
struct Entry {
    event: String,
    number: i64,
    about: String,
    owner: String,
}

const LOG: [&str; 8] = [
    "CREATE TEMP TABLE happened (what TEXT, number INTEGER, about TEXT, owner TEXT)",
    "CREATE TEMP TRIGGER run_claimed AFTER INSERT ON runs WHEN NEW.outcome = 'running'
     BEGIN INSERT INTO happened VALUES ('claim', NEW.id, NEW.flow, NEW.owner); END",
    "CREATE TEMP TRIGGER run_ended AFTER UPDATE OF outcome ON runs
     WHEN OLD.outcome = 'running' AND NEW.outcome NOT IN ('running', 'hidden')
     BEGIN INSERT INTO happened VALUES (iif(NEW.outcome = 'interrupted', 'interrupt', 'end'), NEW.id, NEW.flow, NEW.owner); END",
    "CREATE TEMP TRIGGER run_withdrawn AFTER DELETE ON runs WHEN OLD.outcome = 'running'
     BEGIN INSERT INTO happened VALUES ('end', OLD.id, OLD.flow, OLD.owner); END",
    "CREATE TEMP TRIGGER mail_sent AFTER UPDATE OF sending ON mails WHEN OLD.sending != NEW.sending
     BEGIN INSERT INTO happened VALUES (iif(NEW.sending = 1, 'send', 'sent'), NEW.id, NEW.connections, coalesce(NEW.owner, OLD.owner)); END",
    "CREATE TEMP TRIGGER node_joined AFTER INSERT ON nodes
     BEGIN INSERT INTO happened VALUES ('join', NEW.seen, NEW.name, NEW.owner); END",
    "CREATE TEMP TRIGGER node_beat AFTER UPDATE ON nodes WHEN OLD.owner IS NOT NULL
     BEGIN INSERT INTO happened VALUES (iif(NEW.owner IS NULL, 'lapse', iif(NEW.lease_until = 0, 'leave', 'join')), NEW.seen, NEW.name, OLD.owner); END",
    "CREATE TEMP TRIGGER node_left AFTER DELETE ON nodes WHEN OLD.owner IS NOT NULL
     BEGIN INSERT INTO happened VALUES ('leave', OLD.seen, OLD.name, OLD.owner); END",
];

/// From now on the state notes what is done to it.
pub(super) fn begin(store: &Store) -> Result<(), StoreError> {
    LOG.iter().try_for_each(|make| store.raw(make).map(drop))
}

/// What was noted since the last time.
fn taken(store: &Store) -> Result<Vec<Entry>, StoreError> {
    let all = "SELECT group_concat(what || ' ' || number || ' ' || owner || ' ' || about, char(10)) FROM \
               happened";
    let Some(all) = store.raw(all)?.filter(|all| !all.is_empty()) else { return Ok(Vec::new()) };
    store.raw("DELETE FROM happened")?;
    let entry = |line: &str| {
        let mut parts = line.splitn(4, ' ');
        let event = parts.next()?.to_owned();
        let number = parts.next()?.parse().ok()?;
        let owner = parts.next()?.to_owned();
        Some(Entry { event, number, owner, about: parts.next().unwrap_or_default().to_owned() })
    };
    Ok(all.lines().filter_map(entry).collect())
}

/// Takes in what a process of this host has done at this moment. Returns whether it has done anything but to renew its
/// lease.
pub(super) fn take(store: &Store, state: &mut State, by: usize) -> Result<bool, Violation> {
    let entries = taken(store).map_err(|error| Violation::new(Kind::Broken, error.to_string()))?;
    let mut is_news = false;
    for entry in entries {
        is_news |= entry.event != "join";
        let now = state.now;
        if let Some(wrong) = state.record.note(&entry, by, now) {
            let Entry { event, number, about, .. } = entry;
            return Err(Violation::new(Kind::Broken, format!("node {by} {wrong}: {event} {number} {about}")));
        }
        if entry.event == "lapse" {
            state.counts.lapses += 1;
            state.was_disturbed = true;
            let host = state.record.owners.get(&entry.owner).map(|owner| owner.host);
            if let Some(host) = host {
                state.cut_attempts(host);
            }
        }
        if is_news {
            state.log_now(|| format!("node {by}: {} {} {}", entry.event, entry.number, entry.about));
        }
    }
    Ok(is_news)
}

impl Record {
    /// What is wrong with it, if anything is.
    fn note(&mut self, entry: &Entry, by: usize, now: i64) -> Option<&'static str> {
        let Entry { event, number, about, owner } = entry;
        let (is_by_owner, is_held, is_gone) = match self.owners.get(owner) {
            Some(known) => (known.host == by, known.until > now, known.until == GONE),
            None => (false, false, false),
        };
        match event.as_str() {
            "join" => {
                let host = super::host_of(about)?;
                let until = number + i64::try_from(LEASE.as_micros()).unwrap_or_default();
                self.owners.insert(owner.clone(), Owner { host, until });
                let before = self.last.insert(host, owner.clone()).filter(|before| before != owner);
                // Who joins anew takes over from itself.
                if let Some(before) = before.and_then(|before| self.owners.get_mut(&before)) {
                    before.until = GONE;
                }
                return None;
            }
            "lapse" | "leave" => {
                self.owners.entry(owner.clone()).and_modify(|known| known.until = GONE);
                return (event == "lapse" && is_held).then_some("takes over before a lease has ended");
            }
            "claim" => {
                let is_beside = self.runs.values().any(|(flow, _)| flow == about);
                self.runs.insert(*number, (about.clone(), owner.clone()));
                if is_beside {
                    return Some("runs a flow beside itself");
                }
            }
            "send" => {
                let is_beside = self.sending.values().any(|(lane, other)| lane == about && other != owner);
                self.sending.insert(*number, (about.clone(), owner.clone()));
                if is_beside {
                    return Some("sends in a lane that is another node's");
                }
            }
            "interrupt" => {
                self.runs.remove(number);
                return (is_held && !is_by_owner).then_some("interrupts a run of a node whose lease holds");
            }
            "end" => drop(self.runs.remove(number)),
            _ => {
                self.sending.remove(number);
                // Who takes over marks it as uncertain.
                if is_gone {
                    return None;
                }
            }
        }
        if !is_by_owner {
            return Some("does what is another node's to do");
        }
        (!is_held).then_some("commits after its lease has ended")
    }

    /// Whether the process on this host may act.
    pub(crate) fn has_lease(&self, host: usize, now: i64) -> bool {
        let owner = self.last.get(&host).and_then(|owner| self.owners.get(owner));
        owner.is_some_and(|owner| owner.until > now)
    }

    /// Whether it may be that a lease holds, beside those of these hosts.
    pub(super) fn holds_beside(&self, hosts: &[usize], now: i64) -> bool {
        let holds = |host: &usize| !hosts.contains(host) && self.has_lease(*host, now);
        self.last.keys().any(holds)
    }
}
