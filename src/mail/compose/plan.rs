//! How the rows of a run are laid over its mails: which rows each carries, and whether a CSV goes
//! along.

use std::io;
use std::ops::Range;

use super::super::cell;
use super::super::sheet::Sheet;
use crate::flow::Email;
use crate::spool::Spool;

/// The mails of a run.
#[derive(Debug)]
pub(super) struct Plan {
    /// Rows of each mail, counted from 0 in the spool's order.
    pub(super) parts: Vec<Range<usize>>,
    /// A CSV has all rows of its mail, since the body does not show all of them.
    pub(super) attached: bool,
}

/// Columns that a mail's body knows; a run whose rows have more of them has a CSV.
pub(super) const MOST_COLUMNS: usize = 1_000;

/// Bytes of values that a body shows, of the bytes of a message: names, markup and the encoding
/// multiply them.
pub(super) fn body_budget(max_bytes: usize) -> usize {
    max_bytes / 16
}

/// Bytes of CSV that fit into a message beside its body: base64 takes 78 bytes for 57.
fn sheet_budget(max_bytes: usize) -> usize {
    max_bytes / 78 * 57 * 3 / 4
}

/// One pass over the rows.
pub(super) fn plan(
    spool: &mut Spool,
    sheet: &Sheet,
    email: &Email,
    is_single: bool,
    is_sheet_wanted: bool,
    max_bytes: usize,
) -> io::Result<Plan> {
    let budget = sheet_budget(max_bytes);
    let mut attached = is_sheet_wanted || email.attach_csv || spool.columns().len() > MOST_COLUMNS;
    let (mut parts, mut begin, mut end) = (Vec::new(), 0, 0);
    let (mut of_sheet, mut of_body) = (0, 0);
    for row in spool.rows()? {
        let columns = row?.columns();
        let (shown, is_cut) = cell::shown_size(&columns);
        of_body += shown;
        attached |= is_cut || (!is_single && (end == email.max_rows || of_body > body_budget(max_bytes)));
        let record = sheet.record(&columns)?.len();
        if is_single || (of_sheet + record > budget && end > begin) {
            parts.push(begin..end);
            (begin, of_sheet) = (end, 0);
        }
        of_sheet += record;
        end += 1;
    }
    parts.push(begin..end);
    if is_single && end > 0 {
        parts.remove(0);
    }
    if !attached && !is_single {
        parts.clear();
        parts.push(0..end);
    }
    Ok(Plan { parts, attached })
}
