//! Who hears of what is wrong: mails about failures, their end, `health`, the heartbeat.

use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use leadflow::config;
use leadflow::daemon::{self, Drive, Signal};
use leadflow::platform::clock::{Clock, DrivenClock};
use leadflow::services::table::EmbeddedTable;
use leadflow::store::Store;
use mail_parser::MessageParser;
use serde_json::json;
use tokio::sync::mpsc;

use crate::support::leadflow::Sandbox;
use crate::support::scripted::{smtp, table_service};
use crate::support::{eventually, eventually_async};

/// An hourly flow on an embedded table; `{mail}` is its mail connection and `{more}` its settings.
fn flows(mail: &str, more: &str) -> String {
    format!(
        "[settings]\n{more}\n[connections.demo.embedded_table]\nfile = \"demo.db\"\n{mail}\n\
         [flows.leads.recurrence]\nfrequency = \"hour\"\n[flows.leads.table]\nconnection = \"demo\"\nname = \"leads\"\n\
         filter = \"Timestamp gt datetime'{{{{past_time}}}}'\"\n[flows.leads.email]\nconnection = \"relay\"\n\
         to = \"sales@contoso.example\"\nbody = \"{{{{#each rows}}}}{{{{RowKey}}}} {{{{/each}}}}\"\n"
    )
}

fn relay(port: u16) -> String {
    format!(
        "[connections.relay.smtp]\nhost = \"127.0.0.1\"\nport = {port}\nsecurity = \"none\"\n\
         from = \"leads@contoso.example\"\nper_minute = 10000\n"
    )
}

const FAILURES: &str = "[settings.failures]\nconnection = \"relay\"\nto = \"ops@contoso.example\"\n";

/// A daemon in this process, whose clock and ticks the test drives.
pub(crate) struct Driven {
    pub(crate) clock: DrivenClock,
    ticks: mpsc::Sender<()>,
    signals: mpsc::Sender<Signal>,
    task: tokio::task::JoinHandle<()>,
}

impl Driven {
    pub(crate) fn start(sandbox: &Sandbox, now: &str) -> Self {
        let loaded = config::load(&sandbox.path("flows.toml")).unwrap();
        let clock = DrivenClock::new(now.parse().unwrap());
        let (ticks, receive) = mpsc::channel(1);
        let (signals, of_signals) = mpsc::channel(1);
        let drive =
            Drive { clock: Clock::Driven(clock.clone()), ticks: receive, signals: of_signals, watch: None };
        let task = tokio::spawn(async move { daemon::run(loaded, drive).await.unwrap() });
        Self { clock, ticks, signals, task }
    }

    /// Lets time pass in steps, and the daemon work at each until nothing is to be done at that
    /// moment any more.
    pub(crate) async fn pass(&self, sandbox: &Sandbox, whole: SignedDuration, step: SignedDuration) {
        let until = self.clock.now() + whole;
        while self.clock.now() < until {
            self.clock.advance(step);
            let now = self.clock.now();
            // One waits in the channel, one may be under way: the third is taken when the first is done.
            for _ in 0..3 {
                self.ticks.send(()).await.unwrap();
            }
            // All three may have fallen into a run: it goes on ticking, as a clock does.
            let is_done = async || {
                let _ = self.ticks.try_send(());
                is_done(sandbox, now).then_some(())
            };
            eventually_async("the daemon to be done", is_done).await;
        }
    }

    pub(crate) async fn tick(&self) {
        self.ticks.send(()).await.unwrap();
    }

    pub(crate) async fn stop(self) {
        self.signals.send(Signal::Stop).await.unwrap();
        self.task.await.unwrap();
    }
}

/// Whether the hour's slot is taken, and no mail is due or under way.
fn is_done(sandbox: &Sandbox, now: Timestamp) -> bool {
    let store = Store::open(&sandbox.path("state")).unwrap();
    let slot = store.plan("leads").unwrap().unwrap().last_slot;
    let db = rusqlite::Connection::open(sandbox.path("state/leadflow.db")).unwrap();
    let ask = "SELECT count(*) FROM mails WHERE next_try <= ?1 OR sending = 1";
    let due: i64 = db.query_row(ask, [now.as_microsecond()], |row| row.get(0)).unwrap();
    due == 0 && slot.is_some_and(|slot| now.duration_since(slot) < SignedDuration::from_hours(1))
}

