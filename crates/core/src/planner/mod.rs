//! Which flows are due: the planner's slots, one run at a time for each flow, missed slots
//! collapsed into one run. Pure: every moment is handed in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::flow::Flow;
use crate::history::{Cause, RunOrder};
use crate::outbox::{self, LONGEST_WAIT};
use crate::schedule::recurrence::Recurrence;

/// The flows of an engine and their next slots.
#[derive(Debug, Default)]
pub struct Planner {
    entries: BTreeMap<String, Entry>,
    /// Flows whose run is under way, also those that are not in the file any more.
    running: BTreeSet<String>,
    last_tick: Option<Timestamp>,
    /// No flow comes due before this; `None` where that is not known.
    soonest: Option<Timestamp>,
}

/// What the state knows of a flow's schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduleState {
    /// The moment the flow was first seen.
    pub anchor: Timestamp,
    /// The newest slot that a run has taken.
    pub last_slot: Option<Timestamp>,
    /// `leadflow off` keeps it off.
    pub is_off: bool,
    /// Its last run, where that failed.
    pub failed_run: Option<i64>,
}

/// A flow whose slot has come, or whose failed run is to be tried again.
#[derive(Debug, Clone)]
pub struct DueRun {
    /// The flow.
    pub flow: Arc<Flow>,
    /// A run of its newest slot that has passed, or a retry.
    pub order: RunOrder,
}

#[derive(Debug)]
struct Entry {
    flow: Arc<Flow>,
    anchor: Timestamp,
    /// Slots up to here are done with.
    after: Timestamp,
    next: Option<Timestamp>,
    /// The first slot that has passed and no run has taken, where it is none of those after `after`.
    missed: Option<Timestamp>,
    retry: Retry,
    is_off: bool,
}

/// When a failed run is tried again.
#[derive(Debug, Clone, Copy, Default)]
struct Retry {
    /// Failures in a row.
    failures: u32,
    at: Option<Timestamp>,
    /// The run that failed, where it was recorded.
    of: Option<i64>,
}

/// A pause between two ticks after which slots count as missed.
const MISSED: SignedDuration = SignedDuration::from_secs(60);
/// A slot that is nearer than this is waited for when a run has failed.
const SOON: SignedDuration = SignedDuration::from_mins(5);
/// The smallest step of a moment.
const INSTANT: SignedDuration = SignedDuration::from_nanos(1);

impl Planner {
    /// Takes the flows of a file that was loaded at `now`; `states` says what the state knows.
    /// Runs that are under way stay so, a flow whose recurrence is the same continues, and failed runs are tried
    /// again at once: somebody may have fixed why they failed.
    pub fn replace(
        &mut self,
        flows: &BTreeMap<String, Arc<Flow>>,
        states: &BTreeMap<String, ScheduleState>,
        now: Timestamp,
    ) {
        let old = std::mem::take(&mut self.entries);
        let entry = |(name, flow): (&String, &Arc<Flow>)| {
            let mut entry = Entry::new(flow, states.get(name)?, now);
            if let Some(old) = old.get(name).filter(|old| old.flow.enabled) {
                if old.flow.recurrence == flow.recurrence {
                    entry.move_on(old.after);
                }
                // The flow was due by the old recurrence, whether the new one has that slot or not.
                entry.missed = [entry.missed, old.passed(now)].into_iter().flatten().min();
            }
            Some((name.clone(), entry))
        };
        self.entries = flows.iter().filter_map(entry).collect();
        self.soonest = None;
    }

    /// The flows that are due at `now`; they count as running until [`Planner::ended`].
    pub fn due(&mut self, now: Timestamp) -> Vec<DueRun> {
        let last_tick = self.last_tick.replace(now);
        let paused = last_tick.is_some_and(|last| now.duration_since(last).abs() > MISSED);
        if !paused && self.soonest.is_some_and(|soonest| now < soonest) {
            return Vec::new();
        }
        let mut due = Vec::new();
        let mut soonest = Timestamp::MAX;
        for (name, entry) in &mut self.entries {
            entry.keep_up(now, paused);
            if !entry.is_on() {
                continue;
            }
            if self.running.contains(name) {
                soonest = now;
                continue;
            }
            if let Some(order) = entry.take(now) {
                self.running.insert(name.clone());
                due.push(DueRun { flow: Arc::clone(&entry.flow), order });
            }
            soonest = soonest.min(entry.soonest().unwrap_or(Timestamp::MAX));
        }
        self.soonest = Some(soonest);
        due
    }

    /// The clock was set back by this to `now`: slots that have passed and no run has taken are earlier by as much, and so
    /// are retries.
    pub fn set_back(&mut self, by: SignedDuration, now: Timestamp) {
        for entry in self.entries.values_mut() {
            entry.missed = entry.passed_before_set_back(by, now);
            entry.retry.at = entry.retry.at.map(|at| at.checked_sub(by).unwrap_or(at));
        }
    }

