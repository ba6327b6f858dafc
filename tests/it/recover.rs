//! A state that is gone, damaged or another one: refused, and started again by `recover`.

use jiff::SignedDuration;

use crate::support::embedded::{Embedded, row};
use crate::support::flows_toml::{FlowsToml, SINCE};
use crate::support::leadflow::Sandbox;
use crate::support::mail::Mail;
use crate::support::now;

/// Whose table and mails outlive the state folder.
fn flows() -> FlowsToml {
    let flows = FlowsToml::new().table_connection("demo", "embedded_table", "file = \"../demo.db\"");
    flows.mail_connection("folder", "mail_folder", "path = \"../mail\"").flow("leads").filter(SINCE)
}

fn insert(sandbox: &Sandbox, key: &str, hours_ago: i64) {
    let table = Embedded::open(&sandbox.path("demo.db"), "leads");
    table.insert_at(&[row(key)], now() - SignedDuration::from_hours(hours_ago));
}

fn refused(sandbox: &Sandbox, words: &str) {
    for arguments in [vec!["run"], vec!["run", "--once"]] {
        let output = sandbox.exits(1, &arguments);
        assert!(output.stderr.contains(words), "`{words}` is not in: {}", output.stderr);
        assert!(output.stderr.contains("leadflow recover --since"), "{}", output.stderr);
    }
}

#[test]
fn case_08_a_state_that_is_gone_is_missed_and_recovered() {
    let sandbox = Sandbox::new(flows());
    insert(&sandbox, "before", 0);
    sandbox.run_once();
    insert(&sandbox, "old", 50);
    insert(&sandbox, "new", 20);
    std::fs::remove_dir_all(sandbox.path("state")).unwrap();
    refused(&sandbox, "is gone: ");
    refused(&sandbox, ".flows.toml.marker says that there was one since");
    // A new database, which some other tool has left, is not the old one either.
    std::fs::create_dir_all(sandbox.path("state")).unwrap();
    std::fs::write(sandbox.path("state/leadflow.db"), "").unwrap();
    refused(&sandbox, "is gone: ");

    let wrong = sandbox.exits(2, &["recover", "--since", "yesterday"]);
    assert!(wrong.stderr.contains("`yesterday` is not a valid time"), "{}", wrong.stderr);
    let recovered = sandbox.exits(0, &["recover", "--since", "2 days"]);
    assert!(recovered.stdout.contains("every flow begins at"), "{}", recovered.stdout);
    let again = sandbox.run(&["recover", "--since", "2 days"]);
    assert_eq!((again.code, again.stderr.contains("is complete; there is nothing to recover")), (1, true));
    let once = sandbox.run_once();
    assert!(once.stdout.contains("2 new rows in 1 mail"), "{}", once.stdout);
    assert_eq!(Mail::in_folder(&sandbox.path("mail")).len(), 2);
    // The old row is known, and no news when it is written again.
    insert(&sandbox, "old", 0);
    assert!(sandbox.run_once().stdout.contains("nothing-new"));
}

#[test]
fn case_07_a_damaged_or_foreign_state_is_refused() {
    let sandbox = Sandbox::new(flows());
    sandbox.run_once();
    let database = sandbox.path("state/leadflow.db");
    let whole = std::fs::read(&database).unwrap();
    std::fs::write(&database, "this was a database once, and it was long enough to be one".repeat(100))
        .unwrap();
    refused(&sandbox, "state/leadflow.db is damaged: file is not a database");
    let mut torn = whole.clone();
    let length = torn.len();
    torn[4096..length / 2].fill(0x5a);
    std::fs::write(&database, &torn).unwrap();
    refused(&sandbox, "state/leadflow.db is damaged: ");

    let other = Sandbox::new(flows());
    other.run_once();
    std::fs::copy(other.path("state/leadflow.db"), &database).unwrap();
    refused(&sandbox, "is not the one that");

    let recovered = sandbox.run(&["recover", "--since", "2026-01-01"]);
    assert!(
        recovered.stdout.contains("the old database was moved to"),
        "{}{}",
        recovered.stdout,
        recovered.stderr
    );
    sandbox.run_once();
    std::fs::write(&database, whole).unwrap();
    refused(&sandbox, "is not the one that");
}

/// A statement for the database of a state that nobody has open.
fn alter(sandbox: &Sandbox, statement: &str) {
    rusqlite::Connection::open(sandbox.path("state/leadflow.db")).unwrap().execute_batch(statement).unwrap();
}

#[test]
fn a_schema_that_cannot_be_used_is_named_with_its_file_and_recovered() {
    for (statement, words) in [
        (
            "PRAGMA user_version = -1",
            "state/leadflow.db is damaged: its schema is -1, which leadflow never writes",
        ),
        ("PRAGMA user_version = 99", "was written by a later leadflow (its schema is 99"),
        (
            "PRAGMA foreign_keys = OFF; DROP TABLE runs",
            "state/leadflow.db is damaged: its table `runs` is missing",
        ),
    ] {
        let sandbox = Sandbox::new(flows());
        insert(&sandbox, "before", 0);
        sandbox.run_once();
        alter(&sandbox, statement);
        refused(&sandbox, words);
        for arguments in [&["list"][..], &["history"], &["off", "leads"], &["check"]] {
            let output = sandbox.exits(1, arguments);
            let said = format!("{}{}", output.stdout, output.stderr)
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            assert!(
                said.contains(words) && said.contains("leadflow recover --since"),
                "{arguments:?}: {said}"
            );
        }
        let recovered = sandbox.exits(0, &["recover", "--since", "2 days"]);
        assert!(recovered.stdout.contains("the old database was moved to"), "{}", recovered.stdout);
        assert!(sandbox.run_once().stdout.contains("1 new row in 1 mail"));
    }
}

#[test]
fn check_reports_a_state_of_an_earlier_version() {
    let sandbox = Sandbox::new(flows());
    sandbox.run_once();
    alter(&sandbox, "PRAGMA user_version = 8");
    for arguments in [&["check"][..], &["check", "--online"]] {
        let output = sandbox.run(arguments);
        assert!(output.stdout.contains("is still one of an earlier leadflow"), "{output:?}");
    }
}

#[test]
fn a_state_that_is_not_a_folder_is_reported() {
    for make in ["touch", "mkfifo"] {
        let sandbox = Sandbox::new(flows());
        let path = sandbox.path("state");
        assert!(std::process::Command::new(make).arg(&path).status().unwrap().success());
        for arguments in
            [&["run", "--once"][..], &["list"], &["history"], &["health"], &["check"], &["off", "leads"]]
        {
            let output = sandbox.exits(1, arguments);
            let said = format!("{}{}", output.stdout, output.stderr)
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            let words =
                format!("cannot use the state folder {}: it is not a folder; move it away", path.display());
            assert!(said.contains(&words), "{make} {arguments:?}: {said}");
        }
    }
}

#[test]
fn a_folder_where_no_marker_can_be_written_is_reported_and_nothing_else_fails() {
    let sandbox = Sandbox::new(flows());
    std::fs::create_dir(sandbox.path(".flows.toml.marker")).unwrap();
    let once = sandbox.run_once();
    assert!(once.stderr.contains("would not be noticed: cannot write"), "{}", once.stderr);
    let mut command = sandbox.command(&["run", "--once"]);
    let second = sandbox.path("second");
    std::fs::create_dir(&second).unwrap();
    let list = format!("{}:{}", sandbox.path("state").display(), second.display());
    assert!(command.env("STATE_DIRECTORY", list).output().unwrap().status.success());
    assert!(second.join("flows.toml.marker").exists(), "the second directory that systemd gives");
}
