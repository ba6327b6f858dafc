//! The decision who may change a file: a pure one, over every name on the way to it.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

/// A name on the way from `/` to a file. Its path holds no link but, it may be, the last name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What it is.
    pub(crate) kind: Kind,
    /// Its rights, with the sticky bit.
    pub(crate) mode: u32,
    /// Whose it is.
    pub(crate) uid: u32,
    /// Whose group's it is.
    pub(crate) gid: u32,
    /// An access control list lets somebody write who is not its owner.
    pub(crate) has_writers: bool,
    /// Where its link `..data` leads, and its file system is mounted read-only: what Kubernetes makes of a
    /// `ConfigMap` or Secret.
    pub(crate) sealed_data: Option<PathBuf>,
}

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A folder.
    Folder,
    /// A plain file.
    File,
    /// A symbolic link, and where it leads.
    Link(PathBuf),
    /// A pipe, a device, a socket.
    Other(&'static str),
}

/// Who may own what lies on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trust {
    /// Root, and the user that leadflow runs as.
    pub(crate) users: Vec<u32>,
    /// The user of the service, where another runs a command: the owner of the state folder.
    pub(crate) service: Option<u32>,
}

/// What is wrong, and what to type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {help}")]
pub struct Finding {
    /// What is wrong, where, and what it may lead to.
    pub(crate) message: String,
    /// How to fix it.
    pub(crate) help: String,
}

/// Judges the way to a file. `loss` is what strangers would get by changing it, as in "and so …". Returns what
/// deserves a warning.
///
/// # Errors
/// The first name that somebody may change who is not trusted.
pub(crate) fn judge(way: &[Entry], trust: &Trust, loss: &str) -> Result<Vec<Finding>, Finding> {
    let mut warnings = Vec::new();
    for (at, entry) in way.iter().enumerate() {
        whose(entry, parent(way, entry), trust, loss)?;
        if let Kind::Other(kind) = entry.kind {
            return Err(not_plain(&entry.path, kind));
        }
        // The rights of a link say nothing, and nobody can change what root has mounted read-only.
        if !matches!(entry.kind, Kind::Link(_)) && !is_in_a_mount_of_kubernetes(way, entry) {
            let is_on_the_way = at + 1 < way.len();
            warnings.extend(rights(entry, is_on_the_way, loss)?);
        }
    }
    Ok(warnings)
}

/// A link leads where its owner wants.
///
/// # Errors
/// The first link on the way whose owner is not trusted.
pub(super) fn judge_links(way: &[Entry], trusted: &[u32]) -> Result<(), Finding> {
    let stranger = way.iter().find_map(|entry| match &entry.kind {
        Kind::Link(target) if !trusted.contains(&entry.uid) => Some((entry, target)),
        _ => None,
    });
    let Some((entry, target)) = stranger else { return Ok(()) };
    let path = entry.path.display();
    let owner = super::name_of(entry.uid);
    Err(Finding {
        message: format!("{path} is a link of {owner}'s to {}", target.display()),
        help: format!("name the folder itself, or, if the link is right, type: sudo chown -h root: {path}"),
    })
}

/// Who owns it. Where everybody may put files, the user of the service may not either: the file may have been there
/// before.
fn whose(entry: &Entry, above: Option<&Entry>, trust: &Trust, loss: &str) -> Result<(), Finding> {
    let is_open = above.is_some_and(|above| above.mode & 0o1000 != 0 && above.mode & 0o022 != 0);
    if trust.users.contains(&entry.uid) || (trust.service == Some(entry.uid) && !is_open) {
        return Ok(());
    }
    let path = entry.path.display();
    let owner = super::name_of(entry.uid);
    let option = if matches!(entry.kind, Kind::Link(_)) { " -h" } else { "" };
    let place = match above.filter(|_| is_open) {
        Some(above) => format!(", in {} where others may put files,", above.path.display()),
        None => String::new(),
    };
    Err(Finding {
        message: format!(
            "{path}{place} belongs to {owner}, who is neither root nor the user that leadflow runs as, and can \
             therefore change {loss}"
        ),
        help: format!("if what it holds is right, type: sudo chown{option} root: {path}"),
    })
}

/// Whether everybody may write to a file of ours, which then is nobody's.
///
/// # Errors
/// When they may; what strangers get by it is what leadflow keeps there.
pub(super) fn judge_file(entry: &Entry) -> Result<(), Finding> {
    rights(entry, false, KEPT).map(drop)
}

/// Who else may write to it.
fn rights(entry: &Entry, is_on_the_way: bool, loss: &str) -> Result<Option<Finding>, Finding> {
    let is_folder = entry.kind == Kind::Folder;
    // In a folder with the sticky bit nobody can rename another's file.
    if is_folder && entry.mode & 0o1000 != 0 {
        return Ok(None);
    }
    let path = entry.path.display();
    let way = if is_on_the_way { ", a folder on the way" } else { "" };
    if entry.mode & 0o002 != 0 {
        return Err(Finding {
            message: format!("every user of this machine can change {path}{way}, and therefore {loss}"),
            help: format!(
                "type: chmod o-w {path} (with sudo, if it is not yours); of folders that everyone may write to, only \
                 Kubernetes mounts of a ConfigMap or Secret are accepted"
            ),
        });
    }
    if entry.has_writers {
        return Ok(Some(Finding {
            message: format!(
                "an access control list lets users other than its owner change {path}{way}, and therefore \
                 {loss}"
            ),
            help: format!("see it with getfacl {path}; to remove it: setfacl -b {path}"),
        }));
    }
    // A group with its owner's number is that user's own.
    let is_shared = entry.mode & 0o020 != 0 && entry.gid != entry.uid;
    Ok(is_shared.then(|| Finding {
        message: format!(
            "the group {} can change {path}{way}, and therefore {loss}",
            super::name_of_group(entry.gid)
        ),
        help: format!("if it should not: chmod g-w {path}"),
    }))
}

/// What strangers get by writing to the folder of the state, or to what is in it.
pub(super) const KEPT: &str = "what leadflow keeps there";

/// What is not a plain file is never read: it may be a trap, and has no end.
pub(crate) fn not_plain(path: &Path, kind: &str) -> Finding {
    let path = path.display();
    Finding {
        message: format!("{path} is a {kind}, not a plain file"),
        // Whoever names a device by mistake is not shown a command that would delete it.
        help: "name a plain file instead".to_owned(),
    }
}

fn parent<'a>(way: &'a [Entry], entry: &Entry) -> Option<&'a Entry> {
    let above = entry.path.parent()?;
    way.iter().find(|one| one.path == above)
}

fn is_in_a_mount_of_kubernetes(way: &[Entry], entry: &Entry) -> bool {
    way.iter().any(|one| is_mount_of_kubernetes(one) && entry.path.starts_with(&one.path))
}

/// Kubernetes mounts a `ConfigMap` or Secret as a folder of root's with the rights 0777 or 1777, read-only, whose files
/// are links into `..data`, a link to a folder beside it as `..2026_01_05_08_00_00.123456789`.
fn is_mount_of_kubernetes(entry: &Entry) -> bool {
    let Some(data) = entry.sealed_data.as_deref().and_then(Path::to_str) else { return false };
    let is_stamp = data.strip_prefix("..").is_some_and(|stamp| {
        stamp.starts_with(|first: char| first.is_ascii_digit())
            && stamp.chars().all(|one| one.is_ascii_digit() || ['_', '.'].contains(&one))
    });
    entry.kind == Kind::Folder && entry.uid == 0 && is_stamp
}
