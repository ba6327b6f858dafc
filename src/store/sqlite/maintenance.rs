//! Care of the state: what is old, a copy of it, a flow's new name.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Transaction, params};

use super::{Database, Failure, to_db};
use crate::platform::ownership::{self, Draft};
use crate::store::{Retention, StoreError};

impl Database {
    /// Writes a whole copy of the database, also while a daemon works on it. Nobody else can read it, from its first
    /// byte; it has its name when it is whole, and nothing is left of one that fails.
    pub(crate) fn back_up(&self, file: &Path) -> Result<(), Failure> {
        let failed = |source| StoreError::Copy { file: file.to_owned(), source };
        let service = self.db.path().and_then(|path| ownership::owner_of(Path::new(path)));
        let draft = Draft::new(file, service).map_err(failed)?;
        self.db.execute("VACUUM INTO ?1", params![draft.path().to_string_lossy()])?;
        Ok(draft.keep().map_err(failed)?)
    }

    /// Gives what is known of a flow to another name.
    pub(crate) fn rename(&mut self, old: &str, new: &str) -> Result<(), Failure> {
        let tx = self.db.transaction()?;
        let is_taken = tx.prepare("SELECT 1 FROM flows WHERE name = ?1")?.exists([new])?;
        if is_taken {
            return Err(StoreError::NameTaken(new.to_owned()).into());
        }
        if tx.execute("UPDATE flows SET name = ?2 WHERE name = ?1", [old, new])? == 0 {
            return Err(StoreError::Unknown(old.to_owned()).into());
        }
        tx.execute("UPDATE requests SET flow = ?2 WHERE flow = ?1", [old, new])?;
        tx.commit()?;
        Ok(())
    }

    /// Deletes what is older than it is kept. Returns how many runs are deleted.
    pub(crate) fn prune(&mut self, retention: &Retention) -> Result<usize, Failure> {
        let tx = self.db.transaction()?;
        prune_bytes(&tx, retention.message_bytes)?;
        let answered = "DELETE FROM requests WHERE (run IS NOT NULL OR answer IS NOT NULL) AND created < ?1";
        tx.execute(answered, [to_db(retention.answers)])?;
        tx.execute("DELETE FROM sends WHERE at < ?1", [to_db(retention.answers)])?;
        let runs = prune_history(&tx, retention.history)?;
        tx.commit()?;
        Ok(runs)
    }
}

/// Deletes the bytes of mails that were made before `before` and need no letter any more.
fn prune_bytes(tx: &Transaction<'_>, before: Timestamp) -> rusqlite::Result<()> {
    tx.execute(
        "DELETE FROM texts WHERE mail IN
             (SELECT id FROM mails WHERE created < ?1 AND next_try IS NULL AND sending = 0 AND NOT EXISTS
                 (SELECT 1 FROM recipients WHERE mail = mails.id AND state NOT IN ('sent', 'dropped')))",
        [to_db(before)],
    )?;
    Ok(())
}

/// Deletes ended runs that began before `before`, their steps and their mails; runs whose mail
/// still waits or is held stay. The keys stay. Returns how many.
fn prune_history(tx: &Transaction<'_>, before: Timestamp) -> rusqlite::Result<usize> {
    let old = "started < ?1 AND outcome != 'running' AND NOT EXISTS (
        SELECT 1 FROM mails JOIN recipients ON recipients.mail = mails.id
        WHERE mails.run = runs.id AND state IN ('waiting', 'uncertain', 'held'))";
    tx.execute(
        &format!("DELETE FROM mails WHERE run IN (SELECT id FROM runs WHERE {old})"),
        [to_db(before)],
    )?;
    tx.execute(
        "DELETE FROM mails WHERE run IS NULL AND created < ?1 AND next_try IS NULL AND sending = 0
         AND NOT EXISTS (SELECT 1 FROM recipients WHERE mail = mails.id AND state = 'held')",
        [to_db(before)],
    )?;
    tx.execute(&format!("DELETE FROM runs WHERE {old}"), [to_db(before)])
}
