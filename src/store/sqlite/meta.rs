//! The state as one whole.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, params};

use super::{Store, StoreError, from_db, to_db};

impl Store {
    /// Names this state; a copy has the same name.
    ///
    /// # Errors
    /// When the database fails.
    pub fn id(&self) -> Result<String, StoreError> {
        Ok(self.db.query_row("SELECT value FROM meta WHERE name = 'id'", [], |row| row.get(0))?)
    }

    /// When the daemon last made its plan: at its start, or at the last reload.
    ///
    /// # Errors
    /// When the database fails.
    pub fn planned(&self) -> Result<Option<Timestamp>, StoreError> {
        let ask = "SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'planned'";
        Ok(self.db.query_row(ask, [], |row| row.get(0)).optional()?.map(from_db))
    }

    /// Notes that the daemon made its plan.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_planned(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let put = "INSERT OR REPLACE INTO meta (name, value) VALUES ('planned', CAST(?1 AS TEXT))";
        self.db.execute(put, params![to_db(now)])?;
        Ok(())
    }

    /// Looks through the whole database.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] with the first thing that is wrong; when the database fails.
    pub fn check(&self) -> Result<(), StoreError> {
        let found: String = self.db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if found == "ok" { Ok(()) } else { Err(StoreError::Damaged(found)) }
    }
}
