//! Care of the state: a copy of it, a flow's new name.

use std::path::Path;

use rusqlite::params;

use super::{Store, StoreError};
use crate::platform::ownership::{self, Draft};

impl Store {
    /// Writes a whole copy of the database, also while a daemon works on it. Nobody else can read it, from its first
    /// byte; it has its name when it is whole, and nothing is left of one that fails.
    ///
    /// # Errors
    /// When the file is there already or cannot be written, or others may change its folder.
    pub fn back_up(&self, file: &Path) -> Result<(), StoreError> {
        let failed = |source| StoreError::Copy { file: file.to_owned(), source };
        let service = self.db.path().and_then(|path| ownership::owner_of(Path::new(path)));
        let draft = Draft::new(file, service).map_err(failed)?;
        self.db.execute("VACUUM INTO ?1", params![draft.path().to_string_lossy()])?;
        draft.keep().map_err(failed)
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
    use crate::history::{Cause, Order};
    use crate::store::NewRun;
    use jiff::Timestamp;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_770_000_000 + second).unwrap()
    }

    #[test]
    fn a_copy_is_whole_and_a_new_name_keeps_everything() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        store.anchor("leads", at(0)).unwrap();
        let run = NewRun { flow: "leads", order: Order::new(Cause::Schedule, None), started: at(1) };
        store.begin_runs(&[run]).unwrap();
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
