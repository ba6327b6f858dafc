//! What hangs holds up its own flows alone, whatever hangs and however many there are.

use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::SignedDuration;
use serde_json::json;

use crate::support::daemon::Daemon;
use crate::support::driven::{Driven, raised};
use crate::support::embedded::row;
use crate::support::flows_toml::FlowsToml;
use crate::support::leadflow::Sandbox;
use crate::support::scripted::{serve, smtp};
use crate::support::{eventually, eventually_async, has};

/// Takes connections and never says a word; how many it has.
fn silent_server() -> (u16, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let port = serve(move |_stream: TcpStream| {
        count.fetch_add(1, Ordering::SeqCst);
        loop {
            std::thread::park();
        }
    });
    (port, taken)
}

/// A flow of the last connections that runs each second.
fn flow(flows: FlowsToml, name: &str) -> FlowsToml {
    flows.flow(name).every("second").to("a@b.example").subject("{{#each rows}}{{RowKey}}{{/each}}")
}

/// The good neighbour, whose name is the last.
fn good(flows: FlowsToml) -> Sandbox {
    Sandbox::new(flow(flows.embedded("zz").folder("folder"), "zz"))
}

/// The connection string of a table service on this port.
fn storage_at(port: u16) -> String {
    format!("AccountName=contoso;AccountKey=Y2FuYXJ5;TableEndpoint=http://127.0.0.1:{port}/contoso")
}

/// Rows of the good neighbour are mailed, one after the other.
fn goes_on(sandbox: &Sandbox, daemon: &Daemon) {
    // What was written before its begin is no news.
    daemon.wait_for_log("are not mailed flow=\"zz\"");
    for count in 1..=5 {
        sandbox.table().insert(&[row(format!("row {count}"))]);
        eventually("the good flow to mail", || (sandbox.mails().len() >= count).then_some(()));
    }
}

#[test]
fn twelve_table_connections_that_hang_hold_up_their_own_flows_alone() {
    let (port, taken) = silent_server();
    let mut flows = FlowsToml::new();
    for number in 0..12 {
        flows = flows.azure_of(&format!("h{number}"), "storage");
        flows = (0..5).fold(flows, |flows, own| flow(flows, &format!("h{number}-{own}")).mails_by("folder"));
    }
    let sandbox = good(flows);
    sandbox.write("storage", &storage_at(port));
    let daemon = sandbox.daemon();
    let hang = |count| {
        let taken = Arc::clone(&taken);
        move || (taken.load(Ordering::SeqCst) >= count).then_some(())
    };
    eventually("as many to hang as once were all", hang(16));
    goes_on(&sandbox, &daemon);
    eventually("every connection to hang in all its turns", hang(48));
    sandbox.table().insert(&[row("last")]);
    eventually("the good flow to go on", || (sandbox.mails().len() >= 6).then_some(()));
    assert!(taken.load(Ordering::SeqCst) < 12 * 5 * 6, "each has its four turns");
    drop(daemon);
}

#[test]
fn token_services_mail_servers_and_a_heartbeat_that_hang_hold_up_their_own_alone() {
    let (port, taken) = silent_server();
    let beat = format!("heartbeat_url = \"http://127.0.0.1:{port}/beat\"");
    let mut flows = FlowsToml::new().settings(&beat);
    // Each a mail server for rows of the good table; and a table behind a token that does not come.
    for number in 0..20 {
        let (of_mail, of_table) = (format!("m{number}"), format!("t{number}"));
        let identity = "account = \"contoso\"\nentra = { managed_identity = true }";
        flows = flows.smtp(&of_mail, port).table_connection(&of_table, "azure_table", identity);
        flows = flow(flow(flows, &of_mail).reads("zz", "leads"), &of_table).mails_by("folder");
    }
    let sandbox = good(flows);
    let daemon = sandbox.daemon_with(&[("LEADFLOW_TEST_IMDS", &format!("http://127.0.0.1:{port}"))]);
    daemon.wait_for_log("ready");
    goes_on(&sandbox, &daemon);
    eventually("the others to hang", || (taken.load(Ordering::SeqCst) >= 12).then_some(()));
    sandbox.table().insert(&[row("last")]);
    eventually("the good flow to go on", || (sandbox.mails().len() >= 6).then_some(()));
    drop(daemon);
}

#[test]
fn secrets_that_become_pipes_delay_only_what_needs_them() {
    let (port, _messages) = smtp(|_| Some("250 queued"));
    let mut flows = FlowsToml::new();
    for number in 0..12 {
        let (of_mail, of_table) = (format!("m{number}"), format!("p{number}"));
        let login = "login = { username = \"x\", password = { file = \"pipe\" } }";
        flows = flows.azure_of(&of_table, "pipe").smtp(&of_mail, port).more(login);
        flows = flow(flow(flows, &of_mail).reads("zz", "leads"), &of_table).mails_by("folder");
    }
    let sandbox = good(flows);
    // A pipe is refused at the start; here it comes in the place of the file.
    sandbox.write("pipe", &storage_at(1));
    let daemon = sandbox.daemon();
    std::fs::remove_file(sandbox.path("pipe")).unwrap();
    assert!(Command::new("mkfifo").arg(sandbox.path("pipe")).status().unwrap().success());
    goes_on(&sandbox, &daemon);
    drop(daemon);
}

#[tokio::test]
async fn a_flow_that_waits_longer_than_its_recurrence_is_an_alarm_that_names_what_holds_it_up() {
    let (port, taken) = silent_server();
    let flows = FlowsToml::new().failures("folder").folder("folder").azure_of("slow", "storage");
    let flows = (0..6).fold(flows, |flows, number| flow(flows, &format!("f{number}")).every("minute"));
    let sandbox = Sandbox::new(flows);
    sandbox.write("storage", &storage_at(port));
    let daemon = Driven::start(&sandbox, "2026-01-05T08:00:00Z");
    daemon.tick().await;
    eventually_async("four runs to hang", async || (taken.load(Ordering::SeqCst) >= 4).then_some(())).await;
    for _ in 0..3 {
        daemon.clock.advance(SignedDuration::from_secs(50));
        daemon.tick().await;
        daemon.tick().await;
    }
    let alarm = eventually_async("the alarm", async || raised(&sandbox).await.pop()).await;
    assert_eq!((alarm.kind.as_str(), alarm.about.as_str()), ("held-up", "slow"), "{alarm:?}");
    has(
        &alarm.what,
        &["f4 and 1 other wait longer than their recurrence", "f0, f1, f2, f3", "waiting for slow"],
    );
    let health = sandbox.exits(1, &["health"]);
    has(
        &health.stdout,
        &["the table connection slow delays its flows", "f4 and 1 other wait", "leadflow check --online"],
    );
    let json = sandbox.json(&["health", "--json"]);
    assert_eq!(
        (&json["alarms"][0]["kind"], &json["alarms"][0]["about"]),
        (&json!("held-up"), &json!("slow"))
    );
    eventually_async("the mail about it", async || (!sandbox.mails().is_empty()).then_some(())).await;
    daemon.stop().await;
}
