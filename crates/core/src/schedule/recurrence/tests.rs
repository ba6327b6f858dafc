use jiff::civil::Weekday;
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn every(frequency: Frequency, interval: u32) -> Every {
    Every {
        frequency,
        interval,
        start_time: None,
        hours: vec![],
        minutes: vec![],
        week_days: vec![],
        month_days: vec![],
    }
}

fn in_zone(schedule: Schedule, zone: &str) -> Recurrence {
    Recurrence::new(Definition { schedule, time_zone: TimeZone::get(zone).unwrap() }).unwrap()
}

fn slots(recurrence: &Recurrence, anchor: &str, after: &str, count: usize) -> Vec<String> {
    let mut from = at(after);
    let mut next = || {
        from = recurrence.next(at(anchor), from)?;
        Some(from.to_string())
    };
    (0..count).map_while(|_| next()).collect()
}

#[test]
fn without_a_start_slots_count_from_the_anchor() {
    let hourly = in_zone(Schedule::Every(every(Frequency::Hour, 1)), "UTC");
    let anchor = "2026-01-05T08:20:30Z";
    assert_eq!(slots(&hourly, anchor, "2026-01-05T08:20:29Z", 2), [anchor, "2026-01-05T09:20:30Z"]);
    assert_eq!(slots(&hourly, anchor, "2026-02-05T08:20:30Z", 1), ["2026-02-05T09:20:30Z"]);
    let daily = in_zone(Schedule::Every(Every { hours: vec![9], ..every(Frequency::Day, 1) }), "UTC");
    let expected = [anchor, "2026-01-05T09:00:00Z", "2026-01-06T09:00:00Z"];
    assert_eq!(slots(&daily, anchor, "2026-01-01T00:00:00Z", 3), expected);
}

#[test]
fn a_past_start_gives_a_grid_and_a_future_one_waits() {
    let start_time = Some("2026-01-05T08:00:00".parse().unwrap());
    let recurrence = Every { start_time, ..every(Frequency::Minute, 15) };
    let recurrence = in_zone(Schedule::Every(recurrence), "Asia/Seoul");
    let anchor = "2026-03-01T00:07:00Z";
    assert_eq!(slots(&recurrence, anchor, anchor, 2), ["2026-03-01T00:15:00Z", "2026-03-01T00:30:00Z"]);
    assert_eq!(slots(&recurrence, anchor, "2025-01-01T00:00:00Z", 1), ["2026-01-04T23:00:00Z"]);
}

