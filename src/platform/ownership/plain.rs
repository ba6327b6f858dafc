//! Reading files that somebody else names: plain ones alone, and no more than they may hold.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{self, FileType, OFlags};

use super::folder::{Folder, Use};
use super::judge::{Kind, not_plain};
use super::path_walk;

/// The bytes of a plain file, of `largest` at most. A pipe is not waited for.
///
/// # Errors
/// When it is not a plain file, is larger, or cannot be read.
pub(crate) fn read_plain(path: &Path, largest: u64) -> io::Result<Vec<u8>> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)?;
    read_open(path, &file, largest)
}

/// The bytes of a plain file that is not a link and, like its folder, belongs to nobody but root, us or the user of the
/// service; `None` where there is none.
///
/// # Errors
/// As [`read_plain`], or when it is a stranger's.
pub(crate) fn read_beside(path: &Path, largest: u64) -> io::Result<Option<Vec<u8>>> {
    let folder = Folder::open(path.parent().unwrap_or(Path::new("/")), Use::Own)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some(file) = folder.file(&name, false)? else { return Ok(None) };
    read_open(path, &file, largest).map(Some)
}

/// Opens a plain file of a folder that holds mails or state, whosever it is: no stranger's link leads there, nor is the
/// file one.
///
/// # Errors
/// When it is not such a file, or cannot be read.
pub(crate) fn open_inside(path: &Path) -> io::Result<File> {
    let (folder, name) = inside(path)?;
    folder.any_file(name)
}

/// Deletes a file where [`open_inside`] opens it.
///
/// # Errors
/// When a stranger could lead it elsewhere, or the system refuses.
pub(crate) fn remove_inside(path: &Path) -> io::Result<()> {
    let (folder, name) = inside(path)?;
    folder.remove(name)
}

fn inside(path: &Path) -> io::Result<(Folder, &OsStr)> {
    let place = path.parent().zip(path.file_name());
    let (folder, name) = place.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidFilename))?;
    Ok((Folder::open(folder, Use::Shared)?, name))
}

/// The bytes of an open file, as [`read_plain`].
///
/// # Errors
/// As [`read_plain`].
fn read_open(path: &Path, file: &File, largest: u64) -> io::Result<Vec<u8>> {
    let stat = fs::fstat(file)?;
    match path_walk::kind_of(FileType::from_raw_mode(stat.st_mode)) {
        Kind::File => {}
        Kind::Folder => return Err(io::ErrorKind::IsADirectory.into()),
        Kind::Other(kind) => return Err(io::Error::other(not_plain(path, kind))),
        Kind::Link(_) => return Err(io::Error::other(not_plain(path, "link"))),
    }
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    let mut bytes = Vec::new();
    if size <= largest {
        file.take(largest.saturating_add(1)).read_to_end(&mut bytes)?;
    }
    let size = size.max(bytes.len() as u64);
    if size > largest {
        let message = format!("it is {size} bytes; the limit is {largest}");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}
