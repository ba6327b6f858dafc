//! The newest rows of a table that is read from its start, in the memory of those few.

use std::cmp::Reverse;

use crate::rows::row::Row;

/// Keeps the newest rows of all that it is given.
#[derive(Debug)]
pub struct Newest {
    most: usize,
    rows: Vec<Row>,
}

impl Newest {
    /// None yet, and never more than `most`.
    pub fn new(most: usize) -> Self {
        Self { most, rows: Vec::new() }
    }

    /// Looks through the rows of a page.
    pub fn extend(&mut self, rows: impl IntoIterator<Item = Row>) {
        self.rows.extend(rows);
        // A row whose time makes no sense is no reason to hide another one.
        self.rows.sort_by_cached_key(|row| Reverse(row.at()));
        self.rows.truncate(self.most);
    }

    /// The newest rows, newest first.
    pub fn into_rows(self) -> Vec<Row> {
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newest_by_time_and_not_by_text() {
        let row = |timestamp: &str| {
            Row::from_text(format!(r#"{{"PartitionKey":"p","RowKey":"r","Timestamp":"{timestamp}"}}"#))
                .unwrap()
        };
        let mut newest = Newest::new(3);
        for page in [
            ["2026-11-23T08:00:00.33Z", "nonsense"],
            ["2026-11-23T08:00:00.3312Z", "2026-11-23T08:00:00Z"],
            ["2026-11-23T07:59:59.9Z", "2026-11-23T08:00:00.4Z"],
        ] {
            newest.extend(page.map(row));
        }
        let found: Vec<_> = newest.into_rows().into_iter().map(|row| row.timestamp).collect();
        assert_eq!(found, ["2026-11-23T08:00:00.4Z", "2026-11-23T08:00:00.3312Z", "2026-11-23T08:00:00.33Z"]);
    }
}
