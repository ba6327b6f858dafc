//! The recurrence against others: a plain walk over a year of days, and another cron library.

use std::str::FromStr as _;

use chrono_tz::Tz;
use jiff::civil::{Date, DateTime, date};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::*;

const ZONES: [&str; 20] = [
    "UTC",
    "Europe/Paris",
    "Europe/London",
    "Europe/Kyiv",
    "America/New_York",
    "America/St_Johns",
    "America/Los_Angeles",
    "America/Sao_Paulo",
    "America/Havana",
    "Asia/Seoul",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Beirut",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Apia",
];

/// A definition over days, weeks or months with a start before the year.
fn definitions() -> impl Strategy<Value = Every> {
    let frequency = prop::sample::select(vec![Frequency::Day, Frequency::Week, Frequency::Month]);
    let numbers = |range| prop::collection::vec(range, 0..4);
    let days =
        prop::collection::vec(prop::sample::select(vec![1_i8, 2, 15, 28, 29, 30, 31, -1, -2, -31]), 0..4);
    let week_days =
        prop::collection::vec(prop::sample::select(display::WEEK_DAYS.map(|(_, day)| day).to_vec()), 0..4);
    let start = (0_i32..400, 0_i8..24, 0_i8..60);
    (frequency, 1_u32..5, start, numbers(0_i8..24), numbers(0_i8..60), week_days, days).prop_map(
        |(frequency, interval, (day, hour, minute), hours, minutes, week_days, month_days)| {
            let first = date(2024, 11, 1).saturating_add(jiff::Span::new().days(day));
            Every {
                frequency,
                interval,
                start_time: Some(first.at(hour, minute, 0, 0)),
                hours,
                minutes,
                week_days: if frequency == Frequency::Week { week_days } else { vec![] },
                month_days: if frequency == Frequency::Month { month_days } else { vec![] },
            }
        },
    )
}

/// Every local time of the definition, by looking at each day on its own.
fn walked(every: &Every, zone: &TimeZone, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
    let start: DateTime = every.start_time.unwrap();
    let begin = zone.to_ambiguous_zoned(start).compatible().unwrap().timestamp();
    let hours = if every.hours.is_empty() { vec![start.hour()] } else { every.hours.clone() };
    let minutes = if every.minutes.is_empty() { vec![start.minute()] } else { every.minutes.clone() };
    let mut found = Vec::new();
    let mut day = start.date();
    while day < date(2027, 2, 1) {
        if is_day(every, start.date(), day) {
            let times = hours.iter().flat_map(|hour| minutes.iter().map(|minute| (*hour, *minute)));
            found.extend(times.map(|(hour, minute)| {
                let local = day.at(hour, minute, 0, 0);
                zone.to_ambiguous_zoned(local).compatible().unwrap().timestamp()
            }));
        }
        day = day.tomorrow().unwrap();
    }
    found.retain(|slot| *slot >= begin && *slot > from && *slot <= to);
    found.sort_unstable();
    found.dedup();
    found
}

fn is_day(every: &Every, start: Date, day: Date) -> bool {
    let interval = i64::from(every.interval);
    let days = i64::from(start.until(day).unwrap().get_days());
    match every.frequency {
        Frequency::Week => {
            let offset = i64::from(start.weekday().to_monday_zero_offset());
            let is_week = ((days + offset) / 7) % interval == 0;
            let days =
                if every.week_days.is_empty() { vec![start.weekday()] } else { every.week_days.clone() };
            is_week && days.contains(&day.weekday())
        }
        Frequency::Month => {
            let months = i64::from(day.year() - start.year()) * 12 + i64::from(day.month() - start.month());
            let last = day.days_in_month();
            let is_listed = |wanted: &i8| day.day() == *wanted || day.day() - last - 1 == *wanted;
            let is_day = if every.month_days.is_empty() {
                day.day() == start.day().min(last)
            } else {
                every.month_days.iter().any(is_listed)
            };
            months % interval == 0 && is_day
        }
        _ => days % interval == 0,
    }
}

#[test]
fn a_year_of_two_hundred_definitions_in_twenty_zones() {
    let mut runner = TestRunner::deterministic();
    let from = date(2026, 1, 1);
    let to = date(2027, 1, 1);
    let mut slots = 0;
    for number in 0..200 {
        let every = definitions().new_tree(&mut runner).unwrap().current();
        let zone = TimeZone::get(ZONES[number % ZONES.len()]).unwrap();
        let definition = Definition { schedule: Schedule::Every(every.clone()), time_zone: zone.clone() };
        let Ok(recurrence) = Recurrence::new(definition) else { continue };
        let from = from.to_zoned(zone.clone()).unwrap().timestamp();
        let to = to.to_zoned(zone.clone()).unwrap().timestamp();
        let expected = walked(&every, &zone, from, to);
        let mut found = Vec::new();
        let mut after = from;
        while let Some(next) = recurrence.next(from, after).filter(|next| *next <= to) {
            found.push(next);
            after = next;
        }
        assert_eq!(found, expected, "{every:?} in {zone:?}");
        slots += found.len();
    }
    assert!(slots > 20_000, "{slots}");
}

#[test]
fn cron_is_what_another_library_says() {
    let expressions = [
        "0 9 * * MON-FRI",
        "*/15 * * * *",
        "30 2 * * *",
        "0 0 1 * *",
        "5 4 * * SUN",
        "0 12 1,15 * *",
        "0-10/5 8-18/2 * * *",
        "59 23 31 12 *",
        "0 0 29 2 *",
        "7 */3 * JAN-JUN *",
    ];
    for zone in ["UTC", "Asia/Seoul", "Asia/Kolkata"] {
        let (zone, other): (TimeZone, Tz) = (TimeZone::get(zone).unwrap(), zone.parse().unwrap());
        for expression in expressions {
            let ours =
                Definition { schedule: Schedule::Cron(expression.to_owned()), time_zone: zone.clone() };
            let ours = Recurrence::new(ours).unwrap();
            // That library wants seconds.
            let theirs = cron::Schedule::from_str(&format!("0 {expression}")).unwrap();
            let start = Timestamp::from_second(1_767_225_600).unwrap();
            let begin = chrono::DateTime::from_timestamp(start.as_second(), 0).unwrap().with_timezone(&other);
            let mut after = start;
            for expected in theirs.after(&begin).take(300) {
                let next = ours.next(start, after).unwrap();
                assert_eq!(next.as_second(), expected.timestamp(), "{expression} in {other}");
                after = next;
            }
        }
    }
}
