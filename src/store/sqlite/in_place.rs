//! Whether the files of the open database are still the ones in the state folder.
//!
//! A process goes on writing to files that were deleted or replaced under it, and none of it is there at the
//! next start: mails would be sent that nothing knows of.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The database, its write-ahead log and the log's index. They live as long as a connection does.
pub(in crate::store) const FILES: [&str; 3] = ["leadflow.db", "leadflow.db-wal", "leadflow.db-shm"];

/// The files that were there when the database was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct OpenFiles {
    folder: PathBuf,
    found: [Option<Place>; FILES.len()],
}

impl OpenFiles {
    /// Those of a state folder, whose database has been read.
    pub(in crate::store) fn of(folder: &Path) -> Self {
        Self { found: found(folder), folder: folder.to_owned() }
    }

    pub(in crate::store) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(in crate::store) fn are_in_place(&self) -> bool {
        // Only what is surely gone, or another, counts: a disk may fail to answer for a moment.
        let now = found(&self.folder);
        now.iter().zip(&self.found).all(|(now, then)| now.is_none() || then.is_none() || now == then)
    }
}

/// Device and inode of a file; `None` where there is none.
type Place = Option<(u64, u64)>;

/// `None` where the file system does not say.
fn found(folder: &Path) -> [Option<Place>; FILES.len()] {
    FILES.map(|name| match fs::metadata(folder.join(name)) {
        Ok(found) => Some(Some((found.dev(), found.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(None),
        Err(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use crate::store::{Store, StoreError};

    #[tokio::test]
    async fn no_operation_is_done_on_files_that_are_gone_or_others() {
        for name in super::FILES {
            for replaces in [false, true] {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join(name);
                let store = Store::open(folder.path()).unwrap();
                store.flow_names().await.unwrap();
                drop(Store::open(folder.path()).unwrap());
                store.flow_names().await.unwrap();
                let bytes = std::fs::read(&path).unwrap();
                std::fs::remove_file(&path).unwrap();
                if replaces {
                    // What was deleted is still open, so that the new file has another number.
                    std::fs::write(&path, bytes).unwrap();
                }
                assert!(!store.is_in_place(), "{name}");
                let answer = store.flow_names().await;
                assert!(matches!(answer, Err(StoreError::Replaced(_))), "{name}: {answer:?}");
            }
        }
    }
}
