//! Why the state could not be used.

use std::path::{Path, PathBuf};

use super::marker::Home;
use super::nodes::LEASE;
use super::sqlite::Owner;
use super::sqlite::SCHEMA;
use super::sqlite::files;

/// What an error of the state means for who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Another process holds the backend, or its disk is full: the same may go well later.
    Transient,
    /// Somebody else was first, so that what was decided does not hold any more.
    Conflict,
    /// It cannot be done as things are: a person must act.
    Refused,
    /// The backend itself has failed, so that no later commit can be trusted either.
    Fatal,
}

/// What to do about a database that another process holds.
pub(super) const END_HOLDER: &str =
    "another process holds it, such as a backup or a database shell: end that";

/// Why the state could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder cannot be made or written.
    #[error("cannot use the state folder {folder}: {why}", folder = .folder.display(), why = files::why(.folder, .source))]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process holds the folder.
    #[error("another leadflow uses the state folder {folder}: {}", until_free(.owner), folder = .folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
        /// Who holds it.
        owner: Owner,
    },
    /// A copy of the state cannot be written.
    #[error("cannot write the copy {file}: {why}", file = .file.display(), why = crate::platform::ownership::explained(.file, .source))]
    Copy {
        /// The copy.
        file: PathBuf,
        /// What the system said, or who could change it.
        source: std::io::Error,
    },
    /// The run was taken for ended, so that it must not commit any more.
    #[error("run {0} has already ended")]
    RunOver(i64),
    /// Another process works on the state now.
    #[error("another leadflow now uses this state; this one stops working on it")]
    TakenOver,
    /// The lease of another process of this name holds.
    #[error(
        "a leadflow named {0} works on this state; if it is this machine's own that has just ended, its lease ends within {lease} s; \
         otherwise give this one another name in settings.postgres.node",
        lease = LEASE.as_secs()
    )]
    NameHeld(String),
    /// This node did not renew its lease in time.
    #[error("this node could not renew its lease on the state; nothing is sent until it has")]
    LeaseEnded,
    /// A composed mail could not be read back.
    #[error("cannot read the composed mail back from the state folder: {0}")]
    Mail(std::io::Error),
    /// The state folder, or a file of the database in it, is not the one that was opened.
    #[error("the state in {folder} was deleted or replaced while leadflow was running; nothing more is \
             sent; start leadflow again", folder = .0.display())]
    Replaced(PathBuf),
    /// The new name of a flow has a state of its own.
    #[error("the flow `{0}` already has a state; use another name")]
    NameTaken(String),
    /// Nothing is known of the flow.
    #[error("there is no record of a flow `{0}`; `leadflow history` shows the known flows")]
    Unknown(String),
    /// The database is not whole.
    #[error(
        "the state database {database} is damaged: {what}; put a backup in its place, or start again with \
         `leadflow recover --since TIME`",
        database = .database.display()
    )]
    Damaged {
        /// Its file.
        database: PathBuf,
        /// The first thing that is wrong.
        what: String,
    },
    /// The database holds tables of something else.
    #[error(
        "{folder}/leadflow.db is not a leadflow state: it has tables of another program; move it away, or name another folder \
         in settings.state; nothing was changed",
        folder = .0.display()
    )]
    NotOurs(PathBuf),
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
        "the state in {folder} is not the one that {marker} refers to; put the right one in its place, or start again with \
         `leadflow recover --since TIME`; if this one is right, delete {marker}",
        folder = .folder.display(), marker = .marker.display()
    )]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// The marker.
        marker: PathBuf,
    },
    /// There was a state, and the database has none.
    #[error(
        "the database {database} has no state: {marker} says that there was one since {since}; if it lies in the state folder, \
         copy it: `leadflow state copy --to postgres`; if `settings.postgres` names another database than before, correct it; if \
         the state was lost, restore a backup of the database, or start again with `leadflow recover --since TIME`, which mails \
         what was written since then; on a new machine, delete {marker}",
        marker = .marker.display()
    )]
    LostDatabase {
        /// The database.
        database: String,
        /// The marker.
        marker: PathBuf,
        /// When the marker was written.
        since: String,
    },
    /// The state of the database is another than the one there was.
    #[error(
        "the state in the database {database} is not the one that {marker} refers to; name the right database in \
         `settings.postgres`, or restore a backup of it; if this one is right, delete {marker}",
        marker = .marker.display()
    )]
    ForeignDatabase {
        /// The database.
        database: String,
        /// The marker.
        marker: PathBuf,
    },
    /// The state was moved elsewhere.
    #[error(
        "the state was moved: {marker} says that it lies {}; if the one {} is right, delete {marker}",
        there(*.home), here(*.home), marker = .marker.display()
    )]
    Moved {
        /// Where it is.
        home: Home,
        /// The marker.
        marker: PathBuf,
    },
    /// The place for a copy has a state already.
    #[error("there is another state already where the copy is to lie; nothing was copied: {}", make_room(*.0))]
    NotEmpty(Home),
    /// The file system failed, or is one that `SQLite` cannot keep a write-ahead log on.
    #[error("the state folder {folder} does not support SQLite's write-ahead log; check its disk, and use \
             a folder on a local one", folder = .0.display())]
    NoWal(PathBuf),
    /// The operation did not end: the process is stopping, or it has a fault.
    #[error("an operation on the state did not finish")]
    Stopped,
    /// The backend failed.
    #[error("the state database {database} failed: {message}; {help}", database = .database.display())]
    Backend {
        /// What that means.
        kind: Kind,
        /// Its file.
        database: PathBuf,
        /// What it said.
        message: String,
        /// What to do about it.
        help: &'static str,
    },
    /// The server that has the state cannot be used, or not now.
    #[error("cannot use the state database {place}: {what}; {help}")]
    Postgres {
        /// What that means.
        kind: Kind,
        /// The database and its server.
        place: String,
        /// What happened.
        what: String,
        /// What to do about it.
        help: String,
    },
    /// The server that has the state makes its copies itself.
    #[error(
        "leadflow does not copy a state that lies in PostgreSQL; use pg_dump, or the backups of the server itself: see \
         docs/high-availability.md"
    )]
    NoBackup,
    /// A later version of leadflow has written the database.
    #[error(
        "the state in {folder} was written by a later leadflow (its schema is {schema}; this one, leadflow {version}, \
         supports up to {known}); install the later leadflow again, put a backup from before its installation in place of \
         leadflow.db, or start again with `leadflow recover --since TIME`; nothing was changed",
        folder = .folder.display(), version = env!("CARGO_PKG_VERSION"), known = SCHEMA
    )]
    Later {
        /// The folder.
        folder: PathBuf,
        /// The schema of its database.
        schema: i64,
    },
    /// An earlier version of leadflow has written the database, which a command that only looks leaves as it is.
    #[error(
        "the state in {folder} is still one of an earlier leadflow (its schema is {schema}, this one reads {known}): start leadflow, \
         or restart it if it runs (sudo systemctl restart leadflow), which upgrades the state; nothing was changed",
        folder = .folder.display(), known = SCHEMA
    )]
    Earlier {
        /// The folder.
        folder: PathBuf,
        /// The schema of its database.
        schema: i64,
    },
    /// The database cannot be brought to the schema of this version.
    #[error(
        "cannot upgrade the state database leadflow.db to this version: {0}; put a backup in its place, or start again with \
         `leadflow recover --since TIME`"
    )]
    Migration(String),
}

