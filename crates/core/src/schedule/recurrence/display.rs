//! A recurrence in words, for lists and the log.

use std::fmt;

use jiff::civil::Weekday;

use super::{Every, Recurrence, Schedule};

impl fmt::Display for Recurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.definition.schedule {
            Schedule::Cron(cron) => write!(f, "cron {cron}")?,
            Schedule::Every(every) => write!(f, "{every}")?,
        }
        let is_steps = matches!(self.plan, super::Plan::Steps { .. });
        match self.definition.time_zone.iana_name() {
            Some(zone) if !is_steps => write!(f, " ({zone})"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.frequency.as_str();
        match self.interval {
            1 => write!(f, "every {word}")?,
            count => write!(f, "every {count} {word}s")?,
        }
        if !self.week_days.is_empty() {
            write!(f, " on {}", list(self.week_days.iter().map(|day| name_of(*day).to_owned())))?;
        }
        if !self.month_days.is_empty() {
            write!(f, " on day {}", list(self.month_days.iter().map(i8::to_string)))?;
        }
        match (self.hours.as_slice(), self.minutes.as_slice()) {
            ([], []) => Ok(()),
            ([], minutes) => write!(f, " at minute {}", list(minutes.iter().map(i8::to_string))),
            (hours, _) => {
                let (minutes, second) = self.within_the_hour();
                let seconds = if second == 0 { String::new() } else { format!(":{second:02}") };
                let all = hours.iter().flat_map(|hour| minutes.iter().map(move |minute| (hour, minute)));
                write!(f, " at {}", list(all.map(|(hour, minute)| format!("{hour:02}:{minute:02}{seconds}"))))
            }
        }
    }
}

/// The week's days with their words in flows.toml.
pub const WEEK_DAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

fn name_of(day: Weekday) -> &'static str {
    WEEK_DAYS.iter().find(|(_, d)| *d == day).map_or("", |(name, _)| name)
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}
