//! Slots of days, weeks and months: local times of a zone.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::{Every, Frequency};

/// Periods without a slot after which there is none: the 29th of February every 12 months is
/// the rarest, at most 8 years apart.
const PERIODS: i64 = 400;

/// The first slot later than `after` and not before `base`, from which periods are counted.
pub(super) fn next(every: &Every, zone: &TimeZone, base: Timestamp, after: Timestamp) -> Option<Timestamp> {
    let origin = base.to_zoned(zone.clone());
    let times = times_of_day(every, origin.time());
    let first = first_period(every.frequency, origin.date(), after.to_zoned(zone.clone()).date());
    // Rather too early: a zone may drop a whole day, so that a slot moves into the period after its own.
    let first = (first / i64::from(every.interval) - 2).max(0);
    let slot_in = |period: i64| {
        let dates = dates_of(every, origin.date(), period.checked_mul(i64::from(every.interval))?)?;
        let moments =
            dates.into_iter().flat_map(|date| times.iter().map(move |time| date.to_datetime(*time)));
        let slots =
            moments.filter_map(|local| Some(zone.to_ambiguous_zoned(local).compatible().ok()?.timestamp()));
        slots.filter(|slot| *slot > after && *slot >= base).min()
    };
    let found = (first..first + PERIODS).find_map(|period| Some((period, slot_in(period)?)));
    let (period, slot) = found?;
    Some(slot_in(period + 1).map_or(slot, |later| slot.min(later)))
}

/// Which period, counted in single units from the origin's, the date lies in; of weeks perhaps the one before.
fn first_period(frequency: Frequency, origin: Date, date: Date) -> i64 {
    let days = date.duration_since(origin).as_hours() / 24;
    match frequency {
        Frequency::Week => days / 7,
        Frequency::Month => {
            i64::from(date.year() - origin.year()) * 12 + i64::from(date.month() - origin.month())
        }
        _ => days,
    }
}

/// The dates of the period that lies `units` after the origin's.
fn dates_of(every: &Every, origin: Date, units: i64) -> Option<Vec<Date>> {
    match every.frequency {
        Frequency::Week => {
            let monday =
                origin.checked_sub(Span::new().days(origin.weekday().to_monday_zero_offset())).ok()?;
            let monday = monday.checked_add(Span::new().try_weeks(units).ok()?).ok()?;
            let days: Vec<_> =
                if every.week_days.is_empty() { vec![origin.weekday()] } else { every.week_days.clone() };
            let on = |day: jiff::civil::Weekday| {
                monday.checked_add(Span::new().days(day.to_monday_zero_offset())).ok()
            };
            Some(days.into_iter().filter_map(on).collect())
        }
        Frequency::Month => {
            let first = origin.first_of_month().checked_add(Span::new().try_months(units).ok()?).ok()?;
            let last = first.days_in_month();
            if every.month_days.is_empty() {
                return Some(vec![Date::new(first.year(), first.month(), origin.day().min(last)).ok()?]);
            }
            let days =
                every.month_days.iter().map(|day| if day.is_negative() { last + 1 + day } else { *day });
            let days = days.filter(|day| (1..=last).contains(day));
            Some(days.filter_map(|day| Date::new(first.year(), first.month(), day).ok()).collect())
        }
        _ => Some(vec![origin.checked_add(Span::new().try_days(units).ok()?).ok()?]),
    }
}

/// Without `hours` and `minutes` it is the origin's time.
fn times_of_day(every: &Every, origin: Time) -> Vec<Time> {
    if every.hours.is_empty() && every.minutes.is_empty() {
        return vec![origin];
    }
    let hours = if every.hours.is_empty() { vec![origin.hour()] } else { every.hours.clone() };
    let (minutes, second) = every.within_the_hour();
    let all = hours.iter().flat_map(|hour| minutes.iter().map(move |minute| (*hour, *minute)));
    all.filter_map(|(hour, minute)| Time::new(hour, minute, second, 0).ok()).collect()
}
