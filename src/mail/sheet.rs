//! The CSV that carries the rows a body has no room for, or all of them on request.

use std::io;

use serde_json::{Map, Value};

use super::cell;
use crate::flow::{SheetColumn, SheetValue};
use crate::lead;

/// The columns of a CSV: those that a flow names, or those of the lead first, where the rows are
/// leads, and then the table's own.
#[derive(Debug)]
pub struct Sheet {
    columns: Vec<SheetColumn>,
    has_lead: bool,
}

/// What makes Excel read the file as UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

impl Sheet {
    /// A sheet of all columns.
    pub fn of_all(columns: &[String], is_lead: bool) -> Self {
        let of_lead = if is_lead { lead::fields() } else { Vec::new() };
        let of_lead = of_lead
            .into_iter()
            .map(|name| SheetColumn { name: format!("lead.{name}"), value: SheetValue::Lead(name) });
        let of_table = columns
            .iter()
            .map(|name| SheetColumn { name: name.clone(), value: SheetValue::Column(name.clone()) });
        Self { has_lead: is_lead, columns: of_lead.chain(of_table).collect() }
    }

    /// A sheet of these columns.
    pub fn of_columns(columns: &[SheetColumn]) -> Self {
        let has_lead = columns.iter().any(|column| matches!(column.value, SheetValue::Lead(_)));
        Self { columns: columns.to_vec(), has_lead }
    }

    /// The byte order mark and the line of names.
    ///
    /// # Errors
    /// None in practice: it writes to memory.
    pub fn head(&self) -> io::Result<Vec<u8>> {
        let names = self.columns.iter().map(|column| cell::of_sheet(&column.name.as_str().into()));
        Ok([BYTE_ORDER_MARK, &line(names)?].concat())
    }

    /// The line of a row.
    ///
    /// # Errors
    /// None in practice: it writes to memory.
    pub fn record(&self, row: &Map<String, Value>) -> io::Result<Vec<u8>> {
        let lead = if self.has_lead { lead::of_columns(row) } else { Map::new() };
        let cell = |column: &SheetColumn| value(column, row, &lead).map_or_else(String::new, cell::of_sheet);
        line(self.columns.iter().map(cell))
    }

    /// The row as an object of these columns.
    pub fn object(&self, row: &Map<String, Value>) -> Value {
        let lead = if self.has_lead { lead::of_columns(row) } else { Map::new() };
        let pair = |column: &SheetColumn| {
            (column.name.clone(), value(column, row, &lead).cloned().unwrap_or_default())
        };
        Value::Object(self.columns.iter().map(pair).collect())
    }
}

fn value<'a>(
    column: &SheetColumn,
    row: &'a Map<String, Value>,
    lead: &'a Map<String, Value>,
) -> Option<&'a Value> {
    match &column.value {
        SheetValue::Lead(name) => lead.get(name),
        SheetValue::Column(name) => row.get(name),
    }
}

fn line(cells: impl Iterator<Item = String>) -> io::Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(cells)?;
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}
