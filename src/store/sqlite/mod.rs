//! The state in a `SQLite` database: all the SQL of the state.
//!
//! A [`Database`] blocks; [`Shared`] runs its operations on a thread of its own. Each does what the operation of that
//! name in [`crate::store`] says.

mod alarms;
pub(super) mod at_rest;
mod breaks;
mod changes;
mod copy;
mod erasure;
mod failure;
pub(super) mod files;
mod flows;
mod identity;
mod in_place;
mod limits;
mod lock;
mod maintenance;
mod message_bytes;
mod messages;
mod nodes;
mod old_rows;
pub(super) mod open;
mod outbox;
mod outbox_admin;
mod provenance;
mod queries;
mod requests;
mod runs;
mod shared;
mod sources;
mod steps;

use std::fmt;

use jiff::Timestamp;
use rusqlite::Connection;

use in_place::OpenFiles;

pub(super) use changes::LogChanges;
pub(crate) use failure::Failure;
pub use lock::{Lock, Owner};
pub use nodes::LeaseClock;
pub use old_rows::OldRows;
pub(super) use open::SCHEMA;
pub(super) use shared::Shared;

/// The open database.
pub(crate) struct Database {
    pub(super) db: Connection,
    /// `None` for a database in memory.
    files: Option<OpenFiles>,
    /// Whose claims this process makes: as the database had it when this one joined.
    owner: String,
    /// `None` where the lock of the state folder is the lease, which has no end.
    lease_clock: Option<LeaseClock>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("files", &self.files)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
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
