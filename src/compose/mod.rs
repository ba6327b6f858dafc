//! From the rows of a run to the final bytes of its mails.
//!
//! One pass over the spool finds where one mail ends and the next begins and writes the lines of the
//! CSV; then the bodies are built one after the other. A CSV is encoded when its mail is read back, so
//! that only one mail is in memory at a time.

pub mod alarm_mail;
#[cfg(test)]
mod bounds;
#[cfg(test)]
mod dark_scheme;
mod formula;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod lines;
mod listing;
mod message;
mod plan;
mod render;
pub mod sheet;
mod sheet_part;
pub mod spool;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;
use tempfile::SpooledTempFile;
use uuid::Uuid;

use plan::{Limits, Part, Plan};
use sheet_part::SheetPart;

use crate::compose::spool::Spool;
use crate::flow::{Each, Flow, Mailbox};
use crate::rows::lead;
use crate::template::cell;
use crate::template::{FIRST_OF_OFFER, LEAD, Templates};
use message::{Address, Built, Parts};
use sheet::Sheet;

/// What the mails of a run are composed from, apart from its rows.
#[derive(Debug, Clone, Copy)]
pub struct ComposeInput<'a> {
    /// The flow, with its compiled templates.
    pub flow: &'a Flow,
    /// The run's number.
    pub run: i64,
    /// The run read rows later than this.
    pub past_time: Timestamp,
    /// The run's moment; the `Date` of its mails.
    pub now: Timestamp,
    /// Sender.
    pub from: &'a Mailbox,
    /// Largest message in bytes.
    pub max_bytes: usize,
    /// The rows are made up: subject and headers say so.
    pub is_test: bool,
    /// Test leads that `test_leads = "hide"` keeps out.
    pub hidden_tests: u64,
}

/// The mails of a run: their bytes lie one after the other in a spool file, the lines of their CSVs in
/// another one.
#[derive(Debug)]
pub struct ComposedMails {
    bytes: SpooledTempFile,
    lines: SpooledTempFile,
    head: Vec<u8>,
    list: Vec<ComposedMail>,
    notes: Vec<String>,
    sender: String,
}

/// One mail of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComposedMail {
    /// Subject as rendered, controls stripped, at most 150 characters and the number.
    pub subject: String,
    /// With angle brackets.
    pub message_id: String,
    /// Rows that this mail carries, counted from 0 in the spool's order.
    pub rows: Range<usize>,
    span: Range<u64>,
    sheet: Option<SheetPart>,
}

impl ComposedMail {
    fn size(&self) -> u64 {
        let sheet = self.sheet.as_ref().map_or(0, SheetPart::size);
        self.span.end - self.span.start + sheet
    }
}

/// Why no mail could be made.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// The spool or the file for the bytes failed.
    #[error("cannot write the mail to the state folder: {0}")]
    Disk(#[from] io::Error),
    /// The message could not be built.
    #[error("cannot build the mail: {0}")]
    Message(String),
    /// Whatever is left out, the message is larger than a server takes.
    #[error("the mail has {0} bytes without any row, which is more than a mail may have ({1})")]
    TooLarge(u64, usize),
}

/// Mails that `each = "row"` makes at most; more rows than that go out as a digest.
const MOST_SINGLE_MAILS: u64 = 100;

/// Notes of a run.
const MOST_NOTES: usize = 20;

/// Bytes of mails that are kept in memory before they move to a file.
const IN_MEMORY: usize = 1 << 20;

impl ComposedMails {
    /// What a person should know: a template failed, or a flood of rows became a digest.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The envelope sender, an address alone.
    pub fn sender(&self) -> &str {
        &self.sender
    }

    /// The mails in their order.
    pub fn list(&self) -> &[ComposedMail] {
        &self.list
    }

    /// The number of bytes of all mails.
    pub fn size(&self) -> u64 {
        self.list.iter().map(ComposedMail::size).sum()
    }

    /// Reads the mails back, one at a time.
    pub fn read(self) -> impl Iterator<Item = io::Result<(ComposedMail, Vec<u8>)>> {
        let Self { mut bytes, mut lines, head, list, .. } = self;
        list.into_iter().map(move |mail| {
            bytes.seek(SeekFrom::Start(mail.span.start))?;
            let mut rest = (&mut bytes).take(mail.span.end - mail.span.start);
            let mut text = Vec::with_capacity(usize::try_from(mail.size()).unwrap_or_default());
            if let Some(sheet) = &mail.sheet {
                (&mut rest).take(sheet.at).read_to_end(&mut text)?;
                sheet.encode(&head, &mut lines, &mut text)?;
            }
            rest.read_to_end(&mut text)?;
            Ok((mail, text))
        })
    }
}

