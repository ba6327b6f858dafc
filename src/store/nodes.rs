//! Who works on the state: nodes, each with a lease that it renews.
//!
//! With `SQLite` there is one, which holds the lock of the state folder, and its lease has no end.

use std::time::Duration;

use jiff::Timestamp;

use super::sqlite::Database;
use super::{Backend, Store, StoreError, on_backend};
use crate::flow::Config;

/// How long a lease holds that is not renewed. What a node had under way is taken over after it.
pub const LEASE: Duration = Duration::from_secs(10);

/// A process that begins to work on the state, as it tells the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewNode {
    /// One process has it at a time.
    pub name: String,
    /// Of leadflow.
    pub version: String,
    /// Of flows.toml and its templates, as they are in force.
    pub digest: String,
}

impl NewNode {
    /// The daemon of this machine.
    pub fn of_daemon(config: &Config) -> Self {
        let name = config.settings.postgres.as_ref().map(|postgres| postgres.node.clone());
        Self {
            name: name.unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            digest: config.digest.clone(),
        }
    }

    /// This process, which does what was typed after `leadflow` by itself. No daemon has brackets in its name.
    pub fn of_command(config: &Config, typed: &str) -> Self {
        let daemon = Self::of_daemon(config);
        if daemon.name.is_empty() {
            return daemon;
        }
        let name = format!("{} ({typed}, process {})", daemon.name, std::process::id());
        Self { name, ..daemon }
    }
}

/// A node that has joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    /// What it said of itself last.
    pub node: NewNode,
    /// When it joined.
    pub joined: Timestamp,
    /// When it renewed its lease last.
    pub seen: Timestamp,
    /// Its lease holds.
    pub is_alive: bool,
}

impl NodeRecord {
    /// It is a command, which hears no other, and ends by itself.
    pub fn is_command(&self) -> bool {
        self.node.name.ends_with(')')
    }

    /// It was a daemon whose lease ended, and which has not come back.
    pub fn is_gone(&self) -> bool {
        !self.is_alive && !self.is_command()
    }
}

/// What nodes that are gone had under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TakenOver {
    /// Runs, which are interrupted now.
    pub runs: usize,
    /// Messages that were being sent, which are uncertain now.
    pub messages: usize,
}

/// What a node learns when it renews its lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// What was taken over by this.
    pub taken_over: TakenOver,
    /// It rises when somebody changes what planners follow from.
    pub schedule: i64,
    /// Commands ask for something.
    pub has_requests: bool,
    /// When the next message is to be tried.
    pub next_try: Option<Timestamp>,
    /// Of the nodes that are alive it is the longest there: what one of them does for all is its to do.
    pub is_first: bool,
}

impl Store {
    /// Whether other processes may work on the state at the same time, so that a lease is to be renewed.
    pub fn has_leases(&self) -> bool {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.has_leases(),
            Backend::Postgres(_) => true,
        }
    }

    /// The process begins its work: its claims are its own from now on, and what nodes left under way that are gone is
    /// taken over. Their runs are interrupted, and mails that they were sending may have arrived: they are uncertain and
    /// wait again. Whether the clock was set back meanwhile is looked at first.
    ///
    /// # Errors
    /// [`StoreError::NameHeld`] while the lease of another process of this name holds; and as every operation.
    pub async fn take_over(&self, node: NewNode, now: Timestamp) -> Result<TakenOver, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.call(move |db| db.take_over(&node, now)).await,
            Backend::Postgres(postgres) => postgres.take_over(node, now).await,
        }
    }

    /// Renews the lease from this moment on, and takes over from nodes whose lease has ended.
    ///
    /// # Errors
    /// [`StoreError::TakenOver`], and as every operation.
    pub async fn beat(&self, digest: String, now: Timestamp) -> Result<Beat, StoreError> {
        on_backend!(self, db => db.beat(&digest, now))
    }

    /// The process ends its work in order, with nothing under way any more.
    ///
    /// # Errors
    /// As every operation.
    pub async fn leave(&self) -> Result<(), StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.call(Database::leave).await,
            Backend::Postgres(postgres) => postgres.call(async move |db| db.leave().await).await,
        }
    }

    /// The nodes that have joined and did not leave, by name.
    ///
    /// # Errors
    /// As every operation.
    pub async fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError> {
        on_backend!(self, db => db.nodes())
    }

    /// Forgets a node that does not come back. Returns whether there was one that is not alive.
    ///
    /// # Errors
    /// As every operation.
    pub async fn forget_node(&self, name: &str) -> Result<bool, StoreError> {
        let name = name.to_owned();
        on_backend!(self, db => db.forget_node(&name))
    }
}
