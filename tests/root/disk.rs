//! File systems of their own for the state folder.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use leadflow_test_postgres::Cluster;

use crate::support::azurite::Table;
use crate::support::flows_toml::guide;
use crate::support::leadflow::Sandbox;
use crate::support::leads::{keys, leads};
use crate::support::mail_server::MailServer;
use crate::support::{database, eventually, oracle};

/// A mounted file system, which goes with the test.
pub(crate) struct Mount(PathBuf);

impl Mount {
    pub(crate) fn new(arguments: &[&str], source: &Path, place: &Path) -> Self {
        fs::create_dir_all(place).unwrap();
        must(Command::new("mount").args(arguments).arg(source).arg(place));
        Self(place.to_owned())
    }
}

impl Mount {
    pub(crate) fn end(self) {
        must(Command::new("umount").arg(&self.0));
        std::mem::forget(self);
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: whatever still holds it, the next test finds its place free.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn must(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?} failed: {said}; these tests need root, mount, loop devices and mkfs.ext4 (Debian: e2fsprogs, mount)"
    );
}

struct Office {
    sandbox: Sandbox,
    table: Table,
    server: MailServer,
}

impl Office {
    /// The guide's flow each second, its state in `disk/state`.
    fn new() -> Self {
        let (table, server) = (Table::create_here(), MailServer::start(&["--delay-data", "50"]));
        let flows = guide(&table.name, server.port).every("second").more("per_hour = 100000");
        Self { sandbox: Sandbox::with_azurite(flows.settings("state = \"disk/state\"")), table, server }
    }

    fn insert(&self, numbers: std::ops::Range<usize>) {
        self.table.insert_here(&leads(numbers));
    }

    /// The oracle, which looks for the state where it usually is.
    fn check(&self, count: usize) -> oracle::Tally {
        let link = self.sandbox.path("state");
        if !link.exists() {
            std::os::unix::fs::symlink(self.sandbox.path("disk/state"), link).unwrap();
        }
        oracle::check(&self.sandbox, &keys(0..count), &self.server.mails())
    }
}

/// Makes a file system of so many MiB in a file.
fn ext4(file: &Path, mebibytes: u64) {
    fs::File::create(file).unwrap().set_len(mebibytes << 20).unwrap();
    must(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(file));
}

#[test]
fn case_03_power_cuts_on_ext4() {
    let office = Office::new();
    let (image, disk) = (office.sandbox.path("image"), office.sandbox.path("disk"));
    ext4(&image, 64);
    let mut count = 0;
    for cut in 0..8_u64 {
        let mount = Mount::new(&["-o", "loop"], &image, &disk);
        let mut daemon = office.sandbox.daemon();
        office.insert(count..count + 3);
        count += 3;
        thread::sleep(Duration::from_millis(if cut == 0 { 2_500 } else { 400 + cut * 170 }));
        // What the disk holds at this moment, without an unmount: the daemon stands still meanwhile.
        daemon.signal("STOP");
        let after = office.sandbox.path("image.after");
        fs::copy(&image, &after).unwrap();
        daemon.signal("KILL");
        daemon.wait();
        mount.end();
        fs::rename(after, &image).unwrap();
        // The file system itself replays its journal, and is whole.
        let mount = Mount::new(&["-o", "loop"], &image, &disk);
        database::integrity(&disk.join("state"));
        mount.end();
        must(Command::new("e2fsck").args(["-f", "-n"]).arg(&image));
    }
    let _mount = Mount::new(&["-o", "loop"], &image, &disk);
    let daemon = office.sandbox.daemon();
    office.server.wait_for_keys(&keys(0..count));
    assert!(daemon.stop().success());
    fs::remove_file(&image).unwrap();
    office.check(count);
}

