//! A row whose `Timestamp` makes no sense: every command that reads from a moment on has it.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::flows_toml::{FlowsToml, KEYS, SINCE};
use crate::support::leadflow::Sandbox;
use crate::support::now;
use crate::support::scripted::{page, table_service};

/// One from before the flow's begin, one that is new, and one of no time.
fn rows() -> Vec<Value> {
    let row = |key: &str, at: &str| json!({ "PartitionKey": "p", "RowKey": key, "Timestamp": at });
    let new = (now() - SignedDuration::from_mins(10)).to_string();
    vec![row("new", &new), row("odd", "nonsense"), row("old", "2020-01-01T00:00:00Z")]
}

#[test]
fn a_row_whose_time_makes_no_sense_is_lost_to_no_command() {
    let rows = rows();
    let service = table_service(move |_, _| Some(page(&rows, &[])));
    let flows = FlowsToml::new().azure("t").folder("folder").flow("leads").filter(SINCE).body(KEYS);
    let sandbox = Sandbox::with_storage(flows, service.storage());

    let preview = sandbox.run(&["preview", "leads"]).stdout;
    assert!(preview.contains("new odd") && !preview.contains("old"), "{preview}");
    sandbox.run_once();
    assert_eq!(sandbox.texts(), ["new odd"]);

    let asked = sandbox.run(&["replay", "leads", "--from", "1 hour", "--again"]).stdout;
    assert!(asked.contains("leads: 2 rows were written from"), "{asked}");
    let replayed = sandbox.run(&["replay", "leads", "--from", "1 hour", "--again", "--yes"]);
    assert_eq!((replayed.code, sandbox.texts()), (0, vec!["new odd".to_owned(); 2]), "{}", replayed.stderr);

    let exported =
        sandbox.run(&["lead", "export", "leads", "--since", "1 hour", "--format", "ndjson"]).stdout;
    assert!(
        ["new", "odd"].iter().all(|key| exported.contains(key)) && !exported.contains("old"),
        "{exported}"
    );
    let listed = sandbox.json(&["lead", "list", "leads", "--json"]);
    let keys: Vec<_> = listed.as_array().unwrap().iter().map(|row| &row["row_key"]).collect();
    assert_eq!(keys, ["new", "old", "odd"], "the newest first, and at the end what cannot be placed");
    let examined = sandbox.run(&["check", "--online"]).stdout;
    assert!(examined.contains("3 rows match the filter") && examined.contains("nonsense"), "{examined}");
}
