//! The state of earlier versions (`tests/fixtures`), opened by this one.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::embedded::Embedded;
use crate::support::flows_toml::FlowsToml;
use crate::support::has;
use crate::support::leadflow::Sandbox;
use crate::support::mail_server::MailServer;

/// The flows of `tests/fixtures/make`, with another mail server.
fn flows(port: u16) -> FlowsToml {
    let settings = FlowsToml::new().settings("history = \"40000 days\"").embedded("table");
    let flows = settings.folder("folder").relay("relay", port);
    flows.flow("sent").mails_by("folder").flow("waiting").flow("off").mails_by("folder")
}

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "db"));
    files.sort_by_cached_key(|file| schema_of(file));
    files
}

fn schema_of(database: &Path) -> i64 {
    let db = rusqlite::Connection::open(database).unwrap();
    db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

/// The fixture as the sandbox's state: its flows have read the table that lies there.
fn put_in_place(sandbox: &Sandbox, fixture: &Path) -> Embedded {
    let state = sandbox.path("state");
    std::fs::create_dir_all(&state).unwrap();
    std::fs::copy(fixture, state.join("leadflow.db")).unwrap();
    let table = sandbox.table();
    let db = rusqlite::Connection::open(state.join("leadflow.db")).unwrap();
    // Before schema 7 a flow had one table.
    let (column, ask) = if schema_of(fixture) < 7 { ("source", "flows") } else { ("identity", "sources") };
    let moved = db.execute(&format!("UPDATE {ask} SET {column} = ?1"), [table.identity()]).unwrap();
    assert_eq!(moved, 3, "{}", fixture.display());
    let rows = ["old-1", "old-2", "old-3"].map(row);
    table.insert_at(&rows, "2025-11-03T07:30:00Z".parse().unwrap());
    table
}

fn row(key: &str) -> Value {
    json!({ "PartitionKey": "fixture", "RowKey": key })
}

#[test]
fn the_state_of_each_earlier_schema_is_migrated() {
    let fixtures = fixtures();
    let schemas: Vec<i64> = fixtures.iter().map(|fixture| schema_of(fixture)).collect();
    for fixture in fixtures {
        let name = fixture.display();
        let server = MailServer::start(&[]);
        let sandbox = Sandbox::new(flows(server.port));
        let table = put_in_place(&sandbox, &fixture);
        let refused = sandbox.run(&["history"]);
        assert_eq!(refused.code, 1, "{name}");
        has(&refused.stderr, &["of an earlier leadflow", "restart", "nothing was changed"]);
        assert_eq!(sandbox.run(&["off", "off"]).code, 0, "{name}: what changes the state brings it on");
        for (run, outcome) in [("1", "sent"), ("2", "sent"), ("3", "waiting")] {
            let shown = sandbox.shown(run);
            assert_eq!(shown["outcome"], outcome, "{name}: {shown}");
            assert_eq!(shown["steps"].as_array().unwrap().len(), 6, "{name}: {shown}");
            assert_eq!(
                (&shown["asked_by"], &shown["mails"][0]["asked_by"]),
                (&Value::Null, &Value::Null),
                "{name}"
            );
        }
        let off = |key| sandbox.json(&["list", "--json"])[0][key].clone();
        assert!(off("off_by_command_since").is_string(), "{name}");
        assert_eq!(off("off_by"), Value::Null, "{name}: nobody knows who has turned it off");
        table.insert(&[row("new-1"), row("new-2")]);

        sandbox.run_once();
        let mails = server.mails();
        assert_eq!(mails.len(), 2, "{name}: the mail that waited, and one of the new rows");
        assert_eq!(mails[0].subject(), "mail of an earlier version", "{name}");
        assert!(mails[0].text().contains("old-3"), "{name}: {}", mails[0].text());
        let text = mails[1].text();
        assert!(text.contains("new-1") && text.contains("new-2") && !text.contains("old-"), "{name}: {text}");
        assert_eq!(sandbox.mails().len(), 1, "{name}: `sent` has mailed the new rows, `off` is off");
        assert_eq!(sandbox.shown(3)["outcome"], "sent", "{name}");
        for turned in ["on", "off"] {
            sandbox.exits(0, &[turned, "off"]);
        }
        assert!(off("off_by").is_string(), "{name}");
        let earlier: Vec<i64> = (1..schema_of(&sandbox.path("state/leadflow.db"))).collect();
        assert_eq!(schemas, earlier, "each earlier schema has a fixture");
    }
}

#[test]
fn a_state_of_a_later_version_is_refused_in_plain_words_and_left_alone() {
    let sandbox = Sandbox::new(flows(1));
    put_in_place(&sandbox, fixtures().last().unwrap());
    let path = sandbox.path("state/leadflow.db");
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 999).unwrap();
    let before = std::fs::read(&path).unwrap();
    for arguments in [&["run"][..], &["run", "--once"], &["history"], &["health"]] {
        let output = sandbox.run(arguments);
        assert_eq!(output.code, 1, "{arguments:?}");
        for word in ["was written by a later leadflow", "999", "install the later leadflow again", "a backup"]
        {
            assert!(output.stderr.contains(word), "{arguments:?}: {}", output.stderr);
        }
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
}
