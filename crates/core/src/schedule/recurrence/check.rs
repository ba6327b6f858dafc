//! What may be in a recurrence.

use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{Definition, Every, Frequency, Plan, Schedule};

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

/// The longest interval, as in Power Automate.
const LONGEST: SignedDuration = SignedDuration::from_hours(500 * 24);

pub(super) fn plan(definition: &Definition) -> Result<Plan, Vec<DefinitionError>> {
    match &definition.schedule {
        Schedule::Cron(text) => cron(text, &definition.time_zone).map_err(|error| vec![error]),
        Schedule::Every(every) => plan_of_interval(every, &definition.time_zone),
    }
}

fn cron(text: &str, zone: &TimeZone) -> Result<Plan, DefinitionError> {
    let wrong = |message: String| DefinitionError {
        field: "cron",
        message,
        help: Some("write five fields: minute hour day month weekday, as in \"0 9 * * MON-FRI\"".to_owned()),
    };
    let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
    let cron = parser
        .parse(text)
        .map_err(|error| wrong(format!("`{text}` is not a valid cron expression: {error}")))?;
    let start = Timestamp::UNIX_EPOCH.to_zoned(zone.clone());
    cron.find_next_occurrence(&start, false).map_err(|_| wrong(format!("`{text}` never fires")))?;
    Ok(Plan::Cron(Box::new(cron)))
}

fn plan_of_interval(every: &Every, zone: &TimeZone) -> Result<Plan, Vec<DefinitionError>> {
    let errors = wrong_fields(every);
    if !errors.is_empty() {
        return Err(errors);
    }
    let start = every.start_time.and_then(|at| zone.to_ambiguous_zoned(at).compatible().ok());
    let start = start.map(|at| at.timestamp());
    if !is_calendar(every.frequency) {
        let step = every.frequency.length() * i32::try_from(every.interval).unwrap_or(i32::MAX);
        return Ok(Plan::Steps { step, start });
    }
    // Without a start the months count from whenever the flow is first seen.
    let any_month = (1..=12).filter_map(|month| Date::new(1970, month, 1).ok()?.to_zoned(zone.clone()).ok());
    let bases: Vec<_> =
        start.map_or_else(|| any_month.map(|at| at.timestamp()).collect(), |start| vec![start]);
    let never = |base: &Timestamp| super::calendar::next(every, zone, *base, *base).is_none();
    if bases.iter().any(never) {
        return Err(vec![wrong(
            "month_days",
            "the first month may not have this day",
            "use -1 for the last day, or write `start_time`",
        )]);
    }
    Ok(Plan::Calendar { every: every.clone(), start })
}

fn is_calendar(frequency: Frequency) -> bool {
    matches!(frequency, Frequency::Day | Frequency::Week | Frequency::Month)
}

fn wrong_fields(every: &Every) -> Vec<DefinitionError> {
    let mut errors = Vec::new();
    let frequency = every.frequency;
    let longest = LONGEST.as_secs() / frequency.length().as_secs();
    if every.interval == 0 || i64::from(every.interval) > longest {
        let message = format!("{} is out of range for `interval`", every.interval);
        errors.push(wrong(
            "interval",
            message,
            &format!("use 1 to {longest} for frequency \"{}\"", frequency.as_str()),
        ));
    }
    let calendar = is_calendar(frequency);
    for (field, used, fits, frequencies) in [
        ("hours", !every.hours.is_empty(), calendar, "day, week and month"),
        ("minutes", !every.minutes.is_empty(), calendar, "day, week and month"),
        ("week_days", !every.week_days.is_empty(), frequency == Frequency::Week, "week"),
        ("month_days", !every.month_days.is_empty(), frequency == Frequency::Month, "month"),
    ] {
        if used && !fits {
            let message = format!("`{field}` cannot be used with frequency \"{}\"", frequency.as_str());
            let help = format!("it is for {frequencies}; remove it, or change `frequency`");
            errors.push(wrong(field, message, &help));
        }
    }
    for (field, values, range, words) in [
        ("hours", &every.hours, 0..=23, "use 0 to 23"),
        ("minutes", &every.minutes, 0..=59, "use 0 to 59"),
        ("month_days", &every.month_days, -31..=31, "use 1 to 31, or -1 (the last) to -31"),
    ] {
        let fits = |value: i8| range.contains(&value) && (value != 0 || field != "month_days");
        for value in values.iter().filter(|value| !fits(**value)) {
            errors.push(wrong(field, format!("{value} is out of range for `{field}`"), words));
        }
    }
    errors
}

fn wrong(field: &'static str, message: impl Into<String>, help: &str) -> DefinitionError {
    DefinitionError { field, message: message.into(), help: Some(help.to_owned()) }
}
