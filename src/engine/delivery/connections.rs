//! What the delivery knows of the mail connections: which are in backoff after a failure, and how fast they send.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::outbox;
use crate::store::ConnectionRest;

/// The connections by name.
#[derive(Debug, Default)]
pub(super) struct Connections(BTreeMap<String, ConnectionHealth>);

#[derive(Debug, Default)]
struct ConnectionHealth {
    /// Failures in a row.
    failures: u32,
    /// Nothing is attempted over it until then.
    backoff_until: Option<Timestamp>,
    /// Messages that it has refused since it last worked, as many as count.
    refused: Vec<i64>,
    /// The state knows that it works.
    is_known_well: bool,
    /// The state knows that no message is suspected together with it.
    is_cleared: bool,
    /// Sessions that broke, by the lane of their messages: another lane may still get through.
    breaks: BTreeMap<Vec<String>, Breaks>,
    /// The state knows of this backoff, and so do other nodes.
    is_backoff_shared: bool,
    /// It works, and its server has asked for no message until then.
    waits_until: Option<Timestamp>,
}

/// Sessions in a row that broke in the middle of messages of a lane.
#[derive(Debug, Default)]
struct Breaks {
    /// Each in the middle of another message than the one before.
    mails: u32,
    /// The message in the middle of which the last one broke.
    last: Option<i64>,
    /// Backoffs in a row.
    backoffs: u32,
    /// Nothing of this lane is attempted over the connection until then.
    until: Option<Timestamp>,
}

/// Why a connection takes no message now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backoff {
    /// It has failed, and is tried again then.
    Failed(Timestamp),
    /// Its server wants to be left alone until then.
    RateLimited(Timestamp),
}

/// Sessions in a row that break in the middle of different messages before the connection is taken
/// for the one that fails: one message can break its own session alone.
const BREAKS: u32 = 2;
/// The same of messages that have been to blame for it before.
const BREAKS_BY_KNOWN: u32 = 5;

/// Messages that a connection refuses, and takes no other meanwhile, before it is surely its own fault.
const REFUSALS: usize = 3;

/// The longest backoff after them: each may keep a message that would go through waiting for one that
/// breaks.
pub(super) const MAX_BREAK_BACKOFF: SignedDuration = SignedDuration::from_mins(5);

impl Connections {
    /// Lets every connection be tried at once.
    pub(super) fn reset(&mut self) {
        for health in self.0.values_mut() {
            (health.failures, health.backoff_until, health.waits_until) = (0, None, None);
            health.refused.clear();
            health.breaks.clear();
        }
    }

    /// Whether the connection takes a message of this lane now.
    pub(super) fn backoff(&self, name: &str, lane: &[String], now: Timestamp) -> Option<Backoff> {
        let health = self.0.get(name)?;
        let for_lane = health.breaks.get(lane).and_then(|breaks| breaks.until);
        let until = [health.backoff_until, for_lane].into_iter().flatten();
        if let Some(until) = until.filter(|until| !outbox::is_due(*until, now)).max() {
            return Some(Backoff::Failed(until));
        }
        health.waits_until.filter(|until| !outbox::is_due(*until, now)).map(Backoff::RateLimited)
    }

    /// What the state knows of the connections of a lane: other nodes may have found that one fails, or that it works again.
    pub(super) fn learn(&mut self, lane: &[String], resting: &[ConnectionRest]) {
        for name in lane {
            let rest = resting.iter().find(|rest| rest.connection == *name);
            match (rest, self.0.get_mut(name)) {
                (Some(rest), _) => {
                    let health = self.0.entry(name.clone()).or_default();
                    health.backoff_until = health.backoff_until.max(Some(rest.until));
                    (health.is_backoff_shared, health.is_known_well) = (true, false);
                }
                (None, Some(health)) if health.is_backoff_shared => {
                    (health.failures, health.backoff_until, health.is_backoff_shared) = (0, None, false);
                }
                (None, _) => {}
            }
        }
    }