fn insert(sandbox: &Sandbox, numbers: std::ops::Range<usize>, now: Timestamp) {
    let table = EmbeddedTable::open(&sandbox.path("state/demo.db"), "leads").unwrap();
    let row = |number| json!({ "PartitionKey": "p", "RowKey": format!("r{number:04}") });
    let rows: Vec<_> = numbers.map(|number| row(number).as_object().unwrap().clone()).collect();
    table.insert(&rows, now).unwrap();
}

/// Subjects and texts of the messages, in the order they came.
fn told(messages: &Mutex<Vec<Vec<u8>>>) -> Vec<(String, String)> {
    let messages = messages.lock().unwrap();
    let parsed = messages.iter().map(|bytes| {
        let message = MessageParser::default().parse(bytes).unwrap();
        (message.subject().unwrap().to_owned(), message.body_text(0).unwrap().into_owned())
    });
    parsed.collect()
}

#[tokio::test]
async fn case_27_a_mail_server_that_is_down_for_a_day_costs_one_failure_mail_and_no_lead() {
    let (port, messages) = smtp(|_| Some("250 queued"));
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let sandbox = Sandbox::new(&flows(&relay(dead), FAILURES));
    let start = "2026-03-02T08:00:00Z";
    let daemon = Driven::start(&sandbox, start);
    daemon.pass(&sandbox, SignedDuration::from_secs(1), SignedDuration::from_secs(1)).await;
    // 500 leads over 24 hours, while nobody listens.
    let step = SignedDuration::from_mins(10);
    for hour in 0..24 {
        let from = hour * 500 / 24;
        insert(&sandbox, from..(hour + 1) * 500 / 24, daemon.clock.now());
        daemon.pass(&sandbox, SignedDuration::from_hours(1), step).await;
    }
    assert!(told(&messages).is_empty());
    let ill = sandbox.run(&["health"]).stdout;
    assert!(ill.contains("the mail connection relay fails") && ill.contains("cannot connect to"), "{ill}");
    let listed = sandbox.json(&["list", "--json"]);
    assert!(listed[0]["waiting_mails"].as_i64().unwrap() >= 23, "{listed}");

    // The server is back, and time goes on.
    daemon.stop().await;
    sandbox.edit(&format!("port = {dead}"), &format!("port = {port}"));
    let daemon = Driven::start(&sandbox, "2026-03-03T08:10:00Z");
    daemon.pass(&sandbox, SignedDuration::from_hours(2), step).await;
    daemon.stop().await;
    let mails = told(&messages);
    let notices: Vec<_> = mails.iter().filter(|(subject, _)| subject.starts_with("leadflow")).collect();
    let subjects: Vec<_> = notices.iter().map(|(subject, _)| subject.as_str()).collect();
    let words = "leadflow: the mail connection relay fails: cannot connect to 127.0.0.1";
    assert!(subjects.len() == 2 && subjects[0].starts_with(words), "{subjects:?}");
    assert_eq!(subjects[1], "leadflow: the mail connection relay works again");
    for words in ["times in a row", "Do this", "leadflow check --online", "2026-03-02 0"] {
        assert!(notices[0].1.contains(words), "`{words}` is not in:\n{}", notices[0].1);
    }
    let keys: Vec<&str> = mails
        .iter()
        .filter(|(subject, _)| !subject.starts_with("leadflow"))
        .flat_map(|(_, text)| text.split_whitespace())
        .filter(|word| word.starts_with('r'))
        .collect();
    let expected: Vec<String> = (0..500).map(|number| format!("r{number:04}")).collect();
    assert!(keys == expected, "all leads, each once, in their order");
}

#[tokio::test]
async fn a_flow_that_fails_is_told_once_then_after_repeat_and_its_end_too() {
    let (port, messages) = smtp(|_| Some("250 queued"));
    let sandbox = Sandbox::new(&flows(&relay(port), &format!("{FAILURES}after = 2\nrepeat = \"6 hours\"\n")));
    std::fs::create_dir(sandbox.path("state")).unwrap();
    std::fs::write(sandbox.path("state/demo.db"), "garbage").unwrap();
    let daemon = Driven::start(&sandbox, "2026-03-02T08:00:00Z");
    let (hour, step) = (SignedDuration::from_hours(1), SignedDuration::from_mins(20));
    daemon.pass(&sandbox, SignedDuration::from_mins(40), step).await;
    assert!(told(&messages).is_empty(), "one failure is not enough");
    daemon.pass(&sandbox, hour, step).await;
    let mails = told(&messages);
    let [(subject, text)] = mails.as_slice() else { panic!("{mails:?}") };
    assert!(subject.starts_with("leadflow: leads fails: cannot use the embedded table"), "{subject}");
    for words in ["2 times in a row", "must be writable for this user", "leadflow history show "] {
        assert!(text.contains(words), "`{words}` is not in:\n{text}");
    }
    daemon.pass(&sandbox, hour * 5, step).await;
    assert_eq!(told(&messages).len(), 1, "once");
    daemon.pass(&sandbox, hour * 2, step).await;
    assert_eq!(told(&messages).len(), 2, "again after six hours");

    std::fs::remove_file(sandbox.path("state/demo.db")).unwrap();
    insert(&sandbox, 0..1, daemon.clock.now());
    daemon.pass(&sandbox, hour * 2, step).await;
    daemon.stop().await;
    let subjects: Vec<_> = told(&messages).into_iter().map(|(subject, _)| subject).skip(2).collect();
    assert_eq!(subjects, ["leads: 1 new row", "leadflow: leads runs well again"]);
    let database = sandbox.path("state/leadflow.db");
    let alarms: i64 = rusqlite::Connection::open(database)
        .unwrap()
        .query_row("SELECT count(*) FROM alarms", [], |row| row.get(0))
        .unwrap();
    assert_eq!(alarms, 0);
}

