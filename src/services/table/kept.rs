//! Accounts that stay signed in for a while, so that flows of the same connection share its HTTP client
//! and its open connections.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::azure::Account;
use super::{Table, TableError};
use crate::flow::TableConnection;
use crate::platform::clock::Clock;

/// How long an account is kept; its secret may be another one by then.
const KEPT: Duration = Duration::from_secs(30);

/// The accounts of the connections of flows.toml, by their names.
#[derive(Debug, Clone, Default)]
pub struct Tables(Arc<Mutex<Kept>>);

type Kept = BTreeMap<String, (Instant, Account)>;

impl Tables {
    /// The table, where the account of its connection is kept.
    pub(crate) fn kept(&self, connection: &str, table: &str) -> Option<Table> {
        let kept = self.accounts();
        let (_, account) = kept.get(connection).filter(|(opened, _)| opened.elapsed() < KEPT)?;
        Some(Table::Azure(Box::new(account.table(table).ok()?)))
    }

    /// As [`Table::open`]; the account is kept. Reads files.
    pub(crate) fn open(
        &self,
        name: &str,
        connection: &TableConnection,
        table: &str,
        clock: &Clock,
    ) -> Result<Table, TableError> {
        let TableConnection::Azure(azure) = connection else { return Table::open(connection, table, clock) };
        let account = Account::open(azure)?;
        let table = account.table(table)?;
        self.accounts().insert(name.to_owned(), (Instant::now(), account));
        Ok(Table::Azure(Box::new(table)))
    }

    /// The next run reads the secret anew: a run of this connection has failed.
    pub(crate) fn forget(&self, connection: &str) {
        self.accounts().remove(connection);
    }

    /// Those that are used no more keep no connection open.
    pub(crate) fn tidy(&self) {
        self.accounts().retain(|_, (opened, _)| opened.elapsed() < KEPT);
    }

    /// The file has changed.
    pub(crate) fn clear(&self) {
        self.accounts().clear();
    }

    fn accounts(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
