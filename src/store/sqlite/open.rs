//! Opens the database of a state folder, and brings it to the schema of this version.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use rusqlite_migration::{M, Migrations};

use super::in_place::{FILES, OpenFiles};
use super::{Database, Failure, LeaseClock, Lock};
use crate::platform::ownership::{DatabaseError, Folder, Use, open_database, open_database_to_read};
use crate::store::StoreError;
use crate::store::contents::TABLES;

/// Statements that are parsed once, more than there are.
const STATEMENTS: usize = 128;

/// How long another process may hold the database.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries for a lock that `SQLite` does not wait for.
const SOON: Duration = Duration::from_millis(10);

/// The schema of this version.
pub(in crate::store) const SCHEMA: usize = 11;

pub(super) const MIGRATIONS: [M<'static>; SCHEMA] = [
    M::up(include_str!("migrations/1.sql")),
    M::up(include_str!("migrations/2.sql")).foreign_key_check(),
    M::up(include_str!("migrations/3.sql")),
    M::up(include_str!("migrations/4.sql")),
    M::up(include_str!("migrations/5.sql")),
    M::up(include_str!("migrations/6.sql")),
    M::up(include_str!("migrations/7.sql")),
    M::up(include_str!("migrations/8.sql")),
    M::up(include_str!("migrations/9.sql")),
    M::up(include_str!("migrations/10.sql")),
    M::up(include_str!("migrations/11.sql")),
];

impl Database {
    /// Opens the database of a state folder; both are made if need be.
    ///
    /// # Errors
    /// When the folder cannot be written or the database is not ours.
    pub(crate) fn open(folder: &Path) -> Result<Self, Failure> {
        let failed = |source| StoreError::Folder { folder: folder.to_owned(), source };
        let place = Folder::make(folder, 0o700, Use::Own).map_err(failed)?;
        let db = open_database(&place, FILES[0]).map_err(|error| failure_of(folder, error))?;
        db.busy_timeout(PATIENCE)?;
        check_is_ours(folder, &db, schema_of(&db)?)?;
        if !keeps_a_wal(&db)? {
            return Err(StoreError::NoWal(folder.to_owned()).into());
        }
        let mut store = Self::set_up(db)?;
        store.files = Some(OpenFiles::of(folder));
        Ok(store)
    }

    /// Opens the database of a state folder as it is, which must be of this version: nothing is made or written.
    pub(crate) fn open_to_read(folder: &Path) -> Result<Self, Failure> {
        let failed = |source| StoreError::Folder { folder: folder.to_owned(), source };
        let place = Folder::open(folder, Use::Own).map_err(failed)?;
        let db = open_database_to_read(&place, FILES[0]).map_err(|error| failure_of(folder, error))?;
        db.busy_timeout(PATIENCE)?;
        let is_being_made = || Lock::owner(folder).map_or(true, |owner| owner.is_some());
        let began = Instant::now();
        let mut schema = schema_of(&db)?;
        // Whoever has the lock makes it at this moment.
        while schema == 0 && is_being_made() && began.elapsed() < PATIENCE {
            thread::sleep(SOON);
            schema = schema_of(&db)?;
        }
        check_is_ours(folder, &db, schema)?;
        if usize::try_from(schema).is_ok_and(|schema| schema < SCHEMA) {
            return Err(StoreError::Earlier { folder: folder.to_owned(), schema }.into());
        }
        db.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(Self { db, files: Some(OpenFiles::of(folder)), owner: String::new(), lease_clock: None })
    }

    /// An empty database that nothing outlives.
    pub(crate) fn in_memory() -> Result<Self, Failure> {
        Self::set_up(Connection::open_in_memory()?)
    }

    /// An empty database that nothing outlives, for several processes that are played.
    pub(crate) fn of_nodes(lease_clock: LeaseClock) -> Result<Self, Failure> {
        Ok(Self { lease_clock: Some(lease_clock), ..Self::in_memory()? })
    }