#[tokio::test]
async fn the_next_connection_of_the_list_tells_that_the_first_one_fails() {
    let (port, messages) = smtp(|_| Some("250 queued"));
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let second = relay(port).replace("connections.relay", "connections.second");
    let failures = FAILURES.replace("\"relay\"", "[\"relay\", \"second\"]");
    let text = flows(&format!("{}{second}", relay(dead)), &failures);
    let sandbox = Sandbox::new(&text.replace(
        "[flows.leads.email]\nconnection = \"relay\"",
        "[flows.leads.email]\nconnection = [\"relay\", \"second\"]",
    ));
    let daemon = Driven::start(&sandbox, "2026-03-02T08:00:00Z");
    for number in 0..4 {
        insert(&sandbox, number..number + 1, daemon.clock.now());
        daemon.pass(&sandbox, SignedDuration::from_hours(1), SignedDuration::from_mins(20)).await;
    }
    daemon.stop().await;
    let subjects: Vec<_> = told(&messages).into_iter().map(|(subject, _)| subject).collect();
    assert_eq!(subjects.iter().filter(|subject| *subject == "leads: 1 new row").count(), 4, "{subjects:?}");
    let of_relay = subjects.iter().filter(|subject| subject.contains("the mail connection relay fails"));
    assert_eq!(of_relay.count(), 1, "{subjects:?}");
}

#[test]
fn case_12_a_file_that_was_broken_by_an_edit_is_told_and_so_is_its_repair() {
    let (port, messages) = smtp(|_| Some("250 queued"));
    let sandbox = Sandbox::new(&flows(&relay(port), FAILURES));
    let daemon = sandbox.daemon();
    sandbox.edit("frequency = \"hour\"", "frequency = \"hours\"");
    let mails = eventually("the mail", || Some(told(&messages)).filter(|mails| !mails.is_empty()));
    assert!(mails[0].0.starts_with("leadflow: flows.toml has a problem:"), "{:?}", mails[0]);
    assert!(mails[0].1.contains("flows.toml:16:13: `hours` is no frequency"), "{}", mails[0].1);
    let ill = sandbox.command(&["health"]).output().unwrap();
    assert_eq!(ill.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&ill.stdout).contains("flows.toml:16:13: `hours` is no frequency"),
        "{ill:?}"
    );
    sandbox.edit("frequency = \"hours\"", "frequency = \"hour\"");
    let mails = eventually("the other mail", || Some(told(&messages)).filter(|mails| mails.len() > 1));
    assert_eq!(mails[1].0, "leadflow: flows.toml is valid again");
    assert!(daemon.stop().success());
}

#[test]
fn the_heartbeat_goes_out_while_all_is_well() {
    let beats = Arc::new(Mutex::new(0));
    let count = Arc::clone(&beats);
    let service = table_service(move |_, target| {
        assert_eq!(target, "/beat/canary");
        *count.lock().unwrap() += 1;
        Some(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_vec())
    });
    let url = format!("heartbeat_url = \"http://127.0.0.1:{}/beat/canary\"", service.port);
    let folder = "[connections.relay.mail_folder]\n";
    let sandbox = Sandbox::new(&flows(folder, &url));
    let daemon = sandbox.daemon();
    eventually("a heartbeat", || (*beats.lock().unwrap() > 0).then_some(()));
    daemon.wait_for_log("the heartbeat does not get through");
    assert!(!daemon.log().contains("canary"), "{}", daemon.log());
    assert!(daemon.stop().success());
}
