//! The new rows of a run, on their way from the scan to the mail: in memory while they are few,
//! in a temporary file of the state folder when they are many.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use memchr::memchr2;
use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use tempfile::SpooledTempFile;

use crate::rows::columns::{Columns, Name};
use crate::rows::row::{self, Row};

/// Bytes of rows that are kept in memory before they move to a file.
const IN_MEMORY: usize = 1 << 20;
/// Columns that a run knows by name: as many as a row of the service has at most (255), and one.
pub const MOST_COLUMNS: usize = 256;
/// Bytes of a name; those of the service have 255 letters.
const LONGEST_NAME: usize = 1_024;
/// Bytes that are written to a file, or read from it, at a time.
const AT_A_TIME: usize = 64 << 10;

/// Rows in the order of the scan, written once and then read as often as needed.
#[derive(Debug)]
pub struct Spool {
    file: BufWriter<SpooledTempFile>,
    rows: u64,
    size: u64,
    columns: Vec<String>,
    seen: HashSet<String>,
    wanted: HashSet<String>,
    has_more: bool,
}

/// Reads rows of a spool, one after the other.
#[derive(Debug)]
pub struct Rows<'a> {
    file: BufReader<&'a mut SpooledTempFile>,
    line: String,
    at: u64,
}

impl Spool {
    /// An empty spool; its file, should it need one, has no name and vanishes with the process.
    pub fn new(folder: &Path) -> Self {
        let file = BufWriter::with_capacity(AT_A_TIME, tempfile::spooled_tempfile_in(IN_MEMORY, folder));
        let seen = HashSet::new();
        let wanted = HashSet::new();
        Self { file, rows: 0, size: 0, columns: Vec::new(), seen, wanted, has_more: false }
    }

    /// The same, which knows these columns, too, however many others come before them.
    #[must_use]
    pub fn knowing(self, names: impl IntoIterator<Item = String>) -> Self {
        Self { wanted: names.into_iter().collect(), ..self }
    }

    /// Appends a row.
    ///
    /// # Errors
    /// When the temporary file cannot be written: the disk is full.
    pub fn push(&mut self, row: &Row) -> io::Result<()> {
        let names = Names {
            columns: &mut self.columns,
            seen: &mut self.seen,
            wanted: &self.wanted,
            has_more: &mut self.has_more,
        };
        serde_json::Deserializer::from_str(row.json()).deserialize_map(names)?;
        // The service's JSON holds no raw line break, inside a string or out; make sure of it.
        let line = match memchr2(b'\n', b'\r', row.json().as_bytes()) {
            None => Cow::Borrowed(row.json()),
            Some(_) => Cow::Owned(row.json().replace(['\n', '\r'], " ")),
        };
        self.file.write_all(line.as_bytes())?;
        self.file.write_all(b"\n")?;
        self.size += line.len() as u64 + 1;
        self.rows += 1;
        Ok(())
    }

    /// The number of rows.
    pub fn len(&self) -> u64 {
        self.rows
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The columns that at least one row has, in the order of their first appearance; the first
    /// [`MOST_COLUMNS`] of them, and those that were named to [`Spool::knowing`].
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Whether rows have columns that are none of [`Spool::columns`].
    pub fn has_more_columns(&self) -> bool {
        self.has_more
    }

    /// The bytes of all rows.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads the rows from the first on.
    ///
    /// # Errors
    /// When the temporary file cannot be written or read.
    pub fn rows(&mut self) -> io::Result<Rows<'_>> {
        self.rows_from(0)
    }

    /// Reads the rows from the one on that lies at [`Rows::at`].
    ///
    /// # Errors
    /// As [`Spool::rows`].
    pub fn rows_from(&mut self, at: u64) -> io::Result<Rows<'_>> {
        self.file.seek(SeekFrom::Start(at))?;
        Ok(Rows { file: BufReader::with_capacity(AT_A_TIME, self.file.get_mut()), line: String::new(), at })
    }
}

