//! The disk: power cuts, failed syncs, no space, no rights. A library between leadflow and the
//! system plays the disk; `tests/root` shows the same on real file systems.

use std::fs;
use std::time::Duration;

use super::{create_table, every_second, insert};
use crate::support::disk::library;
use crate::support::leadflow::Sandbox;
use crate::support::leads::keys;
use crate::support::mail_server::MailServer;
use crate::support::{eventually, oracle};

/// What a power cut leaves of the state is what was synced.
fn cut_power(sandbox: &Sandbox) {
    let (state, kept) = (sandbox.path("state"), sandbox.path("kept"));
    for entry in fs::read_dir(&state).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("leadflow.db") {
            fs::remove_file(path).unwrap();
        }
    }
    for name in ["leadflow.db", "leadflow.db-wal"] {
        let from = kept.join(name);
        if from.exists() {
            fs::copy(from, state.join(name)).unwrap();
        }
    }
}

#[test]
fn case_03_power_cuts_take_nothing_that_was_recorded() {
    let (table, server) = (create_table(), MailServer::start(&["--delay-data", "50"]));
    let sandbox = every_second(&table, server.port);
    fs::create_dir(sandbox.path("kept")).unwrap();
    let kept = sandbox.path("kept").display().to_string();
    let disk = [("LD_PRELOAD", library()), ("DISK_KEEPS", kept.as_str())];
    let mut count = 0;
    for cut in 0..12_u64 {
        let mut daemon = sandbox.daemon_with(&disk);
        daemon.wait_for_log("ready");
        insert(&table, count..count + 3);
        count += 3;
        // Now and then in the middle of a mail, of a commit, or while nothing happens.
        std::thread::sleep(Duration::from_millis(if cut == 0 { 2_500 } else { 350 + cut * 130 }));
        daemon.signal("KILL");
        daemon.wait();
        cut_power(&sandbox);
    }
    let daemon = sandbox.daemon();
    server.wait_for_keys(&keys(0..count));
    assert!(daemon.stop().success());
    oracle::check(&sandbox, &keys(0..count), &server.mails());
}

#[test]
fn case_04_a_sync_that_fails_ends_it_and_nothing_is_lost() {
    std::thread::scope(|scope| {
        let fails: Vec<_> =
            [2, 4, 6, 9, 10, 11, 12, 14].map(|number| scope.spawn(move || sync_fails(number))).into();
        for thread in fails {
            thread.join().unwrap();
        }
    });
}

/// The sync of that number fails, once.
fn sync_fails(number: u32) {
    let (table, server) = (create_table(), MailServer::start(&[]));
    let sandbox = every_second(&table, server.port);
    insert(&table, 0..3);
    let number = number.to_string();
    let mut daemon = sandbox.daemon_with(&[("LD_PRELOAD", library()), ("DISK_FAILS_SYNC", &number)]);
    let status = daemon.wait();
    assert_eq!(status.code(), Some(1), "sync {number}: {status}\n{}", daemon.log());
    let words = ["disk I/O error", "does not support SQLite's write-ahead log"];
    assert!(words.iter().any(|words| daemon.log().contains(words)), "sync {number}: {}", daemon.log());
    insert(&table, 3..5);
    let daemon = sandbox.daemon();
    server.wait_for_keys(&keys(0..5));
    assert!(daemon.stop().success());
    oracle::check(&sandbox, &keys(0..5), &server.mails());
}

#[test]
fn case_05_a_full_disk_sends_nothing_unrecorded_and_is_endured() {
    let (table, server) = (create_table(), MailServer::start(&[]));
    let sandbox = every_second(&table, server.port);
    let full = sandbox.path("full");
    let flag = full.display().to_string();
    let disk = [("LD_PRELOAD", library()), ("DISK_IS_FULL", flag.as_str())];
    let daemon = sandbox.daemon_with(&disk);
    daemon.wait_for_log("ready");
    insert(&table, 0..3);
    server.wait_for_keys(&keys(0..3));
    let before = server.mails().len();
    fs::write(&full, "").unwrap();
    insert(&table, 3..6);
    let complaints = || daemon.log().matches("database or disk is full").count();
    eventually("some runs that cannot be recorded", || (complaints() >= 2).then_some(()));
    assert_eq!(server.mails().len(), before, "what is not recorded is not sent");
    fs::remove_file(&full).unwrap();
    server.wait_for_keys(&keys(3..6));
    assert!(daemon.stop().success());
    let tally = oracle::check(&sandbox, &keys(0..6), &server.mails());
    assert_eq!(tally.repeats, 0);
}

#[test]
fn case_06_a_state_folder_that_cannot_be_made_is_named() {
    for state in ["/proc/leadflow", "a-file/state"] {
        let sandbox = Sandbox::new(format!("[settings]\nstate = \"{state}\"\n"));
        sandbox.write("a-file", "");
        for arguments in [vec!["run"], vec!["run", "--once"]] {
            let output = sandbox.exits(1, &arguments);
            let help = "settings.state";
            for words in ["cannot use the state folder", state, help] {
                assert!(output.stderr.contains(words), "{}", output.stderr);
            }
        }
    }
}
