//! Tables: where rows are read, page by page.

mod address;
mod answer;
mod azure;
mod connection_string;
mod embedded;
mod error;
mod identity;
mod meanings;
mod refusal;
mod sas;
mod scan_bounds;
mod target;
mod transport;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::platform::clock::Clock;
use crate::rows::row::Row;

use scan_bounds::ScanBounds;

pub use crate::rows::query::Query;
pub(crate) use azure::Account;
pub use connection_string::{ConnectionStringError, Credential, Endpoint};
pub use embedded::EmbeddedTable;
pub use error::{TableError, TableErrorKind};
pub use sas::Signature;

/// A table of a connection.
#[derive(Debug)]
pub enum Table {
    /// Azure Table storage.
    Azure(Box<azure::AzureTable>),
    /// A `SQLite` file.
    Embedded(EmbeddedTable, Clock),
}

/// When a response was served, in the server's own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceTime {
    /// The `Date` of the response, to the second; `None` where it had none.
    pub date: Option<Timestamp>,
    /// From the request to the whole response.
    pub took: Duration,
}

/// Some rows of a scan; there may be none, and more may follow.
#[derive(Debug)]
pub struct Page {
    /// Rows in the order of their keys.
    pub rows: Vec<Row>,
    /// When the page was served.
    pub served: ServiceTime,
}

/// What a run needs of a table.
#[async_trait]
pub trait TableReader: fmt::Debug + Send + Sync {
    /// Names the table and its account, the same however they are written; another identity is another table.
    fn identity(&self) -> String;

    /// Whether an identity that was recorded, perhaps by an earlier version, is that of this table.
    fn is_recorded_as(&self, recorded: &str) -> bool {
        let identity = self.identity();
        identity == recorded || identity == identity::from_recorded(recorded)
    }

    /// Account and table as they are written, for people.
    fn address(&self) -> String;

    /// Asks the server for its time, by a query for one row.
    ///
    /// # Errors
    /// As a scan.
    async fn ask_time(&self) -> Result<ServiceTime, TableError>;

    /// Some rows, from the beginning or from where the page before has ended; and where the next page begins.
    ///
    /// # Errors
    /// As a scan.
    async fn page(
        &self,
        query: &Query,
        from: Option<Continuation>,
    ) -> Result<(Page, Option<Continuation>), TableError>;
}

impl dyn TableReader + '_ {
    /// Begins a scan.
    pub fn scan(&self, query: Query) -> Scan<'_> {
        Scan::new(self, query)
    }
}

/// A scan under way.
#[derive(Debug)]
pub struct Scan<'a> {
    table: &'a dyn TableReader,
    query: Query,
    next: Cursor,
    bounds: ScanBounds,
    began: Instant,
}

/// Where the next page begins: `NextPartitionKey` and, perhaps, `NextRowKey`.
pub type Continuation = (String, Option<String>);

#[derive(Debug)]
enum Cursor {
    Start,
    At(Continuation),
    End,
}

/// Rows of one `RowKey` that are kept in memory.
const MOST_OF_KEY: usize = 10_000;

impl ServiceTime {
    /// A moment before the server began to answer, in its own time: `Date` − duration − 1 s.
    pub fn began(&self) -> Option<Timestamp> {
        let took = SignedDuration::try_from(self.took).ok()?;
        self.date?.checked_sub(took + SignedDuration::from_secs(1)).ok()
    }
}

impl Table {
    /// The names of the account's tables; the first thousand of them.
    ///
    /// # Errors
    /// As a scan.
    pub async fn names(&self) -> Result<Vec<String>, TableError> {
        match self {
            Self::Azure(azure) => azure.names().await,
            Self::Embedded(embedded, _) => embedded.names(),
        }
    }

    /// Makes the table.
    ///
    /// # Errors
    /// When it already exists, or the login may not make one.
    pub async fn create(&self) -> Result<(), TableError> {
        match self {
            Self::Azure(azure) => azure.create().await,
            Self::Embedded(embedded, _) => embedded.create(),
        }
    }

