//! Which flows are due: the planner's slots, one run at a time for each flow, missed slots
//! collapsed into one run. Pure: every moment is handed in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::flow::Flow;
use crate::recurrence::Recurrence;

/// The flows of a daemon and their next slots.
#[derive(Debug, Default)]
pub struct Agenda {
    entries: BTreeMap<String, Entry>,
    /// Flows whose run is under way, also those that are not in the file any more.
    running: BTreeSet<String>,
    last_tick: Option<Timestamp>,
    /// No flow comes due before this; `None` where that is not known.
    soonest: Option<Timestamp>,
}

/// What the state knows of a flow when it is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The moment the flow was first seen.
    pub anchor: Timestamp,
    /// The newest slot that a run has taken.
    pub last_slot: Option<Timestamp>,
    /// `leadflow off` keeps it off.
    pub is_off: bool,
}

/// A flow whose slot has come.
#[derive(Debug, Clone)]
pub struct Due {
    /// The flow.
    pub flow: Arc<Flow>,
    /// Its newest slot that has passed.
    pub slot: Timestamp,
}

#[derive(Debug)]
struct Entry {
    flow: Arc<Flow>,
    anchor: Timestamp,
    /// Slots up to here are done with.
    after: Timestamp,
    next: Option<Timestamp>,
    is_off: bool,
}

/// A pause between two ticks after which slots count as missed.
const MISSED: SignedDuration = SignedDuration::from_secs(60);
/// The smallest step of a moment.
const INSTANT: SignedDuration = SignedDuration::from_nanos(1);

impl Agenda {
    /// Takes the flows of a file that was loaded at `now`; `known` says what the state knows.
    /// Runs that are under way stay so, and a flow whose recurrence is the same goes on.
    pub fn replace(
        &mut self,
        flows: &BTreeMap<String, Arc<Flow>>,
        known: &BTreeMap<String, Known>,
        now: Timestamp,
    ) {
        let old = std::mem::take(&mut self.entries);
        let entry = |(name, flow): (&String, &Arc<Flow>)| {
            let mut entry = Entry::new(flow, known.get(name)?, now);
            if let Some(old) = old.get(name).filter(|old| old.flow.recurrence == flow.recurrence) {
                entry.move_on(old.after);
            }
            Some((name.clone(), entry))
        };
        self.entries = flows.iter().filter_map(entry).collect();
        self.soonest = None;
    }

    /// The flows that are due at `now`; they count as running until [`Agenda::ended`].
    pub fn due(&mut self, now: Timestamp) -> Vec<Due> {
        let last_tick = self.last_tick.replace(now);
        let paused = last_tick.is_some_and(|last| now.duration_since(last).abs() > MISSED);
        let went_on = last_tick.is_some_and(|last| last <= now) && !paused;
        if went_on && self.soonest.is_some_and(|soonest| now < soonest) {
            return Vec::new();
        }
        let mut due = Vec::new();
        let mut soonest = Timestamp::MAX;
        for (name, entry) in &mut self.entries {
            // The clock went back: without this the flow would stand still until it has caught up.
            let went_back = entry.after > now + MISSED || entry.anchor > now + MISSED;
            entry.anchor = if went_back { entry.anchor.min(now) } else { entry.anchor };
            if went_back || (paused && !entry.flow.catch_up) {
                entry.move_on(now);
            }
            if entry.is_off || !entry.flow.enabled {
                continue;
            }
            if self.running.contains(name) {
                soonest = now;
                continue;
            }
            if let Some(first) = entry.next.filter(|next| *next <= now) {
                let slot = newest(&entry.flow.recurrence, entry.anchor, first, now);
                self.running.insert(name.clone());
                entry.move_on(slot);
                due.push(Due { flow: Arc::clone(&entry.flow), slot });
            }
            soonest = soonest.min(entry.next.unwrap_or(Timestamp::MAX));
        }
        self.soonest = Some(soonest);
        due
    }

    /// The flow's run has ended.
    pub fn ended(&mut self, flow: &str) {
        self.running.remove(flow);
    }

    /// Claims the flow for a run that takes no slot; `false` while another one is under way.
    pub fn claim(&mut self, flow: &str) -> bool {
        self.running.insert(flow.to_owned())
    }

    /// The run did not come to be recorded: its slot is due again.
    pub fn give_back(&mut self, due: &Due) {
        self.running.remove(&due.flow.name);
        if let Some(entry) = self.entries.get_mut(&due.flow.name) {
            entry.move_on(due.slot - INSTANT);
        }
        self.soonest = None;
    }

    /// Turns a flow off or on; turned on, it runs once for all that it missed.
    pub fn set_off(&mut self, flow: &str, is_off: bool, now: Timestamp) {
        if let Some(entry) = self.entries.get_mut(flow) {
            if entry.is_off && !is_off && !entry.flow.catch_up {
                entry.move_on(now);
            }
            entry.is_off = is_off;
        }
        self.soonest = None;
    }

    /// How many flows are on, and how many are not.
    pub fn on_and_off(&self) -> (usize, usize) {
        let on = self.entries.values().filter(|entry| !entry.is_off && entry.flow.enabled).count();
        (on, self.entries.len() - on)
    }

