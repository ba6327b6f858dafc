//! The database shared between the tasks of a process.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::in_place::OpenFiles;
use super::{Database, Failure, LogChanges};
use crate::platform::blocking::{Runner, Worker};
use crate::platform::faults::block_point;
use crate::store::StoreError;

/// A database; operations on it run one after the other on a thread of its own.
#[derive(Debug, Clone)]
pub(in crate::store) struct Shared {
    database: Arc<Mutex<Database>>,
    /// Of the process that has this: the database has it while one of its operations is done.
    owner: Arc<Mutex<String>>,
    files: Option<Arc<OpenFiles>>,
    worker: Worker,
}

impl Shared {
    pub(in crate::store) fn new(database: Database) -> Self {
        let files = database.files.clone().map(Arc::new);
        Self {
            database: Arc::new(Mutex::new(database)),
            owner: Arc::default(),
            files,
            worker: Worker::default(),
        }
    }

    pub(in crate::store) fn by(self, runner: Runner) -> Self {
        Self { worker: Worker::by(runner), ..self }
    }

    /// The same database for another process.
    pub(in crate::store) fn for_another(&self) -> Self {
        Self { owner: Arc::default(), worker: Worker::by(self.runner().clone()), ..self.clone() }
    }

    /// Whether leases end.
    pub(in crate::store) fn has_leases(&self) -> bool {
        self.database.lock().unwrap_or_else(PoisonError::into_inner).lease_now().is_some()
    }

    pub(in crate::store) fn runner(&self) -> &Runner {
        self.worker.runner()
    }

    pub(in crate::store) fn raw(&self, statement: &str) -> Result<Option<String>, StoreError> {
        let database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        database.raw(statement).map_err(StoreError::from)
    }

    /// A database in memory has nothing that could show a change.
    pub(in crate::store) fn changes(&self) -> LogChanges {
        LogChanges::of(self.files.as_ref().map_or(Path::new("/nonexistent"), |files| files.folder()))
    }

    /// Whether the state is still the one that was opened, and not deleted or replaced.
    pub(in crate::store) fn is_in_place(&self) -> bool {
        self.files.as_ref().is_none_or(|files| files.are_in_place())
    }

    /// Runs one operation, if the database is still in its place.
    pub(in crate::store) async fn call<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Database) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (give, mut given) = oneshot::channel();
        let operation = move |database: &mut Database| {
            let _ = give.send(operation(database)?);
            Ok(())
        };
        self.do_one(Box::new(operation)).await?;
        given.try_recv().map_err(|_| StoreError::Stopped)
    }

    /// As [`Shared::call`], without a result: what is the same for all operations is in the program once.
    async fn do_one(&self, operation: Operation) -> Result<(), StoreError> {
        if self.worker.runner().is_state_busy() {
            return Err(StoreError::busy());
        }
        let (database, owner) = (Arc::clone(&self.database), Arc::clone(&self.owner));
        let files = self.files.clone();
        let work = move || {
            let mut database = database.lock().unwrap_or_else(PoisonError::into_inner);
            block_point("store");
            if let Some(files) = files.as_ref().filter(|files| !files.are_in_place()) {
                return Err(StoreError::Replaced(files.folder().to_owned()));
            }
            let mut owner = owner.lock().unwrap_or_else(PoisonError::into_inner);
            database.owner.clone_from(&owner);
            let result = operation(&mut database);
            owner.clone_from(&database.owner);
            let error = |failure| match &files {
                Some(files) => StoreError::from(failure).in_folder(files.folder()),
                None => StoreError::from(failure),
            };
            result.map_err(error)
        };
        let result = self.worker.run(work).await.unwrap_or(Err(StoreError::Stopped));
        if self.worker.runner().is_answer_lost() { Err(StoreError::busy()) } else { result }
    }
}

/// Keeps its result for who has asked for it.
type Operation = Box<dyn FnOnce(&mut Database) -> Result<(), Failure> + Send>;
