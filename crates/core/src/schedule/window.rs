//! How far back a run reads: Power Automate's "get past time", and what makes it cover.

use jiff::{SignedDuration, Timestamp};

/// `[flows.NAME.window]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// How the past time is found.
    pub mode: Mode,
    /// `unit` × `interval`.
    pub length: SignedDuration,
    /// Re-read before the watermark, for rows that became visible late.
    pub overlap: SignedDuration,
    /// How far the one deep scan of each day reaches.
    pub look_back: SignedDuration,
}

/// `mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// From the watermark, so that no row is lost.
    Covering,
    /// `now − length` and no memory, as Power Automate.
    Fixed,
}

/// How far earlier runs of the flow have read its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Rows from before it are never mailed.
    pub baseline: Timestamp,
    /// How far the table has been read, in the table server's time.
    pub watermark: Option<Timestamp>,
    /// The last deep scan.
    pub last_deep_scan: Option<Timestamp>,
}

/// The moment a run reads from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastTime {
    /// Rows with a later `Timestamp` are read.
    pub at: Timestamp,
    /// What decided it.
    pub reason: Reason,
}

/// What decided a past time; shown in the run history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// `now − window`.
    Window,
    /// The watermark lies further back than the window.
    Watermark,
    /// The day's deep scan.
    LookBack,
    /// The flow's baseline: no scan reaches behind it.
    Baseline,
}

impl Reason {
    /// The reason as the run history shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Window => "now − window",
            Self::Watermark => "watermark − overlap",
            Self::LookBack => "the day's look-back",
            Self::Baseline => "the flow's begin",
        }
    }
}

/// The earliest moment that the table service knows, 1601-01-01: it reads all rows.
pub const EVER: Timestamp = Timestamp::constant(-11_644_473_600, 0);

/// Time between two deep scans.
const DEEP_SCAN_EVERY: SignedDuration = SignedDuration::from_hours(24);

impl Window {
    /// The past time of a run of a covering flow that starts at `now`.
    ///
    /// `min(now − window, watermark − overlap)`, once a day `now − look_back`, never before the baseline.
    pub fn past_time(&self, now: Timestamp, progress: &Progress) -> PastTime {
        let mut found = PastTime { at: before(now, self.length), reason: Reason::Window };
        let mut reach = |at: Timestamp, reason| {
            if at < found.at {
                found = PastTime { at, reason };
            }
        };
        match progress.watermark {
            Some(watermark) => reach(before(watermark, self.overlap), Reason::Watermark),
            None => reach(progress.baseline, Reason::Baseline),
        }
        if self.deep_scan_is_due(now, progress) {
            reach(before(now, self.look_back), Reason::LookBack);
        }
        if found.at < progress.baseline {
            return PastTime { at: progress.baseline, reason: Reason::Baseline };
        }
        found
    }

    /// Whether the deep scan of the day is still to come.
    pub fn deep_scan_is_due(&self, now: Timestamp, progress: &Progress) -> bool {
        let last = progress.last_deep_scan.unwrap_or(progress.baseline);
        now.duration_since(last) >= DEEP_SCAN_EVERY
    }

    /// The past time of a fixed window.
    pub fn length_before(&self, now: Timestamp) -> Timestamp {
        before(now, self.length)
    }

    /// The baseline of a covering flow: one window before it was first due, in the table server's time. What
    /// cannot be known is taken to be on the safe side: the baseline lies rather too early than too late.
    pub fn baseline(&self, first: &FirstAnswer) -> Timestamp {
        let FirstAnswer { due, now, served, is_first_try } = *first;
        let due_there = match served {
            // This machine's clock alone, which may be as far ahead as nobody would notice.
            None => before(due.min(now), CLOCKS_DIFFER),
            Some(served) => {
                let by_now = due.checked_add(served.duration_since(now)).unwrap_or(due).min(served);
                let is_just_due = is_first_try && now.duration_since(due).abs() <= CLOCKS_DIFFER;
                // While the table could not be read the clock may have been set.
                if is_just_due { by_now } else { before(by_now.min(due), CLOCKS_DIFFER) }
            }
        };
        before(due_there, self.length)
    }
}

/// What is known when a table answers a flow for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstAnswer {
    /// The slot that the flow was first due for, by this machine's clock.
    pub due: Timestamp,
    /// The moment of the answer, by this machine's clock.
    pub now: Timestamp,
    /// The same or an earlier moment in the server's time; `None` where it gives no time.
    pub served: Option<Timestamp>,
    /// No run has failed since it was due.
    pub is_first_try: bool,
}

/// Beyond this the machine's clock or the server's is wrong.
pub const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(5);

