//! What a simulation needs of the state beside its operations.

use std::sync::PoisonError;

use jiff::Timestamp;
use rusqlite::{Connection, ffi, params};

use super::sqlite::to_db;
use super::{MailRecord, SharedStore, Store, StoreError};

/// `SQLite`'s own limit.
const NO_LIMIT: i64 = 4_294_967_294;

/// Another process holds the database and does not let go, if the simulated world has it so.
pub(super) fn busy() -> Option<StoreError> {
    let world = crate::simulation::world()?;
    let busy =
        || StoreError::Database(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_BUSY), None));
    world.is_busy().then(busy)
}

impl Store {
    /// An empty state in memory.
    ///
    /// # Errors
    /// When the database cannot be made.
    pub(crate) fn in_memory() -> Result<Self, StoreError> {
        Self::set_up(Connection::open_in_memory()?)
    }

    /// A full disk has room for `pages` more pages; `None` heals it.
    pub(crate) fn limit(&mut self, pages: Option<i64>) -> Result<(), StoreError> {
        let most = match pages {
            Some(more) => self.db.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0))? + more,
            None => NO_LIMIT,
        };
        let set = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        self.db.query_row(&format!("PRAGMA max_page_count = {most}"), [], set)?;
        Ok(())
    }

    /// What `PRAGMA integrity_check` says: `ok`.
    pub(crate) fn integrity(&self) -> Result<String, StoreError> {
        Ok(self.db.query_row("PRAGMA integrity_check", [], |row| row.get(0))?)
    }

    /// The mails of every run, with what became of them.
    pub(crate) fn all_mails(&self) -> Result<Vec<MailRecord>, StoreError> {
        let mut all = Vec::new();
        for run in self.runs(None, u32::MAX)? {
            all.extend(self.mails_of(run.id)?);
        }
        Ok(all)
    }

    /// A fault: the watermark moves though nothing is committed.
    pub(crate) fn move_watermark(&mut self, flow: &str, at: Timestamp) -> Result<(), StoreError> {
        let set = "UPDATE sources SET watermark = max(watermark, ?2)
            WHERE id = (SELECT source_id FROM flows WHERE name = ?1) AND watermark IS NOT NULL";
        self.db.execute(set, params![flow, to_db(at)])?;
        Ok(())
    }

    /// A fault: a flow begins by the first answer, whenever that comes.
    pub(crate) fn forget_due(&mut self) -> Result<(), StoreError> {
        self.db.execute_batch(
            "UPDATE flows SET due_since = NULL; UPDATE sources SET first_due = NULL WHERE begin IS NULL",
        )?;
        Ok(())
    }

    /// A fault: of a table that the flow does not read any more nothing is kept.
    pub(crate) fn forget_left_sources(&mut self) -> Result<(), StoreError> {
        self.db.execute_batch(
            "DELETE FROM keys WHERE source IN (SELECT id FROM sources WHERE left_since IS NOT NULL);
             DELETE FROM sources WHERE left_since IS NOT NULL",
        )?;
        Ok(())
    }

    /// A fault: what was handed on is forgotten.
    pub(crate) fn forget_keys(&mut self) -> Result<(), StoreError> {
        self.db.execute("DELETE FROM keys", [])?;
        Ok(())
    }

    /// A fault: what was being sent waits again, as if nothing could have arrived.
    pub(crate) fn forget_sending(&mut self) -> Result<(), StoreError> {
        self.db.execute("UPDATE mails SET sending = 0", [])?;
        Ok(())
    }
}

impl SharedStore {
    /// An operation that is the simulation's own: no crash falls on it.
    pub(crate) fn at_once<T>(&self, operation: impl FnOnce(&mut Store) -> T) -> T {
        operation(&mut self.store.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