#[test]
fn case_05_a_full_disk() {
    let office = Office::new();
    let disk = office.sandbox.path("disk");
    let _mount = Mount::new(&["-t", "tmpfs", "-o", "size=4m"], Path::new("tmpfs"), &disk);
    let daemon = office.sandbox.daemon();
    office.insert(0..3);
    office.server.wait_for_keys(&keys(0..3));
    let before = office.server.mails().len();
    // Everything that is left, to the last byte.
    let filler = disk.join("filler");
    let _ = fs::write(&filler, vec![0; 8 << 20]);
    office.insert(3..6);
    let complaints = || daemon.log().matches("database or disk is full").count();
    eventually("some runs that cannot be recorded", || (complaints() >= 2).then_some(()));
    assert_eq!(office.server.mails().len(), before, "what is not recorded is not sent");
    fs::remove_file(filler).unwrap();
    office.server.wait_for_keys(&keys(3..6));
    assert!(daemon.stop().success());
    assert_eq!(office.check(6).repeats, 0);
}

#[test]
fn a_full_disk_of_the_database() {
    let cluster = Cluster::start("", &[]);
    let (table, server) = (Table::create_here(), MailServer::start(&[]));
    let url = "url = { file = \"database\" }";
    let flows = guide(&table.name, server.port).every("second").more("per_hour = 100000");
    let sandbox = Sandbox::with_azurite(flows.section("settings.postgres", url));
    // Its log of transactions lies elsewhere: without room for that a server ends.
    let disk = cluster.socket().join("disk");
    let options = format!("size=24m,uid={}", fs::metadata(cluster.socket()).unwrap().uid());
    let _mount = Mount::new(&["-t", "tmpfs", "-o", &options], Path::new("tmpfs"), &disk);
    cluster.sql("postgres", &format!("CREATE TABLESPACE disk LOCATION '{}'", disk.display()));
    cluster.sql("postgres", "CREATE ROLE leads LOGIN PASSWORD 'canary-database'");
    cluster.sql("postgres", "CREATE DATABASE leads OWNER leads TABLESPACE disk");
    sandbox.write("database", &format!("postgres://leads:canary-database@127.0.0.1:{}/leads", cluster.port));
    let daemon = sandbox.daemon();
    table.insert_here(&leads(0..3));
    server.wait_for_keys(&keys(0..3));
    let before = server.mails().len();
    let filler = disk.join("filler");
    let _ = fs::write(&filler, vec![0; 24 << 20]);
    // Longer than what is left of any page.
    let (mut large, mut dice) = (leads(3..9), fastrand::Rng::with_seed(3));
    for lead in &mut large {
        lead["Description"] =
            std::iter::repeat_with(|| dice.alphanumeric()).take(30_000).collect::<String>().into();
    }
    table.insert_here(&large);
    let complaints = || daemon.log().matches("the disk of the server is full").count();
    eventually("some runs that cannot be recorded", || (complaints() >= 2).then_some(()));
    assert_eq!(server.mails().len(), before, "what is not recorded is not sent");
    assert!(daemon.log().contains("make room there, or enlarge it"), "{}", daemon.log());
    fs::remove_file(filler).unwrap();
    server.wait_for_keys(&keys(3..9));
    assert!(daemon.stop().success());
    assert_eq!(oracle::check_history(&sandbox, &keys(0..9), &server.mails()).repeats, 0);
}

#[test]
fn case_06_a_read_only_state() {
    let office = Office::new();
    let disk = office.sandbox.path("disk");
    let _mount = Mount::new(&["-t", "tmpfs", "-o", "size=16m"], Path::new("tmpfs"), &disk);
    office.insert(0..3);
    office.sandbox.run_once();
    must(Command::new("mount").args(["-o", "remount,ro"]).arg(&disk));
    office.insert(3..4);
    for arguments in [["run"].as_slice(), &["run", "--once"]] {
        let output = office.sandbox.exits(1, arguments);
        let words = ["cannot use the state folder", "Read-only file system", "settings.state"];
        for words in words {
            assert!(output.stderr.contains(words), "`{words}` is not in: {}", output.stderr);
        }
    }
    for arguments in [["off", "marketplace-leads"].as_slice(), &["backup", "copy.db"], &["check"]] {
        let output = office.sandbox.exits(1, arguments);
        let said =
            format!("{}{}", output.stdout, output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            said.contains("cannot use the state folder") && said.contains("Read-only file system"),
            "{arguments:?}: {said}"
        );
    }
    assert_eq!(office.server.mails().len(), 1);
    must(Command::new("mount").args(["-o", "remount,rw"]).arg(&disk));
    office.sandbox.run_once();
    assert_eq!(office.check(4).repeats, 0);
}
