//! Tables: pages of rows, from Azure Table storage or from a file.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::flow::TableConnection;
use crate::row::Row;

/// A table of one of the connections of flows.toml.
#[derive(Debug, Clone)]
pub enum Table {}

/// What a scan asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// The filter, `{{past_time}}` filled in; `None` reads every row.
    pub filter: Option<String>,
    /// Columns; the two keys and `Timestamp` always come along. `None` reads all.
    pub select: Option<Vec<String>>,
}

/// One page of a scan.
#[derive(Debug)]
pub struct Page {
    /// Its rows, possibly none.
    pub rows: Vec<Row>,
    /// Bytes of the response after decompression.
    pub bytes: u64,
    /// When the server answered; `None` where the response had no usable `Date`.
    pub served: Option<Served>,
    /// Requests that failed before this page came.
    pub retries: u32,
}

/// When a server answered, by its own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// The `Date` of the response, whole seconds.
    pub date: Timestamp,
    /// From the request's first byte to the response's head.
    pub took: Duration,
}

impl Served {
    /// A moment in the server's time that surely lies before the request was read.
    ///
    /// `Date` − request duration − 1 s, since `Date` is cut to whole seconds.
    pub fn began(&self) -> Timestamp {
        let took = SignedDuration::try_from(self.took).unwrap_or(SignedDuration::MAX);
        self.date.checked_sub(took + SignedDuration::from_secs(1)).unwrap_or(Timestamp::MIN)
    }
}

/// Why a table could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TableError {
    /// What a caller branches on.
    pub kind: TableErrorKind,
    /// What happened, with the service's own code; no key, no signature, no URL with a query.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// Kinds of [`TableError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableErrorKind {
    /// The connection string or secret is missing or malformed.
    Connection,
    /// The table is not there.
    NotFound,
    /// The account refused the signature or the permission.
    Denied,
    /// The service refused the filter.
    BadRequest,
    /// The service was too busy, for all retries.
    Busy,
    /// No answer: DNS, connect, timeout, TLS.
    Unreachable,
    /// The answer was no sound page: cut, looping, too large, not UTF-8.
    Malformed,
}

impl Table {
    /// Prepares access to the table; reads the secret, opens no connection yet.
    ///
    /// # Errors
    /// A missing secret, a malformed connection string, a file that cannot be opened.
    pub fn open(connection: &TableConnection, name: &str) -> Result<Self, TableError> {
        let _ = (connection, name);
        Err(TableError { kind: TableErrorKind::Connection, message: String::new(), help: None })
    }

    /// What tells this table from any other: endpoint, account and name. Holds no secret.
    pub fn identity(&self) -> String {
        match *self {}
    }

    /// Asks for one row, to learn the server's time and that the table can be read.
    ///
    /// # Errors
    /// As a scan.
    pub async fn ask_time(&self) -> Result<Option<Served>, TableError> {
        match *self {}
    }

    /// Begins a scan.
    pub fn scan(&self, query: Query) -> Scan {
        let _ = query;
        match *self {}
    }
}

/// A scan under way.
#[derive(Debug)]
pub enum Scan {}

impl Scan {
    /// The next page, or `None` after the clean end of the scan. Retries by itself.
    ///
    /// # Errors
    /// After which the scan is void: what it returned so far is no complete answer.
    pub async fn next_page(&mut self) -> Result<Option<Page>, TableError> {
        match *self {}
    }
}
