//! When a flow is due: pure, (recurrence, anchor, after) → next slot.
//!
//! The meaning is Power Automate's: without a start time the first slot is the anchor, the moment
//! the flow was first seen, and the later ones count from it. Seconds, minutes and hours are steps
//! of absolute time; days, weeks, months and cron are local time in the zone of the recurrence.

mod calendar;
mod check;
mod display;
pub use display::WEEK_DAYS;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;

use croner::Cron;
use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

pub use check::DefinitionError;

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
    /// `cron = "0 9 * * MON-FRI"`: five fields, or six with seconds first.
    Cron(String),
    /// `frequency`, `interval` and their fields.
    Every(Every),
}

/// `frequency`, `interval` and their fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Every {
    /// Unit.
    pub frequency: Frequency,
    /// Count of units, at least 1.
    pub interval: u32,
    /// Local time in the zone.
    pub start_time: Option<DateTime>,
    /// 0..=23; for day, week and month.
    pub hours: Vec<i8>,
    /// 0..=59; for day, week and month.
    pub minutes: Vec<i8>,
    /// For `week`.
    pub week_days: Vec<Weekday>,
    /// For `month`: 1..=31, and -1..=-31 from its end.
    pub month_days: Vec<i8>,
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
    /// `week`, from Monday on
    Week,
    /// `month`
    Month,
}

impl Frequency {
    /// Every frequency, with its word in flows.toml.
    pub const WORDS: [(&'static str, Self); 6] = [
        ("second", Self::Second),
        ("minute", Self::Minute),
        ("hour", Self::Hour),
        ("day", Self::Day),
        ("week", Self::Week),
        ("month", Self::Month),
    ];

    /// Its word in flows.toml.
    pub fn as_str(self) -> &'static str {
        Self::WORDS.iter().find(|(_, frequency)| *frequency == self).map_or("", |(word, _)| word)
    }

    /// The length of the unit; a month counts 31 days.
    pub fn length(self) -> SignedDuration {
        match self {
            Self::Second => SignedDuration::from_secs(1),
            Self::Minute => SignedDuration::from_mins(1),
            Self::Hour => SignedDuration::from_hours(1),
            Self::Day => SignedDuration::from_hours(24),
            Self::Week => SignedDuration::from_hours(7 * 24),
            Self::Month => SignedDuration::from_hours(31 * 24),
        }
    }
}

/// A checked recurrence.
#[derive(Debug, Clone)]
pub struct Recurrence {
    definition: Definition,
    plan: Plan,
    length: SignedDuration,
}

#[derive(Debug, Clone)]
enum Plan {
    Cron(Box<Cron>),
    /// Steps of absolute time.
    Steps {
        step: SignedDuration,
        start: Option<Timestamp>,
    },
    /// Days of a calendar.
    Calendar {
        every: Every,
        start: Option<Timestamp>,
    },
}

impl PartialEq for Recurrence {
    fn eq(&self, other: &Self) -> bool {
        self.definition == other.definition
    }
}

/// A Monday from which gaps are looked for.
const SOME_TIME: Timestamp = Timestamp::constant(1_767_571_200, 0);
/// Slots that are looked at to find the widest gap between two.
const SLOTS_FOR_A_GAP: usize = 60;

impl Recurrence {
    /// Checks a definition.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn new(definition: Definition) -> Result<Self, Vec<DefinitionError>> {
        let plan = check::plan(&definition)?;
        let mut recurrence = Self { definition, plan, length: SignedDuration::ZERO };
        recurrence.length = recurrence.measured();
        Ok(recurrence)
    }

    /// As it was written.
    pub fn schedule(&self) -> &Schedule {
        &self.definition.schedule
    }

    /// The zone in which the slots are counted.
    pub fn time_zone(&self) -> &TimeZone {
        &self.definition.time_zone
    }

    /// The first slot later than `after`; `anchor` is the moment the flow was first seen.
    ///
    /// `None` when no slot is left before the year 9999.
    pub fn next(&self, anchor: Timestamp, after: Timestamp) -> Option<Timestamp> {
        match &self.plan {
            Plan::Cron(cron) => next_of_cron(cron, self.time_zone(), after),
            Plan::Steps { step, start } => next_step(*step, start.unwrap_or(anchor), after),
            Plan::Calendar { every, start } => {
                if start.is_none() && after < anchor {
                    return Some(anchor);
                }
                calendar::next(every, self.time_zone(), start.unwrap_or(anchor), after)
            }
        }
    }

    /// The time between two slots, or the widest of the next ones where they are not even.
    pub fn length(&self) -> SignedDuration {
        self.length
    }

    fn measured(&self) -> SignedDuration {
        if let Schedule::Every(every) = &self.definition.schedule
            && every.is_even()
        {
            return every.frequency.length() * i32::try_from(every.interval).unwrap_or(i32::MAX);
        }
        let by_slots = self.widest_of_slots();
        let by_hours = self.longest_wait();
        if by_hours > by_slots { by_hours + SignedDuration::from_hours(1) } else { by_slots }
    }

    /// The widest gap of the next slots.
    fn widest_of_slots(&self) -> SignedDuration {
        let mut widest = SignedDuration::from_secs(1);
        let Some(mut slot) = self.next(SOME_TIME, SOME_TIME) else { return widest };
        for _ in 0..SLOTS_FOR_A_GAP {
            let Some(next) = self.next(SOME_TIME, slot) else { break };
            widest = widest.max(next.duration_since(slot));
            slot = next;
        }
        widest
    }

    /// Slots that lie close together by day leave a gap at night, which is found by asking each
    /// hour of two weeks how long the next slot is away: the gap, but for an hour at most.
    fn longest_wait(&self) -> SignedDuration {
        let asked = (0..14 * 24).map(|number| SOME_TIME + SignedDuration::from_hours(number));
        let waits = asked.filter_map(|at| Some(self.next(SOME_TIME, at)?.duration_since(at)));
        waits.max().unwrap_or_default()
    }
}

impl Every {
    /// Minutes and second of the slots where `hours` or `minutes` are named. Hours alone take both from the
    /// start time, where there is one, as Power Automate does
    /// (<https://learn.microsoft.com/azure/connectors/connectors-native-recurrence>).
    fn within_the_hour(&self) -> (Vec<i8>, i8) {
        match (self.minutes.as_slice(), self.start_time) {
            ([], Some(start)) => (vec![start.minute()], start.second()),
            ([], None) => (vec![0], 0),
            (minutes, _) => (minutes.to_vec(), 0),
        }
    }

    fn is_even(&self) -> bool {
        self.hours.is_empty()
            && self.minutes.is_empty()
            && self.week_days.is_empty()
            && self.month_days.is_empty()
    }
}

fn next_of_cron(cron: &Cron, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let local = after.to_zoned(zone.clone());
    let next = cron.find_next_occurrence(&local, false).ok()?;
    Some(next.timestamp())
}

fn next_step(step: SignedDuration, base: Timestamp, after: Timestamp) -> Option<Timestamp> {
    if after < base {
        return Some(base);
    }
    let steps = after.duration_since(base).as_nanos() / step.as_nanos() + 1;
    let nanoseconds = base.as_nanosecond().checked_add(steps.checked_mul(step.as_nanos())?)?;
    Timestamp::from_nanosecond(nanoseconds).ok()
}
