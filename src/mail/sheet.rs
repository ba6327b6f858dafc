//! The CSV that carries the rows a body has no room for, or all of them on request.

use std::io;

use serde_json::{Map, Value};

use super::cell;
use crate::lead;

/// The columns of a CSV: those of the lead first, where the rows are leads, then the table's own.
#[derive(Debug)]
pub(super) struct Sheet {
    lead: Vec<String>,
    columns: Vec<String>,
}

/// What makes Excel read the file as UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

impl Sheet {
    /// A sheet of these columns.
    pub(super) fn new(columns: &[String], is_lead: bool) -> Self {
        let lead = if is_lead { lead::of_columns(&Map::new()).keys().cloned().collect() } else { Vec::new() };
        Self { lead, columns: columns.to_vec() }
    }

    /// The byte order mark and the line of names.
    ///
    /// # Errors
    /// None in practice: it writes to memory.
    pub(super) fn head(&self) -> io::Result<Vec<u8>> {
        let names = self.lead.iter().map(|name| format!("lead.{name}")).chain(self.columns.iter().cloned());
        Ok([BYTE_ORDER_MARK, &line(names)?].concat())
    }

    /// The line of a row.
    ///
    /// # Errors
    /// None in practice: it writes to memory.
    pub(super) fn record(&self, row: &Map<String, Value>) -> io::Result<Vec<u8>> {
        let lead = if self.lead.is_empty() { Map::new() } else { lead::of_columns(row) };
        let of_lead = self.lead.iter().map(|name| lead.get(name));
        let of_table = self.columns.iter().map(|name| row.get(name));
        line(of_lead.chain(of_table).map(|value| cell::of_sheet(value.unwrap_or(&Value::Null))))
    }
}

fn line(cells: impl Iterator<Item = String>) -> io::Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(cells)?;
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}
