//! What hangs holds up its own flows alone, whatever hangs and however many there are.

use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::SignedDuration;
use leadflow::platform::clock::Clock;
use leadflow::services::table::EmbeddedTable;
use leadflow::store::Store;
use serde_json::json;

use crate::alarms::Driven;
use crate::support::leadflow::{Daemon, Sandbox};
use crate::support::scripted::{serve, smtp};
use crate::support::{eventually, eventually_async};

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

/// A flow that runs each second and mails into its folder.
fn flow(name: &str, connection: &str) -> String {
    format!(
        "[flows.{name}]\n[flows.{name}.recurrence]\nfrequency = \"second\"\ninterval = 1\n[flows.{name}.table]\n\
         connection = \"{connection}\"\nname = \"leads\"\n[flows.{name}.email]\nconnection = \"folder\"\nto = \"a@b.example\"\n\
         subject = \"{{{{#each rows}}}}{{{{RowKey}}}}{{{{/each}}}}\"\n"
    )
}

/// Of the good neighbour, whose name is the last.
const GOOD: &str = "[connections.zz.embedded_table]\nfile = \"good.db\"\n[connections.folder.mail_folder]\npath = \"mail\"\n";

fn insert(sandbox: &Sandbox, key: &str) {
    let table = EmbeddedTable::open(&sandbox.path("state/good.db"), "leads").unwrap();
    let row = json!({ "PartitionKey": "p", "RowKey": key });
    table.insert(&[row.as_object().unwrap().clone()], Clock::System.now()).unwrap();
}

fn mails(sandbox: &Sandbox) -> usize {
    let is_mail = |entry: &std::fs::DirEntry| entry.path().extension().is_some_and(|ending| ending == "eml");
    let entries = std::fs::read_dir(sandbox.path("state/mail")).into_iter().flatten();
    entries.map(Result::unwrap).filter(is_mail).count()
}

/// Rows of the good neighbour are mailed, one after the other.
fn goes_on(sandbox: &Sandbox, daemon: &Daemon) {
    // What was written before its begin is no news.
    daemon.wait_for_log("are not mailed flow=\"zz\"");
    for count in 1..=5 {
        insert(sandbox, &format!("row {count}"));
        eventually("the good flow to mail", || (mails(sandbox) >= count).then_some(()));
    }
}

#[test]
fn twelve_table_connections_that_hang_hold_up_their_own_flows_alone() {
    let (port, taken) = silent_server();
    let mut text = GOOD.to_owned();
    for number in 0..12 {
        let storage =
            format!("[connections.h{number}.azure_table]\nconnection_string = {{ file = \"storage\" }}\n");
        let flows: String =
            (0..5).map(|own| flow(&format!("h{number}-{own}"), &format!("h{number}"))).collect();
        text += &(storage + &flows);
    }
    let sandbox = Sandbox::new(&(text + &flow("zz", "zz")));
    let endpoint =
        format!("AccountName=contoso;AccountKey=Y2FuYXJ5;TableEndpoint=http://127.0.0.1:{port}/contoso");
    sandbox.write("storage", &endpoint);
    let daemon = sandbox.daemon();
    let hang = |count| {
        let taken = Arc::clone(&taken);
        move || (taken.load(Ordering::SeqCst) >= count).then_some(())
    };
    eventually("as many to hang as once were all", hang(16));
    goes_on(&sandbox, &daemon);
    eventually("every connection to hang in all its turns", hang(48));
    insert(&sandbox, "last");
    eventually("the good flow to go on", || (mails(&sandbox) >= 6).then_some(()));
    assert!(taken.load(Ordering::SeqCst) < 12 * 5 * 6, "each has its four turns");
    drop(daemon);
}

#[test]
fn token_services_mail_servers_and_a_heartbeat_that_hang_hold_up_their_own_alone() {
    let (port, taken) = silent_server();
    // Each a mail server for rows of the good table; and a table behind a token that does not come.
    let hanging = (0..20).map(|number| {
        let connections = format!(
            "[connections.m{number}.smtp]\nhost = \"127.0.0.1\"\nport = {port}\nsecurity = \"none\"\nfrom = \"a@b.example\"\n\
             [connections.t{number}.azure_table]\naccount = \"contoso\"\nentra = {{ managed_identity = true }}\n"
        );
        let mailing = flow(&format!("m{number}"), "zz").replace("\"folder\"", &format!("\"m{number}\""));
        connections + &mailing + &flow(&format!("t{number}"), &format!("t{number}"))
    });
    let heartbeat = format!("[settings]\nheartbeat_url = \"http://127.0.0.1:{port}/beat\"\n");
    let sandbox = Sandbox::new(&(heartbeat + GOOD + &hanging.collect::<String>() + &flow("zz", "zz")));
    let daemon = sandbox.daemon_with(&[("LEADFLOW_TEST_IMDS", &format!("http://127.0.0.1:{port}"))]);
    daemon.wait_for_log("ready");
    goes_on(&sandbox, &daemon);
    eventually("the others to hang", || (taken.load(Ordering::SeqCst) >= 12).then_some(()));
    insert(&sandbox, "last");
    eventually("the good flow to go on", || (mails(&sandbox) >= 6).then_some(()));
    drop(daemon);
}