/// Composes the mails of a run; `folder` takes the spool file. No row makes one mail, the heartbeat.
///
/// # Errors
/// When the disk fails or a header cannot be written. A template that fails is not an error: the rows
/// then go out as a plain listing.
pub fn compose(
    input: &ComposeInput<'_>,
    spool: &mut Spool,
    folder: &Path,
) -> Result<ComposedMails, ComposeError> {
    let mails = compose_with(input, spool, folder, false)?;
    let is_too_large = mails.list.iter().any(|mail| mail.size() > input.max_bytes as u64);
    // A CSV takes over what the body has no room for.
    if is_too_large { compose_with(input, spool, folder, true) } else { Ok(mails) }
}

fn compose_with(
    input: &ComposeInput<'_>,
    spool: &mut Spool,
    folder: &Path,
    is_sheet_wanted: bool,
) -> Result<ComposedMails, ComposeError> {
    let email = &input.flow.email;
    let mut notes = Vec::new();
    let single = email.each == Each::Row && spool.len() <= MOST_SINGLE_MAILS;
    if email.each == Each::Row && !single {
        let length = spool.len();
        notes.push(format!("{length} rows are more than {MOST_SINGLE_MAILS}, so they went out as a digest"));
    }
    let columns = spool.columns().to_vec();
    let is_lead = lead::is_lead(&columns);
    let more_columns = spool.has_more_columns();
    let sheet = email
        .csv
        .as_ref()
        .map_or_else(|| Sheet::from_spool(spool), |columns| Sheet::from_columns(columns))
        .separated_by(email.csv_separator);
    let limits = Limits { email, is_single: single, is_sheet_wanted, max_bytes: input.max_bytes };
    let Plan { parts, attached, cut_rows, lines } = plan::plan(spool, &sheet, limits, folder)?;
    notes.extend(left_out(more_columns, email.csv.is_some(), columns.len(), cut_rows));
    let left_out = LeftOut { more_columns, cut_rows };
    let declared = declared(input.flow, &columns);
    let length = spool.len();
    let context = Context { input, columns, declared, left_out, is_lead, attached, length, single };
    let bytes = tempfile::spooled_tempfile_in(IN_MEMORY, folder);
    let sender = input.from.address.clone();
    let mut mails = ComposedMails { bytes, lines, head: sheet.head()?, list: Vec::new(), notes, sender };
    for (at, part) in parts.iter().enumerate() {
        let index = PartIndex { number: at + 1, of: parts.len(), part };
        context.write_mail(&index, spool, &mut mails)?;
    }
    Ok(mails)
}

/// The columns that are empty for want of a row that has them. Any other name fails its template: it may be
/// misspelt.
fn declared(flow: &Flow, columns: &[String]) -> Vec<String> {
    let templates = &flow.email.templates;
    let digest = templates.digest().into_iter().flat_map(Templates::columns);
    let names = templates.columns().iter().chain(digest).map(|column| column.name.as_str());
    let names: BTreeSet<&str> = names.filter(|name| flow.table.declares(name)).collect();
    names.into_iter().filter(|name| !columns.iter().any(|column| column == name)).map(str::to_owned).collect()
}

/// What neither the body nor, perhaps, the CSV shows of the rows.
fn left_out(more_columns: bool, has_own_csv: bool, columns: usize, cut_rows: u64) -> Vec<String> {
    let of_csv = if has_own_csv {
        "the CSV has those that `csv` names, and the table has all"
    } else {
        "the last column of the CSV has the others"
    };
    let of_columns =
        || format!("the rows have more than {columns} columns: the mail knows {columns} of them, {of_csv}");
    let noun = if cut_rows == 1 { "row is" } else { "rows are" };
    let of_rows = || {
        format!(
            "{cut_rows} {noun} larger than a mail: the cells are cut, and `leadflow lead show` has the whole"
        )
    };
    [more_columns.then(of_columns), (cut_rows > 0).then(of_rows)].into_iter().flatten().collect()
}

/// Brings the leads of each offer together, in the order in which the offers first appear; the first
/// of each says how many there are.
fn by_offer(rows: Vec<Value>) -> Vec<Value> {
    let mut groups: Vec<Vec<Value>> = Vec::new();
    for row in rows {
        match groups.iter_mut().find(|group| group[0][LEAD]["offer"] == row[LEAD]["offer"]) {
            Some(group) => group.push(row),
            None => groups.push(vec![row]),
        }
    }
    for group in &mut groups {
        group[0][LEAD][FIRST_OF_OFFER] = group.len().into();
    }
    groups.into_iter().flatten().collect()
}

