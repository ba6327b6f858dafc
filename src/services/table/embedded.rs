//! A table in a `SQLite` file: the same rows, keys, types and filters as the service's.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::strtime;
use rusqlite::{Connection, params};
use serde_json::{Map, Value};

use super::{Continuation, Query, TableError, identity};
use crate::filter::Filter;
use crate::platform::ownership::{DatabaseError, Folder, Use, explained, open_database};
use crate::rows::row::{Row, is_annotation};

/// One table of a file.
#[derive(Debug, Clone)]
pub struct EmbeddedTable {
    file: PathBuf,
    name: String,
}

/// Rows that one page reads at most, as the service's.
const PAGE: u32 = 1_000;

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS rows (
    name TEXT NOT NULL, partition_key TEXT NOT NULL, row_key TEXT NOT NULL, json TEXT NOT NULL,
    PRIMARY KEY (name, partition_key, row_key)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tables (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID";

impl EmbeddedTable {
    /// A table of a file, which is made if need be.
    ///
    /// # Errors
    /// When the file is not ours or cannot be written.
    pub fn open(file: &Path, name: &str) -> Result<Self, TableError> {
        let table = Self { file: file.to_owned(), name: name.to_owned() };
        table.connect()?.execute_batch(SCHEMA).map_err(|error| table.failed(&error))?;
        Ok(table)
    }

    /// Names file and table, the same over whichever links the file is found.
    pub fn identity(&self) -> String {
        identity::from_file(&self.file, &self.name)
    }

    /// Names file and table as they are written.
    pub(super) fn address(&self) -> String {
        format!("embedded:{}/{}", self.file.display(), self.name)
    }

    /// Writes rows, new ones or over those with the same keys; `now` becomes their `Timestamp`.
    ///
    /// # Errors
    /// When a key is missing or the file cannot be written; then none is.
    pub fn insert(&self, rows: &[Map<String, Value>], now: Timestamp) -> Result<(), TableError> {
        let stamp = strtime::format("%Y-%m-%dT%H:%M:%S.%7fZ", now).map_err(|error| self.failed(&error))?;
        let mut db = self.connect()?;
        let tx = db.transaction().map_err(|error| self.failed(&error))?;
        for columns in rows {
            let mut row = columns.clone();
            row.insert("Timestamp".to_owned(), stamp.as_str().into());
            let row = Row::from_text(Value::Object(row).to_string()).map_err(|error| self.failed(&error))?;
            let put =
                "INSERT OR REPLACE INTO rows (name, partition_key, row_key, json) VALUES (?1, ?2, ?3, ?4)";
            let values = params![self.name, row.partition_key, row.row_key, row.json()];
            tx.execute(put, values).map_err(|error| self.failed(&error))?;
        }
        tx.commit().map_err(|error| self.failed(&error))
    }

    /// Notes the table's name: it is there though it has no row.
    pub(super) fn create(&self) -> Result<(), TableError> {
        if self.names()?.contains(&self.name) {
            return Err(TableError::new(format!("there is a table `{}` already", self.name)));
        }
        let put = "INSERT INTO tables (name) VALUES (?1)";
        self.connect()?.execute(put, [&self.name]).map(drop).map_err(|error| self.failed(&error))
    }

    pub(super) fn delete(&self, partition_key: &str, row_key: &str) -> Result<bool, TableError> {
        let delete = "DELETE FROM rows WHERE name = ?1 AND partition_key = ?2 AND row_key = ?3";
        let done = self.connect()?.execute(delete, params![self.name, partition_key, row_key]);
        done.map(|rows| rows > 0).map_err(|error| self.failed(&error))
    }

    pub(super) fn names(&self) -> Result<Vec<String>, TableError> {
        let db = self.connect()?;
        let mut ask = db
            .prepare("SELECT name FROM rows UNION SELECT name FROM tables ORDER BY name")
            .map_err(|error| self.failed(&error))?;
        let names = ask.query_map([], |row| row.get(0)).map_err(|error| self.failed(&error))?;
        names.collect::<Result<_, _>>().map_err(|error| self.failed(&error))
    }

    /// The matching ones of the next rows, and where to continue.
    ///
    /// # Errors
    /// When the filter is wrong or the file cannot be read.
    pub(super) fn page(
        &self,
        query: &Query,
        from: Option<Continuation>,
    ) -> Result<(Vec<Row>, Option<Continuation>), TableError> {
        let filter = query.filter.as_deref().map(Filter::parse).transpose();
        let filter = filter
            .map_err(|error| TableError::new(format!("the filter is wrong: {error}")).help(error.help))?;
        let db = self.connect()?;
        let mut ask = db
            .prepare(
                "SELECT json FROM rows WHERE name = ?1 AND (partition_key, row_key) >= (?2, ?3)
                 ORDER BY partition_key, row_key LIMIT ?4",
            )
            .map_err(|error| self.failed(&error))?;
        let (partition, row) = from.unwrap_or_default();
        let values = params![self.name, partition, row.unwrap_or_default(), PAGE + 1];
        let texts = ask.query_map(values, |row| row.get(0)).map_err(|error| self.failed(&error))?;
        let mut rows = Vec::new();
        for (index, text) in (0..).zip(texts) {
            let row = Row::from_text(text.map_err(|error| self.failed(&error))?)
                .map_err(|error| self.failed(&error))?;
            if index == PAGE {
                return Ok((rows, Some((row.partition_key, Some(row.row_key)))));
            }
            if filter.as_ref().is_none_or(|filter| filter.matches(&row)) {
                rows.push(match &query.select {
                    Some(columns) => selected(&row, columns).map_err(|error| self.failed(&error))?,
                    None => row,
                });
            }
        }
        Ok((rows, None))
    }

    fn connect(&self) -> Result<Connection, TableError> {
        let place = self.file.parent().zip(self.file.file_name().and_then(OsStr::to_str));
        let (folder, name) = place.ok_or_else(|| self.failed(&"its path has no file name"))?;
        let folder =
            Folder::make(folder, 0o700, Use::Own).map_err(|error| self.failed(&explained(folder, &error)))?;
        let db = open_database(&folder, name).map_err(|error| match error {
            DatabaseError::File(error) => self.failed(&explained(&self.file, &error)),
            DatabaseError::Database(error) => self.failed(&error),
        })?;
        db.busy_timeout(Duration::from_secs(10)).map_err(|error| self.failed(&error))?;
        // What is deleted is a person's.
        db.pragma_update(None, "secure_delete", true).map_err(|error| self.failed(&error))?;
        Ok(db)
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> TableError {
        TableError::new(format!("cannot use the embedded table {}: {error}", self.file.display()))
            .help("the connection's `file` must be writable for this user, and made by leadflow")
    }
}

/// The row with these columns alone, its keys and its Timestamp.
fn selected(row: &Row, columns: &[String]) -> Result<Row, crate::rows::row::RowError> {
    let keeps = |name: &str| {
        let name = if is_annotation(name) { name.trim_end_matches("@odata.type") } else { name };
        ["PartitionKey", "RowKey", "Timestamp"].contains(&name) || columns.iter().any(|column| column == name)
    };
    let mut properties = row.properties();
    properties.retain(keeps);
    Row::from_text(Value::Object(properties.into_map()).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(key: usize) -> Map<String, Value> {
        let row = json!({ "PartitionKey": "p", "RowKey": format!("{key:05}"), "N": key, "Extra": "x" });
        row.as_object().unwrap().clone()
    }

    #[test]
    fn rows_come_back_page_by_page_filtered_and_selected() {
        let folder = tempfile::tempdir().unwrap();
        let table = EmbeddedTable::open(&folder.path().join("a/demo.db"), "leads").unwrap();
        let now = "2026-03-01T08:00:00.123456789Z".parse().unwrap();
        table.insert(&(0..2_500).map(row).collect::<Vec<_>>(), now).unwrap();
        let query = Query {
            filter: Some("N ge 999 and Timestamp eq datetime'2026-03-01T08:00:00.1234567Z'".to_owned()),
            select: Some(vec!["N".to_owned()]),
        };
        let mut from = None;
        let mut sizes = Vec::new();
        let mut last = None;
        loop {
            let (rows, next) = table.page(&query, from).unwrap();
            sizes.push(rows.len());
            last = rows.last().cloned().or(last);
            let Some(next) = next else { break };
            from = Some(next);
        }
        assert_eq!(sizes, [1, 1_000, 500]);
        let columns: Vec<_> = last.unwrap().columns().iter().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(columns, ["PartitionKey", "RowKey", "N", "Timestamp"]);
        let other = EmbeddedTable::open(&folder.path().join("a/demo.db"), "other").unwrap();
        let (rows, _) = other.page(&Query::default(), None).unwrap();
        assert!(rows.is_empty());
    }
}
