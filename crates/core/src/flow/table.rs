//! The table of a flow: where its rows are, and what is asked for.

use jiff::Timestamp;

use super::{Config, Flow, TableConnection};
use crate::filter;
use crate::rows::query::Query;
use crate::rows::row::RowVersion;

/// `[flows.NAME.table]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowTable {
    /// A table connection of the same file.
    pub connection: String,
    /// The table's name.
    pub name: String,
    /// The filter as written, `{{past_time}}` not yet filled in; `None` reads all rows.
    pub filter: Option<String>,
    /// Whether the filter has `{{past_time}}` where the promise covers it.
    pub covering: bool,
    /// Columns to ask for; all without it.
    pub select: Option<Vec<String>>,
    /// Columns that rows can have beside those of a lead.
    pub columns: Vec<String>,
    /// What counts as news.
    pub notify_on: NotifyOn,
}

impl FlowTable {
    /// What to ask the table for: the rows that the filter matches and that were written after `past_time`, as far
    /// as the filter looks at time. [`Row::is_after`](crate::rows::row::Row::is_after) says of each row whether it is one.
    pub fn query(&self, past_time: Timestamp) -> Query {
        let filter = self.filter.as_ref().map(|text| filter::fill(text, past_time));
        Query { filter, select: self.select.clone() }
    }

    /// Whether rows can have the column, so that it is null where no row of a run has it: it is one of a
    /// lead, of `select`, or of `columns`.
    pub fn declares(&self, column: &str) -> bool {
        let is_of_lead = |column| crate::rows::lead::COLUMNS.contains(&column);
        match &self.select {
            Some(select) => KEYS.contains(&column) || select.iter().any(|name| name == column),
            None => is_of_lead(column) || self.columns.iter().any(|name| name == column),
        }
    }
}

/// The columns that every row has.
pub const KEYS: [&str; 3] = ["PartitionKey", "RowKey", "Timestamp"];

/// A table as flows.toml names it.
#[derive(Debug, Clone, Copy)]
pub struct TableRef<'a> {
    /// The name of the connection.
    pub connection_name: &'a str,
    /// The connection.
    pub connection: &'a TableConnection,
    /// The table's name.
    pub table: &'a str,
}

/// flows.toml has no connection of the name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("flows.toml has no connection `{0}`")]
pub struct NoConnection(pub String);

impl Config {
    /// The table that a flow reads.
    ///
    /// # Errors
    /// When there is no connection of the name that the flow gives.
    pub fn table_of<'a>(&'a self, flow: &'a Flow) -> Result<TableRef<'a>, NoConnection> {
        self.table(&flow.table.connection, &flow.table.name)
    }

    /// A table of a connection.
    ///
    /// # Errors
    /// When there is no connection of the name.
    pub fn table<'a>(&'a self, connection: &'a str, table: &'a str) -> Result<TableRef<'a>, NoConnection> {
        let found = self.tables.get(connection).ok_or_else(|| NoConnection(connection.to_owned()))?;
        Ok(TableRef { connection_name: connection, connection: found, table })
    }
}

/// `notify_on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotifyOn {
    /// A row that was not there before.
    New,
    /// Also a row that was written again.
    Change,
}

impl NotifyOn {
    /// Whether a row of this version is seen, by its version that the state holds, if it holds one.
    pub fn is_seen(self, version: RowVersion, seen: Option<RowVersion>) -> bool {
        match self {
            Self::New => seen.is_some(),
            Self::Change => seen == Some(version),
        }
    }
}
