//! Embedded tables, as tests write to them.

use std::fmt::Display;
use std::path::Path;

use jiff::Timestamp;
use leadflow::services::table::EmbeddedTable;
use serde_json::Value;
use serde_json::json;

use super::now;

/// An embedded table that is there.
#[derive(Debug)]
pub(crate) struct Embedded {
    table: EmbeddedTable,
    file: std::path::PathBuf,
    name: String,
}

impl Embedded {
    pub(crate) fn open(file: &Path, name: &str) -> Self {
        Self { table: EmbeddedTable::open(file, name).unwrap(), file: file.to_owned(), name: name.to_owned() }
    }

    /// Writes rows, now.
    pub(crate) fn insert(&self, rows: &[Value]) {
        self.insert_at(rows, now());
    }

    /// Writes rows whose `Timestamp` is this.
    pub(crate) fn insert_at(&self, rows: &[Value], at: Timestamp) {
        let rows: Vec<_> = rows.iter().map(|row| row.as_object().unwrap().clone()).collect();
        self.table.insert(&rows, at).unwrap();
    }

    /// Takes a row away, as the tools of others do.
    pub(crate) fn delete(&self, row_key: &str) {
        let db = rusqlite::Connection::open(&self.file).unwrap();
        let deleted = db.execute("DELETE FROM rows WHERE name = ?1 AND row_key = ?2", [&self.name, row_key]);
        assert_eq!(deleted.unwrap(), 1, "{row_key}");
    }

    /// What flows know the table by.
    pub(crate) fn identity(&self) -> String {
        self.table.identity()
    }
}

/// A row with this `RowKey` and nothing else.
pub(crate) fn row(key: impl Display) -> Value {
    json!({ "PartitionKey": "p", "RowKey": key.to_string() })
}

/// As [`row`], of many.
pub(crate) fn rows<K: Display>(keys: impl IntoIterator<Item = K>) -> Vec<Value> {
    keys.into_iter().map(row).collect()
}
