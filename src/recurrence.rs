//! When a flow is due: pure, (recurrence, anchor, after) → next slot.

use jiff::Timestamp;
use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZone;

/// A recurrence as written; [`Recurrence::new`] checks it.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// How slots are described.
    pub schedule: Schedule,
    /// The zone in which they are counted.
    pub time_zone: TimeZone,
}

/// Interval or cron.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// `cron = "0 9 * * MON-FRI"`.
    Cron(String),
    /// `frequency`, `interval` and their fields.
    Every {
        /// Unit.
        frequency: Frequency,
        /// Count of units, at least 1.
        interval: u32,
        /// Local time in the zone.
        start_time: Option<DateTime>,
        /// 0..=23.
        hours: Vec<i8>,
        /// 0..=59.
        minutes: Vec<i8>,
        /// For `week`.
        week_days: Vec<Weekday>,
        /// For `month`: 1..=31 and -1..=-31 from the end.
        month_days: Vec<i8>,
    },
}

/// `frequency`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frequency {
    /// `second`
    Second,
    /// `minute`
    Minute,
    /// `hour`
    Hour,
    /// `day`
    Day,
    /// `week`
    Week,
    /// `month`
    Month,
}

/// A checked recurrence.
#[derive(Debug, Clone, PartialEq)]
pub struct Recurrence(Definition);

/// What is wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DefinitionError {
    /// The key of flows.toml: `cron`, `interval`, `hours` …
    pub field: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl Recurrence {
    /// Checks a definition.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn new(definition: Definition) -> Result<Self, Vec<DefinitionError>> {
        Ok(Self(definition))
    }

    /// The first slot later than `after`; `anchor` is the moment the flow was first seen.
    pub fn next(&self, anchor: Timestamp, after: Timestamp) -> Option<Timestamp> {
        let _ = (&self.0, anchor, after);
        None
    }
}
