//! The leads of a flow's table for another system, in constant memory.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;

use jiff::Timestamp;
use tempfile::TempDir;

use crate::compose::sheet::Sheet;
use crate::compose::spool::{Rows, Spool};
use crate::flow::{Flow, Separator, SheetColumn};
use crate::rows::lead;
use crate::services::table::{Query, Table, TableError};
use crate::text::foreign;

/// Which leads are exported, and how.
#[derive(Debug, Clone)]
pub struct LeadExportOptions {
    /// Only rows that were written later.
    pub since: Timestamp,
    /// The columns; `None` for those of the flow's `csv`, or all.
    pub columns: Option<Vec<SheetColumn>>,
    /// What separates the cells of a CSV.
    pub separator: Separator,
    /// Also leads that say "do not contact".
    pub with_do_not_contact: bool,
}

/// The output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeadExportFormat {
    /// UTF-8 with a byte order mark; CRLF line ends.
    Csv,
    /// One array of objects.
    Json,
    /// One JSON object per line.
    Ndjson,
}

/// Why leads cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum LeadExportError {
    /// The table could not be read to its end.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The rows found no room in the folder for temporary files.
    #[error(transparent)]
    Spool(#[from] io::Error),
}

/// Leads that were read and wait to be written.
#[derive(Debug)]
pub struct LeadExport {
    sheet: Sheet,
    spool: Spool,
    left_out: u64,
    /// Where the spool lies.
    _folder: TempDir,
}

impl LeadExport {
    /// Reads the flow's table to its end; `progress` gets the number of rows so far after each page.
    ///
    /// # Errors
    /// When the table cannot be read, or its rows cannot be kept.
    pub async fn read(
        table: &Table,
        flow: &Flow,
        options: &LeadExportOptions,
        mut progress: impl FnMut(u64),
    ) -> Result<Self, LeadExportError> {
        // All columns are known only when the last row is read.
        let folder = tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir()?;
        let mut spool = Spool::new(folder.path()).knowing(flow.email.named_columns());
        let named = options.columns.as_ref().or(flow.email.csv.as_ref());
        let since = options.since;
        let select = columns_to_ask_for(flow, named.is_some());
        let mut scan = table.scan(Query { select, ..flow.table.query(since) });
        let mut left_out = 0;
        while let Some(page) = scan.next().await? {
            for row in page.rows.iter().filter(|row| row.is_after(since)) {
                if !options.with_do_not_contact && lead::is_do_not_contact(row) {
                    left_out += 1;
                } else {
                    spool.push(row)?;
                }
            }
            progress(spool.len());
        }
        let sheet = named.map_or_else(|| Sheet::from_spool(&spool), |columns| Sheet::from_columns(columns));
        Ok(Self { sheet: sheet.separated_by(options.separator), spool, left_out, _folder: folder })
    }

    /// How many leads there are.
    pub fn count(&self) -> u64 {
        self.spool.len()
    }

    /// How many were left out, since they say "do not contact".
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Writes all leads; `progress` gets the number of each, from 0.
    ///
    /// # Errors
    /// When they cannot be written, or not be read back.
    pub fn write(
        &mut self,
        out: &mut impl Write,
        format: LeadExportFormat,
        progress: impl FnMut(u64),
    ) -> io::Result<()> {
        let rows = self.spool.rows()?;
        match format {
            LeadExportFormat::Csv => write_csv(&self.sheet, rows, out, progress)?,
            LeadExportFormat::Json => {
                out.write_all(b"[")?;
                write_objects(&self.sheet, rows, out, ",\n", "\n", progress)?;
                out.write_all(b"\n]\n")?;
            }
            LeadExportFormat::Ndjson => {
                let is_empty = write_objects(&self.sheet, rows, out, "\n", "", progress)? == 0;
                out.write_all(if is_empty { b"" } else { b"\n" })?;
            }
        }
        out.flush()
    }
}

/// All that named columns may be read from, or what the flow asks for; and always what says "do not contact".
fn columns_to_ask_for(flow: &Flow, are_named: bool) -> Option<Vec<String>> {
    let select = flow.table.select.as_ref().filter(|_| !are_named)?;
    let codes = lead::sources_of("do_not_contact").iter().map(|column| (*column).to_owned());
    let others: Vec<_> = codes.filter(|column| !select.contains(column)).collect();
    Some(select.iter().cloned().chain(others).collect())
}

fn write_csv(
    sheet: &Sheet,
    mut rows: Rows<'_>,
    out: &mut impl Write,
    mut progress: impl FnMut(u64),
) -> io::Result<()> {
    out.write_all(&sheet.head()?)?;
    let mut lines = sheet.lines(out);
    for number in 0.. {
        let Some(columns) = rows.next_columns()? else { break };
        lines.write(&columns)?;
        progress(number);
    }
    Ok(())
}

/// Writes an object a row, with what is between two and before the first; returns how many there are.
fn write_objects(
    sheet: &Sheet,
    mut rows: Rows<'_>,
    out: &mut impl Write,
    between: &str,
    before: &str,
    mut progress: impl FnMut(u64),
) -> io::Result<u64> {
    let mut number = 0;
    while let Some(columns) = rows.next_columns()? {
        let start = if number > 0 { between } else { before };
        write!(out, "{start}{}", foreign::json(sheet.object(&columns), false))?;
        progress(number);
        number += 1;
    }
    Ok(number)
}
