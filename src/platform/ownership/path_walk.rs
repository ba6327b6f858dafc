//! The way to a file, walked name by name: each is opened beneath the one before and no link is followed by the
//! system, so that what was checked is what is used.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{self, CWD, FileType, Mode, OFlags, Stat, StatVfsMountFlags};
use rustix::io::Errno;

use super::acl;
use super::judge::{Entry, Kind};

/// What was found on the way to a path, as far as it leads.
#[derive(Debug)]
pub(super) struct PathWalk {
    /// Every folder and link on it, and what lies at its end.
    pub(super) entries: Vec<Entry>,
    /// The last folder on it.
    pub(super) folder: OwnedFd,
    /// Where that folder is, without links.
    pub(super) path: PathBuf,
    /// Names that are not there, below that folder.
    pub(super) missing: Vec<OsString>,
}

/// Links that one way may have, as many as the system's.
const LINKS: usize = 40;
/// What Linux calls an automount that was not opened yet.
const AUTOFS: u64 = 0x0187;

/// Walks to the end of the path, or to the last name that is there.
///
/// # Errors
/// When a folder may not be searched, a file is where a folder should be, or links lead round in a circle.
pub(super) fn walk(path: &Path) -> io::Result<PathWalk> {
    let mut entries = Vec::new();
    let (folder, path, missing) = walk_noting(path, &mut entries)?;
    Ok(PathWalk { entries, folder, path, missing })
}

/// The folders and links on the way that this user can see: where the system lets nobody further, the last folder is
/// the one that keeps them out.
pub(super) fn seen(path: &Path) -> Vec<Entry> {
    let mut entries = Vec::new();
    let _ = walk_noting(path, &mut entries);
    entries
}

/// The names whose change may lead the way elsewhere, or give or take what lies at its end: each link on it, its end
/// and the folder of that, and where it is broken off the first name that is not there. All without a link on the way.
pub(super) fn turns(path: &Path) -> Vec<PathBuf> {
    let mut entries = Vec::new();
    let missing = match walk_noting(path, &mut entries) {
        Ok((_, folder, missing)) => missing.first().map(|name| folder.join(name)),
        Err(_) => None,
    };
    let links = entries.iter().filter(|entry| matches!(entry.kind, Kind::Link(_)));
    let mut turns: Vec<PathBuf> = links.map(|entry| entry.path.clone()).collect();
    if let Some(end) = missing.or_else(|| entries.last().map(|entry| entry.path.clone())) {
        turns.extend(end.parent().filter(|folder| folder.parent().is_some()).map(Path::to_owned));
        turns.push(end);
    }
    turns
}

type End = (OwnedFd, PathBuf, Vec<OsString>);

