//! The rows that a flow's first run skips: all that its table had before. They may be many
//! millions, so beyond some of them they lie in a file until they are recorded.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, params};
use tempfile::NamedTempFile;

use super::Failure;
use crate::rows::row::{RowId, RowMark, RowVersion};
use crate::store::StoreError;

/// Marks that are kept in memory, 24 bytes each.
const IN_MEMORY: usize = 250_000;

/// A B-tree that nothing outlives: no journal, no sync, and 2 MB of it in memory.
const FILE: &str = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA cache_size = -2000;
    CREATE TABLE marks (key BLOB PRIMARY KEY, version INTEGER NOT NULL) STRICT, WITHOUT ROWID";

/// Marks of rows, of each row one: the latest.
#[derive(Debug)]
pub struct OldRows {
    folder: PathBuf,
    most: usize,
    /// Those that are in no file yet; in the order of their ids once all are there.
    recent: Vec<RowMark>,
    file: Option<Mutex<(Connection, NamedTempFile)>>,
}

impl OldRows {
    /// None yet; the folder takes the file.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), most: IN_MEMORY, recent: Vec::new(), file: None }
    }

    /// Adds the marks of a page.
    pub(crate) fn extend(&mut self, marks: impl Iterator<Item = RowMark>) {
        self.recent.extend(marks);
    }

    /// Whether [`OldRows::settle`] is due.
    pub(crate) fn is_full(&self) -> bool {
        self.recent.len() >= self.most
    }

    /// Puts the marks in order, and into the file where they are many. To be called when it is full, and
    /// when all are there. It blocks.
    ///
    /// # Errors
    /// When the file cannot be written: the disk is full.
    pub(crate) fn settle(&mut self) -> Result<(), StoreError> {
        Ok(self.put_in_order()?)
    }

    fn put_in_order(&mut self) -> Result<(), Failure> {
        // Of a row that came twice the later version counts.
        self.recent.reverse();
        self.recent.sort_by_key(|mark| mark.id);
        self.recent.dedup_by_key(|mark| mark.id);
        if !self.is_full() && self.file.is_none() {
            return Ok(());
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => Mutex::new(open(&self.folder)?),
        };
        {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            let tx = file.0.transaction()?;
            let mut put = tx.prepare("INSERT OR REPLACE INTO marks (key, version) VALUES (?1, ?2)")?;
            for RowMark { id, version } in self.recent.drain(..) {
                put.execute(params![id.0, version.0])?;
            }
            drop(put);
            tx.commit()?;
        }
        self.file = Some(file);
        Ok(())
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.recent.is_empty() && self.file.is_none()
    }

    /// How many there are, once they are settled.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn count(&self) -> Result<usize, StoreError> {
        Ok(self.counted()?)
    }

    fn counted(&self) -> Result<usize, Failure> {
        let Some(file) = &self.file else { return Ok(self.recent.len()) };
        let file = file.lock().unwrap_or_else(PoisonError::into_inner);
        let count: i64 = file.0.query_row("SELECT count(*) FROM marks", [], |row| row.get(0))?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Which version of a row is among them, once they are settled.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn version(&self, id: RowId) -> Result<Option<RowVersion>, StoreError> {
        Ok(self.version_of(id)?)
    }

    fn version_of(&self, id: RowId) -> Result<Option<RowVersion>, Failure> {
        let Some(file) = &self.file else {
            let at = self.recent.binary_search_by_key(&id, |mark| mark.id);
            return Ok(at.ok().map(|at| self.recent[at].version));
        };
        let file = file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ask = file.0.prepare_cached("SELECT version FROM marks WHERE key = ?1")?;
        Ok(ask.query_row([id.0], |row| row.get(0).map(RowVersion)).optional()?)
    }

    /// Hands out each of them in the order of their ids, once they are settled.
    ///
    /// # Errors
    /// When the file cannot be read, or what takes them fails.
    pub(super) fn each(&self, mut take: impl FnMut(RowMark) -> Result<(), Failure>) -> Result<(), Failure> {
        let Some(file) = &self.file else { return self.recent.iter().copied().try_for_each(take) };
        let file = file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ask = file.0.prepare("SELECT key, version FROM marks ORDER BY key")?;
        let mut rows = ask.query([])?;
        while let Some(row) = rows.next()? {
            take(RowMark { id: RowId(row.get(0)?), version: RowVersion(row.get(1)?) })?;
        }
        Ok(())
    }

    /// The next of them in the order of their ids, once they are settled: at most so many after that one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(in crate::store) fn piece(
        &self,
        after: Option<RowId>,
        most: usize,
    ) -> Result<Vec<RowMark>, StoreError> {
        Ok(self.piece_of(after, most)?)
    }

    fn piece_of(&self, after: Option<RowId>, most: usize) -> Result<Vec<RowMark>, Failure> {
        let Some(file) = &self.file else {
            let begin = after.map_or(0, |last| self.recent.partition_point(|mark| mark.id <= last));
            return Ok(self.recent[begin..].iter().take(most).copied().collect());
        };
        let file = file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ask = file.0.prepare_cached(
            "SELECT key, version FROM marks WHERE ?1 IS NULL OR key > ?1 ORDER BY key LIMIT ?2",
        )?;
        let found = ask
            .query_map(params![after.map(|id| id.0), i64::try_from(most).unwrap_or(i64::MAX)], |row| {
                Ok(RowMark { id: RowId(row.get(0)?), version: RowVersion(row.get(1)?) })
            })?;
        Ok(found.collect::<Result<_, _>>()?)
    }
}

fn open(folder: &Path) -> rusqlite::Result<(Connection, NamedTempFile)> {
    let failed = |error: std::io::Error| rusqlite::Error::ToSqlConversionFailure(error.into());
    let file = NamedTempFile::new_in(folder).map_err(failed)?;
    let db = Connection::open(file.path())?;
    db.execute_batch(FILE)?;
    Ok((db, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(number: i64, version: i64) -> RowMark {
        RowMark { version: RowVersion(version), ..RowMark::from_keys("p", &number.to_string()) }
    }

    #[test]
    fn gives_back_the_latest_of_each_from_memory_and_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        for most in [10_000, 700] {
            let mut old = OldRows { most, ..OldRows::new(folder.path()) };
            for page in 0..30 {
                // Each row comes once more a page later.
                old.extend((page * 100..page * 100 + 200).map(|number| mark(number, page)));
                if old.is_full() {
                    old.settle().unwrap();
                }
                assert!(old.recent.len() < most);
            }
            old.settle().unwrap();
            assert_eq!((old.count().unwrap(), old.file.is_some()), (3_100, most == 700));
            for (number, page) in [(0, 0), (99, 0), (100, 1), (2_999, 29), (3_099, 29)] {
                assert_eq!(old.version(mark(number, 0).id).unwrap(), Some(RowVersion(page)), "{number}");
            }
            assert_eq!(old.version(mark(3_100, 0).id).unwrap(), None);
            let mut found = Vec::new();
            old.each(|mark| {
                found.push(mark.id);
                Ok(())
            })
            .unwrap();
            assert!(found.len() == 3_100 && found.is_sorted());
            let mut pieces: Vec<RowId> = Vec::new();
            for length in [900, 900, 900, 400, 0] {
                let piece = old.piece(pieces.last().copied(), 900).unwrap();
                assert_eq!(piece.len(), length);
                pieces.extend(piece.iter().map(|mark| mark.id));
            }
            assert_eq!(pieces, found);
            drop(old);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
        }
    }
}
