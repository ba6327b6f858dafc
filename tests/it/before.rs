//! What people and their scripts have from an earlier version goes on working.

use crate::json::Document;
use crate::support::leadflow::Sandbox;

const FLOWS: &str = include_str!("../fixtures/before/flows.toml");
const JSON_KEYS: &str = include_str!("../fixtures/before/json-keys.txt");

#[test]
fn a_file_with_every_key_of_earlier_versions_is_valid() {
    let sandbox = Sandbox::with_storage(FLOWS, "AccountName=contoso;AccountKey=Y2FuYXJ5".to_owned());
    let found = sandbox.json(&["check", "--json"]);
    assert_eq!(found["ok"], true, "{found}");
    let listed = sandbox.json(&["list", "--json"]);
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|flow| flow["flow"].clone()).collect();
    assert_eq!(names, ["all", "cron", "weekly"]);
}

#[test]
fn every_json_key_of_earlier_versions_is_still_there() {
    let document = Document::read();
    for (section, key) in JSON_KEYS.lines().filter_map(|line| line.split_once(' ')) {
        assert!(document.all(section).contains(key), "{section}: {key}");
    }
}

#[test]
fn exit_statuses_are_those_of_earlier_versions() {
    let sandbox = Sandbox::with_storage(FLOWS, "AccountName=contoso;AccountKey=Y2FuYXJ5".to_owned());
    for (status, arguments) in [
        (0, &["check"][..]),
        (0, &["list"]),
        (0, &["history"]),
        (0, &["outbox", "list"]),
        (0, &["stats"]),
        (0, &["schedule", "all"]),
        (1, &["health"]),
        (1, &["history", "show", "1"]),
        (1, &["outbox", "show", "1"]),
        (1, &["backup", "copy.db"]),
        (2, &["schedule", "nothere"]),
        (2, &["trigger", "nothere"]),
        (2, &["nothere"]),
        (2, &["history", "--status", "nothere"]),
        (2, &["--config", "nothere.toml", "check"]),
    ] {
        sandbox.exits(status, arguments);
    }
}
