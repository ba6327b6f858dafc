//! The state in a `SQLite` database: all the SQL there is.

mod alarms;
mod breaks;
mod care;
mod changes;
mod flows;
mod in_place;
mod letters;
mod looks;
mod meta;
pub(crate) mod old_rows;
mod outbox;
mod pace;
pub(super) mod private;
mod proof;
mod requests;
mod runs;
mod sources;
mod steps;
mod texts;

pub use changes::Changes;
pub use letters::{Listed, Which};
pub use looks::RunsAsked;
pub use outbox::{MailRecord, NewMail, OutboxMail};
pub use proof::HandedOn;
pub use requests::{Answer, Request};
pub use runs::{Begun, Failed, NewRun, Scanned};
pub use sources::{Reading, Source, Visit};

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use rusqlite_migration::{M, Migrations};

use super::StoreError;
use crate::platform::ownership::{DatabaseError, Folder, Use, open_database};
pub(super) use in_place::OpenFiles;

/// The open state of leadflow.
#[derive(Debug)]
pub struct Store {
    pub(super) db: Connection,
    /// `None` for a database in memory.
    pub(super) files: Option<OpenFiles>,
}

/// Keeps a second daemon out of the state folder for as long as it lives.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    file: File,
}

/// The file whose lock keeps a second daemon out.
const LOCK: &str = "leadflow.lock";

/// Statements that are parsed once, more than there are.
const STATEMENTS: usize = 128;

/// How long another process may hold the database.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries for a lock that `SQLite` does not wait for.
const SOON: Duration = Duration::from_millis(10);

pub(super) const MIGRATIONS: [M<'static>; 8] = [
    M::up(include_str!("migrations/1.sql")),
    M::up(include_str!("migrations/2.sql")).foreign_key_check(),
    M::up(include_str!("migrations/3.sql")),
    M::up(include_str!("migrations/4.sql")),
    M::up(include_str!("migrations/5.sql")),
    M::up(include_str!("migrations/6.sql")),
    M::up(include_str!("migrations/7.sql")),
    M::up(include_str!("migrations/8.sql")),
];

impl Lock {
    /// Takes the lock of a state folder, which is made if need be.
    ///
    /// # Errors
    /// When another process holds it, or the folder cannot be written.
    pub fn take(folder: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Folder { folder: folder.to_owned(), source };
        let place = Folder::make(folder, 0o700, Use::Own).map_err(failed)?;
        let file = private::file(&place, LOCK).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path: folder.join(LOCK), file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Busy(folder.to_owned())),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Whether the folder is still the one that was locked, and not deleted or replaced.
    pub fn is_held(&self) -> bool {
        private::is_same(&self.path, &self.file)
    }
}

impl Store {
    /// Opens the database of a state folder; both are made if need be.
    ///
    /// # Errors
    /// When the folder cannot be written or the database is not ours.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Folder { folder: folder.to_owned(), source };
        let place = Folder::make(folder, 0o700, Use::Own).map_err(failed)?;
        let db = open_database(&place, "leadflow.db").map_err(|error| match error {
            DatabaseError::File(source) => failed(source),
            DatabaseError::Database(error) => error.into(),
        })?;
        db.busy_timeout(PATIENCE)?;
        let schema: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if usize::try_from(schema).is_ok_and(|schema| schema > MIGRATIONS.len()) {
            return Err(StoreError::Later { folder: folder.to_owned(), schema });
        }
        if !keeps_a_wal(&db)? {
            return Err(StoreError::NoWal(folder.to_owned()));
        }
        let mut store = Self::set_up(db)?;
        store.files = Some(OpenFiles::of(folder));
        Ok(store)
    }

    /// An empty state in memory, for who plays a process.
    ///
    /// # Errors
    /// When the database cannot be made.
    #[doc(hidden)]
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::set_up(Connection::open_in_memory()?)
    }

    /// The database itself, for who plays a process and puts faults into its state.
    #[doc(hidden)]
    pub fn connection(&self) -> &Connection {
        &self.db
    }

    fn set_up(mut db: Connection) -> Result<Self, StoreError> {
        // A transaction that reads first and writes later would not wait for another writer.
        db.set_transaction_behavior(TransactionBehavior::Immediate);
        // After a power cut FULL keeps every acknowledged commit, NORMAL none of the last ones.
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "secure_delete", true)?;
        // A table that is made anew must not take with it what refers to it.
        db.pragma_update(None, "foreign_keys", false)?;
        migrate(&mut db)?;
        db.pragma_update(None, "foreign_keys", true)?;
        db.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(Self { db, files: None })
    }
}

/// Brings the schema to this version. Another process may be at it at the same moment: then this one goes on
/// from where the schema is by now.
fn migrate(db: &mut Connection) -> Result<(), StoreError> {
    let schema = |db: &Connection| db.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    loop {
        let before = schema(db)?;
        match Migrations::from_slice(&MIGRATIONS).to_latest(db) {
            Ok(()) => return Ok(()),
            Err(error) if schema(db)? == before => return Err(error.into()),
            Err(_) => {}
        }
    }
}

/// Turns the write-ahead log on. The statement must be read to its end: it tells the new mode first
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

/// A moment as the database keeps it: microseconds since 1970.
pub(super) fn to_db(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// A moment out of the database.
fn from_db(microseconds: i64) -> Timestamp {
    Timestamp::from_microsecond(microseconds).unwrap_or_default()
}

#[cfg(test)]
mod tests;
