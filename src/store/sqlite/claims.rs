//! Who works on the state, and what is taken over from those who are gone.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};

use super::flows::clock_went_back;
use super::identity::planned;
use super::outbox::mark_uncertain;
use super::runs::interrupt_runs;
use super::{Database, Failure, from_db};
use crate::platform::clock::SET_BACK;
use crate::platform::faults::crash_point;
use crate::store::TakenOver;

impl Database {
    /// What another owner left under way is taken over, all or nothing.
    pub(crate) fn take_over(&mut self, now: Timestamp) -> Result<TakenOver, Failure> {
        let tx = self.db.transaction()?;
        if last_moment(&tx)?.is_some_and(|last| last.duration_since(now) > SET_BACK) {
            clock_went_back(&tx, None, now)?;
        }
        let runs = interrupt_runs(&tx, now)?;
        crash_point("runs-interrupted");
        let mails = mark_uncertain(&tx, now)?;
        tx.commit()?;
        crash_point("mails-doubted");
        Ok(TakenOver { runs, mails })
    }
}

/// The last moment that the state speaks of: it is past, unless the clock was set back since.
fn last_moment(db: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let run = "SELECT coalesce(ended, started) FROM runs ORDER BY id DESC LIMIT 1";
    let run: Option<i64> = db.query_row(run, [], |row| row.get(0)).optional()?;
    Ok(planned(db)?.max(run.map(from_db)))
}
