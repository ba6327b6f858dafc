//! Care of the state: its alarms, what is old, a copy of it, and what it forgets of a person.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::sqlite::Database;
use super::{Backend, NewMessage, Store, StoreError, on_backend, on_backend_for_long};
use crate::alarm::AlarmUpdate;

/// How long the state keeps what is over.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Runs that began before are deleted, with their steps and mails, unless one of these still waits or is held.
    pub history: Timestamp,
    /// The bytes of mails that were made before are deleted, where they need no letter any more.
    pub message_bytes: Timestamp,
    /// Requests that were left before are deleted, where they were answered.
    pub answers: Timestamp,
}

/// A part of what the backend keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file.
    File(PathBuf),
    /// A column of a database.
    Column {
        /// Its table, or what the server notes of it.
        table: String,
        /// Its name.
        column: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Column { table, column } => write!(f, "the column {column} of the table {table}"),
        }
    }
}

/// What a search for a text through all that the backend keeps has found.
#[derive(Debug, Default)]
pub struct AbsenceReport {
    /// Files that were read.
    pub files: usize,
    /// Columns of a database that were read.
    pub columns: usize,
    /// The bytes of both.
    pub bytes: u64,
    /// What still contains the text.
    pub left: Vec<Place>,
    /// What could not be looked at, and why.
    pub unreadable: Vec<(Place, String)>,
    /// What may still hold the text and cannot be searched from here, in a sentence.
    pub out_of_reach: Option<&'static str>,
}

/// Whether a text names a person.
pub type IsFound = Arc<dyn Fn(&str) -> bool + Send + Sync>;

impl Store {
    /// Commits which alarms are raised and which are over, with the mail about them.
    ///
    /// # Errors
    /// As every operation.
    pub async fn commit_alarms(
        &self,
        update: AlarmUpdate,
        mail: Option<NewMessage>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        on_backend!(self, db => db.commit_alarms(&update, mail.as_ref(), now))
    }

    /// Deletes what is older than it is kept. The seen rows stay. Returns how many runs are deleted.
    ///
    /// # Errors
    /// As every operation.
    pub async fn prune(&self, retention: Retention) -> Result<usize, StoreError> {
        on_backend_for_long!(self, db => db.prune(&retention))
    }

    /// Forgets some of the tables that were left before this moment. Returns whether there may be more to
    /// forget: other operations go first.
    ///
    /// # Errors
    /// As every operation.
    pub async fn prune_sources(&self, before: Timestamp) -> Result<bool, StoreError> {
        on_backend_for_long!(self, db => db.prune_sources(before))
    }

    /// Gives flows that have read nothing yet this baseline.
    ///
    /// # Errors
    /// As every operation.
    pub async fn preset_baseline(
        &self,
        flows: Vec<String>,
        baseline: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        on_backend!(self, db => db.preset_baseline(&flows, baseline, now))
    }

    /// Gives what is known of a flow to another name.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`], [`StoreError::Unknown`], and as every operation.
    pub async fn rename(&self, old: &str, new: &str) -> Result<(), StoreError> {
        let old = old.to_owned();
        let new = new.to_owned();
        on_backend!(self, db => db.rename(&old, &new))
    }

    /// Writes a whole copy of the state, also while a daemon works on it. Nobody else can read it, from its first
    /// byte; it has its name when it is whole, and nothing is left of one that fails.
    ///
    /// # Errors
    /// When the file is there already or cannot be written, or others may change its folder; [`StoreError::NoBackup`]; and as
    /// every operation.
    pub async fn back_up(&self, file: &Path) -> Result<(), StoreError> {
        let file = file.to_owned();
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.call(move |db| db.back_up(&file)).await,
            Backend::Postgres(_) => Err(StoreError::NoBackup),
        }
    }

    /// Names this state; a copy has the same name.
    ///
    /// # Errors
    /// As every operation.
    pub async fn identity(&self) -> Result<String, StoreError> {
        on_backend!(self, db => db.identity())
    }

    /// Looks through the whole state, and names it.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] with the first thing that is wrong, and as every operation.
    pub async fn verify(&self) -> Result<String, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.call(|db| db.check().and_then(|()| db.identity())).await,
            Backend::Postgres(postgres) => postgres.call(async |db| db.verify().await).await,
        }
    }

    /// The numbers of all mails whose text is kept.
    ///
    /// # Errors
    /// As every operation.
    pub async fn kept_messages(&self) -> Result<Vec<i64>, StoreError> {
        on_backend!(self, db => db.kept_messages())
    }

    /// Forgets a mail's text and subject, here and in the history. Returns whether it could: one that
    /// is still to be sent stays.
    ///
    /// # Errors
    /// As every operation.
    pub async fn erase_message(&self, mail: i64) -> Result<bool, StoreError> {
        on_backend_for_long!(self, db => db.erase_message(mail))
    }

    /// Whether the mail is still to be sent, or is being sent.
    ///
    /// # Errors
    /// As every operation.
    pub async fn is_waiting(&self, mail: i64) -> Result<bool, StoreError> {
        on_backend!(self, db => db.is_waiting(mail))
    }

    /// Replaces every text of the history that is found; the subject of a mail that is still to be sent
    /// stays with it. Returns how many there were.
    ///
    /// # Errors
    /// As every operation.
    pub async fn erase_texts(&self, is_found: IsFound) -> Result<usize, StoreError> {
        on_backend_for_long!(self, db => db.erase_texts(&*is_found))
    }

    /// Removes what deleted texts leave behind in the backend. Returns whether it could: not while somebody reads.
    ///
    /// # Errors
    /// As every operation.
    pub async fn purge_remains(&self) -> Result<bool, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.call(Database::purge_remains).await,
            Backend::Postgres(postgres) => postgres.call_for_long(async |db| db.purge_remains().await).await,
        }
    }

    /// Looks through all that the backend keeps, as it keeps it, for a text that must not be there any more. Where
    /// there is one still, tries to get rid of it.
    ///
    /// # Errors
    /// As every operation.
    pub async fn prove_absent(&self, is_found: IsFound) -> Result<AbsenceReport, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.call(move |db| Ok(db.prove_absent(&*is_found))).await,
            Backend::Postgres(postgres) => {
                postgres.call_for_long(async move |db| db.prove_absent(&*is_found).await).await
            }
        }
    }
}
