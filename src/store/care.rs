//! Care of the state: how it is, a copy of it, a flow's new name.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::params;

use super::{Store, StoreError, from_db, private};

/// What a flow's newest runs and its mails say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowHealth {
    /// Runs that failed since the last one that did not.
    pub failures: u32,
    /// What the last of them says.
    pub last_failure: Option<String>,
    /// When a run last read the table to its end.
    pub last_read: Option<Timestamp>,
    /// Mails with a recipient that is held.
    pub held: u32,
    /// When the oldest mail that still waits was made.
    pub waiting_since: Option<Timestamp>,
}

impl Store {
    /// How a flow is; `None` if it was never seen.
    ///
    /// # Errors
    /// When the database fails.
    pub fn health_of(&self, flow: &str) -> Result<Option<FlowHealth>, StoreError> {
        if self.seen(flow)?.is_none() {
            return Ok(None);
        }
        let of_flow = "(SELECT id FROM flows WHERE name = ?1)";
        let ended_well = "outcome NOT IN ('running', 'failed', 'interrupted')";
        let (failures, last_read) = self.db.query_row(
            &format!(
                "SELECT (SELECT count(*) FROM runs WHERE flow = {of_flow} AND outcome = 'failed' AND id > coalesce(
                         (SELECT max(id) FROM runs WHERE flow = {of_flow} AND {ended_well}), 0)),
                     (SELECT max(ended) FROM runs WHERE flow = {of_flow} AND {ended_well})"
            ),
            [flow],
            |row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?)),
        )?;
        let last_failure = self.db.query_row(
            &format!("SELECT max(id), summary FROM runs WHERE flow = {of_flow} AND outcome = 'failed'"),
            [flow],
            |row| row.get(1),
        )?;
        let (held, waiting_since) = self.db.query_row(
            &format!(
                "SELECT count(DISTINCT iif(state = 'held', mails.id, NULL)),
                     min(iif(next_try IS NOT NULL OR sending = 1, created, NULL))
                 FROM mails JOIN runs ON runs.id = mails.run JOIN recipients ON recipients.mail = mails.id
                 WHERE runs.flow = {of_flow}"
            ),
            [flow],
            |row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?)),
        )?;
        Ok(Some(FlowHealth {
            failures,
            last_failure: if failures > 0 { last_failure } else { None },
            last_read: last_read.map(from_db),
            held,
            waiting_since: waiting_since.map(from_db),
        }))
    }

    /// Writes a whole copy of the database, also while a daemon works on it.
    ///
    /// # Errors
    /// When the file is there already or cannot be written.
    pub fn back_up(&self, file: &Path) -> Result<(), StoreError> {
        self.db.execute("VACUUM INTO ?1", params![file.to_string_lossy()])?;
        private::restrict(file).map_err(|source| StoreError::Folder { folder: file.to_owned(), source })
    }

    /// Gives what is known of a flow to another name.
    ///
    /// # Errors
    /// When the new name has a state of its own, or the database fails.
    pub fn rename(&mut self, old: &str, new: &str) -> Result<(), StoreError> {
        let tx = self.db.transaction()?;
        let is_taken = tx.prepare("SELECT 1 FROM flows WHERE name = ?1")?.exists([new])?;
        if is_taken {
            return Err(StoreError::NameTaken(new.to_owned()));
        }
        if tx.execute("UPDATE flows SET name = ?2 WHERE name = ?1", [old, new])? == 0 {
            return Err(StoreError::Unknown(old.to_owned()));
        }
        tx.execute("UPDATE requests SET flow = ?2 WHERE flow = ?1", [old, new])?;
        tx.commit()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Cause, Outcome};
    use crate::store::NewRun;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_770_000_000 + second).unwrap()
    }

    fn ended(store: &mut Store, second: i64, outcome: Outcome) {
        let run = NewRun { flow: "leads", cause: Cause::Schedule, due: None, started: at(second) };
        let id = store.begin_run(&run).unwrap();
        store.end_run(id, outcome, &format!("run at {second}"), &[], at(second)).unwrap();
    }

    #[test]
    fn failures_count_since_the_last_run_that_went_well() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        assert_eq!(store.health_of("leads").unwrap(), None);
        store.anchor("leads", at(0)).unwrap();
        ended(&mut store, 1, Outcome::Failed);
        ended(&mut store, 2, Outcome::NothingNew);
        let well = store.health_of("leads").unwrap().unwrap();
        assert_eq!((well.failures, well.last_failure, well.last_read), (0, None, Some(at(2))));
        ended(&mut store, 3, Outcome::Failed);
        ended(&mut store, 4, Outcome::Failed);
        let ill = store.health_of("leads").unwrap().unwrap();
        assert_eq!((ill.failures, ill.last_failure.as_deref()), (2, Some("run at 4")));
    }

    #[test]
    fn a_copy_is_whole_and_a_new_name_keeps_everything() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        store.anchor("leads", at(0)).unwrap();
        ended(&mut store, 1, Outcome::NothingNew);
        let copy = folder.path().join("copy/leadflow.db");
        std::fs::create_dir(copy.parent().unwrap()).unwrap();
        store.back_up(&copy).unwrap();
        assert!(store.back_up(&copy).is_err(), "a copy is never overwritten");
        let restored = Store::open(copy.parent().unwrap()).unwrap();
        assert_eq!(restored.runs(Some("leads"), 9).unwrap().len(), 1);

        store.anchor("other", at(0)).unwrap();
        assert!(matches!(store.rename("leads", "other"), Err(StoreError::NameTaken(_))));
        assert!(matches!(store.rename("nothere", "new"), Err(StoreError::Unknown(_))));
        store.rename("leads", "new").unwrap();
        assert_eq!(store.runs(Some("new"), 9).unwrap().len(), 1);
        assert_eq!(store.seen("leads").unwrap(), None);
    }
}
