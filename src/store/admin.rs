//! Care of the state: its alarms, what is old, a copy of it, and what it forgets of a person.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::sqlite::Database;
use super::{Backend, NewMessage, Store, StoreError};
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

/// What a search for a text through all that the backend keeps has found.
#[derive(Debug, Default)]
pub struct AbsenceReport {
    /// Files that were read.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Files that still contain the text.
    pub left: Vec<PathBuf>,
    /// Files that could not be looked at, and why.
    pub unreadable: Vec<(PathBuf, io::Error)>,
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
        let Backend::Sqlite(sqlite) = &self.backend;
        sqlite.call(move |db| db.commit_alarms(&update, mail.as_ref(), now)).await
    }

    /// Deletes what is older than it is kept. The seen rows stay. Returns how many runs are deleted.
    ///
    /// # Errors
    /// As every operation.
    pub async fn prune(&self, retention: Retention) -> Result<usize, StoreError> {
        let Backend::Sqlite(sqlite) = &self.backend;
        sqlite.call(move |db| db.prune(&retention)).await
    }

    /// Forgets some of the tables that were left before this moment. Returns whether there may be more to
    /// forget: other operations go first.
    ///
    /// # Errors
    /// As every operation.
    pub async fn prune_sources(&self, before: Timestamp) -> Result<bool, StoreError> {
        let Backend::Sqlite(sqlite) = &self.backend;
        sqlite.call(move |db| db.prune_sources(before)).await
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
        let Backend::Sqlite(sqlite) = &self.backend;
        sqlite.call(move |db| db.preset_baseline(&flows, baseline, now)).await
    }

    /// Gives what is known of a flow to another name.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`], [`StoreError::Unknown`], and as every operation.
    pub async fn rename(&self, old: &str, new: &str) -> Result<(), StoreError> {
        let old = old.to_owned();
        let new = new.to_owned();
        let Backend::Sqlite(sqlite) = &self.backend;
        sqlite.call(move |db| db.rename(&old, &new)).await
    }

    /// Writes a whole copy of the state, also while a daemon works on it. Nobody else can read it, from its first
    /// byte; it has its name when it is whole, and nothing is left of one that fails.
    ///
    /// # Errors
    /// When the file is there already or cannot be written, or others may change its folder; and as every operation.
    pub async fn back_up(&self, file: &Path) -> Result<(), StoreError> {
        let file = file.to_owned();
        let Backend::Sqlite(sqlite) = &self.backend;
        sqlite.call(move |db| db.back_up(&file)).await
    }

    /// Names this state; a copy has the same name.
    ///
    /// # Errors
    /// As every operation.
    pub async fn identity(&self) -> Result<String, StoreError> {
        let Backend::Sqlite(sqlite) = &self.backend;
        sqlite.call(|db| db.identity()).await
    }

    /// Looks through the whole state, and names it.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] with the first thing that is wrong, and as every operation.
    pub async fn verify(&self) -> Result<String, StoreError> {
        let Backend::Sqlite(sqlite) = &self.backend;
        sqlite.call(|db| db.check().and_then(|()| db.identity())).await
    }

    /// The numbers of all mails whose text is kept.
    ///
    /// # Errors
    /// As every operation.
    pub async fn kept_messages(&self) -> Result<Vec<i64>, StoreError> {
        let Backend::Sqlite(sqlite) = &self.backend;
        sqlite.call(|db| db.kept_messages()).await
    }

    /// Forgets a mail's text and subject, here and in the history. Returns whether it could: one that
    /// is still to be sent stays.
    ///
    /// # Errors
    /// As every operation.
    pub async fn erase_message(&self, mail: i64) -> Result<bool, StoreError> {
        let Backend::Sqlite(sqlite) = &self.backend;
        sqlite.call(move |db| db.erase_message(mail)).await
    }

    /// Whether the mail is still to be sent, or is being sent.
    ///
    /// # Errors
    /// As every operation.
    pub async fn is_waiting(&self, mail: i64) -> Result<bool, StoreError> {
        let Backend::Sqlite(sqlite) = &self.backend;
        sqlite.call(move |db| db.is_waiting(mail)).await
    }

    /// Replaces every text of the history that is found; the subject of a mail that is still to be sent
    /// stays with it. Returns how many there were.
    ///
    /// # Errors
    /// As every operation.
    pub async fn erase_texts(&self, is_found: IsFound) -> Result<usize, StoreError> {
        let Backend::Sqlite(sqlite) = &self.backend;
        sqlite.call(move |db| db.erase_texts(&*is_found)).await
    }

    /// Removes what deleted texts leave behind in the backend. Returns whether it could: not while somebody reads.
    ///
    /// # Errors
    /// As every operation.
    pub async fn purge_remains(&self) -> Result<bool, StoreError> {
        let Backend::Sqlite(sqlite) = &self.backend;
        sqlite.call(Database::purge_remains).await
    }

    /// Looks through all that the backend keeps, as it keeps it, for a text that must not be there any more. Where
    /// there is one still, tries to get rid of it.
    ///
    /// # Errors
    /// As every operation.
    pub async fn prove_absent(&self, is_found: IsFound) -> Result<AbsenceReport, StoreError> {
        let Backend::Sqlite(sqlite) = &self.backend;
        sqlite.call(move |db| Ok(db.prove_absent(&*is_found))).await
    }
}
