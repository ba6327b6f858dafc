//! Opening a `SQLite` file of ours, which `SQLite` opens by its path.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::folder::Folder;

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    /// The file, or one that belongs to it, is not ours or cannot be made.
    #[error("{0}")]
    File(#[from] io::Error),
    /// The database itself.
    #[error("{0}")]
    Database(#[from] rusqlite::Error),
}

/// What `SQLite` keeps beside a database.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Opens a database in a folder that was checked; it is made, for its owner alone, if need be. Neither it nor what
/// lies beside it may be a link, a pipe or a stranger's; afterwards what was opened must be what was checked.
///
/// # Errors
/// When it is not ours, was replaced meanwhile, or `SQLite` cannot open it.
pub(crate) fn open_database(folder: &Folder, name: &str) -> Result<Connection, DatabaseError> {
    for ending in BESIDE {
        let beside = format!("{name}{ending}");
        if folder.stat(&beside)?.is_some() {
            folder.may_write(&beside)?;
        }
    }
    if folder.stat(name)?.is_none() {
        match folder.new_file(name, 0o600) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
    }
    let known = folder.stat(name)?.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    // SQLite does not say who may, and it makes files beside the database.
    folder.may_write(name)?;
    folder.may_write(".")?;
    let path = folder.path().join(name);
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let db = Connection::open_with_flags(&path, flags)?;
    if folder.is_still(name, &known) && is_open_here(known.st_dev, known.st_ino) {
        Ok(db)
    } else {
        Err(replaced(&path))
    }
}

/// Opens a database that is there, to be read. That needs no right to write, as long as another process has it open or
/// its log is not there: `SQLite` reads no write-ahead log whose index it can neither use nor make.
///
/// # Errors
/// As [`open_database`].
pub(crate) fn open_database_to_read(folder: &Folder, name: &str) -> Result<Connection, DatabaseError> {
    // What may not be read is reported by the system, which says who may.
    for ending in BESIDE {
        folder.file(&format!("{name}{ending}"), false)?;
    }
    folder.file(name, false)?;
    let known = folder.stat(name)?.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let path = folder.path().join(name);
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let db = Connection::open_with_flags(&path, flags)?;
    let db = match read_schema(&db) {
        Err(error) if needs_an_index(&error) && !is_without_log(folder, name)? => {
            let message = format!(
                "the write-ahead log of {} must first be merged by a user who may write there: start leadflow, or type sudo \
                 before the command",
                path.display()
            );
            return Err(io::Error::other(message).into());
        }
        Err(error) if needs_an_index(&error) => {
            let mut address =
                url::Url::from_file_path(&path).map_err(|()| rusqlite::Error::InvalidPath(path.clone()))?;
            // Nobody has it open, and nothing is beside it that would have to be read with it.
            address.set_query(Some("immutable=1"));
            let db = Connection::open_with_flags(address.as_str(), flags | OpenFlags::SQLITE_OPEN_URI)?;
            read_schema(&db)?;
            db
        }
        read => read.map(|()| db)?,
    };
    if folder.is_still(name, &known) { Ok(db) } else { Err(replaced(&path)) }
}

fn read_schema(db: &Connection) -> rusqlite::Result<()> {
    db.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
}

fn needs_an_index(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

fn is_without_log(folder: &Folder, name: &str) -> io::Result<bool> {
    Ok(folder.stat(&format!("{name}-wal"))?.is_none_or(|log| log.st_size == 0))
}

fn replaced(path: &std::path::Path) -> DatabaseError {
    let message =
        format!("{} was replaced while it was being opened; check who may write there", path.display());
    io::Error::other(message).into()
}

/// Whether this process has that file open. Where the system does not say, the names must do.
fn is_open_here(device: u64, number: u64) -> bool {
    let Ok(open) = fs::read_dir("/proc/self/fd") else { return true };
    let mut open = open.flatten().filter_map(|entry| fs::metadata(entry.path()).ok());
    open.any(|file| (file.dev(), file.ino()) == (device, number))
}
