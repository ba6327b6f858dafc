//! Whether a scan gets anywhere. A service may always name one more page, and no table is that long.

use std::time::Duration;

use super::{Continuation, TableError};

/// Pages of a scan at most. Full ones hold a billion rows.
const MOST_PAGES: u64 = 1_000_000;
/// Pages without a row, one after the other, at most. A filter that matches little makes many of them: the
/// service ends a page where it has looked for long enough, or at the border of a partition. A
/// hundred million rows without a match stay below it.
const MOST_EMPTY: u64 = 100_000;
/// A scan at most. Fifty million rows of one partition take seven hours (2,000 rows a second).
const LONGEST: Duration = Duration::from_hours(24);

/// How far a scan has come, in memory that does not grow.
#[derive(Debug)]
pub(super) struct ScanBounds {
    pages: u64,
    /// Pages without a row since the last one with a row.
    empty: u64,
    /// One of the continuations that the service named; it is replaced after 1, 2, 4, 8 … pages,
    /// so that a circle of any length comes back to it (Brent, 1980).
    mark: Option<Continuation>,
    marked_at: u64,
}

impl ScanBounds {
    pub(super) fn new() -> Self {
        Self { pages: 0, empty: 0, mark: None, marked_at: 1 }
    }

    /// Notes a page that this many rows were on, and where the next one begins.
    ///
    /// # Errors
    /// When the scan gets nowhere.
    pub(super) fn note(
        &mut self,
        rows: usize,
        next: &Continuation,
        since: Duration,
    ) -> Result<(), TableError> {
        self.pages += 1;
        self.empty = if rows == 0 { self.empty + 1 } else { 0 };
        if self.mark.as_ref() == Some(next) {
            return Err(TableError::new(
                "the table service returned the same continuation token twice",
            )
            .help(
                "nothing was recorded, the next run starts again; if it persists, contact the service's operator",
            ));
        }
        if self.pages == self.marked_at {
            (self.mark, self.marked_at) = (Some(next.clone()), self.pages * 2);
        }
        let endless = if self.empty >= MOST_EMPTY {
            format!("it sent {MOST_EMPTY} pages in a row without a row, and promised one more")
        } else if self.pages >= MOST_PAGES {
            format!("it sent {MOST_PAGES} pages, and promised one more")
        } else if since >= LONGEST {
            format!("after {} hours and {} pages it promised one more", LONGEST.as_secs() / 3600, self.pages)
        } else {
            return Ok(());
        };
        Err(TableError::new(format!("the table service never ends its answer: {endless}")).help(
            "nothing was recorded, the next run starts again; narrow the filter by PartitionKey if the table is that \
             large",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages until the error, and the error; each page gets its number.
    fn ends(rows: impl Fn(u64) -> usize, next: impl Fn(u64) -> u64, pace: Duration) -> (u64, String) {
        let mut bounds = ScanBounds::new();
        for page in 1.. {
            let token = (next(page).to_string(), None);
            let since = pace.saturating_mul(u32::try_from(page).unwrap());
            if let Err(error) = bounds.note(rows(page), &token, since) {
                assert!(error.advice.help.is_some() && !error.is_passing());
                return (page, error.advice.message);
            }
        }
        unreachable!()
    }

    #[test]
    fn a_scan_ends_whatever_the_service_names() {
        let fast = Duration::from_millis(1);
        let (page, message) = ends(|_| 0, |page| page, fast);
        assert_eq!(page, 100_000);
        assert!(message.ends_with("100000 pages in a row without a row, and promised one more"), "{message}");
        let (page, message) = ends(|_| 1, |page| page, fast);
        assert_eq!((page, message.contains("it sent 1000000 pages")), (1_000_000, true), "{message}");
        let (page, message) = ends(|page| usize::from(page % 99_999 == 0), |page| page, fast);
        assert_eq!((page, message.contains("it sent 1000000 pages")), (1_000_000, true), "{message}");
        let (page, message) = ends(|_| 1_000, |page| page, Duration::from_mins(2));
        assert_eq!((page, message.contains("after 24 hours and 720 pages")), (720, true), "{message}");
    }

    #[test]
    fn a_circle_is_found_however_long_it_is() {
        for (before, circle) in [(0, 1), (0, 2), (3, 1), (10, 7), (1_000, 999), (5, 40_000)] {
            let next = |page| if page <= before { page } else { before + 1 + (page - before) % circle };
            let (page, message) = ends(|_| 1, next, Duration::ZERO);
            assert!(message.contains("same continuation token twice"), "{message}");
            assert!(page <= 3 * (before + circle) + 1, "{before} and {circle}: {page}");
        }
    }

    #[test]
    fn a_table_of_a_hundred_million_rows_is_not_endless() {
        let mut bounds = ScanBounds::new();
        for page in 0..100_000_u64 {
            let rows = usize::from(page % 90_000 == 0);
            let since = Duration::from_millis(500 * page);
            bounds.note(rows, &(page.to_string(), None), since).unwrap();
        }
    }
}