fn walk_noting(path: &Path, entries: &mut Vec<Entry>) -> io::Result<End> {
    let path = std::path::absolute(path)?;
    let root = fs::openat(CWD, "/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    entries.push(entry(&root, PathBuf::from("/"))?);
    let mut folders = vec![(root, PathBuf::from("/"))];
    let mut names = names_of(&path);
    let mut links = 0;
    while let Some(name) = names.pop_front() {
        if name == ".." {
            folders.truncate(folders.len().saturating_sub(1).max(1));
            continue;
        }
        let Some((above, place)) = folders.last() else { break };
        let found = match open(above, &name) {
            Err(Errno::NOENT) => {
                names.push_front(name);
                break;
            }
            found => found?,
        };
        let entry = entry(&found, place.join(&name))?;
        let kind = entry.kind.clone();
        let place = entry.path.clone();
        entries.push(entry);
        match kind {
            Kind::Folder => folders.push((found, place)),
            Kind::Link(target) => {
                links += 1;
                if links > LINKS {
                    return Err(Errno::LOOP.into());
                }
                if target.is_absolute() {
                    folders.truncate(1);
                }
                names = names_of(&target).into_iter().chain(names).collect();
            }
            Kind::File | Kind::Other(_) if !names.is_empty() => return Err(Errno::NOTDIR.into()),
            Kind::File | Kind::Other(_) => {}
        }
    }
    let (folder, path) = folders.pop().ok_or(Errno::NOTDIR)?;
    Ok((folder, path, names.into()))
}

/// The folder that the way leads to, made of those names that are not there yet.
pub(super) fn make(walked: PathWalk, mode: u32, owner: Option<(u32, u32)>) -> io::Result<(OwnedFd, PathBuf)> {
    let PathWalk { mut folder, mut path, missing, .. } = walked;
    for name in missing {
        if name == ".." {
            return Err(Errno::NOENT.into());
        }
        let is_made = match fs::mkdirat(&folder, &name, Mode::from_raw_mode(mode)) {
            // Another process made it at this moment.
            Err(Errno::EXIST) => false,
            result => result.map(|()| true)?,
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = fs::openat(&folder, &name, flags, Mode::empty())?;
        let now = fs::fstat(&opened)?.st_uid;
        if let Some((user, group)) = owner.filter(|(user, _)| is_made && now != *user) {
            if now != uzers::get_effective_uid() {
                return Err(io::Error::other(format!(
                    "{} was replaced in the meantime",
                    path.join(name).display()
                )));
            }
            fs::fchown(&opened, Some(fs::Uid::from_raw(user)), Some(fs::Gid::from_raw(group)))?;
        }
        folder = opened;
        path.push(name);
    }
    Ok((folder, path))
}

/// Opens a name to examine it: no pipe holds this up, and no link is followed.
pub(super) fn open(folder: &OwnedFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = fs::openat(folder, name, flags, Mode::empty())?;
    if u64::try_from(fs::fstatfs(&found)?.f_type) == Ok(AUTOFS) {
        let inside = Path::new(name).join(".");
        return fs::openat(folder, inside, flags | OFlags::DIRECTORY, Mode::empty());
    }
    Ok(found)
}

/// What was opened, in words.
pub(super) fn entry(found: &OwnedFd, path: PathBuf) -> io::Result<Entry> {
    let stat = fs::fstat(found)?;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => {
            Kind::Link(PathBuf::from(OsString::from_vec(fs::readlinkat(found, "", Vec::new())?.into_bytes())))
        }
        other => kind_of(other),
    };
    let is_writable_by_others = stat.st_mode & 0o022 != 0;
    let is_folder = kind == Kind::Folder;
    Ok(Entry {
        has_writers: is_writable_by_others && !matches!(kind, Kind::Link(_)) && acl::has_writers(&path),
        sealed_data: if is_writable_by_others && is_folder { sealed_data(found, &stat)? } else { None },
        kind,
        path,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
    })
}

/// Where `..data` of a read-only folder of root's leads, if that is root's, too.
fn sealed_data(folder: &OwnedFd, stat: &Stat) -> io::Result<Option<PathBuf>> {
    let is_sealed = fs::fstatvfs(folder)?.f_flag.contains(StatVfsMountFlags::RDONLY);
    if !is_sealed || stat.st_uid != 0 {
        return Ok(None);
    }
    let Ok(data) = open(folder, OsStr::new("..data")) else { return Ok(None) };
    if fs::fstat(&data)?.st_uid != 0 {
        return Ok(None);
    }
    let target = fs::readlinkat(&data, "", Vec::new()).ok();
    Ok(target.map(|target| OsString::from_vec(target.into_bytes()).into()))
}

pub(super) fn kind_of(kind: FileType) -> Kind {
    match kind {
        FileType::Directory => Kind::Folder,
        FileType::RegularFile => Kind::File,
        FileType::Fifo => Kind::Other("pipe"),
        FileType::Socket => Kind::Other("socket"),
        FileType::Symlink => Kind::Other("link"),
        _ => Kind::Other("device"),
    }
}

fn names_of(path: &Path) -> VecDeque<OsString> {
    let names = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    names.collect()
}
