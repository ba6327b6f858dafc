//! Files that a command writes where somebody says. They hold leads: only who asked for them can read them, from
//! their first byte, and they get their name when they are whole.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{self, Gid, Uid};

use super::folder::{Folder, part_of};
use super::judge::{Entry, Finding, Kind, Trust, judge, judge_links};
use super::path_walk;
use super::users::{sudo_group, sudo_user, trusted_users};

/// Who can read a file that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Who asked for it: under `sudo` that is who typed it.
    Asker,
    /// Everybody.
    All,
}

/// A file that is being written; it goes when it is dropped before it is whole.
#[derive(Debug)]
pub struct Draft {
    folder: Folder,
    name: String,
    part: String,
    file: File,
    is_new: bool,
    is_kept: bool,
}

impl Draft {
    /// Begins a file in the place of an older one, if there is one. Others may have the folder: nothing of theirs is
    /// opened, and none of their links leads there.
    ///
    /// # Errors
    /// When the name is that of a link or another thing that is not a plain file, or the folder cannot be written.
    pub fn replacing(path: &Path, readers: Readers) -> io::Result<Self> {
        let (parent, name) = split(path)?;
        let way = path_walk::walk(parent)?;
        let owner = fs::fstat(&way.folder)?.st_uid;
        let trusted: Vec<u32> = trusted_users().into_iter().chain(sudo_user()).chain([owner]).collect();
        judge_links(&way.entries, &trusted).map_err(io::Error::other)?;
        let folder = Folder::found(way)?;
        if let Some(entry) = folder.entry(&name)? {
            may_be_replaced(&entry)?;
        }
        let mode = if readers == Readers::All { 0o644 } else { 0o600 };
        let draft = Self::begin(folder, name, false, mode)?;
        if let (Some(user), Some(group)) = (sudo_user(), sudo_group())
            && readers == Readers::Asker
            && uzers::get_effective_uid() == 0
        {
            fs::fchown(&draft.file, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))?;
        }
        Ok(draft)
    }

    /// Begins a file that must not be there yet, in a folder that nobody else may change: a library opens it by its
    /// name. `service` owns what is written already.
    ///
    /// # Errors
    /// When something has its name, or the folder cannot be written, or others may change it.
    pub(crate) fn new(path: &Path, service: Option<u32>) -> io::Result<Self> {
        let (parent, name) = split(path)?;
        let way = path_walk::walk(parent)?;
        let users = trusted_users().into_iter().chain(sudo_user()).chain(service).collect();
        let judged = judge(&way.entries, &Trust { users, service: None }, "the previous copy is complete");
        judged.map_err(|finding| {
            io::Error::other(Finding { help: format!("{}, or name another folder", finding.help), ..finding })
        })?;
        let folder = Folder::found(way)?;
        if folder.entry(&name)?.is_some() {
            let help = "name another file".to_owned();
            return Err(io::Error::other(Finding { message: "it already exists".to_owned(), help }));
        }
        Self::begin(folder, name, true, 0o600)
    }

    fn begin(folder: Folder, name: String, is_new: bool, mode: u32) -> io::Result<Self> {
        let part = part_of(&name);
        let file = folder.new_own_file(&part, mode)?;
        Ok(Self { folder, name, part, file, is_new, is_kept: false })
    }

    /// Where it is written now, without a link on the way.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join(&self.part)
    }

    /// Gives the whole file its name.
    ///
    /// # Errors
    /// When it is not on the disk, is not the one that was begun any more, or its name was taken meanwhile.
    pub fn keep(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        if !self.folder.is_still(&self.part, &fs::fstat(&self.file)?) {
            return Err(io::Error::other(
                "it was replaced while it was being written; check who may write there",
            ));
        }
        if self.is_new {
            self.folder.rename_to_new(&self.part, &self.name)?;
        } else {
            self.folder.rename(&self.part, &self.name)?;
        }
        self.is_kept = true;
        Ok(())
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = self.folder.remove(&self.part);
        }
    }
}

fn split(path: &Path) -> io::Result<(&Path, String)> {
    let name = path.file_name().and_then(OsStr::to_str);
    let name = name.ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidFilename, "the path must end with a name, in UTF-8")
    })?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((parent, name.to_owned()))
}

fn may_be_replaced(entry: &Entry) -> io::Result<()> {
    let (what, help) = match &entry.kind {
        Kind::File => return Ok(()),
        Kind::Folder => return Err(io::ErrorKind::IsADirectory.into()),
        Kind::Link(target) => (format!("a link to {}", target.display()), "name the file itself"),
        Kind::Other(kind) => (format!("a {kind}, not a plain file"), "name another"),
    };
    let message = format!("{} is {what}", entry.path.display());
    Err(io::Error::other(Finding { message, help: help.to_owned() }))
}
