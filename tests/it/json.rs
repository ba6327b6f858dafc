//! The JSON of the commands is an interface: docs/json.md tells every key, and no key goes away.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::flows_toml::{FlowsToml, KEYS, SINCE};
use crate::support::leadflow::Sandbox;
use crate::support::leads::leads;
use crate::support::past::{self, PastState};

const DOCUMENT: &str = include_str!("../../docs/json.md");

/// What differs from run to run.
const FILTERS: [(&str, &str); 8] = [
    (r#""\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*Z""#, r#""[moment]""#),
    (r#""\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[^"]*\]""#, r#""[local moment]""#),
    (r#""day": "\d{4}-\d\d-\d\d""#, r#""day": "[day]""#),
    (r"datetime'[^']*'", "datetime'[moment]'"),
    (r#""(took_us|service_ms)": \d+"#, r#""$1": "[duration]""#),
    (r#""([A-Z][a-z]+/[A-Za-z_]+|UTC)""#, r#""[zone]""#),
    (r"<[0-9a-f-]{36}@", "<[id]@"),
    (r"-[0-9a-f]{8}\.eml", "-[id].eml"),
];

/// Snapshots the JSON and looks each of its keys up in these chapters of the document.
fn is_documented(sandbox: &Sandbox, name: &str, line: &str, chapters: &[&str]) {
    let output = sandbox.run(&line.split(' ').collect::<Vec<_>>());
    let value: Value =
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let mut settings = insta::Settings::clone_current();
    for (pattern, with) in FILTERS {
        settings.add_filter(pattern, with);
    }
    settings.add_filter(&sandbox.path("").display().to_string().replace('.', "\\."), "[folder]/");
    // The bytes of a mail are as many as its moments need.
    settings.add_filter(r#""bytes": \d{3,}"#, r#""bytes": "[size]""#);
    settings.bind(|| insta::assert_snapshot!(name, output.stdout));

    let chapter = |title: &&str| {
        let begin = format!("\n## `{title}`\n");
        let (_, rest) = DOCUMENT.split_once(&begin).unwrap_or_else(|| panic!("no chapter {title}"));
        rest.split("\n## ").next().unwrap_or_default()
    };
    let text: String = chapters.iter().map(chapter).collect();
    // `mails[].subject` in the document is the key `subject`.
    let told: BTreeSet<&str> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|code| code.rsplit(['.', ']']).find(|key| !key.is_empty()))
        .collect();
    let mut keys = BTreeSet::new();
    collect(&value, &mut keys);
    let untold: Vec<_> = keys.iter().filter(|key| !told.contains(key.trim_end_matches("[]"))).collect();
    assert!(untold.is_empty(), "docs/json.md does not tell these keys of `{line}`: {untold:?}");
}

fn collect(value: &Value, keys: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                keys.insert(key.clone());
                collect(value, keys);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, keys)),
        _ => {}
    }
}

#[test]
fn of_a_state_with_a_past() {
    let sandbox = Sandbox::new(past::flows());
    PastState::make(&sandbox);
    for (name, line, chapters) in [
        ("list", "list --json", ["list", "history"].as_slice()),
        ("history", "history --json -n 3", &["history"]),
        ("history-show-failed", "history show 3 --json", &["history", "history show"]),
        ("history-show-held", "history show 5 --json", &["history", "history show"]),
        ("outbox-list", "outbox list --json", &["history show", "outbox"]),
        ("outbox-show", "outbox show 2 --json", &["history show", "outbox"]),
        ("stats", "stats --json --days 2", &["stats"]),
        ("schedule", "schedule renewals --json -n 2", &["schedule"]),
        ("health", "health --json", &["health"]),
        ("check", "check --online --json", &["check"]),
    ] {
        is_documented(&sandbox, name, line, chapters);
    }
    sandbox.edit("frequency = \"hour\"", "frequency = \"hours\"");
    is_documented(&sandbox, "check-broken", "check --json", &["check"]);
}

#[test]
fn of_nothing() {
    let sandbox = Sandbox::new(past::flows());
    for (name, line, chapters) in [
        ("empty-list", "list --json", ["list", "history"].as_slice()),
        ("empty-history", "history --json", &["history"]),
        ("empty-outbox", "outbox list --json", &["outbox"]),
        ("empty-stats", "stats renewals --json --days 1", &["stats"]),
        ("empty-health", "health --json", &["health"]),
    ] {
        is_documented(&sandbox, name, line, chapters);
    }
}

#[test]
fn of_real_runs_and_of_a_preview() {
    let flows = ["covering", "fixed"].into_iter().fold(FlowsToml::demo(), |flows, name| {
        let flow = flows.flow(name).condition("length > 0").window(&format!("mode = \"{name}\""));
        let flow = flow.filter(SINCE).of_table("select = [\"RowKey\", \"ProductId\"]");
        flow.subject("{{length}} leads").body(KEYS).more("attach_csv = true")
    });
    let sandbox = Sandbox::new(flows);
    sandbox.table().insert(&leads(0..2));
    is_documented(&sandbox, "preview", "preview covering --json", &["preview"]);
    is_documented(&sandbox, "empty-preview", "preview covering --json --since 2100-01-01", &["preview"]);
    sandbox.run_once();
    sandbox.table().insert(&leads(2..3));
    sandbox.run_once();
    let row_key = &leads(0..1)[0]["RowKey"];
    is_documented(&sandbox, "lead-list", "lead list covering --json", &["lead"]);
    let lead_show = format!("lead show covering {} --json", row_key.as_str().unwrap());
    is_documented(&sandbox, "lead-show", &lead_show, &["lead", "history", "history show"]);
    is_documented(&sandbox, "table-list", "table list demo --json", &["table"]);
    let replay = "replay covering --from 1h --again --yes --json";
    is_documented(&sandbox, "replay", replay, &["history", "trigger"]);
    is_documented(&sandbox, "trigger", "trigger fixed --json", &["history", "trigger"]);
    for run in 1..=5 {
        let line = format!("history show {run} --json");
        is_documented(&sandbox, &format!("history-show-{run}"), &line, &["history", "history show"]);
    }
}