    /// The first slot of each flow that had passed and no run had taken when the clock was set back by this to `now`, by the
    /// clock as it is now.
    pub fn passed_before_set_back(&self, by: SignedDuration, now: Timestamp) -> Vec<(String, Timestamp)> {
        let on = self.entries.iter().filter(|(_, entry)| entry.is_on());
        on.filter_map(|(name, entry)| Some((name.clone(), entry.passed_before_set_back(by, now)?))).collect()
    }

    /// The flow's run has ended.
    pub fn ended(&mut self, flow: &str) {
        self.running.remove(flow);
    }

    /// The flow's run has come to a clean end: there is nothing to try again.
    pub fn succeeded(&mut self, flow: &str) {
        self.running.remove(flow);
        if let Some(entry) = self.entries.get_mut(flow) {
            entry.retry = Retry::default();
        }
    }

    /// The flow's run has failed, and is recorded under this number where it could be: it is tried again before the
    /// next slot where that is far.
    pub fn failed(&mut self, flow: &str, run: Option<i64>, now: Timestamp) {
        self.running.remove(flow);
        if let Some(entry) = self.entries.get_mut(flow) {
            entry.retry.of = run;
            entry.try_again(now);
        }
        self.soonest = None;
    }

    /// Claims the flow for a run that takes no slot; `false` while another one is under way.
    pub fn claim(&mut self, flow: &str) -> bool {
        self.running.insert(flow.to_owned())
    }

    /// The first slot that no run of a flow has taken; `None` also of one that is off.
    pub fn missed(&self, flow: &str) -> Option<Timestamp> {
        self.entries.get(flow).filter(|entry| entry.is_on()).and_then(|entry| entry.missed)
    }

    /// Whether the flow is on, by the file and by the state.
    pub fn is_on(&self, flow: &str) -> bool {
        self.entries.get(flow).is_some_and(Entry::is_on)
    }

    /// The run did not come to be recorded: what it was for is due again.
    pub fn return_slot(&mut self, flow: &str, order: &RunOrder) {
        self.running.remove(flow);
        if let Some(entry) = self.entries.get_mut(flow) {
            if let Some(slot) = order.due {
                entry.move_on(slot - INSTANT);
                entry.missed = order.since;
            } else if let Some(now) = self.last_tick.filter(|_| order.cause == Cause::Retry) {
                entry.try_again(now);
            }
        }
        self.soonest = None;
    }

    /// Nothing is left to do of what the flow was due for: another node has done it, or the flow is off. The plan
    /// follows what the state knows of it.
    pub fn follow(&mut self, flow: &str, state: &ScheduleState) {
        self.running.remove(flow);
        if let Some(entry) = self.entries.get_mut(flow) {
            entry.is_off = state.is_off;
            entry.retry = Retry::default();
            if let Some(last) = state.last_slot.filter(|last| *last >= entry.after) {
                entry.missed = None;
                entry.move_on(last);
            }
        }
        self.soonest = None;
    }

    /// Takes in what other nodes have changed: a flow that they have turned off or on, slots that they have taken, and runs
    /// of theirs that failed, which are tried again by whoever is first.
    pub fn catch_up_with(&mut self, states: &BTreeMap<String, ScheduleState>, now: Timestamp) {
        for (name, state) in states {
            if self.entries.get(name).is_some_and(|entry| entry.is_off != state.is_off) {
                self.set_off(name, state.is_off, now);
            }
            let Some(entry) = self.entries.get_mut(name) else { continue };
            if let Some(last) = state.last_slot.filter(|last| *last >= entry.after) {
                entry.missed = None;
                entry.move_on(last);
            }
            if state.failed_run.is_some() && entry.retry.at.is_none() && !self.running.contains(name) {
                entry.retry.of = state.failed_run;
                entry.try_again(now);
            }
        }
        self.soonest = None;
    }

    /// Turns a flow off or on; turned on, it runs once for all that it missed.
    pub fn set_off(&mut self, flow: &str, is_off: bool, now: Timestamp) {
        if let Some(entry) = self.entries.get_mut(flow) {
            if entry.is_off && !is_off {
                entry.turn_on(now);
            }
            entry.is_off = is_off;
        }
        self.soonest = None;
    }

    /// How many flows are on, and how many are not.
    pub fn on_and_off(&self) -> (usize, usize) {
        let on = self.entries.values().filter(|entry| entry.is_on()).count();
        (on, self.entries.len() - on)
    }

    /// The flow that runs next, and when.
    pub fn next(&self) -> Option<(&str, Timestamp)> {
        self.slots().min_by_key(|(_, next)| *next)
    }

    /// When each flow that is on is due next.
    pub fn slots(&self) -> impl Iterator<Item = (&str, Timestamp)> {
        let on = self.entries.iter().filter(|(_, entry)| entry.is_on());
        on.filter_map(|(name, entry)| Some((name.as_str(), entry.soonest()?)))
    }
}

