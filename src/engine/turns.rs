//! Whose turn it is. Pure: `now` comes in.
//!
//! Each table connection has a number of turns of its own. Beyond that there is a bound on runs that began a
//! moment ago; one that takes longer waits for a server, mostly, and keeps nobody else from beginning. Of
//! the connections that may have a turn the one with the fewest runs under way has the next, and of those the
//! one whose last turn is the longest ago.
//!
//! So a connection that hangs, in whatever way, holds up its own flows alone: at most [`MOST`] turns lie
//! [`A_MOMENT`] back or less, so within that time as many become free; and before a connection without a run
//! under way has its turn, each other one has at most one. Among 160 connections that hang one that answers
//! waits 20 seconds at most.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// Runs that began a moment ago.
const MOST: usize = 16;
/// After this a run does not count among them.
const A_MOMENT: Duration = Duration::from_secs(2);
/// Runs under way on the same table connection, however long they take.
pub(super) const MOST_OF_A_CONNECTION: usize = 4;

/// Runs that wait and runs that are under way, by table connection.
#[derive(Debug)]
pub(super) struct Turns<T> {
    queues: BTreeMap<String, Queue<T>>,
    /// Turns that were given, ever.
    given: u64,
    /// When those began that have not ended, as long as it is a moment ago; in their order.
    recent: BTreeMap<u64, Instant>,
}

/// Those of one connection.
#[derive(Debug)]
struct Queue<T> {
    waiting: VecDeque<WaitingRun<T>>,
    /// The flows of those under way, by the number of the turn.
    under_way: BTreeMap<u64, String>,
    /// The number of its last turn.
    last: u64,
}

/// One that waits.
#[derive(Debug)]
pub(super) struct WaitingRun<T> {
    pub(super) flow: String,
    pub(super) run: T,
}

/// The right to be under way, to be given back.
#[derive(Debug)]
pub(super) struct Turn {
    connection: String,
    number: u64,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self { queues: BTreeMap::new(), given: 0, recent: BTreeMap::new() }
    }
}

impl<T> Turns<T> {
    /// A run of this flow waits for its turn from now on.
    pub(super) fn add(&mut self, connection: &str, flow: &str, run: T) {
        if !self.queues.contains_key(connection) {
            let queue = Queue { waiting: VecDeque::new(), under_way: BTreeMap::new(), last: 0 };
            self.queues.insert(connection.to_owned(), queue);
        }
        if let Some(queue) = self.queues.get_mut(connection) {
            queue.waiting.push_back(WaitingRun { flow: flow.to_owned(), run });
        }
    }

    /// The next turn and who has it; `None` when nobody may have one now.
    pub(super) fn next(&mut self, now: Instant) -> Option<(Turn, T)> {
        while self.recent.first_key_value().is_some_and(|(_, began)| now.duration_since(*began) >= A_MOMENT) {
            self.recent.pop_first();
        }
        if self.recent.len() >= MOST {
            return None;
        }
        let may =
            |queue: &Queue<T>| !queue.waiting.is_empty() && queue.under_way.len() < MOST_OF_A_CONNECTION;
        let queues = self.queues.iter_mut().filter(|(_, queue)| may(queue));
        let (connection, queue) = queues.min_by_key(|(_, queue)| (queue.under_way.len(), queue.last))?;
        let WaitingRun { flow, run } = queue.waiting.pop_front()?;
        self.given += 1;
        queue.last = self.given;
        queue.under_way.insert(self.given, flow);
        self.recent.insert(self.given, now);
        Some((Turn { connection: connection.clone(), number: self.given }, run))
    }

    /// Gives a turn back.
    pub(super) fn end(&mut self, turn: &Turn) {
        self.recent.remove(&turn.number);
        if let Some(queue) = self.queues.get_mut(&turn.connection) {
            queue.under_way.remove(&turn.number);
        }
    }

    /// Takes out those that wait.
    pub(super) fn take_waiting(&mut self) -> Vec<T> {
        let queues = self.queues.values_mut();
        queues.flat_map(|queue| std::mem::take(&mut queue.waiting)).map(|waiting| waiting.run).collect()
    }

