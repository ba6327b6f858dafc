//! Clocks that are wrong, and standstills.

use jiff::{SignedDuration, Timestamp};
use leadflow::services::table::EmbeddedTable;
use serde_json::json;

use crate::alarms::Driven;
use crate::support::eventually_async;
use crate::support::leadflow::Sandbox;

const FLOWS: &str = "[connections.demo.embedded_table]\nfile = \"demo.db\"\n[connections.folder.mail_folder]\n\
    [flows.leads.recurrence]\nfrequency = \"hour\"\n[flows.leads.table]\nconnection = \"demo\"\nname = \"leads\"\n\
    filter = \"Timestamp gt datetime'{{past_time}}'\"\n[flows.leads.email]\nconnection = \"folder\"\n\
    to = \"sales@contoso.example\"\n";

fn insert(sandbox: &Sandbox, key: &str, at: Timestamp) {
    let table = EmbeddedTable::open(&sandbox.path("state/demo.db"), "leads").unwrap();
    table.insert(&[json!({ "PartitionKey": "p", "RowKey": key }).as_object().unwrap().clone()], at).unwrap();
}

fn runs(sandbox: &Sandbox) -> usize {
    sandbox.json(&["history", "--limit", "1000", "--json"]).as_array().unwrap().len()
}

const SECOND: SignedDuration = SignedDuration::from_secs(1);

#[tokio::test]
async fn case_14_a_clock_that_jumps_three_days_makes_no_storm() {
    let sandbox = Sandbox::new(FLOWS);
    let daemon = Driven::start(&sandbox, "2026-03-02T08:00:00Z");
    daemon.pass(&sandbox, SECOND, SECOND).await;
    let (hour, days) = (SignedDuration::from_hours(1), SignedDuration::from_hours(72));
    daemon.pass(&sandbox, hour * 2, hour).await;
    assert_eq!(runs(&sandbox), 3);
    daemon.clock.advance(days);
    daemon.pass(&sandbox, SECOND * 20, SECOND).await;
    assert_eq!(runs(&sandbox), 4, "72 missed slots are one run");
    daemon.clock.advance(-days);
    daemon.pass(&sandbox, SECOND * 20, SECOND).await;
    let after = runs(&sandbox);
    assert!(after <= 5, "{after} runs");
    for number in 1..4 {
        daemon.clock.advance(hour);
        let is_run = async || {
            daemon.tick().await;
            (runs(&sandbox) >= after + number).then_some(())
        };
        eventually_async("the hour's run, which does not wait for three days", is_run).await;
        assert_eq!(runs(&sandbox), after + number);
    }
    daemon.stop().await;
}

#[tokio::test]
async fn case_15_after_sixty_hours_there_is_one_run_and_every_row() {
    let sandbox = Sandbox::new(FLOWS);
    let daemon = Driven::start(&sandbox, "2026-03-02T08:00:00Z");
    daemon.pass(&sandbox, SECOND, SECOND).await;
    daemon.stop().await;
    for hour in 1..60 {
        let at: Timestamp = "2026-03-02T08:00:00Z".parse().unwrap();
        insert(&sandbox, &format!("r{hour:04}"), at + SignedDuration::from_hours(hour));
    }
    let daemon = Driven::start(&sandbox, "2026-03-04T20:00:00Z");
    daemon.pass(&sandbox, SECOND * 30, SECOND).await;
    daemon.stop().await;
    assert_eq!(runs(&sandbox), 2);
    let run = sandbox.json(&["history", "show", "2", "--json"]);
    assert_eq!((&run["rows"], &run["mails"].as_array().unwrap().len()), (&59.into(), &1));
}
