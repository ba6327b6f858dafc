//! The state folder: a `SQLite` database behind a few coarse operations, each one transaction.

mod error;
mod sqlite;
pub mod state;

pub use error::StoreError;
pub(crate) use sqlite::old_rows;
pub use sqlite::{
    Answer, Begun, Changes, Failed, HandedOn, Listed, Lock, MailRecord, NewMail, NewRun, OutboxMail, Reading,
    Request, RunsAsked, Scanned, Source, Store, Visit, Which,
};

use std::sync::{Arc, Mutex, PoisonError};

use crate::platform::blocking::{Runner, Worker};
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

    /// The same store for a process that does its work elsewhere.
    #[must_use]
    pub fn by(self, runner: Runner) -> Self {
        Self { worker: Worker::by(runner), ..self }
    }

    /// Where operations are done.
    pub fn runner(&self) -> &Runner {
        self.worker.runner()
    }

    /// An operation at once on this thread, for who plays a process and looks at its state from outside.
    #[doc(hidden)]
    pub fn at_once<T>(&self, operation: impl FnOnce(&mut Store) -> T) -> T {
        operation(&mut self.store.lock().unwrap_or_else(PoisonError::into_inner))
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
        if self.worker.runner().is_state_busy() {
            return Err(StoreError::busy().into());
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
