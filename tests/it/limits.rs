//! A flood of rows floods no mailbox, and a server that hangs holds up nobody else's mail.

use std::io::Read as _;

use crate::support::driven::Driven;
use crate::support::embedded::rows;
use crate::support::flows_toml::{FlowsToml, KEYS, SINCE};
use crate::support::leadflow::Sandbox;
use crate::support::postgres::on_postgres;
use crate::support::scripted::{page, serve, smtp, table_service};
use crate::support::{eventually, eventually_async, now};
use jiff::SignedDuration;

/// A flow that runs each second.
fn flow(flows: FlowsToml, name: &str) -> FlowsToml {
    flows.flow(name).every("second").filter(SINCE).body(KEYS)
}

fn insert(sandbox: &Sandbox, numbers: std::ops::Range<usize>) {
    sandbox.table().insert(&rows(numbers));
}

#[tokio::test]
async fn beyond_per_hour_the_mails_of_a_flow_wait_and_none_is_lost() {
    let (port, messages) = smtp(|_| Some("250 queued"));
    let flows = flow(FlowsToml::new().embedded("demo").smtp("relay", port), "many");
    let sandbox = Sandbox::new(flow(flows.more("each = \"row\"\nper_hour = 5"), "other"));
    insert(&sandbox, 0..12);
    let once = sandbox.run(&["run", "--once"]);
    assert_eq!(once.code, 1, "mails wait");
    assert!(once.stderr.contains("many: mails still waiting: 7"), "{}", once.stderr);
    assert!(once.stderr.contains("per_hour = 5 is reached: the other mails wait"), "{}", once.stderr);
    assert_eq!(messages.lock().unwrap().len(), 6, "five of the one flow, and the other's digest");
    let show = sandbox.run(&["history", "show", "1"]).stdout;
    assert!(show.contains("next attempt") && show.contains("per_hour"), "{show}");
    let health = sandbox.run(&["health"]).stdout;
    assert!(!health.contains("wait"), "what waits for per_hour is not late: {health}");
    // An hour later the next five leave.
    let daemon = Driven::start(&sandbox, &now().to_string());
    let hour = SignedDuration::from_hours(1);
    for expected in [11, 13] {
        daemon.clock.advance(hour);
        let count = async || {
            daemon.tick().await;
            Some(messages.lock().unwrap().len()).filter(|count| *count >= expected)
        };
        eventually_async("the mails of the next hour", count).await;
        // Whatever else would leave with them leaves now.
        daemon.pass(&sandbox, SignedDuration::from_secs(2), SignedDuration::from_secs(1)).await;
        assert_eq!(messages.lock().unwrap().len(), expected);
    }
    daemon.stop().await;
}

#[test]
fn a_mail_server_that_hangs_delays_only_its_own_mails() {
    let (port, messages) = smtp(|_| Some("250 queued"));
    // It takes the connection and says nothing.
    let silent = serve(|mut stream| drop(stream.read(&mut [0; 64])));
    let connections = FlowsToml::new().embedded("demo").smtp("relay", port).smtp("silent", silent);
    let sandbox = Sandbox::new(flow(flow(connections, "a"), "b").mails_by("relay"));
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
    let connections = FlowsToml::new().smtp("relay", port).embedded("demo").azure("marketplace");
    let slow = (0..20).fold(connections, |flows, number| flow(flows, &format!("a{number}")));
    let sandbox = Sandbox::with_storage(flow(slow, "z").reads("demo", "leads"), service.storage());
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
    let connections = FlowsToml::new().azure("marketplace").smtp("relay", 1);
    let slow = (0..6).fold(connections, |flows, number| flow(flows, &format!("a{number}")));
    let sandbox = Sandbox::with_storage(flow(slow.clone(), "gone"), service.storage());
    let mut daemon = sandbox.daemon();
    let that_are = |outcome| {
        let found = sandbox.json(&["history", "--status", outcome, "--json"]);
        let flows = found.as_array().unwrap().iter().map(|run| run["flow"].as_str().unwrap().to_owned());
        flows.collect::<Vec<_>>()
    };
    eventually("all to be claimed", || (that_are("running").len() == 7).then_some(()));
    eventually("four of them to ask", || (service.count() == 4).then_some(()));
    sandbox.write("flows.toml", &slow.to_string());
    daemon.wait_for_log("flows.toml is reloaded");
    assert_eq!(
        that_are("running"),
        ["a5", "a4", "a3", "a2", "a1", "a0"],
        "the other flows keep their claims"
    );
    daemon.signal("TERM");
    assert!(daemon.wait().success());
    assert_eq!(that_are("running"), Vec::<String>::new(), "what had not begun is not a run");
    assert_eq!(that_are("interrupted"), ["a3", "a2", "a1", "a0"]);
    assert_eq!(service.count(), 4, "at most four at a time ask one service");
}

#[test]
fn limits_hold_in_a_database_as_well() {
    on_postgres(&[beyond_per_hour_the_mails_of_a_flow_wait_and_none_is_lost]);
}