    /// The flow that runs next, and when.
    pub fn next(&self) -> Option<(&str, Timestamp)> {
        let on = self.entries.iter().filter(|(_, entry)| !entry.is_off && entry.flow.enabled);
        on.filter_map(|(name, entry)| Some((name.as_str(), entry.next?))).min_by_key(|(_, next)| *next)
    }
}

impl Entry {
    fn new(flow: &Arc<Flow>, known: &Known, now: Timestamp) -> Self {
        let unseen = known.anchor - INSTANT;
        let after = match known.last_slot {
            Some(last) if flow.catch_up => last,
            Some(last) => last.max(now),
            None if flow.catch_up || known.anchor >= now => unseen,
            None => now,
        };
        let mut entry =
            Self { flow: Arc::clone(flow), anchor: known.anchor, after, next: None, is_off: known.is_off };
        entry.move_on(after);
        entry
    }

    fn move_on(&mut self, after: Timestamp) {
        self.after = after;
        self.next = self.flow.recurrence.next(self.anchor, after);
    }
}

/// When the flow runs next after `now`, as `leadflow list` shows it.
pub fn next_run(flow: &Arc<Flow>, known: &Known, now: Timestamp) -> Option<Timestamp> {
    if known.is_off || !flow.enabled { None } else { Entry::new(flow, known, now).next }
}

