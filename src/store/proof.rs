//! What the state can prove of a row, and what it forgets of a person.

use rusqlite::{OptionalExtension as _, params};

use super::{Store, StoreError};
use crate::row::Key;

/// A run that has handed a row on, and the mail that carried it; `None` for one that was not mailed:
/// it lay before the flow's begin, or was passed over.
pub type HandedOn = (i64, Option<i64>);

/// The tables that a flow reads or has read.
const SOURCES: &str =
    "(SELECT sources.id FROM sources JOIN flows ON flows.id = sources.flow WHERE flows.name = ?1)";

impl Store {
    /// What was last done with each of these rows, in their order; `None` for one that is not known.
    ///
    /// # Errors
    /// When the database fails.
    pub fn handed_on(&self, flow: &str, keys: &[Key]) -> Result<Vec<Option<HandedOn>>, StoreError> {
        // Of whichever table it has read: a row that was copied to another one is the same lead.
        let mut ask = self.db.prepare_cached(&format!(
            "SELECT run, mail FROM keys WHERE source IN {SOURCES} AND key = ?2 ORDER BY run DESC LIMIT 1"
        ))?;
        let of = |key: &Key| {
            Ok(ask.query_row(params![flow, key.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
        };
        keys.iter().map(of).collect()
    }

    /// Everything that was done with a row, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn proofs(&self, flow: &str, key: Key) -> Result<Vec<HandedOn>, StoreError> {
        let mut ask = self.db.prepare_cached(&format!(
            "SELECT run, mail FROM earlier WHERE source IN {SOURCES} AND key = ?2
             UNION SELECT run, mail FROM keys WHERE source IN {SOURCES} AND key = ?2
             ORDER BY run"
        ))?;
        let found = ask.query_map(params![flow, key.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// The numbers of all mails whose text is kept.
    ///
    /// # Errors
    /// When the database fails.
    pub fn kept_mails(&self) -> Result<Vec<i64>, StoreError> {
        let mut ask = self.db.prepare("SELECT DISTINCT mail FROM texts ORDER BY mail")?;
        let found = ask.query_map([], |row| row.get(0))?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// Forgets a mail's text and subject, here and in the history. Returns whether it could: one that
    /// is still to be sent stays.
    ///
    /// # Errors
    /// When the database fails.
    pub fn forget_mail(&mut self, mail: i64) -> Result<bool, StoreError> {
        let tx = self.db.transaction()?;
        let forget = "UPDATE mails SET subject = '(forgotten)'
            WHERE id = ?1 AND next_try IS NULL AND sending = 0";
        let is_done = tx.execute(forget, [mail])? > 0;
        if is_done {
            tx.execute("DELETE FROM texts WHERE mail = ?1", [mail])?;
            // The step that rendered it names its subject and, where a template failed, its values.
            tx.execute(
                "UPDATE steps SET outputs = '{\"forgotten\":true}' WHERE name = 'render'
                 AND run = (SELECT run FROM mails WHERE id = ?1)",
                [mail],
            )?;
        }
        tx.commit()?;
        Ok(is_done)
    }

    /// Empties the write-ahead log, in which what was deleted still stands. Returns whether it could:
    /// not while another process reads.
    ///
    /// # Errors
    /// When the database fails.
    pub fn empty_log(&self) -> Result<bool, StoreError> {
        let busy: i64 = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        Ok(busy == 0)
    }
}
