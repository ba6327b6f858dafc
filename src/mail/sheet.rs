//! The CSV that carries the rows a body has no room for, or all of them on request.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::Value;

use super::formula;
use crate::columns::{Cell, Columns};
use crate::flow::{Separator, SheetColumn, SheetValue};
use crate::lead::{self, Lead};

/// The columns of a CSV: those that a flow names, or those of the lead first, where the rows are
/// leads, and then the table's own.
#[derive(Debug)]
pub struct Sheet {
    columns: Vec<SheetColumn>,
    has_lead: bool,
    separator: Separator,
}

/// Writes the lines of a sheet, one a row.
#[derive(Debug)]
pub struct Lines<'a, W: Write> {
    sheet: &'a Sheet,
    csv: csv::Writer<Counted<W>>,
}

/// What makes Excel read the file as UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

impl Sheet {
    /// A sheet of all columns.
    pub fn of_all(columns: &[String], is_lead: bool) -> Self {
        let fields = lead::FIELDS.iter().enumerate().filter(|_| is_lead);
        let of_lead = fields
            .map(|(at, name)| SheetColumn { name: format!("lead.{name}"), value: SheetValue::Lead(at) });
        let of_table = columns
            .iter()
            .map(|name| SheetColumn { name: name.clone(), value: SheetValue::Column(name.clone()) });
        let columns = of_lead.chain(of_table).collect();
        Self { has_lead: is_lead, columns, separator: Separator::default() }
    }

    /// A sheet of these columns.
    pub fn of_columns(columns: &[SheetColumn]) -> Self {
        let has_lead = columns.iter().any(|column| matches!(column.value, SheetValue::Lead(_)));
        Self { columns: columns.to_vec(), has_lead, separator: Separator::default() }
    }

    /// The same with this between its cells.
    #[must_use]
    pub fn separated_by(self, separator: Separator) -> Self {
        Self { separator, ..self }
    }

    /// The byte order mark and the line of names.
    ///
    /// # Errors
    /// None in practice: it writes to memory.
    pub fn head(&self) -> io::Result<Vec<u8>> {
        let mut csv = writer(BYTE_ORDER_MARK.to_vec(), self.separator);
        csv.write_record(
            self.columns.iter().map(|column| formula::defused(column.name.as_str().into()).into_owned()),
        )?;
        csv.into_inner().map_err(|error| io::Error::other(error.to_string()))
    }

    /// What writes the lines of rows.
    pub fn lines<W: Write>(&self, out: W) -> Lines<'_, W> {
        Lines { sheet: self, csv: writer(Counted { out, bytes: 0 }, self.separator) }
    }

    /// The row as an object of these columns.
    pub fn object(&self, row: &Columns<'_>) -> Value {
        let lead = self.has_lead.then(|| Lead::of(row));
        let pair = |column: &SheetColumn| {
            let cell = value(column, row, lead.as_ref());
            (column.name.clone(), cell.cloned().unwrap_or(Cell::NULL).into_value())
        };
        Value::Object(self.columns.iter().map(pair).collect())
    }
}

impl<W: Write> Lines<'_, W> {
    /// Writes the line of a row; returns the bytes of all lines so far.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, row: &Columns<'_>) -> io::Result<u64> {
        let lead = self.sheet.has_lead.then(|| Lead::of(row));
        for column in &self.sheet.columns {
            let text = value(column, row, lead.as_ref()).map_or(Cow::Borrowed(""), Cell::text);
            self.csv.write_field(formula::defused(text).as_bytes())?;
        }
        self.csv.write_record(None::<&[u8]>)?;
        self.csv.flush()?;
        Ok(self.csv.get_ref().bytes)
    }

    /// What the lines were written to.
    ///
    /// # Errors
    /// When the last of them cannot be written.
    pub fn into_inner(self) -> io::Result<W> {
        let counted = self.csv.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
        Ok(counted.out)
    }
}

/// Knows how much it has passed on. That the CSV writer flushes after each line is no matter of what
/// it writes to.
#[derive(Debug)]
struct Counted<W> {
    out: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn writer<W: Write>(out: W, separator: Separator) -> csv::Writer<W> {
    let mut builder = csv::WriterBuilder::new();
    builder.terminator(csv::Terminator::CRLF).delimiter(separator.byte()).from_writer(out)
}

fn value<'r>(column: &SheetColumn, row: &'r Columns<'_>, lead: Option<&'r Lead<'_>>) -> Option<&'r Cell<'r>> {
    match &column.value {
        SheetValue::Lead(field) => lead?.cells.get(*field),
        SheetValue::Column(name) => row.get(name),
    }
}
