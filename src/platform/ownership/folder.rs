//! A folder that was walked to and judged, and what is read and written in it by its descriptor.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{self, Access, AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use uuid::Uuid;

use super::judge::{Entry, Finding, KEPT, Kind, Trust, judge, judge_file, judge_links, not_plain};
use super::{path_walk, trusted_users, with_reason};

/// An open folder.
#[derive(Debug)]
pub(crate) struct Folder {
    fd: OwnedFd,
    path: PathBuf,
    owner: (u32, u32),
}

/// What a folder is for, and so how strict its way is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// It holds what leadflow lives from: nobody else may change it.
    Own,
    /// Others may change it, as a mail folder: what is written there leads nowhere else all the same.
    Shared,
}

impl Folder {
    /// Opens a folder that is there.
    ///
    /// # Errors
    /// When it is not, or somebody may change the way to it who may not; then the reason is a [`Finding`].
    pub(crate) fn open(path: &Path, purpose: Use) -> io::Result<Self> {
        let way = path_walk::walk(path)?;
        if way.missing.is_empty() { Self::judged(way, purpose, 0) } else { Err(Errno::NOENT.into()) }
    }

    /// The folder at the end of a way that was judged.
    ///
    /// # Errors
    /// When it is not there.
    pub(super) fn found(way: path_walk::PathWalk) -> io::Result<Self> {
        if !way.missing.is_empty() {
            return Err(Errno::NOENT.into());
        }
        Self::made(way, 0)
    }

    /// Opens a folder, and makes it and those above it where they are not there; a new one belongs to the owner of
    /// the one above it.
    ///
    /// # Errors
    /// As [`Folder::open`], or when it cannot be made.
    pub(crate) fn make(path: &Path, mode: u32, purpose: Use) -> io::Result<Self> {
        Self::judged(path_walk::walk(path)?, purpose, mode)
    }

    fn judged(way: path_walk::PathWalk, purpose: Use, mode: u32) -> io::Result<Self> {
        let owner = fs::fstat(&way.folder)?.st_uid;
        judge_folder(&way.entries, owner, purpose, way.missing.is_empty()).map_err(io::Error::other)?;
        Self::made(way, mode)
    }

    fn made(way: path_walk::PathWalk, mode: u32) -> io::Result<Self> {
        if way.entries.last().is_some_and(|last| matches!(last.kind, Kind::File | Kind::Other(_))) {
            return Err(Errno::NOTDIR.into());
        }
        let stat = fs::fstat(&way.folder)?;
        let owner = (stat.st_uid, stat.st_gid);
        let (fd, path) = path_walk::make(way, mode, Some(owner).filter(|_| is_root()))?;
        Ok(Self { fd, path, owner })
    }

    /// Where it is, without a link on the way.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A file that is there, with its state. It must be a plain one, with one name, of the folder's owner, root or us.
    ///
    /// # Errors
    /// When it is something else: then the reason is a [`Finding`].
    pub(crate) fn stat(&self, name: &str) -> io::Result<Option<Stat>> {
        let Some((found, entry)) = self.open_name(name)? else { return Ok(None) };
        let stat = fs::fstat(&found)?;
        self.plain(&entry, stat.st_nlink).map_err(io::Error::other)?;
        Ok(Some(stat))
    }

    /// What has a name.
    ///
    /// # Errors
    /// When the folder may not be searched.
    pub(super) fn entry(&self, name: &str) -> io::Result<Option<Entry>> {
        Ok(self.open_name(name)?.map(|(_, entry)| entry))
    }

    fn open_name(&self, name: &str) -> io::Result<Option<(OwnedFd, Entry)>> {
        match path_walk::open(&self.fd, OsStr::new(name)) {
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(with_reason(&self.path, error.into())),
            Ok(found) => {
                let entry = path_walk::entry(&found, self.path.join(name))?;
                Ok(Some((found, entry)))
            }
        }
    }

    fn plain(&self, entry: &Entry, names: u64) -> Result<(), Finding> {
        let path = entry.path.display();
        match &entry.kind {
            Kind::File => {}
            Kind::Folder => return Err(moved_away(not_plain(&entry.path, "folder"), &entry.path)),
            Kind::Other(kind) => return Err(moved_away(not_plain(&entry.path, kind), &entry.path)),
            Kind::Link(target) => {
                return Err(Finding {
                    message: format!(
                        "{path} is a link to {}; leadflow does not follow links there",
                        target.display()
                    ),
                    help: format!("put the file itself in its place, after: rm {path}"),
                });
            }
        }
        let mut trusted = trusted_users();
        trusted.push(self.owner.0);
        if !trusted.contains(&entry.uid) {
            let owner = super::name_of(entry.uid);
            let ours = super::word_of(self.owner.0);
            return Err(Finding {
                message: format!(
                    "{path} belongs to {owner}, who is neither root nor the owner of its folder"
                ),
                help: format!("if it is the right file, type: sudo chown {ours}: {path}"),
            });
        }
        judge_file(entry)?;
        if names > 1 {
            return Err(Finding {
                message: format!("{path} has {names} names (hard links), so it may be someone else's file"),
                help: format!(
                    "if it is the right file, type: cp -p {path} {path}.one && mv {path}.one {path}"
                ),
            });
        }
        Ok(())
    }