impl Rows<'_> {
    /// Where the next row lies.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The columns of the next row; `None` after the last.
    ///
    /// # Errors
    /// When the temporary file cannot be read.
    pub fn next_columns(&mut self) -> io::Result<Option<Columns<'_>>> {
        Ok(self.next_with_length()?.map(|(columns, _)| columns))
    }

    /// As [`Rows::next_columns`], with the bytes of the row.
    ///
    /// # Errors
    /// As [`Rows::next_columns`].
    pub fn next_with_length(&mut self) -> io::Result<Option<(Columns<'_>, u64)>> {
        self.line.clear();
        let read = self.file.read_line(&mut self.line)? as u64;
        self.at += read;
        Ok((read > 0).then(|| (row::columns_of(&self.line), read)))
    }
}

/// Notes the names of a row's columns that are new.
struct Names<'a> {
    columns: &'a mut Vec<String>,
    seen: &'a mut HashSet<String>,
    wanted: &'a HashSet<String>,
    has_more: &'a mut bool,
}

impl<'de> Visitor<'de> for Names<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        // Most rows have the columns of the one before, in the same order.
        let mut expected = 0;
        while let Some(Name(name)) = map.next_key()? {
            if self.columns.get(expected).is_some_and(|known| *known == name) {
                expected += 1;
            } else if !row::is_annotation(&name) && !self.seen.contains(name.as_ref()) {
                let is_few = self.columns.len() < MOST_COLUMNS && name.len() <= LONGEST_NAME;
                if is_few || self.wanted.contains(name.as_ref()) {
                    self.seen.insert(name.clone().into_owned());
                    self.columns.push(name.into_owned());
                } else {
                    *self.has_more = true;
                }
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_was_put_in_also_from_disk() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(folder.path());
        let filler = "x".repeat(3_000);
        for n in 0..1_000 {
            let json = format!("{{\"PartitionKey\":\"p\",\n\"RowKey\":\"{n}\",\"C{}\":\"{filler}\"}}", n % 3);
            spool.push(&Row::from_text(json).unwrap()).unwrap();
        }
        let keys = |mut rows: Rows<'_>| {
            let mut keys = Vec::new();
            while let Some(columns) = rows.next_columns().unwrap() {
                keys.push(columns.get("RowKey").unwrap().text().into_owned());
            }
            keys
        };
        let all: Vec<_> = (0..1_000).map(|n| n.to_string()).collect();
        for _ in 0..2 {
            assert_eq!(keys(spool.rows().unwrap()), all);
        }
        let mut rows = spool.rows().unwrap();
        (0..600).for_each(|_| drop(rows.next_columns().unwrap()));
        let at = rows.at();
        assert_eq!(keys(spool.rows_from(at).unwrap()), all[600..]);
        assert_eq!(spool.len(), 1_000);
        assert_eq!(spool.columns(), ["PartitionKey", "RowKey", "C0", "C1", "C2"]);
        assert!(!spool.has_more_columns() && spool.size() > 3_000_000);
    }

    #[test]
    fn ever_new_columns_are_known_up_to_a_bound_and_those_that_are_wanted_beyond() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(folder.path()).knowing(["C9999".to_owned(), "Other".to_owned()]);
        for n in 0..10_000 {
            let json = format!("{{\"PartitionKey\":\"p\",\"RowKey\":\"{n}\",\"C{n}\":1}}");
            spool.push(&Row::from_text(json).unwrap()).unwrap();
        }
        assert_eq!((spool.columns().len(), spool.has_more_columns()), (MOST_COLUMNS + 1, true));
        assert_eq!(spool.columns().last().map(String::as_str), Some("C9999"));
        let long = format!("{{\"PartitionKey\":\"p\",\"RowKey\":\"r\",\"{}\":1}}", "x".repeat(2_000));
        let mut spool = Spool::new(folder.path());
        spool.push(&Row::from_text(long).unwrap()).unwrap();
        assert_eq!((spool.columns().len(), spool.has_more_columns()), (2, true));
    }
}