    /// Of each connection those that wait, the longest first, and the flows of those that are under way.
    pub(super) fn queues(
        &self,
    ) -> impl Iterator<Item = (&str, impl Iterator<Item = &WaitingRun<T>>, impl Iterator<Item = &str>)> {
        self.queues.iter().map(|(name, queue)| {
            (name.as_str(), queue.waiting.iter(), queue.under_way.values().map(String::as_str))
        })
    }

    /// How many are under way.
    pub(super) fn count(&self) -> usize {
        self.queues.values().map(|queue| queue.under_way.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(since: Instant, number: u64) -> Instant {
        since + Duration::from_secs(number)
    }

    /// Gives every turn there is at this moment.
    fn give(turns: &mut Turns<u32>, now: Instant) -> Vec<(Turn, u32)> {
        std::iter::from_fn(|| turns.next(now)).collect()
    }

    #[test]
    fn a_connection_has_its_turns_and_all_together_have_a_bound_for_a_moment() {
        let mut turns = Turns::default();
        let start = Instant::now();
        for run in 0..10 {
            turns.add("one", "flow", run);
        }
        let first = give(&mut turns, start);
        assert_eq!(first.iter().map(|(_, run)| *run).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert!(give(&mut turns, start).is_empty(), "it has all its turns");
        turns.end(&first[2].0);
        assert_eq!(give(&mut turns, start).pop().unwrap().1, 4);
        for other in 0..9 {
            for run in 0..4 {
                turns.add(&format!("other {other}"), "flow", run);
            }
        }
        assert_eq!((give(&mut turns, start).len(), turns.count()), (16 - 4, 16));
        assert!(give(&mut turns, start + A_MOMENT / 2).is_empty());
        assert_eq!((give(&mut turns, start + A_MOMENT).len(), turns.count()), (16, 32));
        assert_eq!((give(&mut turns, start + A_MOMENT * 2).len(), turns.count()), (8, 40));
        assert!(give(&mut turns, second(start, 3_600)).is_empty(), "none is given back");
        assert_eq!(turns.take_waiting().len(), 5);
    }

    #[test]
    fn one_connection_that_answers_continues_among_any_number_that_hang() {
        for hanging in [1, 3, 4, 12, 100, 1_000] {
            let mut turns = Turns::default();
            let start = Instant::now();
            for connection in 0..hanging {
                for run in 0..20 {
                    turns.add(&format!("hangs {connection}"), "flow", run);
                }
            }
            // Its name is the last.
            (0..200).for_each(|run| turns.add("well", "flow", 10_000 + run));
            let mut done = 0;
            let mut first = None;
            let needed = u64::try_from(hanging).unwrap() / 16 * 2 + 2;
            for tick in 0..needed + 600 {
                let now = second(start, tick);
                loop {
                    let given = give(&mut turns, now);
                    let well: Vec<_> = given.iter().filter(|(_, run)| *run >= 10_000).collect();
                    if well.is_empty() {
                        break;
                    }
                    first = first.or(Some(tick));
                    done += well.len();
                    // Those end at once.
                    for (turn, _) in well {
                        turns.end(turn);
                    }
                }
            }
            assert!(first.is_some_and(|tick| tick <= needed), "{hanging}: {first:?}");
            assert_eq!((done, turns.count()), (200, hanging * MOST_OF_A_CONNECTION), "{hanging}");
        }
    }

    #[test]
    fn turns_go_round_and_no_name_comes_first() {
        let mut turns = Turns::default();
        let start = Instant::now();
        let names: Vec<String> = (0..40).map(|number| format!("{number:02}")).collect();
        // Each has another run as soon as one has ended.
        let mut given = BTreeMap::new();
        for name in &names {
            (0..100).for_each(|_| turns.add(name, name, 0));
        }
        for _ in 0..100 {
            for (turn, _) in give(&mut turns, start) {
                *given.entry(turn.connection.clone()).or_insert(0) += 1;
                turns.end(&turn);
            }
        }
        let counts: Vec<i32> = given.into_values().collect();
        assert_eq!((counts.len(), counts.iter().max(), counts.iter().min()), (40, Some(&40), Some(&40)));
    }
}