    /// Opens a plain file that is there for reading, or for writing.
    ///
    /// # Errors
    /// As [`Folder::stat`], or when it may not be opened.
    pub(crate) fn file(&self, name: &str, is_for_writing: bool) -> io::Result<Option<File>> {
        let Some(found) = self.stat(name)? else { return Ok(None) };
        let access = if is_for_writing { OFlags::RDWR } else { OFlags::RDONLY };
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = fs::openat(&self.fd, name, flags, Mode::empty())
            .map_err(|error| with_reason(&self.path.join(name), error.into()))?;
        let opened = fs::fstat(&file)?;
        if (opened.st_dev, opened.st_ino) != (found.st_dev, found.st_ino) {
            return Err(io::Error::other(format!(
                "{} was replaced in the meantime",
                self.path.join(name).display()
            )));
        }
        Ok(Some(file.into()))
    }

    /// Whether this user may read and write a file that is there.
    ///
    /// # Errors
    /// With who may, when this user may not.
    pub(crate) fn may_write(&self, name: &str) -> io::Result<()> {
        match fs::accessat(&self.fd, name, Access::READ_OK | Access::WRITE_OK, AtFlags::EACCESS) {
            Err(error @ (Errno::ACCESS | Errno::ROFS)) => {
                Err(with_reason(&self.path.join(name), error.into()))
            }
            // Whatever else is wrong shows when it is used.
            _ => Ok(()),
        }
    }

    /// Makes a file that is not there yet; it belongs to the owner of the folder.
    ///
    /// # Errors
    /// When it is there, or cannot be made.
    pub(crate) fn new_file(&self, name: &str, mode: u32) -> io::Result<File> {
        let file = self.new_own_file(name, mode)?;
        if is_root() && file.metadata()?.uid() != self.owner.0 {
            let user = fs::Uid::from_raw(self.owner.0);
            let group = fs::Gid::from_raw(self.owner.1);
            fs::fchown(&file, Some(user), Some(group))?;
        }
        Ok(file)
    }

    /// Makes a file that is not there yet; it stays ours.
    ///
    /// # Errors
    /// When it is there, or cannot be made.
    pub(crate) fn new_own_file(&self, name: &str, mode: u32) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file: File = fs::openat(&self.fd, name, flags, Mode::from_raw_mode(mode & 0o700))
            .map_err(|error| with_reason(&self.path, error.into()))?
            .into();
        if mode & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        Ok(file)
    }

    /// Writes a file whole or not at all, over the plain one or the link that has its name; it belongs to the owner
    /// of the folder.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&self, name: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
        let part = part_of(name);
        let written = self.new_file(&part, mode).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()?;
            self.rename(&part, name)
        });
        if written.is_err() {
            let _ = self.remove(&part);
        }
        written
    }

    /// Gives a file another name, over whatever has it; the new name is on the disk then.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::renameat(&self.fd, from, &self.fd, to)?;
        self.sync()
    }

    /// Gives a file another name, which nothing may have.
    ///
    /// # Errors
    /// When something has it, or the system refuses.
    pub(crate) fn rename_to_new(&self, from: &str, to: &str) -> io::Result<()> {
        match fs::renameat_with(&self.fd, from, &self.fd, to, fs::RenameFlags::NOREPLACE) {
            // A file system of the network's.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                if fs::statat(&self.fd, to, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
                    return Err(Errno::EXIST.into());
                }
                fs::renameat(&self.fd, from, &self.fd, to)?;
            }
            renamed => renamed?,
        }
        self.sync()
    }

    /// Takes a name away.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn remove(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(fs::unlinkat(&self.fd, name.as_ref(), AtFlags::empty())?)
    }

    /// Opens whatever plain file has the name for reading, whosever it is.
    ///
    /// # Errors
    /// When it is a link or no plain file, or may not be read.
    pub(super) fn any_file(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = fs::openat(&self.fd, name, flags, Mode::empty())?;
        match FileType::from_raw_mode(fs::fstat(&file)?.st_mode) {
            FileType::RegularFile => Ok(file.into()),
            _ => Err(io::Error::other(not_plain(&self.path.join(name), "pipe, device or folder"))),
        }
    }

    /// Whether a name leads to the file that was checked.
    pub(crate) fn is_still(&self, name: &str, known: &Stat) -> bool {
        fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|now| {
            FileType::from_raw_mode(now.st_mode) == FileType::RegularFile
                && (now.st_dev, now.st_ino) == (known.st_dev, known.st_ino)
        })
    }

    fn sync(&self) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(fs::fsync(fs::openat(&self.fd, ".", flags, Mode::empty())?)?)
    }
}

/// What has a name that is ours makes room for the file.
fn moved_away(finding: Finding, path: &Path) -> Finding {
    let path = path.display();
    Finding { help: format!("move it away: mv {path} {path}.away"), ..finding }
}

/// The name of a file that is being written.
pub(crate) fn part_of(name: &str) -> String {
    format!(".{name}.{}.part", Uuid::new_v4().simple())
}

fn is_root() -> bool {
    uzers::get_effective_uid() == 0
}

/// The owner of the last folder is the user of the service, so far as nobody else may have put it there.
fn judge_folder(way: &[Entry], owner: u32, purpose: Use, is_there: bool) -> Result<(), Finding> {
    let trust = Trust { users: trusted_users(), service: Some(owner) };
    // It is the reason of whatever else is wrong with the way to where it leads.
    judge_links(way, &[trust.users.as_slice(), &[owner]].concat())?;
    let mut way = way.to_vec();
    if let Some(last) = way.last_mut().filter(|last| is_there && last.kind == Kind::Folder) {
        if purpose == Use::Shared {
            (last.mode, last.has_writers) = (last.mode & !0o022, false);
        } else {
            // Not even with the sticky bit: strangers' files would lie among ours.
            last.mode &= !0o1000;
        }
    }
    judge(&way, &trust, KEPT).map(drop)
}