    /// The state knows that the connection is in backoff.
    pub(super) fn rests_for_all(&mut self, name: &str) {
        self.0.entry(name.to_owned()).or_default().is_backoff_shared = true;
    }

    /// The connection has failed, perhaps by refusing a message; returns until when its backoff lasts, which is at least
    /// as long as its server has asked for, and not long while one message alone may be to blame.
    pub(super) fn failed(
        &mut self,
        name: &str,
        refused: Option<i64>,
        (now, jitter): (Timestamp, f64),
        asked: Option<Duration>,
    ) -> Timestamp {
        let health = self.0.entry(name.to_owned()).or_default();
        health.failures += 1;
        match refused {
            Some(message) if health.refused.len() < REFUSALS && !health.refused.contains(&message) => {
                health.refused.push(message);
            }
            _ => {}
        }
        let is_of_few = refused.is_some() && health.refused.len() < REFUSALS;
        let longest = if is_of_few { MAX_BREAK_BACKOFF } else { outbox::LONGEST_WAIT };
        let wait = outbox::retry_delay(health.failures, jitter).min(longest);
        let until = now + wait.max(asked.map(capped).unwrap_or_default());
        (health.backoff_until, health.is_backoff_shared) = (Some(until), false);
        until
    }

    /// The connection works, and its server wants no message for so long.
    pub(super) fn waits(&mut self, name: &str, now: Timestamp, wait: Duration) {
        self.0.entry(name.to_owned()).or_default().waits_until = Some(now + capped(wait));
    }

    /// A session broke in the middle of a message, which may have been to blame for it before. Returns
    /// until when the connection is in backoff for the message's lane, if it is: others of the lane have broken
    /// there, too, and no message has gone through since.
    pub(super) fn breaks(
        &mut self,
        name: &str,
        lane: &[String],
        (message, is_known): (i64, bool),
        longest: SignedDuration,
        (now, jitter): (Timestamp, f64),
    ) -> Option<Timestamp> {
        let health = self.0.entry(name.to_owned()).or_default();
        let breaks = health.breaks.entry(lane.to_vec()).or_default();
        if breaks.last.replace(message) != Some(message) {
            breaks.mails += 1;
        }
        let enough = if is_known { BREAKS_BY_KNOWN } else { BREAKS };
        if breaks.mails < enough && breaks.backoffs == 0 && health.failures == 0 {
            return None;
        }
        breaks.backoffs += 1;
        breaks.until = Some(now + outbox::retry_delay(breaks.backoffs, jitter).min(longest));
        breaks.until
    }

    /// It is recorded that a message is suspected together with the connection.
    pub(super) fn is_suspected(&mut self, name: &str) {
        self.0.entry(name.to_owned()).or_default().is_cleared = false;
    }

    /// The state knows that the connection has failed.
    pub(super) fn failure_is_recorded(&mut self, name: &str) {
        self.0.entry(name.to_owned()).or_default().is_known_well = false;
    }

    /// The connection works, and perhaps has taken a message; returns whether the state does not know
    /// it yet.
    pub(super) fn works(&mut self, name: &str, has_taken: bool) -> bool {
        let health = self.0.entry(name.to_owned()).or_default();
        (health.failures, health.backoff_until) = (0, None);
        health.refused.clear();
        if has_taken {
            health.breaks.clear();
        }
        let is_news = !health.is_known_well || (has_taken && !health.is_cleared);
        health.is_known_well = true;
        health.is_cleared |= has_taken;
        is_news
    }
}

