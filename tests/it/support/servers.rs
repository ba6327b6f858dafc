//! The servers of `tests/servers`: installed on first use, each on a leash.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The folder with the servers, after `npm ci` has filled it.
pub(crate) fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers");
        let needs = "the tests run real servers on Node.js 20 or newer, with npm; install them from https://nodejs.org";
        let version = Command::new("node").arg("--version").output().unwrap_or_else(|error| panic!("{needs}: {error}"));
        let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
        let major: u32 = version.trim_start_matches('v').split('.').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        assert!(major >= 20, "{needs}; this is {version}");
        let (lock, installed) = (folder.join("package-lock.json"), folder.join("node_modules/.installed"));
        let wanted = std::fs::read(lock).unwrap();
        if std::fs::read(&installed).ok().as_ref() != Some(&wanted) {
            let npm = Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder).output();
            let npm = npm.unwrap_or_else(|error| panic!("{needs}: {error}"));
            assert!(npm.status.success(), "npm ci in tests/servers failed: {}", String::from_utf8_lossy(&npm.stderr));
            std::fs::write(installed, wanted).unwrap();
        }
        folder
    })
}

/// A server that ends with the test, killed or not.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// The first line that it printed.
    pub(crate) greeting: String,
}

impl Server {
    /// Starts `node` with these arguments in the servers' folder and waits for its first line.
    pub(crate) fn start(arguments: &[String]) -> Self {
        let mut command = Command::new("node");
        command.args(arguments).current_dir(folder());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut greeting = String::new();
        lines.read_line(&mut greeting).unwrap();
        assert!(!greeting.is_empty(), "node {arguments:?} ended at once: {:?}", child.wait());
        // Whatever else it prints must find a reader.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Self { child, greeting }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
