//! Erases a person from the state, its history and its kept mails, and proves it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use mail_parser::{MessageParser, MimeHeaders as _};
use serde_json::Value;

use crate::clock::Clock;
use crate::filter;
use crate::flow::{Config, MailConnection};
use crate::lead;
use crate::row::{Mark, Row};
use crate::run::RunError;
use crate::store::{Store, StoreError};
use crate::table::{Query, Table};
use crate::window::EVER;

/// Who is to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Person {
    /// By address, in any letter case.
    Email(String),
    /// By the `RowKey` of a lead.
    Key(String),
}

/// A lead of the person.
#[derive(Debug, Clone)]
pub struct Found {
    /// The flow whose table it is in.
    pub flow: String,
    /// The row.
    pub row: Row,
}

/// What was erased.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Erased {
    /// Mails whose text and subject are gone.
    pub mails: Vec<i64>,
    /// Mails that are still to be sent, and stay.
    pub waiting: Vec<i64>,
    /// Files of mail folders that are gone.
    pub files: Vec<PathBuf>,
    /// Rows of tables that are gone.
    pub rows: usize,
}

/// What a search through the whole state folder came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proof {
    /// Files that were read.
    pub files: usize,
    /// Bytes that were read.
    pub bytes: u64,
    /// Files in which a name or address of the person still stands.
    pub left: Vec<PathBuf>,
}

/// Tries to empty the write-ahead log while a daemon reads, and the pause between two.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

impl Person {
    /// An address has an `@`.
    pub fn of(text: &str) -> Self {
        let text = text.trim();
        if text.contains('@') { Self::Email(text.to_lowercase()) } else { Self::Key(text.to_owned()) }
    }

    fn is_in_row(&self, row: &Row) -> bool {
        match self {
            Self::Key(key) => row.row_key == *key,
            Self::Email(email) => {
                lead::of_row(row)["email"].as_str().is_some_and(|found| found.to_lowercase() == *email)
            }
        }
    }

    /// The texts by which the person is known: the address or key, and name and address of the rows.
    pub fn texts(&self, rows: &[Found]) -> Vec<String> {
        let mut texts = match self {
            Self::Email(email) => vec![email.clone()],
            Self::Key(_) => Vec::new(),
        };
        for found in rows {
            let lead = lead::of_row(&found.row);
            let of_row = ["email", "name"].into_iter().filter_map(|field| lead[field].as_str());
            texts.extend(of_row.filter(|text| text.chars().count() > 3).map(str::to_lowercase));
        }
        texts.sort();
        texts.dedup();
        texts
    }
}

/// The person's leads in the tables of all flows.
///
/// # Errors
/// As a run: a table cannot be read.
pub async fn find(config: &Config, person: &Person) -> Result<Vec<Found>, RunError> {
    let mut all = Vec::new();
    for flow in config.flows.values() {
        let Some(connection) = config.tables.get(&flow.table.connection) else { continue };
        let table = Table::open(connection, &flow.table.name, &Clock::System)?;
        let rows = match person {
            Person::Key(key) => table.rows_of(None, key).await?,
            Person::Email(_) => {
                let text = flow.table.filter.as_ref().map(|text| filter::fill(text, EVER));
                let mut scan = table.scan(Query { filter: text, select: None });
                let mut rows = Vec::new();
                while let Some(page) = scan.next().await? {
                    rows.extend(page.rows.into_iter().filter(|row| person.is_in_row(row)));
                }
                rows
            }
        };
        all.extend(rows.into_iter().map(|row| Found { flow: flow.name.clone(), row }));
    }
    Ok(all)
}

/// Forgets the texts of all mails that carry one of the rows, or in which one of the texts stands, in
/// the state and in the mail folders.
///
/// # Errors
/// When the state or a mail folder cannot be read or written.
pub fn erase(
    config: &Config,
    store: &mut Store,
    rows: &[Found],
    texts: &[String],
) -> Result<Erased, StoreError> {
    let mut erased = Erased::default();
    let mut mails: Vec<i64> = Vec::new();
    for found in rows {
        mails.extend(
            store.proofs(&found.flow, Mark::of(&found.row).key)?.into_iter().filter_map(|(_, mail)| mail),
        );
    }
    for mail in store.kept_mails()? {
        if !mails.contains(&mail) && store.text_of(mail)?.is_some_and(|bytes| is_in_mail(&bytes, texts)) {
            mails.push(mail);
        }
    }
    mails.sort_unstable();
    mails.dedup();
    for mail in mails {
        if store.forget_mail(mail)? { erased.mails.push(mail) } else { erased.waiting.push(mail) }
    }
    for connection in config.mails.values() {
        let MailConnection::Folder(folder) = connection else { continue };
        let failed = |source| StoreError::Folder { folder: folder.path.clone(), source };
        erased.files.extend(erase_files(&folder.path, texts).map_err(failed)?);
    }
    for _ in 0..TRIES {
        if store.empty_log()? {
            break;
        }
        thread::sleep(PAUSE);
    }
    Ok(erased)
}

/// Deletes the rows from their tables.
///
/// # Errors
/// When a login may not delete.
pub async fn delete(config: &Config, rows: &[Found]) -> Result<usize, RunError> {
    for found in rows {
        let Some(flow) = config.flows.get(&found.flow) else { continue };
        let Some(connection) = config.tables.get(&flow.table.connection) else { continue };
        let table = Table::open(connection, &flow.table.name, &Clock::System)?;
        table.delete(&found.row.partition_key, &found.row.row_key).await?;
    }
    Ok(rows.len())
}

/// Reads every file of the state folder and looks for the texts, in any letter case.
///
/// # Errors
/// When a file cannot be read.
pub fn prove(config: &Config, texts: &[String]) -> io::Result<Proof> {
    let mut proof = Proof::default();
    let mut folders = vec![config.settings.state.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = fs::read(&path)?;
            proof.files += 1;
            proof.bytes += bytes.len() as u64;
            let text = String::from_utf8_lossy(&bytes).to_lowercase();
            if texts.iter().any(|needle| text.contains(needle)) {
                proof.left.push(path);
            }
        }
    }
    Ok(proof)
}

fn erase_files(folder: &Path, texts: &[String]) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut erased = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_mail = path.extension().is_some_and(|ending| ending == "eml");
        if is_mail && is_in_mail(&fs::read(&path)?, texts) {
            fs::remove_file(&path)?;
            erased.push(path);
        }
    }
    Ok(erased)
}

/// Whether one of the texts stands in the mail's subject, its bodies or its CSV, decoded.
fn is_in_mail(bytes: &[u8], texts: &[String]) -> bool {
    let Some(message) = MessageParser::default().parse(bytes) else { return true };
    let subject = message.subject().unwrap_or_default().to_lowercase();
    let is_text = |part: &mail_parser::MessagePart<'_>| {
        part.content_type().is_none_or(|kind| kind.ctype() == "text" || kind.ctype() == "multipart")
    };
    let bodies = message.parts.iter().filter(|part| is_text(part));
    let bodies = bodies.map(|part| part.text_contents().map_or_else(String::new, str::to_lowercase));
    // The HTML writes some characters as entities.
    let escaped = |text: &str| {
        Value::from(handlebars::html_escape(text)).as_str().map(str::to_owned).unwrap_or_default()
    };
    let all: Vec<String> = bodies.chain([subject]).collect();
    texts.iter().any(|text| all.iter().any(|body| body.contains(text) || body.contains(&escaped(text))))
}
