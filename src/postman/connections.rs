//! What the postman knows of the mail connections: which rest after a failure, and their pace.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use crate::flow::MailConnection;
use crate::outbox;

/// The connections by name.
#[derive(Debug, Default)]
pub(super) struct Connections(BTreeMap<String, Standing>);

#[derive(Debug, Default)]
struct Standing {
    /// Failures in a row.
    failures: u32,
    /// It rests until then.
    until: Option<Timestamp>,
    /// The state knows that it works.
    is_known_well: bool,
    /// When the mails of the last minute were handed over.
    sent: VecDeque<Instant>,
}

/// Why a connection takes no mail now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// It has failed, and is tried again then.
    Failed(Timestamp),
    /// Its `per_minute` is used up until then.
    Paced(Timestamp),
}

/// The span of `per_minute`.
const MINUTE: Duration = Duration::from_mins(1);

impl Connections {
    /// Lets every connection be tried at once.
    pub(super) fn start_over(&mut self) {
        for standing in self.0.values_mut() {
            (standing.failures, standing.until) = (0, None);
        }
    }

    pub(super) fn rest(&mut self, name: &str, connection: &MailConnection, now: Timestamp) -> Option<Rest> {
        let standing = self.0.entry(name.to_owned()).or_default();
        if let Some(until) = standing.until.filter(|until| !outbox::is_due(*until, now)) {
            return Some(Rest::Failed(until));
        }
        let MailConnection::Smtp(smtp) = connection else { return None };
        while standing.sent.front().is_some_and(|at| at.elapsed() >= MINUTE) {
            standing.sent.pop_front();
        }
        let most = usize::try_from(smtp.per_minute).unwrap_or(usize::MAX);
        let oldest = standing.sent.front().filter(|_| standing.sent.len() >= most)?;
        let wait = SignedDuration::try_from(MINUTE.saturating_sub(oldest.elapsed())).ok()?;
        Some(Rest::Paced(now + wait))
    }

    /// A mail goes over the connection.
    pub(super) fn sends(&mut self, name: &str) {
        self.0.entry(name.to_owned()).or_default().sent.push_back(Instant::now());
    }

    /// The connection has failed; returns until when it rests.
    pub(super) fn failed(&mut self, name: &str, now: Timestamp, jitter: f64) -> Timestamp {
        let standing = self.0.entry(name.to_owned()).or_default();
        standing.failures += 1;
        let until = now + outbox::wait(standing.failures, jitter);
        (standing.until, standing.is_known_well) = (Some(until), false);
        until
    }

    /// The connection works; returns whether the state does not know it yet.
    pub(super) fn works(&mut self, name: &str) -> bool {
        let standing = self.0.entry(name.to_owned()).or_default();
        (standing.failures, standing.until) = (0, None);
        !std::mem::replace(&mut standing.is_known_well, true)
    }
}
