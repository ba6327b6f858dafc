//! What `SQLite` alone can say and do of the state; of no table of it.

use std::path::Path;

use rusqlite::Connection;

/// The database is whole.
pub(crate) fn integrity(state: &Path) {
    let db = Connection::open(state.join("leadflow.db")).unwrap();
    let verdict: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
    let orphans =
        db.prepare("PRAGMA foreign_key_check").unwrap().query([]).unwrap().next().unwrap().is_some();
    assert!(!orphans, "rows that refer to nothing");
}

/// Another program that writes to the database, and never ends its answer.
#[derive(Debug)]
pub(crate) struct Writing(Connection);

impl Writing {
    pub(crate) fn begin(state: &Path) -> Self {
        let db = Connection::open(state.join("leadflow.db")).unwrap();
        db.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self(db)
    }

    pub(crate) fn end(self) {
        self.0.execute_batch("ROLLBACK").unwrap();
    }
}
