//! The files of a database that is not open: whether they are there, and out of the way.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::in_place::FILES;
use crate::platform::ownership::{Folder, Use};

/// The files in which a state of this folder lies, be they there or not.
pub(in crate::store) fn files_of(folder: &Path) -> [PathBuf; FILES.len()] {
    FILES.map(|name| folder.join(name))
}

/// Whether the folder has a state.
///
/// # Errors
/// When only its owner can find out.
pub(in crate::store) fn is_in(folder: &Path) -> io::Result<bool> {
    match fs::metadata(folder.join(FILES[0])) {
        Ok(found) => Ok(found.len() > 0),
        // A file or a pipe in the place of the folder is no state that was never there.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory) =>
        {
            Err(error)
        }
        Err(_) => Ok(false),
    }
}

/// Whether this user may write the folder and what of a state is in it; one that is not there yet is well.
///
/// # Errors
/// Why not.
pub(in crate::store) fn check_may_write(folder: &Path) -> io::Result<()> {
    let place = match Folder::open(folder, Use::Own) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    place.may_write(".")?;
    FILES.iter().try_for_each(|name| match place.stat(name)? {
        Some(_) => place.may_write(name),
        None => Ok(()),
    })
}

/// Whether there is a database in the folder, or may be: only its owner can find out.
pub(in crate::store) fn may_be_in(folder: &Path) -> bool {
    match fs::metadata(folder.join(FILES[0])) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
    }
}

/// Gives the files other names. Returns where the database lies now, if there was one.
pub(in crate::store) fn put_aside(folder: &Path, now: Timestamp) -> io::Result<Option<PathBuf>> {
    let stamp = now.strftime("%Y%m%dT%H%M%SZ");
    let place = Folder::open(folder, Use::Own)?;
    let mut aside = None;
    for name in FILES {
        let to = format!("{name}.until-{stamp}");
        match place.rename(name, &to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) if name == FILES[0] => aside = Some(folder.join(to)),
            _ => {}
        }
    }
    Ok(aside)
}
