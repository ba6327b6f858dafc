//! One process at a time works on the state.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::files;
use crate::platform::ownership::{Folder, Use};
use crate::store::StoreError;

/// Keeps a second daemon out of the state folder for as long as it lives.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    file: File,
}

/// The file whose lock keeps a second daemon out.
const LOCK: &str = "leadflow.lock";

impl Lock {
    /// Takes the lock of a state folder, which is made if need be.
    ///
    /// # Errors
    /// When another process holds it, or the folder cannot be written.
    pub fn take(folder: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Folder { folder: folder.to_owned(), source };
        let place = Folder::make(folder, 0o700, Use::Own).map_err(failed)?;
        let file = files::file(&place, LOCK).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path: folder.join(LOCK), file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Busy(folder.to_owned())),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Whether a process has the lock. To ask needs no right to write.
    ///
    /// # Errors
    /// When it may not be asked.
    pub fn is_taken(folder: &Path) -> Result<bool, StoreError> {
        let failed = |source| StoreError::Folder { folder: folder.to_owned(), source };
        let place = Folder::open(folder, Use::Own).map_err(failed)?;
        let Some(file) = place.file(LOCK, false).map_err(failed)? else { return Ok(false) };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Whether the folder is still the one that was locked, and not deleted or replaced.
    pub fn is_held(&self) -> bool {
        files::is_same(&self.path, &self.file)
    }
}
