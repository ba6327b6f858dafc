//! The state folder: a `SQLite` database behind a few coarse operations, each one transaction.

mod error;
#[cfg(feature = "simulation")]
mod simulated;
mod sqlite;
pub mod state;

pub use error::StoreError;
pub(crate) use sqlite::old_rows;
pub use sqlite::{
    Answer, Begun, Changes, Failed, HandedOn, Listed, Lock, MailRecord, NewMail, NewRun, OutboxMail, Reading,
    Request, RunsAsked, Scanned, Source, Store, Visit, Which,
};

use std::sync::{Arc, Mutex, PoisonError};

use crate::platform::blocking::Worker;
use crate::platform::faults::block_point;
use sqlite::OpenFiles;

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
