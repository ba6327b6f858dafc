//! Moments as people type them.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};

use super::Usage;

/// A date, a time of the zone, a time with its offset, or how long ago.
pub(super) fn parse(text: &str, zone: &TimeZone, now: Timestamp) -> Result<Timestamp, Usage> {
    let text = text.trim();
    let in_zone = |at: DateTime| at.to_zoned(zone.clone()).ok().map(|at: Zoned| at.timestamp());
    let ago = || {
        let span: Span = text.trim_end_matches("ago").trim().parse().ok()?;
        Some(now.to_zoned(zone.clone()).checked_sub(span.abs()).ok()?.timestamp())
    };
    let with_offset = || text.parse::<Timestamp>().ok();
    let local = || text.parse::<DateTime>().ok().and_then(in_zone);
    let day =
        || text.parse::<Date>().ok().and_then(|day| in_zone(day.to_datetime(jiff::civil::Time::midnight())));
    with_offset().or_else(local).or_else(day).or_else(ago).ok_or_else(|| {
        Usage(format!(
            "`{text}` is not a valid time; write 2026-11-20, 2026-11-20T08:00, 2026-11-20T08:00:00Z or \
             \"3 days\""
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_times_and_how_long_ago() {
        let zone = TimeZone::get("Asia/Seoul").unwrap();
        let now = "2026-11-24T03:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("2026-11-20", "2026-11-19T15:00:00Z"),
            ("2026-11-20T08:00", "2026-11-19T23:00:00Z"),
            ("2026-11-20 08:00:30", "2026-11-19T23:00:30Z"),
            ("2026-11-20T08:00:00Z", "2026-11-20T08:00:00Z"),
            ("2026-11-20T08:00:00+01:00", "2026-11-20T07:00:00Z"),
            ("3 days", "2026-11-21T03:00:00Z"),
            ("90 minutes ago", "2026-11-24T01:30:00Z"),
            ("2h", "2026-11-24T01:00:00Z"),
        ] {
            assert_eq!(parse(text, &zone, now).unwrap().to_string(), expected, "{text}");
        }
        for wrong in ["yesterday", "", "2026-13-01", "99999999 years"] {
            assert!(parse(wrong, &zone, now).is_err(), "{wrong}");
        }
    }
}
