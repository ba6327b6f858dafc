//! Files that only their owner reads: the state holds leads.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use crate::ownership;

/// Opens the file for writing; makes it where it is not there.
pub(super) fn file(path: &Path) -> io::Result<File> {
    let is_new = !path.exists();
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    if is_new {
        ownership::adopt(path)?;
    }
    Ok(file)
}

/// Leaves a file that was just written to its owner alone.
pub(super) fn restrict(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

/// Whether the path still leads to the open file.
pub(super) fn is_same(path: &Path, file: &File) -> bool {
    let identity = |found: fs::Metadata| (found.dev(), found.ino());
    fs::metadata(path).ok().map(identity) == file.metadata().ok().map(identity)
}
