//! The state as one whole: its name, since when what is due counts as late, whether it is whole.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Database, Failure, from_db, to_db};
use crate::store::StoreError;

impl Database {
    /// Names this state; a copy has the same name.
    pub(crate) fn identity(&self) -> Result<String, Failure> {
        Ok(self.db.query_row("SELECT value FROM meta WHERE name = 'id'", [], |row| row.get(0))?)
    }

    /// Records that what is due counts as late from now on.
    pub(crate) fn set_on_time_since(&mut self, now: Timestamp) -> Result<(), Failure> {
        let put = "INSERT OR REPLACE INTO meta (name, value) VALUES ('planned', CAST(?1 AS TEXT))";
        self.db.execute(put, params![to_db(now)])?;
        Ok(())
    }

    /// Looks through the whole database.
    /// Fails with the first thing that is wrong.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let found: String = self.db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if found == "ok" { Ok(()) } else { Err(StoreError::damaged(&found).into()) }
    }
}

/// What planners follow from is changed.
pub(super) fn count_schedule(db: &Connection) -> rusqlite::Result<()> {
    let count = "UPDATE meta SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) WHERE name = 'schedule'";
    db.execute(count, []).map(drop)
}

/// Since when what is due counts as late: a start, a reload, or the end of a downtime.
pub(super) fn on_time_since(db: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let ask = "SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'planned'";
    Ok(db.query_row(ask, [], |row| row.get(0)).optional()?.map(from_db))
}
