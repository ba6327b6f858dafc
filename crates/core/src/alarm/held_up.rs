//! A table connection whose flows wait for their turn.

use std::fmt;

use jiff::Timestamp;

use super::{Alarm, AlarmKind};

/// Flows wait for a turn on their table connection longer than their recurrence: runs of others hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldUp {
    /// The table connection.
    pub connection: String,
    /// The flow that waits longest.
    pub flow: String,
    /// Since when it does.
    pub since: Timestamp,
    /// How many others wait too long.
    pub others: usize,
    /// The flows whose runs are under way.
    pub holders: Vec<String>,
}

impl fmt::Display for HeldUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connection, flow, since, others, holders } = self;
        let more = match others {
            0 => String::new(),
            1 => " and 1 other".to_owned(),
            others => format!(" and {others} others"),
        };
        let (waits, their) = if *others == 0 { ("waits", "its") } else { ("wait", "their") };
        write!(
            f,
            "{flow}{more} {waits} longer than {their} recurrence, since {since}: the runs of {} are still waiting \
             for {connection}",
            holders.join(", ")
        )
    }
}

/// The alarm of what was noted.
pub(super) fn alarm(connection: &str, since: Timestamp, what: String) -> Alarm {
    Alarm {
        kind: AlarmKind::HeldUp,
        about: connection.to_owned(),
        since,
        times: 1,
        what,
        help: "check that the table service answers and that its secret can be read; flows of other connections \
               continue, and the waiting runs catch up afterwards"
            .to_owned(),
        look: "leadflow check --online".to_owned(),
    }
}
