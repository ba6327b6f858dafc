//! The CSV that carries the rows a body has no room for, or all of them on request.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::{self, Write};

use serde_json::Value;

use super::formula;
use crate::compose::spool::Spool;
use crate::flow::{Separator, SheetColumn, SheetValue};
use crate::rows::columns::{Cell, Columns};
use crate::rows::lead::{self, Lead};
use crate::template::cell;
use crate::text::foreign;

/// The columns of a CSV: those that a flow names, or those of the lead first, where the rows are
/// leads, and then the table's own.
#[derive(Debug)]
pub struct Sheet {
    columns: Vec<SheetColumn>,
    has_lead: bool,
    separator: Separator,
    /// The columns that are not in the last one, where there is such a one.
    known: Option<HashSet<String>>,
}

/// Writes the lines of a sheet, one a row.
#[derive(Debug)]
pub struct Lines<'a, W: Write> {
    sheet: &'a Sheet,
    csv: csv::Writer<Counted<W>>,
}

/// How many times as long a cell may become: a quote is two, an apostrophe comes before a sign.
const QUOTED: u64 = 3;

/// The last column of a sheet whose rows have more columns than it: their others, as a JSON object.
const MORE: &str = "more columns";

/// What makes Excel read the file as UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

impl Sheet {
    fn from_all(columns: &[String], is_lead: bool) -> Self {
        let fields = lead::FIELDS.iter().enumerate().filter(|_| is_lead);
        let of_lead = fields
            .map(|(at, name)| SheetColumn { name: format!("lead.{name}"), value: SheetValue::Lead(at) });
        let of_table = columns
            .iter()
            .map(|name| SheetColumn { name: name.clone(), value: SheetValue::Column(name.clone()) });
        let columns = of_lead.chain(of_table).collect();
        Self { has_lead: is_lead, columns, separator: Separator::default(), known: None }
    }

    /// A sheet of these columns.
    pub fn from_columns(columns: &[SheetColumn]) -> Self {
        let has_lead = columns.iter().any(|column| matches!(column.value, SheetValue::Lead(_)));
        Self { columns: columns.to_vec(), has_lead, separator: Separator::default(), known: None }
    }

    /// A sheet of all columns of these rows; what they have beyond those that the spool knows is in the
    /// last one.
    pub fn from_spool(spool: &Spool) -> Self {
        let columns = spool.columns();
        let known = spool.has_more_columns().then(|| columns.iter().cloned().collect());
        Self { known, ..Self::from_all(columns, lead::is_lead(columns)) }
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
        csv.write_record(self.names().map(|name| formula::defused(cell::named(name).into()).into_owned()))?;
        csv.into_inner().map_err(|error| io::Error::other(error.to_string()))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let more = self.known.as_ref().map(|_| MORE);
        self.columns.iter().map(|column| column.name.as_str()).chain(more)
    }

    /// The columns of the row that the others of the sheet do not have; none where it has no such column.
    fn more(&self, row: &Columns<'_>) -> Option<Value> {
        let known = self.known.as_ref()?;
        let others = row.iter().filter(|(name, _)| !known.contains(*name));
        Some(Value::Object(others.map(|(name, cell)| (name.to_owned(), cell.clone().into_value())).collect()))
    }

    /// Bytes of the row's line.
    pub(super) fn size_of(&self, row: &Columns<'_>) -> io::Result<u64> {
        self.lines(io::sink()).write(row)
    }

    /// Bytes that each cell of a line may have so that the line keeps to the limit, whatever it takes to quote it.
    pub(super) fn most_of_cell(&self, of_line: u64) -> usize {
        let cells = self.names().count() as u64 + 1;
        usize::try_from(of_line / (QUOTED * cells)).unwrap_or(usize::MAX)
    }

    /// What writes the lines of rows.
    pub fn lines<W: Write>(&self, out: W) -> Lines<'_, W> {
        Lines { sheet: self, csv: writer(Counted { out, bytes: 0 }, self.separator) }
    }

    /// The row as an object of these columns.
    pub fn object(&self, row: &Columns<'_>) -> Value {
        let lead = self.has_lead.then(|| Lead::new(row));
        let pair = |column: &SheetColumn| {
            let cell = value(column, row, lead.as_ref());
            (column.name.clone(), cell.cloned().unwrap_or(Cell::NULL).into_value())
        };
        let more = self.more(row).map(|more| (MORE.to_owned(), more));
        Value::Object(self.columns.iter().map(pair).chain(more).collect())
    }
}

impl<W: Write> Lines<'_, W> {
    /// Writes the line of a row; returns the bytes of all lines so far.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, row: &Columns<'_>) -> io::Result<u64> {
        self.write_cut(row, usize::MAX)
    }

    /// As [`Lines::write`], with at most this number of bytes of each cell.
    pub(super) fn write_cut(&mut self, row: &Columns<'_>, most: usize) -> io::Result<u64> {
        let lead = self.sheet.has_lead.then(|| Lead::new(row));
        for column in &self.sheet.columns {
            let text = value(column, row, lead.as_ref()).map_or(Cow::Borrowed(""), Cell::text);
            let text = cell::cut_to(foreign::of_row(text), most);
            self.csv.write_field(formula::defused(text).as_bytes())?;
        }
        if let Some(more) = self.sheet.more(row) {
            let text = cell::cut_to(foreign::of_row(more.to_string().into()), most);
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