/// A template may fail at another place for each mail; the first notes are enough.
fn note_once(notes: &mut Vec<String>, note: String) {
    if notes.len() < MOST_NOTES && !notes.contains(&note) {
        notes.push(note);
    }
}

/// What the mails of a run leave out.
struct LeftOut {
    /// Rows have columns that the run does not know by name.
    more_columns: bool,
    /// Rows whose cells are cut in the CSV, too.
    cut_rows: u64,
}

/// What all mails of a run have in common.
struct Context<'a> {
    input: &'a ComposeInput<'a>,
    columns: Vec<String>,
    /// Columns that the templates name, rows can have, and none of these rows has.
    declared: Vec<String>,
    left_out: LeftOut,
    is_lead: bool,
    attached: bool,
    length: u64,
    single: bool,
}

/// Which of the mails of a run it is.
struct PartIndex<'a> {
    number: usize,
    of: usize,
    part: &'a Part,
}

impl Context<'_> {
    fn write_mail(
        &self,
        index: &PartIndex<'_>,
        spool: &mut Spool,
        mails: &mut ComposedMails,
    ) -> Result<(), ComposeError> {
        let shown = self.shown_rows(index.part, spool)?;
        let shown = if self.is_lead { by_offer(shown) } else { shown };
        let message_id = format!("<{}@{}>", Uuid::new_v4(), self.input.from.domain());
        let sheet = self.attached.then(|| SheetPart::new(mails.head.len(), index.part.lines.clone()));
        let (subject, built, sheet) = self.fitting(index, shown, sheet, &message_id, &mut mails.notes)?;
        let start = mails.bytes.seek(SeekFrom::End(0))?;
        mails.bytes.write_all(&built)?;
        let rows = index.part.rows.clone();
        let span = start..start + built.len() as u64;
        mails.list.push(ComposedMail { subject, message_id, rows, span, sheet });
        Ok(())
    }

    /// The first rows of a mail, as many as its body has room for, and one in any case.
    fn shown_rows(&self, part: &Part, spool: &mut Spool) -> io::Result<Vec<Value>> {
        let most = if self.single { usize::MAX } else { self.input.flow.email.max_rows };
        let budget = plan::body_budget(self.input.max_bytes);
        let mut shown = Vec::new();
        let mut size = 0;
        let mut rows = spool.rows_from(part.at)?;
        while shown.len() < part.rows.len().min(most.max(1))
            && let Some(columns) = rows.next_columns()?
        {
            size += cell::shown_size(&columns, self.columns.len()).0;
            if size > budget && !self.single && !shown.is_empty() {
                break;
            }
            shown.push(self.row_value(columns.into_map()));
        }
        Ok(shown)
    }

    /// Builds the message with fewer and fewer rows in its body until it is small enough, and without the
    /// template if that is what is too large. Without a CSV it may come out too large.
    fn fitting(
        &self,
        index: &PartIndex<'_>,
        mut shown: Vec<Value>,
        sheet: Option<SheetPart>,
        message_id: &str,
        notes: &mut Vec<String>,
    ) -> Result<(String, Vec<u8>, Option<SheetPart>), ComposeError> {
        let of_sheet = sheet.as_ref().map_or(0, SheetPart::size);
        let mut is_plain = false;
        loop {
            let rendered = if is_plain { self.plain(index) } else { self.render(index, &mut shown, notes) };
            let subject = rendered.subject.clone();
            let parts = Parts {
                address: Address::from_flow(&self.input.flow.email, self.input.from),
                date: self.input.now,
                message_id,
                headers: self.headers(),
                rendered,
                csv: sheet.is_some().then(|| self.file_name(index)),
            };
            let Built { bytes, sheet_at } = message::build(parts).map_err(ComposeError::Message)?;
            let size = bytes.len() as u64 + of_sheet;
            if size <= self.input.max_bytes as u64 || (sheet.is_none() && !shown.is_empty()) {
                let sheet = sheet.zip(sheet_at).map(|(sheet, at)| sheet.placed(at));
                return Ok((subject, bytes, sheet));
            }
            if is_plain {
                return Err(ComposeError::TooLarge(size, self.input.max_bytes));
            }
            if shown.is_empty() {
                is_plain = true;
                note_once(notes, "the template alone is larger than a mail, so it was left out".to_owned());
            }
            shown.truncate(shown.len() / 2);
        }
    }
}
