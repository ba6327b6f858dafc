//! The state of leadflow: what was seen, what is to be sent, and what was done.
//!
//! A [`Store`] has named operations, grouped by who asks: [`runs`], [`outbox`], [`requests`], [`queries`] and
//! [`admin`]. Each is one transaction, done as a whole or not at all; but a copy, and forgetting a person,
//! take several steps, which may be done again. Each fails as [`StoreError::kind`] says:
//! the backend is busy for now, somebody else was first, a person must act, or the backend can no longer be trusted.

pub mod admin;
mod changes;
#[cfg(test)]
mod conformance;
mod contents;
mod copy;
mod database;
mod error;
mod marker;
pub mod nodes;
pub mod outbox;
mod postgres;
pub mod queries;
pub mod requests;
pub mod runs;
mod sqlite;
pub mod state;

use std::path::Path;
use std::sync::Arc;

pub use admin::{AbsenceReport, IsFound, Place, Retention};
pub use changes::Changes;
pub use copy::TableDigest;
pub use error::{Kind, StoreError};
pub use marker::Home;
pub use nodes::{Beat, LEASE, NewNode, NodeRecord, TakenOver};
pub use outbox::{
    AttemptRecord, Begin, ConnectionFailure, ConnectionRest, DeferredFlow, NewMessage, QueuedMessage,
    SendLimits,
};
use postgres::Postgres;
pub use postgres::Tokens;
pub use queries::{
    AlarmFacts, FlowOverview, MessageRecord, OpenMails, OutboxEntry, OutboxFilter, Provenance, RunFilter,
};
pub use requests::{Answer, QueuedRequest, Request};
pub use runs::{Claim, ClaimedRun, FailedRun, NewRun, ScanResult, Source, SourceRequest};
use sqlite::{Database, Shared};
pub use sqlite::{LeaseClock, Lock, OldRows, Owner};

use crate::flow::PostgresConnection;
use crate::platform::blocking::Runner;

/// The open state; clones are the same one.
#[derive(Debug, Clone)]
pub struct Store {
    backend: Backend,
}

/// Where the state lies.
#[derive(Debug, Clone)]
enum Backend {
    /// In a database of the state folder.
    Sqlite(Shared),
    /// In a database that several machines may share.
    Postgres(Postgres),
}

/// Does an operation that each backend has under the same name.
macro_rules! on_backend {
    ($store:expr, $db:ident => $operation:expr) => {
        $crate::store::on_backend!($store, call, $db => $operation)
    };
    ($store:expr, $call:ident, $db:ident => $operation:expr) => {
        match &$store.backend {
            Backend::Sqlite(sqlite) => sqlite.call(move |$db| $operation).await,
            Backend::Postgres(postgres) => postgres.$call(async move |$db| $operation.await).await,
        }
    };
}
/// As [`on_backend`], where it may take long over a network.
macro_rules! on_backend_for_long {
    ($store:expr, $db:ident => $operation:expr) => {
        $crate::store::on_backend!($store, call_for_long, $db => $operation)
    };
}
use on_backend;
use on_backend_for_long;