fn before(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-03-{text}Z").parse().unwrap()
    }

    fn window() -> Window {
        Window {
            mode: Mode::Covering,
            length: SignedDuration::from_hours(1),
            overlap: SignedDuration::from_mins(15),
            look_back: SignedDuration::from_hours(7 * 24),
        }
    }

    #[test]
    fn the_furthest_of_window_and_watermark_never_before_the_baseline() {
        let baseline = at("01T00:00:00");
        let last_deep_scan = Some(at("09T12:00:01"));
        for (watermark, expected, reason) in [
            // Ran an hour ago: the overlap reaches further than the window.
            (Some(at("10T11:00:00")), at("10T10:45:00"), Reason::Watermark),
            // Ran five minutes ago: the window itself.
            (Some(at("10T11:55:00")), at("10T11:00:00"), Reason::Window),
            // Both reach as far.
            (Some(at("10T11:15:00")), at("10T11:00:00"), Reason::Window),
            // Stood still for six days.
            (Some(at("04T11:00:00")), at("04T10:45:00"), Reason::Watermark),
            // The watermark is a moment after the baseline.
            (Some(at("01T00:00:05")), baseline, Reason::Baseline),
            // It reaches to the baseline, and no further.
            (Some(at("01T00:15:00")), baseline, Reason::Watermark),
            // No scan has ever completed.
            (None, baseline, Reason::Baseline),
        ] {
            let progress = Progress { baseline, watermark, last_deep_scan };
            let found = window().past_time(at("10T12:00:00"), &progress);
            assert_eq!((found.at, found.reason), (expected, reason), "watermark {watermark:?}");
        }
    }

    #[test]
    fn a_fixed_window_reads_its_length() {
        assert_eq!(window().length_before(at("10T12:00:00")), at("10T11:00:00"));
    }

    #[test]
    fn all_rows_are_read_from_1601_on() {
        assert_eq!(EVER.to_string(), "1601-01-01T00:00:00Z");
    }

    #[test]
    fn every_reason_has_its_own_words() {
        let words =
            [Reason::Window, Reason::Watermark, Reason::LookBack, Reason::Baseline].map(Reason::as_str);
        let expected = ["now − window", "watermark − overlap", "the day's look-back", "the flow's begin"];
        assert_eq!(words, expected);
    }

    #[test]
    fn the_baseline_is_one_window_before_it_was_first_due() {
        let cases = [
            ("the first run succeeds", "10T12:00:00", "10T12:00:02", Some("10T12:00:01"), "10T10:59:59"),
            (
                "… by a clock that is two days ahead",
                "12T12:00:00",
                "12T12:00:02",
                Some("10T12:00:01"),
                "10T10:59:59",
            ),
            (
                "… by one that has never been set",
                "01T00:00:00",
                "01T00:00:02",
                Some("10T12:00:01"),
                "10T10:59:59",
            ),
            (
                "three days without an answer",
                "10T12:00:00",
                "13T12:00:00",
                Some("13T12:00:00"),
                "10T10:55:00",
            ),
            (
                "… and a server that is ahead",
                "10T12:00:00",
                "13T12:00:00",
                Some("13T12:03:00"),
                "10T10:55:00",
            ),
            (
                "… and a server that is behind",
                "10T12:00:00",
                "13T12:00:00",
                Some("13T11:57:00"),
                "10T10:52:00",
            ),
            (
                "… and a clock that fell back",
                "10T12:00:00",
                "08T12:00:00",
                Some("13T12:00:00"),
                "10T10:55:00",
            ),
            ("the server gives no time", "10T12:00:00", "10T12:00:02", None, "10T10:55:00"),
        ];
        for (what, due, now, served, expected) in cases {
            let first =
                FirstAnswer { due: at(due), now: at(now), served: served.map(at), is_first_try: true };
            assert_eq!(window().baseline(&first), at(expected), "{what}");
        }
        // By a clock that was four minutes ahead and is right by now.
        let due = at("10T12:04:00");
        let now = at("10T12:00:40");
        let first = FirstAnswer { due, now, served: Some(now), is_first_try: false };
        assert_eq!(window().baseline(&first), at("10T10:55:40"));
    }

    #[test]
    fn a_deep_scan_is_due_once_a_day() {
        let mut progress = Progress {
            baseline: at("01T00:00:00"),
            watermark: Some(at("20T11:00:00")),
            last_deep_scan: Some(at("19T12:00:01")),
        };
        let now = at("20T12:00:00");
        assert_eq!(window().past_time(now, &progress).reason, Reason::Watermark);
        progress.last_deep_scan = Some(at("19T12:00:00"));
        let found = window().past_time(now, &progress);
        assert_eq!((found.at, found.reason), (at("13T12:00:00"), Reason::LookBack));
        progress.baseline = at("18T00:00:00");
        let found = window().past_time(now, &progress);
        assert_eq!((found.at, found.reason), (at("18T00:00:00"), Reason::Baseline));
    }

    #[test]
    fn the_clock_of_the_machine_can_only_widen() {
        let progress = Progress {
            baseline: at("01T00:00:00"),
            watermark: Some(at("10T11:00:00")),
            last_deep_scan: None,
        };
        for now in [at("05T00:00:00"), at("10T11:00:01"), at("30T00:00:00")] {
            assert!(window().past_time(now, &progress).at <= at("10T10:45:00"));
        }
    }
}
