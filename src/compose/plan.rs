//! How the rows of a run are laid over its mails: which rows each carries, and whether a CSV goes
//! along. The lines of the CSV are written on the way.

use std::io::{self, BufWriter};
use std::ops::Range;
use std::path::Path;

use tempfile::SpooledTempFile;

use super::IN_MEMORY;
use super::sheet::Sheet;
use crate::compose::spool::Spool;
use crate::flow::Email;
use crate::template::cell;

/// The mails of a run.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) parts: Vec<Part>,
    /// A CSV has all rows of its mail, since the body does not show all of them.
    pub(super) attached: bool,
    /// Rows that are larger than a mail, and whose cells are cut in the CSV.
    pub(super) cut_rows: u64,
    /// The lines of all rows, without the names of the columns.
    pub(super) lines: SpooledTempFile,
}

/// What one mail carries.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// Rows, counted from 0 in the spool's order.
    pub(super) rows: Range<usize>,
    /// Where the first of them lies in the spool.
    pub(super) at: u64,
    /// Where their lines lie.
    pub(super) lines: Range<u64>,
}

/// What all mails of a run have to keep to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits<'a> {
    pub(super) email: &'a Email,
    /// Each row has a mail of its own.
    pub(super) is_single: bool,
    /// The body has turned out to be too large without a CSV.
    pub(super) is_sheet_wanted: bool,
    pub(super) max_bytes: usize,
}

/// Bytes of values that a body shows, of the bytes of a message: names, markup and the encoding
/// multiply them.
pub(super) fn body_budget(max_bytes: usize) -> usize {
    max_bytes / 16
}

/// Bytes of CSV that fit into a message beside its body: base64 takes 78 bytes for 57.
fn sheet_budget(max_bytes: usize) -> usize {
    max_bytes / 78 * 57 * 3 / 4
}

/// How many times as long as its row a line may be: the lead's fields repeat columns, and quotes are doubled.
const LINE_OF_ROW: u64 = 8;

/// One pass over the rows; `folder` takes the lines when they are many.
pub(super) fn plan(spool: &mut Spool, sheet: &Sheet, limits: Limits<'_>, folder: &Path) -> io::Result<Plan> {
    let Limits { email, is_single, is_sheet_wanted, max_bytes } = limits;
    let budget = sheet_budget(max_bytes) as u64;
    let mut attached = is_sheet_wanted || email.attach_csv || spool.has_more_columns();
    let of_run = spool.columns().len();
    let mut lines = sheet.lines(BufWriter::new(tempfile::spooled_tempfile_in(IN_MEMORY, folder)));
    let mut parts = Vec::new();
    let mut part = Part::default();
    let mut of_body = 0;
    let mut cut_rows = 0;
    let mut rows = spool.rows()?;
    loop {
        let count = part.rows.end;
        let at = rows.at();
        let written = part.lines.end;
        let Some((columns, length)) = rows.next_with_length()? else { break };
        let (shown, is_cut) = cell::shown_size(&columns, of_run);
        of_body += shown;
        attached |= is_cut || (!is_single && (count == email.max_rows || of_body > body_budget(max_bytes)));
        // A line may be several times as long as its row; few rows are worth a closer look.
        let is_too_large = length > budget / LINE_OF_ROW && sheet.size_of(&columns)? > budget;
        let end = if is_too_large {
            cut_rows += 1;
            lines.write_cut(&columns, sheet.most_of_cell(budget))?
        } else {
            lines.write(&columns)?
        };
        let is_full = is_single || end - part.lines.start > budget;
        if is_full && !part.rows.is_empty() {
            parts.push(part);
            part = Part { rows: count..count, at, lines: written..written };
        }
        (part.rows.end, part.lines.end) = (count + 1, end);
    }
    parts.push(part);
    if !attached && !is_single {
        let all = parts.iter().map(|part| part.rows.len()).sum();
        parts = vec![Part { rows: 0..all, ..Part::default() }];
    }
    let lines = lines.into_inner()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(Plan { parts, attached, cut_rows, lines })
}
