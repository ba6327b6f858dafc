//! Who works on the state, and what is taken over from those who are gone.
//!
//! A claim of a run or of a mail bears its owner. There is one owner at a time, which the database names: who takes
//! over makes another, so that whoever comes late with what it had claimed before moves nothing any more. The lease of
//! an owner is the lock of the state folder; no clock ends it.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};

use super::flows::clock_went_back;
use super::identity::on_time_since;
use super::outbox::mark_uncertain;
use super::runs::interrupt_runs;
use super::{Database, Failure, from_db};
use crate::platform::clock::SET_BACK;
use crate::platform::faults::crash_point;
use crate::store::{StoreError, TakenOver};

impl Database {
    /// What another owner left under way is taken over, all or nothing.
    pub(crate) fn take_over(&mut self, now: Timestamp) -> Result<TakenOver, Failure> {
        let tx = self.db.transaction()?;
        if last_moment(&tx)?.is_some_and(|last| last.duration_since(now) > SET_BACK) {
            clock_went_back(&tx, None, now)?;
        }
        let new = "INSERT OR REPLACE INTO meta (name, value) VALUES ('owner', lower(hex(randomblob(8)))) RETURNING \
                   value";
        let owner = tx.query_row(new, [], |row| row.get(0))?;
        let runs = interrupt_runs(&tx, now)?;
        crash_point("runs-interrupted");
        let messages = mark_uncertain(&tx, now)?;
        give_back_all(&tx)?;
        tx.commit()?;
        self.owner = owner;
        crash_point("mails-doubted");
        Ok(TakenOver { runs, messages })
    }
}

/// That this owner has not been taken over.
pub(super) fn check_owner(db: &Connection, owner: &str) -> Result<(), Failure> {
    let mut ask = db.prepare_cached("SELECT value FROM meta WHERE name = 'owner'")?;
    let now: Option<String> = ask.query_row([], |row| row.get(0)).optional()?;
    if now.unwrap_or_default() == owner { Ok(()) } else { Err(StoreError::TakenOver.into()) }
}

/// Nobody has a mail in hands that no server has heard of.
pub(super) fn give_back_all(db: &Connection) -> rusqlite::Result<()> {
    db.execute("UPDATE mails SET owner = NULL WHERE owner IS NOT NULL AND sending = 0", []).map(drop)
}

/// The last moment that the state speaks of: it is past, unless the clock was set back since.
fn last_moment(db: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let run = "SELECT coalesce(ended, started) FROM runs ORDER BY id DESC LIMIT 1";
    let run: Option<i64> = db.query_row(run, [], |row| row.get(0)).optional()?;
    Ok(on_time_since(db)?.max(run.map(from_db)))
}