/// What a server may ask for at most.
fn capped(wait: Duration) -> SignedDuration {
    let wait = SignedDuration::try_from(wait).unwrap_or(outbox::LONGEST_WAIT);
    outbox::truncate_to_micros(wait.min(outbox::LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_asks_to_be_left_alone_is() {
        let now: Timestamp = "2026-03-01T08:00:00Z".parse().unwrap();
        let after = |seconds| now + SignedDuration::from_secs(seconds);
        let mut connections = Connections::default();
        let until = connections.failed("a", None, (now, 0.0), Some(Duration::from_mins(5)));
        assert_eq!(until, after(300), "longer than the 30 s of a first failure");
        assert_eq!(connections.backoff("a", &[], after(299)), Some(Backoff::Failed(until)));
        assert_eq!(connections.backoff("a", &[], after(300)), None);
        assert_eq!(connections.failed("a", None, (now, 0.0), Some(Duration::from_secs(1))), after(60));
        assert_eq!(connections.failed("a", None, (now, 0.0), Some(Duration::from_hours(9))), after(1_800));

        connections.works("a", true);
        connections.waits("a", now, Duration::from_secs(20));
        assert_eq!(connections.backoff("a", &[], now), Some(Backoff::RateLimited(after(20))));
        assert_eq!(connections.backoff("a", &[], after(20)), None);
    }

    #[test]
    fn the_backoff_of_a_connection_that_refuses_few_mails_is_no_longer_than_a_mail_may_wait() {
        let now: Timestamp = "2026-03-01T08:00:00Z".parse().unwrap();
        let mut connections = Connections::default();
        let mut backoffs = |mails: &[Option<i64>]| -> Vec<i64> {
            let backoff = |message: &Option<i64>| connections.failed("a", *message, (now, 0.0), None);
            let backoffs =
                mails.iter().map(backoff).map(|until| until.duration_since(now).as_secs()).collect();
            connections.works("a", true);
            backoffs
        };
        assert_eq!(backoffs(&[Some(1); 7]), [30, 60, 120, 240, 300, 300, 300]);
        assert_eq!(
            backoffs(&[Some(1), Some(2), Some(1), Some(2), Some(3), Some(4)]),
            [30, 60, 120, 240, 480, 960]
        );
        assert_eq!(backoffs(&[None, None, None, None, Some(1), None]), [30, 60, 120, 240, 300, 960]);
    }

    #[test]
    fn one_mail_breaks_its_own_session_and_two_break_the_connection_for_their_lane() {
        let now: Timestamp = "2026-03-01T08:00:00Z".parse().unwrap();
        let lane = ["a".to_owned()];
        let other = ["a".to_owned(), "b".to_owned()];
        let mut connections = Connections::default();
        let breaks = |connections: &mut Connections, message| {
            connections.breaks("a", &lane, message, MAX_BREAK_BACKOFF, (now, 0.0))
        };
        assert!(connections.works("a", true) && !connections.works("a", true));
        assert_eq!(breaks(&mut connections, (1, false)), None);
        assert_eq!(breaks(&mut connections, (1, false)), None, "the same mail");
        connections.is_suspected("a");
        assert!(connections.works("a", true), "whose fault it was is news");
        assert!(!connections.works("a", true));
        assert_eq!(breaks(&mut connections, (1, false)), None);
        assert!(!connections.works("a", false), "a refused recipient clears nobody");
        let until = breaks(&mut connections, (2, false)).expect("two mails in a row");
        assert_eq!(until, now + SignedDuration::from_secs(30));
        assert_eq!(connections.backoff("a", &lane, now), Some(Backoff::Failed(until)));
        assert_eq!(connections.backoff("a", &other, now), None, "another lane may get through");
        let longer = now + SignedDuration::from_secs(60);
        assert_eq!(breaks(&mut connections, (3, true)), Some(longer), "nothing went through meanwhile");
        connections.works("a", true);
        assert_eq!(connections.backoff("a", &lane, now), None);
        let known: Vec<_> =
            (1..=5).map(|message| breaks(&mut connections, (message, true)).is_some()).collect();
        assert_eq!(known, [false, false, false, false, true]);
    }
}
