//! The state folder: a `SQLite` database behind a few coarse operations, each one transaction.

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
mod private;
mod proof;
mod requests;
mod runs;
#[cfg(feature = "simulation")]
mod simulated;
mod sources;
pub mod state;
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
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use rusqlite_migration::{M, Migrations};

use crate::platform::blocking::Worker;
use crate::platform::faults::block_point;
use crate::platform::ownership::{DatabaseError, Folder, Use, open_database};
use in_place::OpenFiles;

/// The open state of leadflow.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    /// `None` for a database in memory.
    files: Option<OpenFiles>,
}

/// Why the state could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder cannot be made or written.
    #[error("cannot use the state folder {folder}: {why}", folder = .folder.display(), why = private::why(.folder, .source))]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another daemon holds the folder.
    #[error("another leadflow works on the state folder {folder}; stop it first, or name another in settings.state", folder = .0.display())]
    Busy(PathBuf),
    /// A copy of the state cannot be written.
    #[error("cannot write the copy {file}: {why}", file = .file.display(), why = crate::platform::ownership::explained(.file, .source))]
    Copy {
        /// The copy.
        file: PathBuf,
        /// What the system said, or who could change it.
        source: std::io::Error,
    },
    /// The run was taken for ended, so that it must not commit any more.
    #[error("run {0} is over already")]
    RunOver(i64),
    /// A composed mail could not be read back.
    #[error("cannot read the composed mail back from the state folder: {0}")]
    Mail(std::io::Error),
    /// The state folder, or a file of the database in it, is not the one that was opened.
    #[error("the state in {folder} was deleted or replaced while leadflow ran; nothing more is sent; start leadflow again", folder = .0.display())]
    Replaced(PathBuf),
    /// The new name of a flow has a state of its own.
    #[error("the flow `{0}` has a state already; take another name")]
    NameTaken(String),
    /// Nothing is known of the flow.
    #[error("nothing is known of a flow `{0}`; `leadflow history` shows what is")]
    Unknown(String),
    /// The database is not whole.
    #[error(
        "the state database is damaged: {0}; put a backup in its place, or start again with `leadflow recover --since TIME`"
    )]
    Damaged(String),
    /// There was a state, and it is gone.
    #[error(
        "the state in {folder} is gone: {marker} says that there was one since {since}; put a backup in its place, or start \
         again with `leadflow recover --since TIME`, which mails what was written since then; if settings.state was changed, move \
         the old folder there; on a new machine, delete {marker}",
        folder = .folder.display(), marker = .marker.display()
    )]
    Lost {
        /// The folder.
        folder: PathBuf,
        /// The marker.
        marker: PathBuf,
        /// When the marker was written.
        since: String,
    },
    /// The state is another than the one there was.
    #[error(
        "the state in {folder} is not the one that {marker} speaks of; put the right one in its place, or start again with \
         `leadflow recover --since TIME`; if this one is right, delete {marker}",
        folder = .folder.display(), marker = .marker.display()
    )]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// The marker.
        marker: PathBuf,
    },
    /// The file system failed, or is one that `SQLite` cannot keep a write-ahead log on.
    #[error("the state folder {folder} does not take SQLite's write-ahead log; look at its disk, and take a folder on a local one", folder = .0.display())]
    NoWal(PathBuf),
    /// The operation did not end: the process is stopping, or it has a fault.
    #[error("an operation on the state did not end")]
    Stopped,
    /// The database failed.
    #[error("the state database failed: {0}")]
    Database(rusqlite::Error),
    /// A later version of leadflow has written the database.
    #[error(
        "the state in {folder} was written by a later leadflow (its schema is {schema}, and this one, leadflow {version}, knows up to \
         {known}); install the later leadflow again, or put a backup from before its installation in place of leadflow.db; \
         nothing was changed",
        folder = .folder.display(), version = env!("CARGO_PKG_VERSION"), known = MIGRATIONS.len()
    )]
    Later {
        /// The folder.
        folder: PathBuf,
        /// The schema of its database.
        schema: i64,
    },
    /// The database cannot be brought to the schema of this version.
    #[error("the state database cannot be brought to this version: {0}")]
    Migration(#[from] rusqlite_migration::Error),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Damaged(error.to_string()),
            _ => Self::Database(error),
        }
    }
}

impl StoreError {
    /// Another process holds the database, or the disk is full: it may go well later.
    pub fn is_passing(&self) -> bool {
        let Self::Database(error) = self else { return false };
        let passing = [ErrorCode::DatabaseBusy, ErrorCode::DatabaseLocked, ErrorCode::DiskFull];
        error.sqlite_error_code().is_some_and(|code| passing.contains(&code))
    }

    /// The database itself has failed, so that no later commit can be trusted either.
    pub fn is_lasting(&self) -> bool {
        matches!(self, Self::Database(_) | Self::Replaced(_)) && !self.is_passing()
    }
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

const MIGRATIONS: [M<'static>; 8] = [
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

/// The store shared between the tasks of a process; calls run one after the other on a thread of its
/// own.
#[derive(Debug, Clone)]
pub struct SharedStore {
    store: Arc<Mutex<Store>>,
    files: Option<Arc<OpenFiles>>,
    worker: Worker,
}

impl SharedStore {
    /// Shares a store.
    pub fn new(store: Store) -> Self {
        let files = store.files.clone().map(Arc::new);
        Self { store: Arc::new(Mutex::new(store)), files, worker: Worker::default() }
    }

    /// Whether the state is still the one that was opened, and not deleted or replaced.
    pub fn is_in_place(&self) -> bool {
        self.files.as_ref().is_none_or(|files| files.are_in_place())
    }

    /// Runs one operation on the store, if that is still in its place.
    ///
    /// # Errors
    /// What the operation returns, [`StoreError::Replaced`] or [`StoreError::Stopped`].
    pub async fn call<T, E>(
        &self,
        operation: impl FnOnce(&mut Store) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        #[cfg(feature = "simulation")]
        if let Some(error) = simulated::busy() {
            return Err(error.into());
        }
        let (store, files) = (Arc::clone(&self.store), self.files.clone());
        let work = move || {
            let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
            block_point("store");
            if let Some(files) = files.filter(|files| !files.are_in_place()) {
                return Err(StoreError::Replaced(files.folder().to_owned()).into());
            }
            operation(&mut store)
        };
        self.worker.run(work).await.unwrap_or_else(|| Err(StoreError::Stopped.into()))
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
fn to_db(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// A moment out of the database.
fn from_db(microseconds: i64) -> Timestamp {
    Timestamp::from_microsecond(microseconds).unwrap_or_default()
}

#[cfg(test)]
mod tests;
