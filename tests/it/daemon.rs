//! The daemon: rows that come, edits, signals, kills.

use std::process::{Command, Stdio};

use crate::support::azurite::{self, Table};
use crate::support::database::Writing;
use crate::support::eventually;
use crate::support::flows_toml::{FlowsToml, guide};
use crate::support::leadflow::Sandbox;
use crate::support::leads::{keys, leads};
use crate::support::mail_server::MailServer;

/// The guide's flow each two seconds.
fn every_two_seconds(table: &Table, port: u16) -> Sandbox {
    Sandbox::with_azurite(guide(&table.name, port).every("second").interval(2))
}

#[tokio::test]
async fn leads_arrive_and_edits_take_effect_while_it_runs() {
    let (table, server) = (Table::create().await, MailServer::start(&[]));
    let sandbox = every_two_seconds(&table, server.port);
    let daemon = sandbox.daemon();
    table.insert(&leads(0..3)).await;
    server.wait_for_keys(&keys(0..3));

    sandbox.edit("to = \"sales@contoso.example; partners@contoso.example\"", "to = \"new@contoso.example\"");
    daemon.wait_for_log("recipients +1 −2");
    table.insert(&leads(3..4)).await;
    let mails = server.wait_for_keys(&keys(3..4));
    assert_eq!(mails.last().unwrap().to, ["new@contoso.example"]);

    sandbox.edit("frequency = \"second\"\ninterval = 2", "frequency = \"seconds\"");
    daemon.wait_for_log("`seconds` is not valid for `frequency`; did you mean `second`?");
    daemon.wait_for_log("leadflow keeps running the previous flows");
    table.insert(&leads(4..5)).await;
    server.wait_for_keys(&keys(4..5));

    sandbox.edit("frequency = \"seconds\"", "frequency = \"second\"");
    daemon.wait_for_log("every 2 seconds → every second");
    sandbox.write("templates/marketplace-leads.txt.hbs", "{{#each rows}}Edited: {{lead.email}} {{/each}}");
    daemon.signal("HUP");
    let reloads = || daemon.log().matches("flows.toml is reloaded").count();
    eventually("the reload", || (reloads() >= 3).then_some(()));
    table.insert(&leads(5..6)).await;
    let mails = server.wait_for_keys(&keys(5..6));
    assert!(
        mails.last().unwrap().text().starts_with("Edited: customer5@"),
        "{}",
        mails.last().unwrap().text()
    );

    assert!(daemon.stop().success());
    let mut carried: Vec<String> =
        server.mails().iter().flat_map(super::support::mail::Mail::row_keys).collect();
    carried.sort();
    assert_eq!(carried, keys(0..6), "each lead once");
}

#[tokio::test]
async fn a_flow_is_turned_off_and_on_beside_the_daemon() {
    let (table, server) = (Table::create().await, MailServer::start(&[]));
    let sandbox = every_two_seconds(&table, server.port);
    let daemon = sandbox.daemon();
    table.insert(&leads(0..1)).await;
    server.wait_for_keys(&keys(0..1));
    let off = sandbox.run(&["off", "marketplace-leads"]);
    assert_eq!(
        (off.code, off.stdout.as_str()),
        (0, "marketplace-leads is off; its waiting mails are still sent\n")
    );
    assert!(daemon.stop().success());

    let daemon = sandbox.daemon();
    daemon.wait_for_log("no flow is on");
    table.insert(&leads(1..3)).await;
    let listed = sandbox.json(&["list", "--json"]);
    assert_eq!((&listed[0]["on"], &listed[0]["next_run"]), (&false.into(), &serde_json::Value::Null));
    assert_eq!(server.mails().len(), 1);
    assert_eq!(sandbox.run(&["on", "marketplace-leads"]).code, 0);
    let mails = server.wait_for_keys(&keys(1..3));
    assert_eq!(mails.len(), 2, "one catch-up run");
    assert!(daemon.stop().success());
}

#[tokio::test]
async fn mail_that_waits_leaves_when_the_server_is_back() {
    let table = Table::create().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let sandbox = every_two_seconds(&table, port);
    table.insert(&leads(0..2)).await;
    let daemon = sandbox.daemon();
    daemon.wait_for_log("the mail connection fails");
    let server = MailServer::start_on(port, &[]);
    // A reload tries what waits at once.
    daemon.signal("HUP");
    server.wait_for_keys(&keys(0..2));
    eventually("the outcome", || (sandbox.shown(1)["outcome"] == "sent").then_some(()));
    assert!(daemon.stop().success());
}

