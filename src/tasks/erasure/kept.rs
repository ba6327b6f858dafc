//! What leadflow itself keeps of the person: the state, its files, the mail folders.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::person::Person;
use super::{Leftover, databases};
use crate::flow::{Config, MailConnection, TableConnection};
use crate::platform::ownership::{open_inside, remove_inside};
use crate::platform::pieces::find_in_file;
use crate::rows::row::RowId;
use crate::store::{IsFound, Place, Store, StoreError, state};

/// What was erased.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Erased {
    /// Mails whose text and subject are gone.
    pub mails: Vec<i64>,
    /// Mails that are still to be sent, and stay.
    pub waiting: Vec<i64>,
    /// Texts of the history: subjects, steps, reasons, replies.
    pub texts: usize,
    /// Files of mail folders that are gone.
    pub files: Vec<PathBuf>,
    /// The write-ahead log holds nothing any more.
    pub is_log_empty: bool,
}

/// What was searched afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Searched {
    /// Files of the state folder and of mail folders.
    pub files: usize,
    /// Columns of a database that has the state.
    pub columns: usize,
    /// The bytes of both.
    pub bytes: u64,
    /// Mails whose text is kept, decoded.
    pub mails: usize,
    /// What may still hold the text and cannot be searched, in a sentence.
    pub out_of_reach: Option<&'static str>,
}

/// Tries to empty the write-ahead log while a daemon reads, and the pause between two.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

impl Erased {
    /// Together with what a second round has erased.
    pub(super) fn and(mut self, more: Self) -> Self {
        self.mails.extend(more.mails);
        self.mails.sort_unstable();
        self.mails.dedup();
        self.files.extend(more.files);
        Self {
            waiting: more.waiting,
            texts: self.texts + more.texts,
            is_log_empty: more.is_log_empty,
            ..self
        }
    }
}

