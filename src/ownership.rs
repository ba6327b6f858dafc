//! Whose files are whose: what root makes belongs to the user of the service, and a file that may not
//! be read or written is explained by who owns it and what to type.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown};
use std::path::Path;

/// Makes the folder, and those above it, where they are not there; a new one belongs to the owner of
/// the one above it.
pub(crate) fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() || path.as_os_str().is_empty() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        make_folder(above, mode)?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => adopt(path),
    }
}

/// Gives what was just made to the owner of its folder, so that the service can go on with what root
/// has made. Anybody else owns what they make already.
pub(crate) fn adopt(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (owner, own) = (fs::metadata(folder)?, fs::metadata(path)?);
    let is_root = uzers::get_effective_uid() == 0;
    if is_root && own.uid() != owner.uid() {
        chown(path, Some(owner.uid()), Some(owner.gid()))
    } else {
        Ok(())
    }
}

/// What the system said; where it is about rights, also who owns the path, who asks, and what to type.
pub(crate) fn explained(path: &Path, error: &io::Error) -> String {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return error.to_string();
    }
    let me = name_of(uzers::get_effective_uid());
    let Some((there, found)) = path.ancestors().find_map(|there| Some((there, fs::metadata(there).ok()?)))
    else {
        return error.to_string();
    };
    let owner = name_of(found.uid());
    let group = uzers::get_group_by_gid(found.gid())
        .map_or_else(|| found.gid().to_string(), |group| group.name().to_string_lossy().into_owned());
    let mode = found.mode() & 0o7777;
    let remedy = if me == "root" {
        "even root may not: is the file system read-only, or on the network?".to_owned()
    } else if owner == "root" || owner == "nobody" {
        "type sudo before the command".to_owned()
    } else {
        format!("type sudo before the command, or sudo -u {owner}")
    };
    format!(
        "{error}: {} belongs to {owner}:{group} (mode {mode:04o}), and you are {me}; {remedy}",
        there.display()
    )
}

fn name_of(user: u32) -> String {
    uzers::get_user_by_uid(user)
        .map_or_else(|| format!("user {user}"), |user| user.name().to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_explained_and_other_errors_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("not/there");
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let words = explained(&path, &denied);
        let place = folder.path().display().to_string();
        for word in [&place, "belongs to", "(mode 0", "and you are"] {
            assert!(words.contains(word), "`{word}` is not in: {words}");
        }
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(explained(&path, &full), full.to_string());
    }

    #[test]
    fn folders_are_made_down_to_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/c");
        make_folder(&path, 0o700).unwrap();
        make_folder(&path, 0o700).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(make_folder(&folder.path().join("file/d"), 0o700).is_err());
    }
}
