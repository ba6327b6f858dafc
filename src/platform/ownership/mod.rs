//! Whose files are whose: what root makes belongs to the user of the service, nobody's link leads it elsewhere, and a
//! file that may not be read or written is explained by who owns it and what to type.

mod acl;
mod database;
mod draft;
mod folder;
mod judge;
mod path_walk;
mod plain;
mod reader;
#[cfg(test)]
mod tests;
mod users;

use std::io;
use std::path::{Path, PathBuf};

pub(crate) use database::{DatabaseError, open_database, open_database_to_read};
pub use draft::{Draft, Readers};
pub(crate) use folder::{Folder, Use};
pub use judge::Finding;
pub(crate) use plain::{open_inside, read_beside, read_plain, remove_inside};
pub(crate) use reader::{Reader, Refusal};
pub use users::who_asks;
pub(crate) use users::{asks_for_it, name_of, name_of_group, trusted_users, word_of};

/// The largest file of certificates that is read; a system's own has some hundred KiB.
pub(crate) const LARGEST_AUTHORITIES: u64 = 16 << 20;

/// Who may change a file that is there, with the user of the service among those who may. `loss` says what strangers
/// would get by it. Returns what deserves a warning; a file that is not there, or may not be seen, is nobody's.
///
/// # Errors
/// The first name on the way that somebody may change who may not.
pub(crate) fn check(path: &Path, service: Option<u32>, loss: &str) -> Result<Vec<Finding>, Finding> {
    let Ok(way) = path_walk::walk(path) else { return Ok(Vec::new()) };
    let trust = judge::Trust { users: trusted_users(), service };
    judge::judge(&way.entries, &trust, loss)
}

/// The names whose change may change what a path leads to.
pub(crate) fn turns(path: &Path) -> Vec<PathBuf> {
    path_walk::turns(path)
}

/// Makes a folder for what is not secret, and those above it; no stranger's link leads there.
///
/// # Errors
/// When it cannot be made, or a stranger could lead it elsewhere.
pub fn make_folder(path: &Path) -> io::Result<()> {
    Folder::make(path, 0o755, Use::Shared).map(drop)
}

/// Who owns what lies at a path, or the last folder on the way to it.
pub(crate) fn owner_of(path: &Path) -> Option<u32> {
    path_walk::walk(path)
        .ok()?
        .entries
        .iter()
        .rev()
        .find(|entry| !matches!(entry.kind, judge::Kind::Link(_)))
        .map(|entry| entry.uid)
}

/// Why root or somebody else may not use it, where this is the reason.
pub(crate) fn refusal(error: &io::Error) -> Option<&Finding> {
    error.get_ref()?.downcast_ref()
}

/// What the system said; where it is about rights, also who owns what, who asks, and what to type.
pub(crate) fn explained(path: &Path, error: &io::Error) -> String {
    if let Some(finding) = refusal(error) {
        return finding.to_string();
    }
    if error.kind() != io::ErrorKind::PermissionDenied {
        return error.to_string();
    }
    denied(path).map_or_else(|| error.to_string(), |finding| format!("{error}: {finding}"))
}

/// The error, with [`explained`] for what it says, when it is about rights: for a path that the caller does not know.
pub(crate) fn with_reason(path: &Path, error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::PermissionDenied || refusal(&error).is_some() {
        return error;
    }
    match denied(path) {
        Some(Finding { message, help }) => {
            let message = format!("{error}: {message}");
            io::Error::new(error.kind(), Finding { message, help })
        }
        None => error,
    }
}

/// What keeps this user from a path, and what to type.
fn denied(path: &Path) -> Option<Finding> {
    let entries = path_walk::seen(path);
    let found = entries.iter().rev().find(|entry| !matches!(entry.kind, judge::Kind::Link(_)))?;
    let me = uzers::get_effective_uid();
    let owner = name_of(found.uid);
    let group = name_of_group(found.gid);
    let mode = found.mode;
    let help = if me == 0 {
        "even root may not: is the file system read-only, or on the network?".to_owned()
    } else if found.uid == 0 || owner == "nobody" || word_of(found.uid) != owner {
        "type sudo before the command".to_owned()
    } else {
        format!("type sudo before the command, or sudo -u {owner}")
    };
    let place = found.path.display();
    let me = name_of(me);
    let message = format!("{place} belongs to {owner}:{group} (mode {mode:04o}), and you are {me}");
    Some(Finding { message, help })
}