#[test]
fn hours_without_minutes_take_the_minute_of_the_start_time() {
    for (start, minutes, expected, words) in [
        (None, vec![], ["2026-01-06T08:00:00Z", "2026-01-06T17:00:00Z"], "every day at 08:00, 17:00 (UTC)"),
        (
            Some("2026-01-05T09:17:00"),
            vec![],
            ["2026-01-06T08:17:00Z", "2026-01-06T17:17:00Z"],
            "every day at 08:17, 17:17 (UTC)",
        ),
        (
            Some("2026-01-05T09:17:30"),
            vec![],
            ["2026-01-06T08:17:30Z", "2026-01-06T17:17:30Z"],
            "every day at 08:17:30, 17:17:30 (UTC)",
        ),
        (
            Some("2026-01-05T09:17:30"),
            vec![5],
            ["2026-01-06T08:05:00Z", "2026-01-06T17:05:00Z"],
            "every day at 08:05, 17:05 (UTC)",
        ),
    ] {
        let start_time = start.map(|start| start.parse().unwrap());
        let daily = Every { start_time, hours: vec![8, 17], minutes, ..every(Frequency::Day, 1) };
        let daily = in_zone(Schedule::Every(daily), "UTC");
        assert_eq!(slots(&daily, "2026-01-05T20:00:00Z", "2026-01-05T20:00:00Z", 2), expected);
        assert_eq!(daily.to_string(), words);
    }
    // The start itself is a slot.
    let start_time = Some("2026-01-05T08:17:30".parse().unwrap());
    let weekly = Every { start_time, hours: vec![8], ..every(Frequency::Week, 1) };
    let weekly = in_zone(Schedule::Every(weekly), "UTC");
    let expected = ["2026-01-05T08:17:30Z", "2026-01-12T08:17:30Z"];
    assert_eq!(slots(&weekly, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", 2), expected);
}

#[test]
fn local_time_stays_over_daylight_saving() {
    let at_half_past_two = Every { hours: vec![2], minutes: vec![30], ..every(Frequency::Day, 1) };
    let daily = in_zone(Schedule::Every(at_half_past_two), "Europe/Paris");
    let anchor = "2026-01-01T00:00:00Z";
    let spring = ["2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"];
    assert_eq!(slots(&daily, anchor, "2026-03-27T12:00:00Z", 3), spring, "02:30 moves to 03:30");
    let autumn = ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"];
    assert_eq!(slots(&daily, anchor, "2026-10-23T12:00:00Z", 3), autumn, "the doubled 02:30 runs once");
    let cron = in_zone(Schedule::Cron("30 2 * * *".to_owned()), "Europe/Paris");
    let spring = ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"];
    assert_eq!(slots(&cron, anchor, "2026-03-27T12:00:00Z", 3), spring, "cron runs when the gap ends");
    assert_eq!(slots(&cron, anchor, "2026-10-23T12:00:00Z", 3), autumn);
}

#[test]
fn weeks_and_months() {
    let week_days = vec![Weekday::Friday, Weekday::Monday];
    let weekly = Every { week_days, hours: vec![8], ..every(Frequency::Week, 2) };
    let weekly = in_zone(Schedule::Every(weekly), "UTC");
    // The anchor is a Wednesday: its own week counts, from Monday.
    let expected = ["2026-01-09T08:00:00Z", "2026-01-19T08:00:00Z", "2026-01-23T08:00:00Z"];
    assert_eq!(slots(&weekly, "2026-01-07T12:00:00Z", "2026-01-07T12:00:00Z", 3), expected);

    let monthly = Every { month_days: vec![-1, 31], hours: vec![0], ..every(Frequency::Month, 1) };
    let monthly = in_zone(Schedule::Every(monthly), "UTC");
    let expected = ["2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z"];
    assert_eq!(slots(&monthly, "2026-01-07T00:00:00Z", "2026-01-07T00:00:00Z", 3), expected);

    let from_the_end_of_january = in_zone(Schedule::Every(every(Frequency::Month, 1)), "UTC");
    let expected = ["2026-02-28T06:00:00Z", "2026-03-31T06:00:00Z"];
    assert_eq!(slots(&from_the_end_of_january, "2026-01-31T06:00:00Z", "2026-01-31T06:00:00Z", 2), expected);
}

#[test]
fn a_flow_that_has_run_for_decades_is_due_as_on_its_first_day() {
    let anchor = "1979-12-31T06:00:00Z";
    for (frequency, interval, expected) in [
        (Frequency::Day, 1, "2026-01-16T06:00:00Z"),
        (Frequency::Day, 3, "2026-01-16T06:00:00Z"),
        (Frequency::Week, 1, "2026-01-19T06:00:00Z"),
        (Frequency::Week, 3, "2026-01-19T06:00:00Z"),
        (Frequency::Month, 1, "2026-01-31T06:00:00Z"),
        (Frequency::Month, 5, "2026-03-31T06:00:00Z"),
    ] {
        let recurrence = in_zone(Schedule::Every(every(frequency, interval)), "UTC");
        let found = slots(&recurrence, anchor, "2026-01-15T12:00:00Z", 1);
        assert_eq!(found, [expected], "every {interval} {frequency:?}");
    }
}

/// On 4 May 2018 the clocks of Pyongyang went from 23:30 to midnight, so that 23:45 was at 00:15.
#[test]
fn a_slot_that_moves_into_the_next_day_comes_in_its_order() {
    let daily = Every { hours: vec![0, 23], minutes: vec![10, 45], ..every(Frequency::Day, 1) };
    let daily = in_zone(Schedule::Every(daily), "Asia/Pyongyang");
    let in_pyongyang =
        |slot: String| at(&slot).to_zoned(daily.time_zone().clone()).strftime("%d %H:%M").to_string();
    let found = slots(&daily, "2018-05-01T00:00:00Z", "2018-05-04T12:00:00Z", 4);
    let found: Vec<_> = found.into_iter().map(in_pyongyang).collect();
    assert_eq!(found, ["04 23:10", "05 00:10", "05 00:15", "05 00:45"]);
}

#[test]
fn everything_that_is_wrong_is_reported() {
    let wrong = |schedule| {
        let errors = Recurrence::new(Definition { schedule, time_zone: TimeZone::UTC }).unwrap_err();
        errors.into_iter().map(|error| error.message).collect::<Vec<_>>().join("; ")
    };
    let every = Every { hours: vec![24], week_days: vec![Weekday::Monday], ..every(Frequency::Day, 501) };
    let expected = "501 is out of range for `interval`; `week_days` cannot be used with frequency \"day\"; \
                    24 is out of range for `hours`";
    assert_eq!(wrong(Schedule::Every(every.clone())), expected);
    let longest = Every { hours: vec![], week_days: vec![], interval: 500, ..every };
    assert_eq!(in_zone(Schedule::Every(longest), "UTC").length(), SignedDuration::from_hours(500 * 24));
    assert!(
        wrong(Schedule::Cron("61 * * * *".to_owned()))
            .starts_with("`61 * * * *` is not a valid cron expression")
    );
    let never = Every {
        month_days: vec![31],
        hours: vec![],
        week_days: vec![],
        interval: 12,
        frequency: Frequency::Month,
        start_time: Some("2026-02-01T00:00:00".parse().unwrap()),
        minutes: vec![],
    };
    assert_eq!(wrong(Schedule::Every(never)), "the first month may not have this day");
}

#[test]
fn lengths_and_words() {
    let working_days = in_zone(Schedule::Cron("0 9 * * MON-FRI".to_owned()), "Asia/Seoul");
    assert_eq!(working_days.length(), SignedDuration::from_hours(72));
    assert_eq!(working_days.to_string(), "cron 0 9 * * MON-FRI (Asia/Seoul)");
    let by_minutes = in_zone(Schedule::Cron("*/5 9-17 * * MON-FRI".to_owned()), "UTC");
    assert_eq!(by_minutes.length(), SignedDuration::from_hours(64), "the weekend, up to an hour more");
    let quarters = in_zone(Schedule::Every(every(Frequency::Minute, 15)), "UTC");
    assert_eq!(quarters.length(), SignedDuration::from_mins(15));
    assert_eq!(quarters.to_string(), "every 15 minutes");
    for (frequency, interval, length) in [
        (Frequency::Second, 30, SignedDuration::from_secs(30)),
        (Frequency::Hour, 6, SignedDuration::from_hours(6)),
        (Frequency::Day, 2, SignedDuration::from_hours(2 * 24)),
        (Frequency::Week, 2, SignedDuration::from_hours(14 * 24)),
        (Frequency::Month, 3, SignedDuration::from_hours(3 * 31 * 24)),
    ] {
        let found = in_zone(Schedule::Every(every(frequency, interval)), "UTC").length();
        assert_eq!(found, length, "every {interval} {frequency:?}");
    }
    for (hours, minutes, length) in [(vec![8], vec![0, 5], 23 * 60 + 55), (vec![8, 17], vec![], 15 * 60)] {
        let daily = Every { hours, minutes, ..every(Frequency::Day, 1) };
        let daily = in_zone(Schedule::Every(daily), "UTC");
        assert_eq!(daily.length(), SignedDuration::from_mins(length), "the widest gap of {daily}");
    }
    let halves = Every { month_days: vec![1, 15], ..every(Frequency::Month, 1) };
    let length = SignedDuration::from_hours(17 * 24);
    assert_eq!(in_zone(Schedule::Every(halves.clone()), "UTC").length(), length, "the wider half of a month");
    let twice = Every { hours: vec![8, 12], minutes: vec![30], ..every(Frequency::Day, 1) };
    assert_eq!(in_zone(Schedule::Every(twice), "UTC").to_string(), "every day at 08:30, 12:30 (UTC)");
    let week_days = vec![Weekday::Monday, Weekday::Friday];
    let weekly = Every { week_days, minutes: vec![5], ..every(Frequency::Week, 2) };
    let words = "every 2 weeks on monday, friday at minute 5 (UTC)";
    assert_eq!(in_zone(Schedule::Every(weekly), "UTC").to_string(), words);
    assert_eq!(in_zone(Schedule::Every(halves), "UTC").to_string(), "every month on day 1, 15 (UTC)");
}

fn any_recurrence() -> impl Strategy<Value = Recurrence> {
    let frequency = prop::sample::select(Frequency::WORDS.map(|(_, frequency)| frequency).to_vec());
    let zone =
        prop::sample::select(vec!["UTC", "Europe/Paris", "America/St_Johns", "Asia/Seoul", "Pacific/Apia"]);
    let hours = prop::collection::vec(0_i8..24, 0..3);
    let minutes = prop::collection::vec(0_i8..60, 0..3);
    let days = prop::collection::vec(prop::sample::select(vec![1_i8, 15, 29, 31, -1, -3]), 0..3);
    (frequency, 1_u32..40, zone, hours, minutes, days).prop_filter_map(
        "a definition that never comes due",
        |(frequency, interval, zone, hours, minutes, month_days)| {
            let mut all = Every { hours, minutes, month_days, ..every(frequency, interval) };
            if frequency.length() < Frequency::Day.length() {
                (all.hours, all.minutes) = (vec![], vec![]);
            }
            if frequency != Frequency::Month {
                all.month_days = vec![];
            }
            all.interval = if frequency == Frequency::Month { interval % 16 + 1 } else { interval };
            let time_zone = TimeZone::get(zone).unwrap();
            Recurrence::new(Definition { schedule: Schedule::Every(all), time_zone }).ok()
        },
    )
}

proptest! {
    #[test]
    fn slots_rise_and_do_not_depend_on_where_one_starts(
        recurrence in any_recurrence(),
        anchor in 1_200_000_000_i64..1_900_000_000,
        offset in 0_i64..100_000_000,
        step in 0.0_f64..1.0,
    ) {
        let anchor = Timestamp::from_second(anchor).unwrap();
        let after = anchor + SignedDuration::from_secs(offset);
        if let Some(first) = recurrence.next(anchor, after) {
            prop_assert!(first > after);
            let between = after + first.duration_since(after).mul_f64(step * 0.999);
            prop_assert_eq!(recurrence.next(anchor, between), Some(first));
            if let Some(second) = recurrence.next(anchor, first) {
                prop_assert!(second > first);
            }
        }
    }
}
