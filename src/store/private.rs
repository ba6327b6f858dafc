//! Files that only their owner reads: the state holds leads. What root makes in a folder of
//! another user belongs to that user, so that the service can go on.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
};
use std::path::Path;

/// Makes the folder, and those above it, where they are not there.
pub(super) fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Opens the file for writing; makes it where it is not there.
pub(super) fn file(path: &Path) -> io::Result<File> {
    let is_new = !path.exists();
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    if is_new && let Some(folder) = path.parent() {
        let (owner, own) = (fs::metadata(folder)?, file.metadata()?);
        if own.uid() != owner.uid() {
            fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
        }
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