#[tokio::test]
async fn a_sender_that_is_refused_condemns_no_mail_and_the_next_connection_takes_it() {
    let (table, server) = (Table::create().await, MailServer::start(&[]));
    let strict = MailServer::start(&["--refuse-sender"]);
    table.insert(&leads(0..2)).await;
    let flows = FlowsToml::new().azure("marketplace").relay("first", strict.port);
    let flows = flows.relay("relay", server.port).guide_flow(&table.name).mails_by("first");
    let sandbox = Sandbox::with_azurite(flows);
    let output = sandbox.exits(1, &["run", "--once"]);
    let words =
        "the mail connection fails: the server accepts no mail from <…> 550 5.7.60 <…> may not send here";
    assert!(output.stderr.contains(words), "{}", output.stderr);
    assert_eq!(sandbox.shown(1)["mails"][0]["recipients"][0]["state"], "waiting");

    table.insert(&leads(2..3)).await;
    sandbox.edit("connection = \"first\"", "connection = [\"first\", \"relay\"]");
    sandbox.run(&["run", "--once"]);
    assert_eq!(server.mails().len(), 1);
    assert_eq!(server.mails()[0].row_keys(), keys(2..3), "the mail of the second run has two ways");
}

#[tokio::test]
async fn it_continues_when_nobody_reads_its_log() {
    let (table, server) = (Table::create().await, MailServer::start(&[]));
    let sandbox = every_two_seconds(&table, server.port);
    let mut child = sandbox.command(&["run"]).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    table.insert(&leads(0..1)).await;
    server.wait_for_keys(&keys(0..1));
    table.insert(&leads(1..2)).await;
    server.wait_for_keys(&keys(1..2));
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert!(child.wait().unwrap().success());
}

#[tokio::test]
async fn a_file_that_is_emptied_stops_no_flow() {
    let (table, server) = (Table::create().await, MailServer::start(&[]));
    let sandbox = every_two_seconds(&table, server.port);
    let daemon = sandbox.daemon();
    std::fs::write(sandbox.path("flows.toml"), "").unwrap();
    daemon.wait_for_log(
        "the file no longer defines a flow; stop leadflow if that is intended: leadflow keeps running the previous flows",
    );
    table.insert(&leads(0..1)).await;
    server.wait_for_keys(&keys(0..1));
    assert!(daemon.stop().success());
}

#[test]
fn a_state_folder_that_is_taken_away_ends_it() {
    let sandbox = Sandbox::new("");
    let mut daemon = sandbox.daemon();
    std::fs::remove_dir_all(sandbox.path("state")).unwrap();
    assert_eq!(daemon.wait().code(), Some(1));
    daemon.wait_for_log("was deleted or replaced while leadflow was running; nothing more is sent");
}

#[test]
fn a_busy_state_does_not_end_the_daemon() {
    let sandbox = Sandbox::new(FlowsToml::demo().flow("leads").every("day"));
    let daemon = sandbox.daemon();
    daemon.wait_for_log("no new rows");
    assert_eq!(sandbox.run(&["off", "leads"]).code, 0, "from now on the daemon has nothing to write");
    daemon.signal("STOP");
    let asked = sandbox.run(&["on", "leads"]);
    assert!(
        asked.code == 1 && asked.stderr.contains("has not picked up the request yet"),
        "{}",
        asked.stderr
    );
    let writing = Writing::begin(&sandbox.path("state"));
    daemon.signal("CONT");
    daemon.wait_for_log("leadflow.db failed: database is locked; another process holds it");
    writing.end();
    daemon.wait_for_log("turned on by command");
    assert!(daemon.stop().success());
}

#[tokio::test]
async fn a_key_that_was_rotated_is_read_again() {
    let (table, server) = (Table::create().await, MailServer::start(&[]));
    let sandbox = every_two_seconds(&table, server.port);
    sandbox.edit("{ env = \"LEADS_STORAGE\" }", "{ file = \"storage\" }");
    sandbox.write("storage", &azurite::connection_string("Y2FuYXJ5"));
    let daemon = sandbox.daemon();
    daemon.wait_for_log("does not accept the key or signature");
    table.insert(&leads(0..1)).await;
    sandbox.write("storage", &azurite::connection_string(azurite::KEY));
    server.wait_for_keys(&keys(0..1));
    assert!(daemon.stop().success());
}
