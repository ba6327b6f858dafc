//! The new rows of a run, on their way from the scan to the mail: in memory while they are few,
//! in a temporary file of the state folder when they are many.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;

use tempfile::SpooledTempFile;

use crate::row::Row;

/// Bytes of rows that are kept in memory before they move to a file.
const IN_MEMORY: usize = 1 << 20;

/// Rows in the order of the scan, written once and then read as often as needed.
#[derive(Debug)]
pub struct Spool {
    file: SpooledTempFile,
    rows: u64,
    columns: Vec<String>,
    seen: HashSet<String>,
}

impl Spool {
    /// An empty spool; its file, should it need one, has no name and vanishes with the process.
    pub fn new(folder: &Path) -> Self {
        let file = tempfile::spooled_tempfile_in(IN_MEMORY, folder);
        Self { file, rows: 0, columns: Vec::new(), seen: HashSet::new() }
    }

    /// Appends a row.
    ///
    /// # Errors
    /// When the temporary file cannot be written: the disk is full.
    pub fn push(&mut self, row: &Row) -> io::Result<()> {
        for (name, _) in row.columns() {
            if self.seen.insert(name.clone()) {
                self.columns.push(name);
            }
        }
        // The service's JSON holds no raw line break, inside a string or out; make sure of it.
        let line = row.json().replace(['\n', '\r'], " ");
        self.file.write_all(line.as_bytes())?;
        self.file.write_all(b"\n")?;
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

    /// Every column that at least one row has, in the order of their first appearance.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Reads the rows from the first on.
    ///
    /// # Errors
    /// When the temporary file cannot be read.
    pub fn rows(&mut self) -> io::Result<impl Iterator<Item = io::Result<Row>> + '_> {
        self.file.seek(SeekFrom::Start(0))?;
        let reader = BufReader::with_capacity(64 << 10, &mut self.file);
        Ok(reader.lines().map(|line| Row::from_text(line?).map_err(io::Error::other)))
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
        for _ in 0..2 {
            let keys: Vec<_> = spool.rows().unwrap().map(|row| row.unwrap().row_key).collect();
            assert_eq!(keys, (0..1_000).map(|n| n.to_string()).collect::<Vec<_>>());
        }
        assert_eq!(spool.len(), 1_000);
        assert_eq!(spool.columns(), ["PartitionKey", "RowKey", "C0", "C1", "C2"]);
    }
}
