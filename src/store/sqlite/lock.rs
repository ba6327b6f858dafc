//! One process at a time works on the state.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::files;
use crate::platform::ownership::{Folder, Use};
use crate::store::StoreError;

/// Keeps a second process from working on the state for as long as it lives.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    file: File,
}

/// Which process works on a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// The daemon. It does what commands ask for, and works until it is stopped.
    Daemon,
    /// A command that does its work itself. It hears no other command, and ends by itself.
    Command {
        /// What was typed after `leadflow`.
        name: String,
        /// The number of its process.
        process: u32,
    },
}

impl Owner {
    /// This process, which does what was typed.
    pub fn command(name: &str) -> Self {
        Self::Command { name: name.to_owned(), process: std::process::id() }
    }

    fn parse(text: &str) -> Option<Self> {
        let line = text.strip_suffix('\n')?;
        if line == DAEMON {
            return Some(Self::Daemon);
        }
        let (process, name) = line.split_once(' ')?;
        Some(Self::Command { name: name.to_owned(), process: process.parse().ok()? })
    }

    fn line(&self) -> String {
        match self {
            Self::Daemon => format!("{DAEMON}\n"),
            Self::Command { name, process } => format!("{process} {name}\n"),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Daemon => f.write_str("the daemon"),
            Self::Command { name, process } => write!(f, "`leadflow {name}` (process {process})"),
        }
    }
}

/// The file whose lock keeps a second process out; it names the owner.
const LOCK: &str = "leadflow.lock";
/// What the daemon writes into it.
const DAEMON: &str = "daemon";
/// How long the lock may be held by a process that only asks whether it is held, or not yet name its owner.
const A_LOOK: Duration = Duration::from_millis(50);
/// Between two attempts.
const SOON: Duration = Duration::from_millis(5);
/// More bytes than any owner writes.
const LARGEST: u64 = 200;

impl Lock {
    /// Takes the lock of a state folder, which is made if need be.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when another process holds it; when the folder cannot be written.
    pub fn take(folder: &Path, owner: &Owner) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Folder { folder: folder.to_owned(), source };
        let place = Folder::make(folder, 0o700, Use::Own).map_err(failed)?;
        let mut file = files::file(&place, LOCK).map_err(failed)?;
        let began = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if began.elapsed() < A_LOOK => thread::sleep(SOON),
                Err(TryLockError::WouldBlock) => {
                    let owner = owner_in(&mut file).unwrap_or(Owner::Daemon);
                    return Err(StoreError::Busy { folder: folder.to_owned(), owner });
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        let line = owner.line();
        let written = file.set_len(0).and_then(|()| file.write_all(line.as_bytes()));
        match (written, owner) {
            // A file that says nothing is taken for the daemon's, which goes on when the disk is full.
            (Err(source), Owner::Command { .. }) => Err(failed(source)),
            _ => Ok(Self { path: folder.join(LOCK), file }),
        }
    }

    /// Who works on the state, if anybody does. To ask needs no right to write.
    ///
    /// # Errors
    /// When it may not be asked.
    pub fn owner(folder: &Path) -> Result<Option<Owner>, StoreError> {
        let failed = |source| StoreError::Folder { folder: folder.to_owned(), source };
        let place = Folder::open(folder, Use::Own).map_err(failed)?;
        let began = Instant::now();
        loop {
            let Some(mut file) = place.file(LOCK, false).map_err(failed)? else { return Ok(None) };
            match file.try_lock_shared() {
                Ok(()) => return Ok(None),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
                Err(TryLockError::WouldBlock) => match owner_in(&mut file) {
                    None if began.elapsed() < A_LOOK => thread::sleep(SOON),
                    // An earlier version says nothing.
                    owner => return Ok(Some(owner.unwrap_or(Owner::Daemon))),
                },
            }
        }
    }

    /// Whether the folder is still the one that was locked, and not deleted or replaced.
    pub fn is_held(&self) -> bool {
        files::is_same(&self.path, &self.file)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The next one says who it is a moment after it has the lock.
        let _ = self.file.set_len(0);
    }
}

fn owner_in(file: &mut File) -> Option<Owner> {
    let mut text = String::new();
    file.take(LARGEST).read_to_string(&mut text).ok()?;
    Owner::parse(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_says_who_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert_eq!(Lock::owner(path).unwrap(), None);
        for owner in [Owner::Daemon, Owner::command("run --once"), Owner::command("outbox retry")] {
            let lock = Lock::take(path, &owner).unwrap();
            assert_eq!(Lock::owner(path).unwrap().as_ref(), Some(&owner));
            let refused = Lock::take(path, &Owner::Daemon).unwrap_err();
            assert!(matches!(&refused, StoreError::Busy { owner: named, .. } if *named == owner));
            assert!(refused.to_string().contains(&owner.to_string()), "{refused}");
            drop(lock);
            assert_eq!(Lock::owner(path).unwrap(), None);
        }
    }

    #[test]
    fn an_owner_that_does_not_say_what_it_is_is_a_daemon_of_an_earlier_version() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create_new(folder.path().join(LOCK)).unwrap();
        file.try_lock().unwrap();
        assert_eq!(Lock::owner(folder.path()).unwrap(), Some(Owner::Daemon));
        assert!(matches!(
            Lock::take(folder.path(), &Owner::Daemon),
            Err(StoreError::Busy { owner: Owner::Daemon, .. })
        ));
    }
}
