//! The programs of PostgreSQL, and the user who may run them.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where Debian has each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// The oldest version that the tests run on.
const OLDEST: u32 = 14;

/// Where they are, and as whom they run.
#[derive(Debug)]
pub(super) struct Programs {
    folder: PathBuf,
    /// Another user where this one is root, as whom PostgreSQL does not run.
    user: Option<User>,
}

#[derive(Debug)]
struct User {
    name: String,
    uid: u32,
    gid: u32,
}

impl Programs {
    /// The newest version that is installed.
    pub(super) fn find() -> Self {
        let entries = fs::read_dir(VERSIONS).into_iter().flatten().flatten();
        let versions = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let newest = versions
            .filter(|version| {
                *version >= OLDEST && Path::new(VERSIONS).join(format!("{version}/bin/initdb")).exists()
            })
            .max();
        let needs = "the tests run on PostgreSQL 14 or newer; install it: sudo apt install postgresql";
        let version = newest.unwrap_or_else(|| panic!("{needs}"));
        let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
        let user = is_root.then(|| ["postgres", "nobody"].iter().find_map(|name| User::find(name)).unwrap());
        Self { folder: Path::new(VERSIONS).join(format!("{version}/bin")), user }
    }

    pub(super) fn path(&self, program: &str) -> PathBuf {
        self.folder.join(program)
    }

    /// Gives a file or a folder to the user who runs the server, and to nobody else.
    pub(super) fn hand_over(&self, place: &Path) {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = if place.is_dir() { 0o755 } else { 0o600 };
        fs::set_permissions(place, fs::Permissions::from_mode(mode)).unwrap();
        if let Some(User { uid, gid, .. }) = self.user {
            std::os::unix::fs::chown(place, Some(uid), Some(gid)).unwrap();
        }
    }

    /// A program as that user.
    pub(super) fn command(&self, program: &Path) -> Command {
        let Some(User { name, gid, .. }) = &self.user else { return Command::new(program) };
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", name, "--regid", &gid.to_string(), "--clear-groups", "--reset-env", "--"])
            .arg(program);
        command
    }

    /// What one of them prints.
    pub(super) fn output(&self, program: &str, arguments: &[&str]) -> io::Result<String> {
        let mut command = self.command(&self.path(program));
        let output = command.args(arguments).current_dir("/").output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
    }
}

impl User {
    fn find(name: &str) -> Option<Self> {
        let users = fs::read_to_string("/etc/passwd").ok()?;
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let number = |index| line.split(':').nth(index)?.parse().ok();
        Some(Self { name: name.to_owned(), uid: number(2)?, gid: number(3)? })
    }
}