impl Store {
    /// Opens the state of a folder; both are made if need be.
    ///
    /// # Errors
    /// When the folder cannot be written or its database is not ours.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let opened = Database::open(folder).map_err(|failure| StoreError::from(failure).in_folder(folder));
        Ok(Self::in_sqlite(opened?))
    }

    /// Opens the state of a folder to be read: nothing is made, brought on or written, and no right to write is needed.
    ///
    /// # Errors
    /// [`StoreError::Earlier`] and [`StoreError::Later`] where the state is not of this version; when it is not there, or
    /// cannot be read.
    pub fn open_to_read(folder: &Path) -> Result<Self, StoreError> {
        let opened =
            Database::open_to_read(folder).map_err(|failure| StoreError::from(failure).in_folder(folder));
        Ok(Self::in_sqlite(opened?))
    }

    /// Opens the state of a database server, which is made or brought on if need be.
    ///
    /// # Errors
    /// When it cannot be reached, does not let us in, or has no database for us; each says what to do.
    pub async fn connect(
        connection: &PostgresConnection,
        tokens: Option<Arc<dyn Tokens>>,
    ) -> Result<Self, StoreError> {
        Ok(Self { backend: Backend::Postgres(Postgres::connect(connection, tokens).await?) })
    }

    /// Opens the state of a database server, which is brought on if need be. `None` where there is none yet.
    ///
    /// # Errors
    /// As [`Store::connect`].
    pub async fn connect_to_change(
        connection: &PostgresConnection,
        tokens: Option<Arc<dyn Tokens>>,
    ) -> Result<Option<Self>, StoreError> {
        let opened = Postgres::connect_to_change(connection, tokens).await?;
        Ok(opened.map(|postgres| Self { backend: Backend::Postgres(postgres) }))
    }

    /// Opens the state of a database server to be read: nothing is made or brought on. `None` where there is none yet.
    ///
    /// # Errors
    /// As [`Store::connect`], and where the state is not of this version.
    pub async fn connect_to_read(
        connection: &PostgresConnection,
        tokens: Option<Arc<dyn Tokens>>,
    ) -> Result<Option<Self>, StoreError> {
        let opened = Postgres::connect_to_read(connection, tokens).await?;
        Ok(opened.map(|postgres| Self { backend: Backend::Postgres(postgres) }))
    }

    fn in_sqlite(database: Database) -> Self {
        Self { backend: Backend::Sqlite(Shared::new(database)) }
    }

    /// An empty state in memory, for who plays a process.
    ///
    /// # Errors
    /// When it cannot be made.
    #[doc(hidden)]
    pub fn in_memory() -> Result<Self, StoreError> {
        Ok(Self::in_sqlite(Database::in_memory()?))
    }

    /// An empty state in memory for several processes, whose leases end by this clock.
    ///
    /// # Errors
    /// When it cannot be made.
    #[doc(hidden)]
    pub fn of_nodes(lease_clock: LeaseClock) -> Result<Self, StoreError> {
        Ok(Self::in_sqlite(Database::of_nodes(lease_clock)?))
    }

    /// The same state for another process.
    #[doc(hidden)]
    #[must_use]
    pub fn for_another(&self) -> Self {
        match &self.backend {
            Backend::Sqlite(sqlite) => Self { backend: Backend::Sqlite(sqlite.for_another()) },
            Backend::Postgres(_) => self.clone(),
        }
    }

    /// The same state for a process that does its work elsewhere.
    #[must_use]
    pub fn by(self, runner: Runner) -> Self {
        let backend = match self.backend {
            Backend::Sqlite(sqlite) => Backend::Sqlite(sqlite.by(runner)),
            Backend::Postgres(postgres) => Backend::Postgres(postgres.by(runner)),
        };
        Self { backend }
    }

    /// Where operations are done.
    pub fn runner(&self) -> &Runner {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.runner(),
            Backend::Postgres(postgres) => postgres.runner(),
        }
    }

    /// A statement for the backend itself, at once and on this thread, for who plays a process and puts faults into its
    /// state; the first cell of the first row, if there is one.
    ///
    /// # Errors
    /// When it fails.
    #[doc(hidden)]
    pub fn raw(&self, statement: &str) -> Result<Option<String>, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.raw(statement),
            Backend::Postgres(postgres) => postgres.raw(statement),
        }
    }

    /// Tells whether anybody has written to the state, without a look into it; all of it counts as unseen.
    pub fn changes(&self) -> Changes {
        match &self.backend {
            Backend::Sqlite(sqlite) => Changes::ByLog(sqlite.changes()),
            Backend::Postgres(_) => Changes::Unseen,
        }
    }

    /// Whether the state is still the one that was opened, and not deleted or replaced. A server looks after its own.
    pub fn is_in_place(&self) -> bool {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.is_in_place(),
            Backend::Postgres(_) => true,
        }
    }
}