#[test]
fn secrets_that_become_pipes_hold_up_their_own_alone() {
    let (port, _messages) = smtp(|_| Some("250 queued"));
    let hanging = (0..12).map(|number| {
        let connections = format!(
            "[connections.p{number}.azure_table]\nconnection_string = {{ file = \"pipe\" }}\n\
             [connections.m{number}.smtp]\nhost = \"127.0.0.1\"\nport = {port}\nsecurity = \"none\"\nfrom = \"a@b.example\"\n\
             login = {{ username = \"x\", password = {{ file = \"pipe\" }} }}\n"
        );
        let mailing = flow(&format!("m{number}"), "zz").replace("\"folder\"", &format!("\"m{number}\""));
        connections + &flow(&format!("p{number}"), &format!("p{number}")) + &mailing
    });
    let sandbox = Sandbox::new(&(GOOD.to_owned() + &hanging.collect::<String>() + &flow("zz", "zz")));
    // A pipe is refused at the start; here it comes in the place of the file.
    sandbox.write("pipe", "AccountName=contoso;AccountKey=Y2FuYXJ5;TableEndpoint=http://127.0.0.1:1/contoso");
    let daemon = sandbox.daemon();
    std::fs::remove_file(sandbox.path("pipe")).unwrap();
    assert!(Command::new("mkfifo").arg(sandbox.path("pipe")).status().unwrap().success());
    goes_on(&sandbox, &daemon);
    drop(daemon);
}

#[tokio::test]
async fn a_flow_that_waits_longer_than_its_recurrence_is_an_alarm_that_names_what_holds_it_up() {
    let (port, taken) = silent_server();
    let flows: String = (0..6).map(|number| flow(&format!("f{number}"), "slow")).collect();
    let text = format!(
        "[connections.slow.azure_table]\nconnection_string = {{ file = \"storage\" }}\n{GOOD}{flows}\
         [settings.failures]\nconnection = \"folder\"\nto = \"ops@contoso.example\"\n"
    );
    let sandbox = Sandbox::new(&text.replace("\"second\"", "\"minute\""));
    let endpoint =
        format!("AccountName=contoso;AccountKey=Y2FuYXJ5;TableEndpoint=http://127.0.0.1:{port}/contoso");
    sandbox.write("storage", &endpoint);
    let daemon = Driven::start(&sandbox, "2026-01-05T08:00:00Z");
    daemon.tick().await;
    eventually_async("four runs to hang", async || (taken.load(Ordering::SeqCst) >= 4).then_some(())).await;
    for _ in 0..3 {
        daemon.clock.advance(SignedDuration::from_secs(50));
        daemon.tick().await;
        daemon.tick().await;
    }
    let raised = || Store::open(&sandbox.path("state")).unwrap().alarms().unwrap();
    let alarm = eventually_async("the alarm", async || raised().pop()).await;
    assert_eq!((alarm.kind.word(), alarm.about.as_str()), ("held-up", "slow"), "{alarm:?}");
    for words in ["f4 and 1 other wait longer than their recurrence", "f0, f1, f2, f3", "from slow"] {
        assert!(alarm.what.contains(words), "`{words}` is not in {}", alarm.what);
    }
    let health = sandbox.run(&["health"]);
    assert_eq!(health.code, 1, "{}", health.stdout);
    for words in
        ["the table connection slow holds its flows up", "f4 and 1 other wait", "leadflow check --online"]
    {
        assert!(health.stdout.contains(words), "`{words}` is not in:\n{}", health.stdout);
    }
    let json = sandbox.json(&["health", "--json"]);
    assert_eq!(
        (&json["alarms"][0]["kind"], &json["alarms"][0]["about"]),
        (&json!("held-up"), &json!("slow"))
    );
    eventually_async("the mail that tells it", async || (mails(&sandbox) >= 1).then_some(())).await;
    daemon.stop().await;
}
