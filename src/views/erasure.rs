//! `lead forget`.

use serde::Serialize;

use crate::tasks::erasure::{ErasureReport, Leftover, TableName};

/// What was erased of a person, and what was seen afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErasureView {
    /// As it was asked.
    pub person: String,
    /// Nothing is left.
    pub ok: bool,
    /// What is gone.
    pub erased: ErasedView,
    /// What was known of the person, and so was searched for.
    pub looked_for: LookedForView,
    /// Rows of the person that stay in their tables.
    pub rows_that_stay: usize,
    /// What was searched afterwards.
    pub looked_at: LookedAtView,
    /// What is left, or could not be searched.
    pub left: Vec<LeftView>,
    /// What is not leadflow's to erase.
    pub not_touched: String,
}

/// What is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErasedView {
    /// Numbers of mails.
    pub mails: Vec<i64>,
    /// Texts of the history.
    pub texts: usize,
    /// Paths of files of mail folders.
    pub files: Vec<String>,
    /// Rows of tables.
    pub rows: usize,
}

/// What was searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LookedForView {
    /// The address.
    pub address: bool,
    /// The name.
    pub name: bool,
}

/// What was searched afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LookedAtView {
    /// Tables that were read to their end.
    pub tables: Vec<TableView>,
    /// Their rows.
    pub rows: usize,
    /// Mails whose text is kept.
    pub mails: usize,
    /// Files of the state folder and of mail folders.
    pub files: usize,
    /// Columns of the database that has the state, where a server has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<usize>,
    /// Their size.
    pub bytes: u64,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableView {
    /// Its connection.
    pub connection: String,
    /// Its name.
    pub table: String,
}

/// Something that is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftView {
    /// What, where and why.
    pub what: String,
    /// What to do about it.
    pub help: String,
}

impl ErasureView {
    /// Of what was done; `from_tables` says that rows were to go, too.
    pub fn new(person: &str, report: &ErasureReport, from_tables: bool, not_touched: String) -> Self {
        let ErasureReport { erased, rows, searched, tables, left, looked_for, .. } = report;
        let table = |TableName { connection, table }: &TableName| TableView {
            connection: connection.clone(),
            table: table.clone(),
        };
        let left_over =
            |Leftover { what, help }: &Leftover| LeftView { what: what.clone(), help: help.clone() };
        Self {
            person: person.to_owned(),
            ok: left.is_empty(),
            erased: ErasedView {
                mails: erased.mails.clone(),
                texts: erased.texts,
                files: erased.files.iter().map(|path| path.display().to_string()).collect(),
                rows: *rows,
            },
            looked_for: LookedForView { address: looked_for.address, name: looked_for.name },
            rows_that_stay: if from_tables { 0 } else { tables.rows.len() },
            looked_at: LookedAtView {
                tables: tables.read.iter().map(table).collect(),
                rows: tables.scanned,
                mails: searched.mails,
                files: searched.files,
                columns: (searched.columns > 0).then_some(searched.columns),
                bytes: searched.bytes,
            },
            left: left.iter().map(left_over).collect(),
            not_touched,
        }
    }
}
