//! Where the promise begins, which table it is about, and what a failed run must not cost.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::support::azurite::{self, Table};
use crate::support::driven::Driven;
use crate::support::embedded::row;
use crate::support::flows_toml::{FlowsToml, SINCE, guide};
use crate::support::leadflow::Sandbox;
use crate::support::leads::{keys, leads};
use crate::support::mail_server::MailServer;
use crate::support::postgres::on_postgres;
use crate::support::{eventually, now};

const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// The guide's flow with a window of one second, which is over when the next command has started.
fn narrow(table: &str, port: u16) -> Sandbox {
    Sandbox::with_azurite(guide(table, port).of_a_second())
}

/// Longer ago than the window, and than the second to which the service rounds its time.
fn let_the_window_pass() {
    let old = now() + SignedDuration::from_millis(4_100);
    eventually("the window to pass", || (now() > old).then_some(()));
}

#[tokio::test]
async fn rows_written_while_the_first_runs_fail_are_mailed() {
    let (table, server) = (Table::create().await, MailServer::start(&[]));
    let sandbox = narrow(&table.name, server.port);
    table.insert(&leads(0..1)).await;
    let_the_window_pass();
    // The password file of the table is wrong, the table's name is, and the process is killed.
    sandbox.edit("{ env = \"LEADS_STORAGE\" }", "{ file = \"storage\" }");
    assert_eq!(sandbox.run(&["run", "--once"]).code, 1, "there is no such file");
    table.insert(&leads(1..2)).await;
    sandbox.write("storage", &azurite::connection_string("Y2FuYXJ5"));
    assert_eq!(sandbox.run(&["run", "--once"]).code, 1, "the key is refused");
    sandbox.write("storage", &azurite::connection_string(azurite::KEY));
    sandbox.edit(&table.name, "nosuchtable");
    assert_eq!(sandbox.run(&["run", "--once"]).code, 1, "there is no such table");
    let_the_window_pass();
    table.insert(&leads(2..3)).await;
    let killed =
        sandbox.command(&["run", "--once"]).env("FAILPOINTS", "run-claimed=return").status().unwrap();
    assert!(!killed.success());
    let_the_window_pass();
    sandbox.edit("nosuchtable", &table.name);
    // In a database, the lease of the one that was killed may still hold.
    eventually("the run", || (sandbox.run(&["run", "--once"]).code == 0).then_some(()));
    // The first one lies in the minutes that are given to a clock which may have been set meanwhile.
    assert_eq!(server.mails()[0].row_keys(), keys(0..3));
}

#[tokio::test]
async fn a_flow_that_is_off_at_first_begins_when_it_is_turned_on() {
    let (table, server) = (Table::create().await, MailServer::start(&[]));
    let sandbox = narrow(&table.name, server.port);
    sandbox.edit("condition = ", "enabled = false\ncondition = ");
    let daemon = sandbox.daemon();
    table.insert(&leads(0..1)).await;
    let_the_window_pass();
    sandbox.edit("enabled = false", "enabled = true");
    daemon.wait_for_log("the flow starts");
    daemon.wait_for_log("no new rows");
    assert!(server.mails().is_empty());
    assert!(daemon.stop().success());
}

#[tokio::test]
async fn another_way_to_write_the_table_keeps_the_baseline() {
    let (table, server) = (Table::create().await, MailServer::start(&[]));
    let sandbox = narrow(&table.name, server.port);
    sandbox.edit("{ env = \"LEADS_STORAGE\" }", "{ file = \"storage\" }");
    sandbox.write("storage", &azurite::connection_string(azurite::KEY));
    table.insert(&leads(0..1)).await;
    sandbox.run_once();
    let ways = [
        azurite::connection_string(azurite::KEY).replace("127.0.0.1", "localhost"),
        azurite::connection_string(azurite::KEY).replace(
            &format!("{}/{};", azurite::port(), azurite::ACCOUNT),
            &format!("{}/{}/;", azurite::port(), azurite::ACCOUNT),
        ),
        format!(
            "TableEndpoint=http://LOCALHOST:{}/{}/;AccountName={};AccountKey={}",
            azurite::port(),
            azurite::ACCOUNT,
            azurite::ACCOUNT,
            azurite::KEY
        ),
    ];
    for (number, way) in (1..).zip(ways) {
        sandbox.write("storage", &way);
        let_the_window_pass();
        table.insert(&leads(number..number + 1)).await;
        let_the_window_pass();
        sandbox.run_once();
        assert_eq!(server.mails()[number].row_keys(), keys(number..number + 1), "{number}");
    }
    let (lower, upper) = (table.name.clone(), table.name.to_uppercase());
    sandbox.edit(&format!("\"{lower}\""), &format!("\"{upper}\""));
    sandbox.run_once();
    assert_eq!(server.mails().len(), 4, "nothing is mailed twice");
    let begins = (1..=sandbox.runs().len())
        .filter(|run| sandbox.shown(run)["steps"][0]["outputs"]["rows_before"].is_number());
    assert_eq!(begins.collect::<Vec<_>>(), [1], "only the first run begins");
}