impl Entry {
    fn new(flow: &Arc<Flow>, state: &ScheduleState, now: Timestamp) -> Self {
        let unseen = state.anchor - INSTANT;
        let after = match state.last_slot {
            Some(last) if flow.catch_up => last,
            Some(last) => last.max(now),
            None if flow.catch_up || state.anchor >= now => unseen,
            None => now,
        };
        let retry = Retry { failures: 0, at: state.failed_run.map(|_| now), of: state.failed_run };
        let mut entry = Self {
            flow: Arc::clone(flow),
            anchor: state.anchor,
            after,
            next: None,
            missed: first_missed(flow, state, now),
            retry,
            is_off: state.is_off,
        };
        entry.move_on(after);
        entry
    }

    fn is_on(&self) -> bool {
        self.flow.enabled && !self.is_off
    }

    /// The first slot that has passed and no run has taken.
    fn passed(&self, now: Timestamp) -> Option<Timestamp> {
        self.missed.or(self.next).filter(|slot| *slot <= now)
    }

    /// As [`Entry::passed`], by the clock as it is since it was set back by this.
    fn passed_before_set_back(&self, by: SignedDuration, now: Timestamp) -> Option<Timestamp> {
        self.passed(now.checked_add(by).ok()?)?.checked_sub(by).ok()
    }

    fn move_on(&mut self, after: Timestamp) {
        self.after = after;
        self.next = self.flow.recurrence.next(self.anchor, after);
    }

    /// Skips what is not to be made up for. When the clock goes back the flow would stand still until it
    /// has caught up.
    fn keep_up(&mut self, now: Timestamp, paused: bool) {
        let went_back = self.after > now + MISSED || self.anchor > now + MISSED;
        if went_back {
            self.anchor = self.anchor.min(now);
        }
        if went_back || (paused && !self.flow.catch_up) {
            self.skip_to(now);
        }
        if self.retry.at.is_some_and(|at| at > now + LONGEST_WAIT) {
            self.retry.at = Some(now);
        }
    }

    /// No run is made for the slots up to now; the next one covers them. A failed run that has waited for one of
    /// them is tried again.
    fn skip_to(&mut self, now: Timestamp) {
        if self.retry.failures > 0 {
            self.retry.at = Some(now);
        }
        self.missed = self.passed(now);
        self.move_on(now);
    }

    fn turn_on(&mut self, now: Timestamp) {
        if !self.flow.catch_up {
            self.skip_to(now);
        }
        if self.retry.at.is_some() {
            self.retry.at = Some(now);
        }
    }

    /// What is to be run now, if anything is; it counts as taken.
    fn take(&mut self, now: Timestamp) -> Option<RunOrder> {
        if let Some(first) = self.next.filter(|next| *next <= now) {
            let slot = newest(&self.flow.recurrence, self.anchor, first, now);
            let since = self.missed.take().map_or(first, |missed| missed.min(first));
            self.move_on(slot);
            self.retry = Retry::default();
            return Some(RunOrder { since: Some(since), ..RunOrder::new(Cause::Schedule, Some(slot)) });
        }
        let retry_of = self.retry.of;
        let order = |_| RunOrder { retry_of, ..RunOrder::new(Cause::Retry, None) };
        self.retry.at.take_if(|at| *at <= now).map(order)
    }

    fn try_again(&mut self, now: Timestamp) {
        self.retry.failures += 1;
        let at = now + outbox::retry_delay(self.retry.failures, spread(&self.flow.name));
        let is_far = |next: Timestamp| next.duration_since(now) > SOON;
        self.retry.at = self.next.is_none_or(is_far).then_some(at);
    }

    fn soonest(&self) -> Option<Timestamp> {
        self.next.into_iter().chain(self.retry.at).min()
    }
}

/// The first slot that has passed and no run has taken.
pub fn first_missed(flow: &Flow, state: &ScheduleState, now: Timestamp) -> Option<Timestamp> {
    let after = state.last_slot.unwrap_or(state.anchor - INSTANT);
    flow.recurrence.next(state.anchor, after).filter(|slot| *slot <= now)
}

/// From 0 to 1, another number for most flows: those that fail together do not come back together.
fn spread(flow: &str) -> f64 {
    let sum = flow.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    f64::from(sum % 1_000) / 1_000.0
}

/// When the flow runs next after `now`, as `leadflow list` shows it.
pub fn next_run(flow: &Arc<Flow>, state: &ScheduleState, now: Timestamp) -> Option<Timestamp> {
    if state.is_off || !flow.enabled { None } else { Entry::new(flow, state, now).next }
}

/// The last slot that is not later than `now`, of which `first` is one.
fn newest(recurrence: &Recurrence, anchor: Timestamp, first: Timestamp, now: Timestamp) -> Timestamp {
    let some_back = now.checked_sub(recurrence.length()).unwrap_or(first);
    let from = first.max(some_back);
    let mut slot = first;
    let mut next = recurrence.next(anchor, from);
    while let Some(later) = next.filter(|next| *next <= now) {
        slot = slot.max(later);
        next = recurrence.next(anchor, later);
    }
    slot
}

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod tests;
