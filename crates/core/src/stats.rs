//! Runs counted by day: Power Automate's analytics.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

/// What the statistics need of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When it began.
    pub started: Timestamp,
    /// How long it took; `None` while it is under way.
    pub took: Option<SignedDuration>,
    /// Its outcome is `failed`.
    pub is_failed: bool,
    /// New rows.
    pub rows: u64,
    /// Mails.
    pub mails: u64,
}

/// Runs counted together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// All of them.
    pub runs: u64,
    /// Those that failed.
    pub failed: u64,
    /// Rows that went into a mail: rows that gather would count once a run.
    pub rows: u64,
    /// Mails.
    pub mails: u64,
    took: Vec<SignedDuration>,
}

/// The runs of a flow by day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Days {
    /// Each day and its runs, oldest first; days without a run included.
    pub days: Vec<(Date, Tally)>,
    /// All days together.
    pub total: Tally,
}

/// The last days of a zone, the one of `now` among them, with the moment at which each begins.
#[derive(Debug, Clone)]
pub struct DayRange(Vec<(Date, Timestamp)>);

impl DayRange {
    /// So many days, at least one.
    pub fn last(days: u16, now: Timestamp, zone: &TimeZone) -> Self {
        let today = now.to_zoned(zone.clone()).date();
        let begin = |back: u16| {
            let day = today.checked_sub(Span::new().try_days(back).ok()?).ok()?;
            Some((day, day.to_zoned(zone.clone()).ok()?.timestamp()))
        };
        Self((0..days.max(1)).rev().filter_map(begin).collect())
    }

    /// When the first day begins.
    pub fn start(&self) -> Timestamp {
        self.0.first().map_or(Timestamp::MIN, |(_, at)| *at)
    }

    /// The runs by day; those before the first day do not count.
    pub fn count(&self, runs: &[Sample]) -> Days {
        let mut days: Vec<_> = self.0.iter().map(|(day, _)| (*day, Tally::default())).collect();
        let mut total = Tally::default();
        for run in runs {
            let first_later = self.0.partition_point(|(_, begin)| *begin <= run.started);
            if let Some((_, tally)) = first_later.checked_sub(1).and_then(|at| days.get_mut(at)) {
                tally.add(run);
                total.add(run);
            }
        }
        Days { days, total }
    }
}

impl Tally {
    fn add(&mut self, run: &Sample) {
        self.runs += 1;
        self.failed += u64::from(run.is_failed);
        self.rows += if run.mails > 0 { run.rows } else { 0 };
        self.mails += run.mails;
        self.took.extend(run.took);
    }

    /// The other runs as well.
    pub fn merge(&mut self, other: &Self) {
        self.runs += other.runs;
        self.failed += other.failed;
        self.rows += other.rows;
        self.mails += other.mails;
        self.took.extend(&other.took);
    }

    /// The duration that half of the runs do not exceed; `None` without an ended run.
    pub fn median(&self) -> Option<SignedDuration> {
        let mut took = self.took.clone();
        let middle = took.len().checked_sub(1)? / 2;
        Some(*took.select_nth_unstable(middle).1)
    }

    /// The longest duration.
    pub fn longest(&self) -> Option<SignedDuration> {
        self.took.iter().max().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(started: &str, millis: i64, rows: u64, mails: u64) -> Sample {
        let took = Some(SignedDuration::from_millis(millis));
        Sample { started: started.parse().unwrap(), took, is_failed: false, rows, mails }
    }

    #[test]
    fn days_are_those_of_the_zone_also_where_the_clock_changes() {
        let zone = TimeZone::get("Europe/Paris").unwrap();
        // 29 March 2026 has 23 hours: it begins at 23:00Z and ends at 22:00Z.
        let range = DayRange::last(3, "2026-03-30T12:00:00Z".parse().unwrap(), &zone);
        assert_eq!(range.start().to_string(), "2026-03-27T23:00:00Z");
        let days = range.count(&[
            run("2026-03-27T22:59:59Z", 1, 9, 1),
            run("2026-03-28T22:59:59Z", 1, 1, 1),
            run("2026-03-28T23:00:00Z", 1, 2, 1),
            run("2026-03-29T21:59:59Z", 1, 4, 1),
            run("2026-03-29T22:00:00Z", 1, 8, 1),
        ]);
        let rows: Vec<_> = days.days.iter().map(|(day, tally)| (day.to_string(), tally.rows)).collect();
        let expected = [("2026-03-28", 1), ("2026-03-29", 6), ("2026-03-30", 8)];
        assert_eq!(rows, expected.map(|(day, rows)| (day.to_owned(), rows)));
        assert_eq!((days.total.rows, days.total.runs), (15, 4));
    }

    #[test]
    fn median_longest_and_rows_that_were_mailed() {
        let range = DayRange::last(1, "2026-03-30T12:00:00Z".parse().unwrap(), &TimeZone::UTC);
        let none = range.count(&[]).total;
        assert_eq!((none.median(), none.longest()), (None, None));
        let at = "2026-03-30T08:00:00Z";
        let mut runs = vec![
            run(at, 30, 3, 0),
            run(at, 10, 3, 0),
            run(at, 20, 5, 1),
            run(at, 90, 0, 0),
            run(at, 25, 0, 0),
        ];
        runs.push(Sample { took: None, is_failed: true, ..run(at, 0, 0, 0) });
        let total = range.count(&runs).total;
        assert_eq!((total.runs, total.failed, total.rows, total.mails), (6, 1, 5, 1));
        assert_eq!(total.median(), Some(SignedDuration::from_millis(25)));
        assert_eq!(total.longest(), Some(SignedDuration::from_millis(90)));
        let mut twice = total.clone();
        twice.merge(&total);
        assert_eq!((twice.runs, twice.failed, twice.rows, twice.mails), (12, 2, 10, 2));
        assert_eq!((twice.median(), twice.longest()), (total.median(), total.longest()));
    }
}