/// Forgets the texts of all mails that carry one of the rows, or in which the person is named, and every
/// text of the history that names the person.
///
/// # Errors
/// When the state cannot be read or written.
pub(super) async fn erase_state(store: &Store, person: &Person, ids: &[RowId]) -> Result<Erased, StoreError> {
    let mut erased = Erased::default();
    let mut mails: Vec<i64> = Vec::new();
    for flow in store.flow_names().await? {
        for id in ids {
            mails.extend(store.provenance(&flow, *id).await?.into_iter().filter_map(|found| found.message));
        }
    }
    for mail in store.kept_messages().await? {
        if !mails.contains(&mail) && is_of_person(store, mail, person).await? {
            mails.push(mail);
        }
    }
    mails.sort_unstable();
    mails.dedup();
    for mail in mails {
        if store.erase_message(mail).await? {
            erased.mails.push(mail);
        } else if store.is_waiting(mail).await? {
            erased.waiting.push(mail);
        }
    }
    erased.texts = store.erase_texts(names(person)).await?;
    for _ in 0..TRIES {
        erased.is_log_empty = store.purge_remains().await?;
        if erased.is_log_empty {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(erased)
}

fn names(person: &Person) -> IsFound {
    let person = person.clone();
    Arc::new(move |text: &str| person.is_in_text(text))
}

async fn is_of_person(store: &Store, mail: i64, person: &Person) -> Result<bool, StoreError> {
    Ok(store.message_bytes(mail).await?.is_some_and(|bytes| person.is_in_mail(&bytes)))
}

/// Deletes the files of mail folders that name the person; those that cannot be read are reported.
pub(super) fn erase_folders(config: &Config, person: &Person, left: &mut Vec<Leftover>) -> Vec<PathBuf> {
    let mut erased = Vec::new();
    let paths: Vec<_> = mail_folders(config).flat_map(|folder| files_of(folder, left)).collect();
    for path in paths {
        let gone = match read(&path) {
            Ok(bytes) if is_mail(&path) && person.is_in_mail(&bytes) => remove_inside(&path).map(|()| true),
            Ok(_) => Ok(false),
            Err(error) => Err(error),
        };
        match gone {
            Ok(true) => erased.push(path),
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => left.push(unreadable_file(&path, &error)),
        }
    }
    erased
}

/// Searches everything again. Mails that are still to be sent are reported by the caller.
///
/// # Errors
/// When the state cannot be read.
pub(super) async fn search_state(
    store: &Store,
    person: &Person,
    waiting: &[i64],
    left: &mut Vec<Leftover>,
) -> Result<Searched, StoreError> {
    let kept = store.kept_messages().await?;
    for mail in kept.iter().filter(|mail| !waiting.contains(mail)) {
        if is_of_person(store, *mail, person).await? {
            left.push(Leftover {
                what: format!("the text of mail {mail} names the person"),
                help: "it was made in the meantime; run the command again".to_owned(),
            });
        }
    }
    let absence = store.prove_absent(names(person)).await?;
    left.extend(absence.left.iter().map(still_there));
    left.extend(absence.unreadable.iter().map(|(place, why)| unreadable(place, why)));
    Ok(Searched {
        files: absence.files,
        columns: absence.columns,
        bytes: absence.bytes,
        mails: kept.len(),
        out_of_reach: absence.out_of_reach,
    })
}

fn still_there(place: &Place) -> Leftover {
    let kind = match place {
        Place::File(_) => "file",
        Place::Column { .. } => "table",
    };
    Leftover {
        what: format!("the name or address is still in {place}"),
        help: format!("run the command again; what is left then is not from leadflow: look into the {kind}"),
    }
}

/// Reads every file of the state folder and of the mail folders, but for those of the state itself. Files of embedded
/// tables are left out where their rows are to stay.
pub(super) fn search_files(
    config: &Config,
    person: &Person,
    with_tables: bool,
    left: &mut Vec<Leftover>,
) -> Searched {
    let mut searched = Searched::default();
    let mut paths = files_of(&config.settings.state, left);
    for folder in mail_folders(config) {
        paths.extend(files_of(folder, left));
    }
    let tables: Vec<&PathBuf> = config.tables.values().filter_map(embedded_file).collect();
    if with_tables {
        paths.extend(tables.iter().map(|path| (*path).clone()).filter(|path| path.exists()));
    } else {
        paths.retain(|path| !tables.contains(&path));
    }
    paths.sort();
    paths.dedup();
    // What lies there beside a database is a state of before.
    let is_own = config.settings.postgres.is_none();
    let own = if is_own { state::files_of(&config.settings.state) } else { Vec::new() };
    paths.retain(|path| !own.contains(path));
    for path in paths {
        match is_in_file(&path, person) {
            Ok((bytes, is_named)) => {
                searched.files += 1;
                searched.bytes += bytes;
                let is_in_use = tables.contains(&&path);
                if let Some(found) = (!is_in_use).then(|| databases::search(&path, person)).flatten() {
                    left.push(found);
                } else if is_named {
                    left.push(still_there(&Place::File(path)));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => left.push(unreadable_file(&path, &error)),
        }
    }
    searched
}

/// A mail of a mail folder, or what is left of one whose writing broke off.
fn is_mail(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".eml") || (name.starts_with('.') && name.contains(".eml.") && name.ends_with(".part"))
}

fn is_in_file(path: &Path, person: &Person) -> io::Result<(u64, bool)> {
    if is_mail(path) {
        let bytes = read(path)?;
        return Ok((bytes.len() as u64, person.is_in_mail(&bytes)));
    }
    find_in_file(path, |text| person.is_in_text(text))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_inside(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn mail_folders(config: &Config) -> impl Iterator<Item = &Path> {
    config.mails.values().filter_map(|connection| match connection {
        MailConnection::Folder(folder) => Some(folder.path.as_path()),
        _ => None,
    })
}

fn embedded_file(connection: &TableConnection) -> Option<&PathBuf> {
    match connection {
        TableConnection::Embedded { file } => Some(file),
        TableConnection::Azure(_) => None,
    }
}

/// Every plain file in the folder and below; a folder that is not there has none.
fn files_of(folder: &Path, left: &mut Vec<Leftover>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                left.push(unreadable_file(&folder, &error));
                continue;
            }
        };
        for entry in entries {
            match entry.and_then(|entry| Ok((entry.path(), entry.file_type()?))) {
                Ok((path, kind)) if kind.is_dir() => folders.push(path),
                Ok((path, kind)) if kind.is_file() => files.push(path),
                // A link leads to what is not leadflow's, a pipe or socket keeps nothing.
                Ok(_) => {}
                Err(error) => left.push(unreadable_file(&folder, &error)),
            }
        }
    }
    files
}

fn unreadable(place: &Place, why: &str) -> Leftover {
    Leftover {
        what: format!("cannot search {place}: {why}"),
        help: "let this user read and delete it, then run the command again".to_owned(),
    }
}

fn unreadable_file(path: &Path, error: &io::Error) -> Leftover {
    unreadable(&Place::File(path.to_owned()), &error.to_string())
}