/// Where a state lies now, and what to do to work on it there.
fn there(home: Home) -> &'static str {
    match home {
        Home::Database => {
            "in a PostgreSQL database: name it in `[settings.postgres]`, or copy it back with `leadflow state copy --to sqlite`"
        }
        Home::Folder => {
            "in the state folder: remove `[settings.postgres]`, or copy it with `leadflow state copy --to postgres`"
        }
    }
}

/// Where one lies that was left.
fn here(home: Home) -> &'static str {
    match home {
        Home::Database => "in the state folder",
        Home::Folder => "in the database",
    }
}

/// What to do where the place for a copy has a state.
fn make_room(home: Home) -> &'static str {
    match home {
        Home::Database => {
            "name an empty database in `settings.postgres`, or drop this one and create it again if its state is not needed"
        }
        Home::Folder => "move leadflow.db, leadflow.db-wal and leadflow.db-shm out of the state folder",
    }
}

/// Who has the state, and what to do about it.
fn until_free(owner: &Owner) -> String {
    let way = match owner {
        Owner::Daemon => "stop it first",
        Owner::Command { .. } => "wait until it has ended",
    };
    format!("{owner}; {way}, or name another folder in settings.state")
}

impl StoreError {
    /// A damaged database, by the first thing that is wrong.
    pub(super) fn damaged(what: &impl ToString) -> Self {
        Self::Damaged { database: PathBuf::from("leadflow.db"), what: what.to_string() }
    }

    /// With the folder in which it happened, where it did not know it.
    pub(super) fn in_folder(self, folder: &Path) -> Self {
        match self {
            Self::Damaged { database, what } => Self::Damaged { database: folder.join(database), what },
            Self::Backend { kind, database, message, help } => {
                Self::Backend { kind, database: folder.join(database), message, help }
            }
            other => other,
        }
    }

    /// Another process holds the backend and does not let go.
    pub(super) fn busy() -> Self {
        let message = "database is locked".to_owned();
        Self::Backend {
            kind: Kind::Transient,
            database: PathBuf::from("leadflow.db"),
            message,
            help: END_HOLDER,
        }
    }

    /// What it means for who asked.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Backend { kind, .. } | Self::Postgres { kind, .. } => *kind,
            Self::LeaseEnded => Kind::Transient,
            Self::RunOver(_) | Self::NameTaken(_) => Kind::Conflict,
            Self::Replaced(_) | Self::TakenOver | Self::Damaged { .. } => Kind::Fatal,
            Self::Folder { .. }
            | Self::Busy { .. }
            | Self::Copy { .. }
            | Self::Mail(_)
            | Self::NameHeld(_)
            | Self::Unknown(_)
            | Self::Lost { .. }
            | Self::Foreign { .. }
            | Self::LostDatabase { .. }
            | Self::ForeignDatabase { .. }
            | Self::Moved { .. }
            | Self::NotEmpty(_)
            | Self::NoWal(_)
            | Self::NotOurs(_)
            | Self::NoBackup
            | Self::Stopped
            | Self::Later { .. }
            | Self::Earlier { .. }
            | Self::Migration(_) => Kind::Refused,
        }
    }

    /// As one that may go well later, where a server refuses what it has granted before.
    pub(super) fn into_passing(self) -> Self {
        match self {
            Self::Postgres { kind: Kind::Refused, place, what, help } => {
                Self::Postgres { kind: Kind::Transient, place, what, help }
            }
            other => other,
        }
    }

    /// It may go well later.
    pub fn is_passing(&self) -> bool {
        self.kind() == Kind::Transient
    }

    /// No later commit can be trusted either.
    pub fn is_lasting(&self) -> bool {
        self.kind() == Kind::Fatal
    }
}
