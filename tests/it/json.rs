//! The JSON of the commands is an interface: docs/json.md lists every path and its type, and no key goes away.

mod document;
mod samples;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::flows_toml::{FlowsToml, KEYS, SINCE};
use crate::support::leadflow::Sandbox;
use crate::support::leads::leads;
use crate::support::past::{self, PastState};
pub(crate) use document::Document;
use document::walk;
use samples::samples;

/// What differs from run to run.
const FILTERS: [(&str, &str); 9] = [
    (r#""\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*Z""#, r#""[moment]""#),
    (r#""\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[^"]*\]""#, r#""[local moment]""#),
    (r#""day": "\d{4}-\d\d-\d\d""#, r#""day": "[day]""#),
    (r"datetime'[^']*'", "datetime'[moment]'"),
    (r#""(took_us|service_ms)": \d+"#, r#""$1": "[duration]""#),
    (r#""([A-Z][a-z]+/[A-Za-z_]+|UTC)""#, r#""[zone]""#),
    (r#""(asked_by|off_by)": ".*""#, r#""$1": "[user]""#),
    (r"<[0-9a-f-]{36}@", "<[id]@"),
    (r"-[0-9a-f]{8}\.eml", "-[id].eml"),
];

/// What a command prints, held against this section of the document.
pub(crate) fn documented(sandbox: &Sandbox, line: &str, section: &str) -> String {
    let output = sandbox.run(&line.split(' ').collect::<Vec<_>>());
    let value: Value =
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let faults = Document::read().faults(section, &value);
    assert!(faults.is_empty(), "`{line}` is not as docs/json.md says: {faults:#?}");
    output.stdout
}

/// As [`documented`], and as the snapshot has it.
fn is_documented(sandbox: &Sandbox, name: &str, line: &str, section: &str) {
    let output = documented(sandbox, line, section);
    let mut settings = insta::Settings::clone_current();
    for (pattern, with) in FILTERS {
        settings.add_filter(pattern, with);
    }
    settings.add_filter(&sandbox.path("").display().to_string().replace('.', "\\."), "[folder]/");
    // The bytes of a mail are as many as its moments need.
    settings.add_filter(r#""bytes": \d{3,}"#, r#""bytes": "[size]""#);
    settings.bind(|| insta::assert_snapshot!(name, output, "output.stdout"));
}

#[test]
fn the_document_has_every_path_of_every_view_and_no_other() {
    let document = Document::read();
    for (section, sample) in samples() {
        let faults = document.faults(section, &sample);
        assert!(faults.is_empty(), "{section}: {faults:#?}");
        let mut paths = BTreeSet::new();
        walk(&sample, "", &mut |path, value| {
            let is_empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            assert!(!is_empty, "the sample of {section} does not fill {path}");
            paths.insert(path.to_owned());
        });
        let documented = document.all(section);
        let only_there: Vec<_> = documented.difference(&paths).collect();
        assert!(only_there.is_empty(), "{section}: only docs/json.md has {only_there:?}");
    }
}

#[test]
fn of_a_state_with_a_past() {
    let sandbox = Sandbox::new(past::flows());
    PastState::make(&sandbox);
    for (name, line, section) in [
        ("list", "list --json", "list"),
        ("history", "history --json -n 3", "history"),
        ("history-show-failed", "history show 3 --json", "history-show"),
        ("history-show-held", "history show 5 --json", "history-show"),
        ("outbox-list", "outbox list --json", "outbox"),
        ("outbox-show", "outbox show 2 --json", "outbox"),
        ("stats", "stats --json --days 2", "stats"),
        ("schedule", "schedule renewals --json -n 2", "schedule"),
        ("health", "health --json", "health"),
        ("check", "check --online --json", "check"),
    ] {
        is_documented(&sandbox, name, line, section);
    }
    sandbox.edit("frequency = \"hour\"", "frequency = \"hours\"");
    is_documented(&sandbox, "check-broken", "check --json", "check");
}

#[test]
fn of_nothing() {
    let sandbox = Sandbox::new(past::flows());
    for (name, line, section) in [
        ("empty-list", "list --json", "list"),
        ("empty-history", "history --json", "history"),
        ("empty-outbox", "outbox list --json", "outbox"),
        ("empty-stats", "stats renewals --json --days 1", "stats"),
        ("empty-health", "health --json", "health"),
    ] {
        is_documented(&sandbox, name, line, section);
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
    is_documented(&sandbox, "preview", "preview covering --json", "preview");
    is_documented(&sandbox, "empty-preview", "preview covering --json --since 2100-01-01", "preview");
    sandbox.run_once();
    sandbox.table().insert(&leads(2..3));
    sandbox.run_once();
    let row_key = &leads(0..1)[0]["RowKey"];
    is_documented(&sandbox, "lead-list", "lead list covering --json", "lead-list");
    let lead_show = format!("lead show covering {} --json", row_key.as_str().unwrap());
    is_documented(&sandbox, "lead-show", &lead_show, "lead-show");
    is_documented(&sandbox, "table-list", "table list demo --json", "table");
    let replay = "replay covering --from 1h --again --yes --json";
    is_documented(&sandbox, "replay", replay, "history");
    is_documented(&sandbox, "trigger", "trigger fixed --json", "history");
    for run in 1..=5 {
        let line = format!("history show {run} --json");
        is_documented(&sandbox, &format!("history-show-{run}"), &line, "history-show");
    }
    let forget = "lead forget customer0@fabrikam.example --yes --json";
    let erased = documented(&sandbox, forget, "lead-forget");
    assert!(erased.contains("\"ok\": true"), "{erased}");
    let shown = documented(&sandbox, "history show 1 --json", "history-show");
    assert!(shown.contains("\"forgotten\": true"), "{shown}");
}
