//! Files that only their owner reads: the state holds leads.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::platform::ownership::{self, Folder};

/// Opens the file for writing; makes it where it is not there.
pub(in crate::store) fn file(folder: &Folder, name: &str) -> io::Result<File> {
    if let Some(file) = folder.file(name, true)? {
        return Ok(file);
    }
    match folder.new_file(name, 0o600) {
        // Another process made it at this moment.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            folder.file(name, true)?.ok_or_else(|| io::ErrorKind::NotFound.into())
        }
        made => made,
    }
}

/// Why the state folder cannot be used, and what to do.
pub(in crate::store) fn why(folder: &Path, error: &io::Error) -> String {
    if fs::metadata(folder).is_ok_and(|found| !found.is_dir()) {
        return "it is not a folder; move it away, or name another one in settings.state".to_owned();
    }
    let why = ownership::explained(folder, error);
    if ownership::refusal(error).is_some() || error.kind() == io::ErrorKind::PermissionDenied {
        return why;
    }
    format!("{why}; it must be writable, settings.state names it")
}

/// Whether the path still leads to the open file.
pub(in crate::store) fn is_same(path: &Path, file: &File) -> bool {
    let identity = |found: fs::Metadata| (found.dev(), found.ino());
    fs::metadata(path).ok().map(identity) == file.metadata().ok().map(identity)
}