/// The last slot that is not later than `now`, of which `first` is one.
fn newest(recurrence: &Recurrence, anchor: Timestamp, first: Timestamp, now: Timestamp) -> Timestamp {
    let some_back = now.checked_sub(recurrence.length()).unwrap_or(first);
    let from = first.max(some_back - INSTANT);
    let mut slot = first;
    let mut next = recurrence.next(anchor, from);
    while let Some(later) = next.filter(|next| *next <= now) {
        slot = slot.max(later);
        next = recurrence.next(anchor, later);
    }
    slot
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// A flow with this recurrence, in Paris.
    fn flow(recurrence: &str) -> Arc<Flow> {
        let text = format!(
            "[settings]\ntime_zone = \"Europe/Paris\"\n[connections.t.embedded_table]\nfile = \"t.db\"\n\
             [connections.m.mail_folder]\n[flows.leads.recurrence]\n{recurrence}\n\
             [flows.leads.table]\nconnection = \"t\"\nname = \"leads\"\n[flows.leads.email]\nconnection = \"m\"\nto = \"a@b.example\"\n"
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flows.toml");
        std::fs::write(&path, text).unwrap();
        Arc::clone(&config::load(&path).unwrap().config.flows["leads"])
    }

    fn agenda(flow: &Arc<Flow>, anchor: &str, last_slot: Option<&str>, now: &str) -> Agenda {
        let known = Known { anchor: at(anchor), last_slot: last_slot.map(at), is_off: false };
        let mut agenda = Agenda::default();
        let flows = BTreeMap::from([("leads".to_owned(), Arc::clone(flow))]);
        agenda.replace(&flows, &BTreeMap::from([("leads".to_owned(), known)]), at(now));
        agenda
    }

    /// The slots that are taken when it is ticked each second from one moment to another.
    fn ticked(agenda: &mut Agenda, from: &str, to: &str) -> Vec<String> {
        let (mut now, end, mut slots) = (at(from), at(to), Vec::new());
        while now <= end {
            for due in agenda.due(now) {
                slots.push(due.slot.to_string());
                agenda.ended("leads");
            }
            now += SignedDuration::from_secs(1);
        }
        slots
    }

    #[test]
    fn three_days_over_the_change_of_clocks_in_a_moment() {
        let flow = flow("frequency = \"day\"\nhours = [2, 9]\nminutes = 30");
        let mut agenda =
            agenda(&flow, "2026-03-01T00:00:00Z", Some("2026-03-27T08:30:00Z"), "2026-03-28T00:00:00Z");
        let expected = [
            "2026-03-28T01:30:00Z",
            "2026-03-28T08:30:00Z",
            "2026-03-29T01:30:00Z",
            "2026-03-29T07:30:00Z",
            "2026-03-30T00:30:00Z",
            "2026-03-30T07:30:00Z",
        ];
        assert_eq!(ticked(&mut agenda, "2026-03-28T00:00:00Z", "2026-03-30T23:59:59Z"), expected);
    }

    #[test]
    fn missed_slots_are_one_run_and_a_restart_repeats_none() {
        let hourly = flow("frequency = \"hour\"");
        let (anchor, last) = ("2026-01-01T00:20:00Z", Some("2026-01-05T08:20:00Z"));
        let mut agenda = agenda(&hourly, anchor, last, "2026-01-08T10:00:00Z");
        assert_eq!(
            ticked(&mut agenda, "2026-01-08T10:00:00Z", "2026-01-08T10:20:00Z"),
            ["2026-01-08T09:20:00Z", "2026-01-08T10:20:00Z"]
        );
    }

    #[test]
    fn without_catch_up_the_next_slot_is_waited_for() {
        let flow = flow("frequency = \"hour\"\ncatch_up = false");
        let (anchor, last) = ("2026-01-01T00:20:00Z", Some("2026-01-05T08:20:00Z"));
        let mut agenda = agenda(&flow, anchor, last, "2026-01-08T10:00:00Z");
        assert_eq!(
            ticked(&mut agenda, "2026-01-08T10:00:00Z", "2026-01-08T10:30:00Z"),
            ["2026-01-08T10:20:00Z"]
        );
        // Asleep from half past ten to noon.
        assert_eq!(ticked(&mut agenda, "2026-01-08T12:00:00Z", "2026-01-08T12:10:00Z"), Vec::<String>::new());
        assert_eq!(
            ticked(&mut agenda, "2026-01-08T12:10:01Z", "2026-01-08T12:20:00Z"),
            ["2026-01-08T12:20:00Z"]
        );
    }

    #[test]
    fn a_flow_that_was_never_seen_runs_at_once_and_never_beside_itself() {
        let flow = flow("frequency = \"second\"\ninterval = 2");
        let now = "2026-01-08T10:00:00Z";
        let mut agenda = agenda(&flow, now, None, now);
        assert_eq!(agenda.due(at(now)).len(), 1);
        assert!(agenda.due(at("2026-01-08T10:00:05Z")).is_empty(), "its run is under way");
        agenda.ended("leads");
        let due = agenda.due(at("2026-01-08T10:00:05Z"));
        assert_eq!(due[0].slot, at("2026-01-08T10:00:04Z"), "the slots of the meantime are one");
    }

    #[test]
    fn a_clock_that_goes_back_does_not_silence_it() {
        let flow = flow("frequency = \"minute\"");
        let mut agenda = agenda(&flow, "2026-01-01T00:00:00Z", None, "2026-01-08T10:00:00Z");
        assert_eq!(agenda.due(at("2026-01-08T10:00:00Z")).len(), 1);
        agenda.ended("leads");
        assert!(agenda.due(at("2026-01-05T10:00:30Z")).is_empty());
        assert_eq!(agenda.due(at("2026-01-05T10:01:00Z")).len(), 1);
        // First seen by a clock that was days ahead.
        let mut agenda = self::agenda(&flow, "2026-01-08T10:00:00Z", None, "2026-01-08T10:00:00Z");
        assert!(agenda.due(at("2026-01-05T10:00:00Z")).is_empty());
        assert_eq!(agenda.due(at("2026-01-05T10:01:00Z")).len(), 1);
    }

    #[test]
    fn a_reload_takes_no_slot_and_forgets_no_run() {
        let flow = flow("frequency = \"hour\"\ncatch_up = false");
        let (anchor, last) = ("2026-01-01T00:00:00Z", Some("2026-01-08T09:00:00Z"));
        let mut agenda = agenda(&flow, anchor, last, "2026-01-08T09:30:00Z");
        agenda.due(at("2026-01-08T09:59:59Z"));
        let due = agenda.due(at("2026-01-08T10:00:00Z")).remove(0);
        let known = Known { anchor: at(anchor), last_slot: last.map(at), is_off: false };
        let known = BTreeMap::from([("leads".to_owned(), known)]);
        // Gone, and back again while its run is under way and another slot comes due.
        agenda.replace(&BTreeMap::new(), &known, at("2026-01-08T10:59:58Z"));
        agenda.replace(
            &BTreeMap::from([("leads".to_owned(), Arc::clone(&flow))]),
            &known,
            at("2026-01-08T10:59:59Z"),
        );
        agenda.due(at("2026-01-08T10:59:59Z"));
        assert!(agenda.due(at("2026-01-08T11:00:00Z")).is_empty());
        agenda.replace(
            &BTreeMap::from([("leads".to_owned(), Arc::clone(&flow))]),
            &known,
            at("2026-01-08T11:00:01Z"),
        );
        agenda.ended("leads");
        let due_again = agenda.due(at("2026-01-08T11:00:02Z"));
        assert_eq!(due_again[0].slot, at("2026-01-08T11:00:00Z"));
        agenda.give_back(&due_again[0]);
        assert_eq!(agenda.due(at("2026-01-08T11:00:03Z"))[0].slot, at("2026-01-08T11:00:00Z"));
        assert_eq!(due.slot, at("2026-01-08T10:00:00Z"));
    }

    #[test]
    fn off_and_on_again_is_one_catch_up_run() {
        let flow = flow("frequency = \"hour\"");
        let mut agenda =
            agenda(&flow, "2026-01-01T00:00:00Z", Some("2026-01-08T09:00:00Z"), "2026-01-08T09:30:00Z");
        agenda.set_off("leads", true, at("2026-01-08T09:30:00Z"));
        assert_eq!(ticked(&mut agenda, "2026-01-08T09:30:00Z", "2026-01-08T12:30:00Z"), Vec::<String>::new());
        agenda.set_off("leads", false, at("2026-01-08T12:30:01Z"));
        assert_eq!(
            ticked(&mut agenda, "2026-01-08T12:30:01Z", "2026-01-08T12:59:59Z"),
            ["2026-01-08T12:00:00Z"]
        );
    }
}