    /// The first cell of the statement's first row.
    pub(crate) fn raw(&self, statement: &str) -> Result<Option<String>, Failure> {
        let mut statement = self.db.prepare(statement)?;
        let mut rows = statement.query([])?;
        let mut found = None;
        while let Some(row) = rows.next()? {
            found = found.or(Some(row.get::<_, Value>(0)?));
        }
        Ok(found.map(|cell| match cell {
            Value::Integer(number) => number.to_string(),
            Value::Text(text) => text,
            _ => String::new(),
        }))
    }

    fn set_up(mut db: Connection) -> Result<Self, Failure> {
        // A transaction that reads first and writes later would not wait for another writer.
        db.set_transaction_behavior(TransactionBehavior::Immediate);
        // After a power cut FULL keeps every acknowledged commit, NORMAL none of the last ones.
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "secure_delete", true)?;
        // A table that is made again must not delete what refers to it.
        db.pragma_update(None, "foreign_keys", false)?;
        migrate(&mut db)?;
        db.pragma_update(None, "foreign_keys", true)?;
        db.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(Self { db, files: None, owner: String::new(), lease_clock: None })
    }
}

fn failure_of(folder: &Path, error: DatabaseError) -> Failure {
    match error {
        DatabaseError::File(source) => StoreError::Folder { folder: folder.to_owned(), source }.into(),
        DatabaseError::Database(error) => error.into(),
    }
}

fn schema_of(db: &Connection) -> rusqlite::Result<i64> {
    db.pragma_query_value(None, "user_version", |row| row.get(0))
}

pub(super) fn check_is_ours(folder: &Path, db: &Connection, schema: i64) -> Result<(), Failure> {
    match usize::try_from(schema) {
        Err(_) => {
            let what = format!("its schema is {schema}, which leadflow never writes");
            Err(StoreError::damaged(&what).into())
        }
        Ok(later) if later > SCHEMA => Err(StoreError::Later { folder: folder.to_owned(), schema }.into()),
        // Our tables are made together with the number of their schema, perhaps since it was read.
        Ok(0) if db.prepare("SELECT 1 FROM sqlite_master")?.exists([])? && schema_of(db)? == 0 => {
            Err(StoreError::NotOurs(folder.to_owned()).into())
        }
        Ok(SCHEMA) => check_is_whole(db),
        _ => Ok(()),
    }
}

/// Each table is there.
fn check_is_whole(db: &Connection) -> Result<(), Failure> {
    let mut ask = db.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1")?;
    for table in TABLES {
        if !ask.exists([table])? {
            return Err(StoreError::damaged(&format!("its table `{table}` is missing")).into());
        }
    }
    Ok(())
}

/// Brings the schema to this version. Another process may be at it at the same moment: then this one goes on
/// from where the schema is by now.
fn migrate(db: &mut Connection) -> Result<(), Failure> {
    loop {
        let before = schema_of(db)?;
        match Migrations::from_slice(&MIGRATIONS).to_latest(db) {
            Ok(()) => return Ok(()),
            Err(error) if schema_of(db)? == before => return Err(error.into()),
            Err(_) => {}
        }
    }
}

/// Turns the write-ahead log on. The statement must be read to its end: it returns the new mode first
/// and whether it could be written afterwards.
fn keeps_a_wal(db: &Connection) -> rusqlite::Result<bool> {
    let began = Instant::now();
    loop {
        match turned_on(db) {
            // A database that somebody makes at this moment; SQLite does not wait for this lock by itself.
            Err(error) if began.elapsed() < PATIENCE && is_busy(&error) => thread::sleep(SOON),
            turned => return turned,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

fn turned_on(db: &Connection) -> rusqlite::Result<bool> {
    let mut ask = db.prepare("PRAGMA journal_mode = WAL")?;
    let modes: Vec<String> = ask.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(modes == ["wal"])
}
