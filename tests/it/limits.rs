//! A flood of rows floods no mailbox, and a server that hangs holds up nobody else's mail.

use std::io::Read as _;

use crate::support::eventually;
use crate::support::leadflow::Sandbox;
use crate::support::scripted::{page, serve, smtp, table_service};
use leadflow::platform::clock::Clock;
use leadflow::services::table::EmbeddedTable;
use serde_json::json;

fn flow(name: &str, table: &str, mail: &str, more: &str) -> String {
    format!(
        "[flows.{name}.recurrence]\nfrequency = \"second\"\n[flows.{name}.table]\nconnection = \"{table}\"\nname = \"leads\"\n\
         filter = \"Timestamp gt datetime'{{{{past_time}}}}'\"\n[flows.{name}.email]\nconnection = \"{mail}\"\n\
         to = \"sales@contoso.example\"\nbody = \"{{{{#each rows}}}}{{{{RowKey}}}} {{{{/each}}}}\"\n{more}\n"
    )
}

fn relay(name: &str, port: u16) -> String {
    format!(
        "[connections.{name}.smtp]\nhost = \"127.0.0.1\"\nport = {port}\nsecurity = \"none\"\nfrom = \"leads@contoso.example\"\n"
    )
}

const DEMO: &str = "[connections.demo.embedded_table]\nfile = \"demo.db\"\n";

fn insert(sandbox: &Sandbox, numbers: std::ops::Range<usize>) {
    let table = EmbeddedTable::open(&sandbox.path("state/demo.db"), "leads").unwrap();
    let row = |number| json!({ "PartitionKey": "p", "RowKey": format!("r{number:04}") });
    let rows: Vec<_> = numbers.map(|number| row(number).as_object().unwrap().clone()).collect();
    table.insert(&rows, Clock::System.now()).unwrap();
}

#[test]
fn beyond_per_hour_the_mails_of_a_flow_wait_and_none_is_lost() {
    let (port, messages) = smtp(|_| Some("250 queued"));
    let of = |name, more| flow(name, "demo", "relay", more);
    let flows = format!(
        "{DEMO}{}{}{}",
        relay("relay", port),
        of("many", "each = \"row\"\nper_hour = 5"),
        of("other", "")
    );
    let sandbox = Sandbox::new(&flows);
    insert(&sandbox, 0..12);
    let once = sandbox.run(&["run", "--once"]);
    assert_eq!(once.code, 1, "mails wait");
    assert!(once.stderr.contains("many: mails that still wait: 7"), "{}", once.stderr);
    assert!(once.stderr.contains("per_hour = 5 is used up: the other mails wait"), "{}", once.stderr);
    assert_eq!(messages.lock().unwrap().len(), 6, "five of the one flow, and the other's digest");
    let show = sandbox.run(&["history", "show", "1"]).stdout;
    assert!(show.contains("next try") && show.contains("per_hour"), "{show}");
    let health = sandbox.run(&["health"]).stdout;
    assert!(!health.contains("wait"), "what waits for per_hour is not late: {health}");
    // An hour later the next five leave; the hour is moved, not waited for.
    let hour = 3_600_000_000_i64;
    let db = rusqlite::Connection::open(sandbox.path("state/leadflow.db")).unwrap();
    for expected in [11, 13] {
        db.execute("UPDATE mails SET began = began - ?1", [hour]).unwrap();
        sandbox.run(&["run", "--once"]);
        assert_eq!(messages.lock().unwrap().len(), expected);
    }
}

#[test]
fn a_mail_server_that_hangs_holds_up_its_own_mails_alone() {
    let (port, messages) = smtp(|_| Some("250 queued"));
    // It takes the connection and says nothing.
    let silent = serve(|mut stream| drop(stream.read(&mut [0; 64])));
    let connections = format!("{}{}", relay("relay", port), relay("silent", silent));
    let flows =
        format!("{DEMO}{connections}{}{}", flow("a", "demo", "silent", ""), flow("b", "demo", "relay", ""));
    let sandbox = Sandbox::new(&flows);
    let daemon = sandbox.daemon();
    // What is written a second before its begin would be none of its rows.
    daemon.wait_for_log("are not mailed flow=\"b\"");
    for number in 0..3 {
        insert(&sandbox, number..number + 1);
        eventually("the mail of the other flow", || (messages.lock().unwrap().len() > number).then_some(()));
    }
    let waiting = sandbox.json(&["list", "--json"])[0]["waiting_mails"].clone();
    assert!(waiting.as_i64().unwrap() > 0, "{waiting}");
}

#[test]
fn case_25_a_table_service_that_hangs_holds_up_its_own_flows_alone() {
    let service = table_service(|_, _| {
        std::thread::park();
        Some(page(&[], &[]))
    });
    let (port, messages) = smtp(|_| Some("250 queued"));
    let azure = "[connections.marketplace.azure_table]\nconnection_string = { env = \"LEADS_STORAGE\" }\n";
    let slow: String = (0..20).map(|n| flow(&format!("a{n}"), "marketplace", "relay", "")).collect();
    let flows = format!("{DEMO}{azure}{}{slow}{}", relay("relay", port), flow("z", "demo", "relay", ""));
    let sandbox = Sandbox::with_storage(&flows, service.storage());
    let daemon = sandbox.daemon();
    eventually("the slow flows to hang", || (service.count() >= 4).then_some(()));
    daemon.wait_for_log("are not mailed flow=\"z\"");
    for number in 0..3 {
        insert(&sandbox, number..number + 1);
        eventually("the mail of the other flow", || (messages.lock().unwrap().len() > number).then_some(()));
    }
    assert!(daemon.stop().success());
}

#[test]
fn runs_that_wait_for_their_turn_are_claimed_and_taken_back_when_they_are_not_to_be() {
    let service = table_service(|_, _| {
        std::thread::park();
        Some(page(&[], &[]))
    });
    let azure = "[connections.marketplace.azure_table]\nconnection_string = { env = \"LEADS_STORAGE\" }\n";
    let slow: String = (0..6).map(|n| flow(&format!("a{n}"), "marketplace", "relay", "")).collect();
    let gone = flow("gone", "marketplace", "relay", "");
    let sandbox =
        Sandbox::with_storage(&format!("{azure}{}{slow}{gone}", relay("relay", 1)), service.storage());
    let mut daemon = sandbox.daemon();
    let running = || {
        let found = sandbox.json(&["history", "--status", "running", "--json"]);
        let flows = found.as_array().unwrap().iter().map(|run| run["flow"].as_str().unwrap().to_owned());
        flows.collect::<Vec<_>>()
    };
    eventually("all to be claimed", || (running().len() == 7).then_some(()));
    eventually("four of them to ask", || (service.count() == 4).then_some(()));
    sandbox.edit(&gone, "");
    daemon.wait_for_log("flows.toml is reloaded");
    assert_eq!(running(), ["a5", "a4", "a3", "a2", "a1", "a0"], "the other flows keep their claims");
    daemon.signal("TERM");
    assert!(daemon.wait().success());
    assert_eq!(running(), ["a3", "a2", "a1", "a0"], "what had not begun is no run");
    assert_eq!(service.count(), 4, "at most four at a time ask one service");
}
