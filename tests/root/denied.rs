//! Commands of a user who may not read the state.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;

use crate::owner::{Office, STRANGER};

/// Every command that needs the state, or what lies in its folder.
const COMMANDS: [&[&str]; 26] = [
    &["list"],
    &["list", "--json"],
    &["history"],
    &["history", "--follow"],
    &["history", "show", "1"],
    &["stats"],
    &["schedule", "leads"],
    &["trigger", "leads"],
    &["resubmit", "1"],
    &["replay", "leads", "--from", "2 hours"],
    &["outbox", "list"],
    &["outbox", "show", "1"],
    &["outbox", "retry"],
    &["outbox", "drop", "1"],
    &["lead", "list", "leads"],
    &["lead", "show", "leads", "p/r"],
    &["lead", "export", "leads"],
    &["lead", "add", "leads", "--test"],
    &["preview", "leads"],
    &["table", "list", "demo"],
    &["health", "--json"],
    &["backup", "/tmp/copy.db"],
    &["rename", "old", "leads"],
    &["recover", "--since", "1 hour"],
    &["off", "leads"],
    &["run", "--once"],
];

/// The exit status and the output when a stranger types it.
fn typed_by_a_stranger(office: &Office, arguments: &[&str]) -> (i32, String) {
    let mut command = office.command(arguments);
    command.uid(STRANGER).gid(STRANGER).env_remove("SUDO_UID").stdin(Stdio::null());
    let output = command.output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), said)
}

#[test]
fn a_user_who_may_not_read_the_state_learns_what_to_type() {
    let office = Office::that_has_run();
    fs::set_permissions(office.path(""), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(office.path("flows.toml"), Permissions::from_mode(0o644)).unwrap();
    let private = office.path("private");
    fs::create_dir(&private).unwrap();
    fs::rename(office.path("state"), private.join("state")).unwrap();
    symlink("private/state", office.path("state")).unwrap();
    let rights = |path: &str, mode| {
        fs::set_permissions(office.path(path), Permissions::from_mode(mode)).unwrap();
    };
    // As systemd leaves the folder of a dynamic user; then each way in which the rest may be shut.
    let shut = [
        ("private", 0o700, "private belongs to root:root (mode 0700)"),
        ("private/state", 0o750, "private/state belongs to user 61234:61234 (mode 0750)"),
        ("private/state/leadflow.db", 0o600, " (mode 0600)"),
    ];
    for (path, mode, words) in shut {
        rights("private", 0o755);
        rights("private/state", 0o755);
        rights(path, mode);
        for arguments in COMMANDS {
            let (code, said) = typed_by_a_stranger(&office, arguments);
            assert_eq!(code, 1, "{path}, {arguments:?}: {said}");
            for wanted in [words, "and you are user 61666", "type sudo before the command"] {
                assert!(said.contains(wanted), "{path}, {arguments:?}: `{wanted}` is not in: {said}");
            }
            assert!(!said.contains("sudo -u user") && !said.contains("os error 17"), "{said}");
        }
    }
}

/// A state that everybody may read, its lock not.
fn readable() -> Office {
    let office = Office::that_has_run();
    for (path, mode) in [("", 0o755), ("flows.toml", 0o644), ("state", 0o755), ("state/leadflow.db", 0o644)] {
        fs::set_permissions(office.path(path), Permissions::from_mode(mode)).unwrap();
    }
    office
}

#[test]
fn a_user_who_may_not_write_the_state_continues_to_follow_it_when_a_daemon_starts() {
    let office = readable();
    let mut command = office.command(&["history", "--follow", "--json"]);
    command.uid(STRANGER).gid(STRANGER).env_remove("SUDO_UID").stdin(Stdio::null());
    let mut follows = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follows.stdout.take().unwrap()).lines();
    let mut next_run = || {
        let line = lines.next().expect("it still follows").unwrap();
        serde_json::from_str::<serde_json::Value>(&line).unwrap()["run"].clone()
    };
    assert_eq!(next_run(), 1);
    let daemon = office.sandbox().daemon();
    office.exits(0, &["trigger", "leads"]);
    assert_eq!(next_run(), 2);
    assert!(daemon.stop().success());
    follows.kill().unwrap();
    follows.wait().unwrap();
}

#[test]
fn health_answers_a_user_who_may_not_read_the_lock() {
    let office = readable();
    let daemon = office.sandbox().daemon();
    let (code, said) = typed_by_a_stranger(&office, &["health"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("all is well"), "{said}");
    assert!(
        said.contains("it is not known whether a daemon is running") && said.contains("leadflow.lock"),
        "{said}"
    );
    assert!(daemon.stop().success());
}

#[test]
fn a_user_who_may_only_read_the_state_can_look_and_changes_nothing() {
    let office = readable();
    let before = fs::read(office.path("state/leadflow.db")).unwrap();
    let names = || {
        let entries = fs::read_dir(office.path("state")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let there = names();
    for arguments in [
        &["list"][..],
        &["history", "--json"],
        &["history", "show", "1"],
        &["stats"],
        &["schedule", "leads"],
        &["outbox", "list"],
    ] {
        let (code, said) = typed_by_a_stranger(&office, arguments);
        assert_eq!(code, 0, "{arguments:?}: {said}");
    }
    for arguments in [&["off", "leads"][..], &["outbox", "retry"], &["trigger", "leads"]] {
        let (code, said) = typed_by_a_stranger(&office, arguments);
        assert!(code == 1 && said.contains("type sudo before the command"), "{arguments:?}: {said}");
    }
    assert_eq!(fs::read(office.path("state/leadflow.db")).unwrap(), before);
    assert_eq!(names(), there, "nothing is made beside it");
}