    /// Writes one new row.
    ///
    /// # Errors
    /// When a row with its keys is there already, or the login may not write.
    pub async fn insert(&self, row: &Map<String, Value>) -> Result<(), TableError> {
        match self {
            Self::Azure(azure) => azure.insert(row).await,
            Self::Embedded(embedded, clock) => embedded.insert(std::slice::from_ref(row), clock.now()),
        }
    }

    /// Asks for a row to be deleted; `false` where the server says that there is none of these keys. Only
    /// a second read shows whether it is gone.
    ///
    /// # Errors
    /// When the login may not delete, or the row was written again since it was read.
    pub async fn delete(&self, row: &Row) -> Result<bool, TableError> {
        match self {
            Self::Azure(azure) => azure.delete(row).await,
            Self::Embedded(embedded, _) => embedded.delete(&row.partition_key, &row.row_key),
        }
    }

    /// The rows that have this `RowKey`, and this `PartitionKey` where it is given.
    ///
    /// # Errors
    /// As a scan.
    pub async fn rows_of(&self, partition_key: Option<&str>, row_key: &str) -> Result<Vec<Row>, TableError> {
        let mut scan = self.scan(Query::of_keys(partition_key, row_key));
        let mut rows = Vec::new();
        while let Some(page) = scan.next().await? {
            rows.extend(page.rows);
            if rows.len() > MOST_OF_KEY {
                return Err(TableError::new(format!(
                    "more than {MOST_OF_KEY} rows have the RowKey `{row_key}`"
                ))
                .help("name the row with its PartitionKey: PARTITION/ROW"));
            }
        }
        Ok(rows)
    }

    /// Whether the service is Cosmos DB's, which finds nothing by a filter on `Timestamp`.
    pub fn is_cosmos(&self) -> bool {
        matches!(self, Self::Azure(azure) if azure.is_cosmos())
    }

    /// Begins a scan.
    pub fn scan(&self, query: Query) -> Scan<'_> {
        Scan::new(self, query)
    }
}

#[async_trait]
impl TableReader for Table {
    fn identity(&self) -> String {
        match self {
            Self::Azure(azure) => azure.identity(),
            Self::Embedded(embedded, _) => embedded.identity(),
        }
    }

    fn address(&self) -> String {
        match self {
            Self::Azure(azure) => azure.address(),
            Self::Embedded(embedded, _) => embedded.address(),
        }
    }

    async fn ask_time(&self) -> Result<ServiceTime, TableError> {
        match self {
            Self::Azure(azure) => azure.ask_time().await,
            Self::Embedded(_, clock) => Ok(served_now(clock)),
        }
    }

    async fn page(
        &self,
        query: &Query,
        from: Option<Continuation>,
    ) -> Result<(Page, Option<Continuation>), TableError> {
        match self {
            Self::Azure(azure) => azure.page(query, from).await,
            Self::Embedded(embedded, clock) => {
                let embedded = embedded.clone();
                let query = query.clone();
                let served = served_now(clock);
                let work = move || embedded.page(&query, from);
                let (rows, next) = tokio::task::spawn_blocking(work)
                    .await
                    .unwrap_or_else(|_| Err(TableError::new("reading the embedded table did not end")))?;
                Ok((Page { rows, served }, next))
            }
        }
    }
}

impl<'a> Scan<'a> {
    fn new(table: &'a dyn TableReader, query: Query) -> Self {
        Self { table, query, next: Cursor::Start, bounds: ScanBounds::new(), began: Instant::now() }
    }

    /// The next page; `None` at the clean end of the scan.
    ///
    /// # Errors
    /// Whatever keeps the scan from its clean end, also a server that never ends.
    pub async fn next(&mut self) -> Result<Option<Page>, TableError> {
        let from = match std::mem::replace(&mut self.next, Cursor::End) {
            Cursor::Start => None,
            Cursor::At(token) => Some(token),
            Cursor::End => return Ok(None),
        };
        let (page, next) = self.table.page(&self.query, from).await?;
        if let Some(token) = next {
            self.bounds.note(page.rows.len(), &token, self.began.elapsed())?;
            self.next = Cursor::At(token);
        }
        Ok(Some(page))
    }
}

fn served_now(clock: &Clock) -> ServiceTime {
    ServiceTime { date: Some(clock.now()), took: Duration::ZERO }
}