fn daily(flows: FlowsToml) -> FlowsToml {
    flows.embedded("demo").flow("leads").every("day").filter(SINCE)
}

fn by_folder() -> FlowsToml {
    FlowsToml::new().folder("folder")
}

#[tokio::test]
async fn a_minute_of_failure_does_not_cost_a_daily_flow_a_day() {
    let sandbox = Sandbox::new(daily(by_folder()));
    let now: Timestamp = "2026-03-02T08:00:00Z".parse().unwrap();
    // A file that is no table stands where the table is to be.
    sandbox.spoil_table();
    let daemon = Driven::start(&sandbox, "2026-03-02T08:00:00Z");
    daemon.pass(&sandbox, SECOND * 10, SECOND).await;
    std::fs::remove_file(sandbox.path("state/demo.db")).unwrap();
    sandbox.table().insert_at(&[row("r")], now + SECOND * 5);
    daemon.pass(&sandbox, SECOND * 40, SECOND).await;
    daemon.stop().await;
    let runs = sandbox.runs();
    let shown: Vec<_> = runs.iter().map(|run| (&run["cause"], &run["outcome"])).collect();
    assert_eq!(shown, [(&json!("retry"), &json!("sent")), (&json!("schedule"), &json!("failed"))]);
    assert!(!sandbox.run(&["health"]).stdout.contains("fails"), "it is over");
}

#[test]
fn retries_of_a_slot_are_one_failure() {
    let sandbox = Sandbox::new(daily(by_folder().failures("folder").more("after = 2")));
    sandbox.spoil_table();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let daemon = Driven::start(&sandbox, "2026-03-02T08:00:00Z");
        daemon.pass(&sandbox, SECOND * 300, SECOND * 10).await;
        daemon.stop().await;
    });
    assert_eq!(sandbox.runs().len(), 4, "at 30 s, 90 s and 210 s, some seconds less");
    assert!(!sandbox.path("state/mail").exists(), "one slot has failed, not two");
}

#[test]
fn a_database_that_is_taken_away_is_noticed_before_more_is_sent() {
    for file in ["leadflow.db", "leadflow.db-wal", "leadflow.db-shm"] {
        let server = MailServer::start(&[]);
        let sandbox = Sandbox::on_sqlite(daily(FlowsToml::new().relay("relay", server.port)));
        let mut daemon = sandbox.daemon();
        daemon.wait_for_log("no new rows");
        std::fs::rename(sandbox.path("state").join(file), sandbox.path("elsewhere")).unwrap();
        sandbox.table().insert(&[row("r")]);
        assert_eq!(daemon.wait().code(), Some(1), "{file}");
        daemon.wait_for_log("was deleted or replaced while leadflow was running; nothing more is sent");
        assert!(server.mails().is_empty());
    }
}

#[tokio::test]
async fn a_clock_that_was_hours_ahead_while_the_first_runs_failed_costs_no_row() {
    let sandbox = Sandbox::new(daily(by_folder()));
    sandbox.spoil_table();
    // It is eight in the morning, and the machine takes its local time for UTC.
    let daemon = Driven::start(&sandbox, "2026-03-02T17:00:00Z");
    daemon.pass(&sandbox, SECOND * 10, SECOND).await;
    std::fs::remove_file(sandbox.path("state/demo.db")).unwrap();
    for (key, at) in [("written", "2026-03-02T08:00:05Z"), ("within", "2026-03-01T08:30:00Z")] {
        sandbox.table().insert_at(&[row(key)], at.parse().unwrap());
    }
    daemon.clock.advance(-SignedDuration::from_hours(9));
    daemon.pass(&sandbox, SECOND * 90, SECOND).await;
    daemon.stop().await;
    let last = &sandbox.runs()[0];
    assert_eq!((&last["rows"], &last["outcome"]), (&json!(2), &json!("sent")));
}

#[test]
fn the_promise_holds_in_a_database_as_well() {
    on_postgres(&[
        a_minute_of_failure_does_not_cost_a_daily_flow_a_day,
        retries_of_a_slot_are_one_failure,
        a_flow_that_is_off_at_first_begins_when_it_is_turned_on,
    ]);
}
