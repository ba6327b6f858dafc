//! Who hears of what is wrong: mails about failures, their end, `health`, the heartbeat.

use std::sync::{Arc, Mutex};

use jiff::SignedDuration;

use crate::support::driven::{Driven, raised};
use crate::support::embedded::rows;
use crate::support::flows_toml::{FlowsToml, KEYS, SINCE};
use crate::support::leadflow::Sandbox;
use crate::support::mail::Mail;
use crate::support::scripted::{smtp, table_service};
use crate::support::{eventually, has};

/// An hourly flow on an embedded table, by the connections of `flows`.
fn flow(flows: FlowsToml) -> FlowsToml {
    flows.embedded("demo").flow("leads").mails_by("relay").filter(SINCE).body(KEYS)
}

fn relay(port: u16) -> FlowsToml {
    FlowsToml::new().smtp("relay", port).more("per_minute = 10000").failures("relay")
}

fn keys(numbers: std::ops::Range<usize>) -> impl Iterator<Item = String> {
    numbers.map(|number| format!("r{number:04}"))
}

/// Subjects and texts of the messages, in the order they came.
fn alarm_mails(messages: &Mutex<Vec<Vec<u8>>>) -> Vec<(String, String)> {
    let mails = messages.lock().unwrap().clone().into_iter().map(Mail::of_bytes);
    mails.map(|mail| (mail.subject(), mail.text())).collect()
}

#[tokio::test]
async fn case_27_a_mail_server_that_is_down_for_a_day_costs_one_failure_mail_and_no_lead() {
    let (port, messages) = smtp(|_| Some("250 queued"));
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let sandbox = Sandbox::new(flow(relay(dead)));
    let start = "2026-03-02T08:00:00Z";
    let daemon = Driven::start(&sandbox, start);
    daemon.pass(&sandbox, SignedDuration::from_secs(1), SignedDuration::from_secs(1)).await;
    // 500 leads over 24 hours, while nobody listens.
    let step = SignedDuration::from_mins(10);
    for hour in 0..24 {
        let from = hour * 500 / 24;
        sandbox.table().insert_at(&rows(keys(from..(hour + 1) * 500 / 24)), daemon.clock.now());
        daemon.pass(&sandbox, SignedDuration::from_hours(1), step).await;
    }
    assert!(alarm_mails(&messages).is_empty());
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
    let mails = alarm_mails(&messages);
    let notices: Vec<_> = mails.iter().filter(|(subject, _)| subject.starts_with("leadflow")).collect();
    let subjects: Vec<_> = notices.iter().map(|(subject, _)| subject.as_str()).collect();
    let words = "leadflow: the mail connection relay fails: cannot connect to 127.0.0.1";
    assert!(subjects.len() == 2 && subjects[0].starts_with(words), "{subjects:?}");
    assert_eq!(subjects[1], "leadflow: the mail connection relay works again");
    has(&notices[0].1, &["times in a row", "What to do", "leadflow check --online", "2026-03-02 0"]);
    let mailed: Vec<&str> = mails
        .iter()
        .filter(|(subject, _)| !subject.starts_with("leadflow"))
        .flat_map(|(_, text)| text.split_whitespace())
        .filter(|word| word.starts_with('r'))
        .collect();
    assert!(mailed == keys(0..500).collect::<Vec<_>>(), "all leads, each once, in their order");
}

#[tokio::test]
async fn a_flow_that_fails_is_mailed_once_again_after_repeat_and_when_it_is_over() {
    let (port, messages) = smtp(|_| Some("250 queued"));
    let sandbox = Sandbox::new(flow(relay(port).more("after = 2\nrepeat = \"6 hours\"")));
    sandbox.spoil_table();
    let daemon = Driven::start(&sandbox, "2026-03-02T08:00:00Z");
    let (hour, step) = (SignedDuration::from_hours(1), SignedDuration::from_mins(20));
    daemon.pass(&sandbox, SignedDuration::from_mins(40), step).await;
    assert!(alarm_mails(&messages).is_empty(), "one failure is not enough");
    daemon.pass(&sandbox, hour, step).await;
    let mails = alarm_mails(&messages);
    let [(subject, text)] = mails.as_slice() else { panic!("{mails:?}") };
    assert!(subject.starts_with("leadflow: leads fails: cannot use the embedded table"), "{subject}");
    has(text, &["2 times in a row", "must be writable for this user", "leadflow history show "]);
    daemon.pass(&sandbox, hour * 5, step).await;
    assert_eq!(alarm_mails(&messages).len(), 1, "once");
    daemon.pass(&sandbox, hour * 2, step).await;
    assert_eq!(alarm_mails(&messages).len(), 2, "again after six hours");

    std::fs::remove_file(sandbox.path("state/demo.db")).unwrap();
    sandbox.table().insert_at(&rows(keys(0..1)), daemon.clock.now());
    daemon.pass(&sandbox, hour * 2, step).await;
    daemon.stop().await;
    let subjects: Vec<_> = alarm_mails(&messages).into_iter().map(|(subject, _)| subject).skip(2).collect();
    assert_eq!(subjects, ["leads: 1 new row", "leadflow: leads runs normally again"]);
    assert_eq!(raised(&sandbox).await, []);
}

#[tokio::test]
async fn the_next_connection_of_the_list_mails_that_the_first_one_fails() {
    let (port, messages) = smtp(|_| Some("250 queued"));
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let both = FlowsToml::new().smtp("relay", dead).smtp("second", port).failures("relay");
    let sandbox = Sandbox::new(flow(both));
    sandbox.edit("connection = \"relay\"\nto = \"ops", "connection = [\"relay\", \"second\"]\nto = \"ops");
    sandbox
        .edit("connection = \"relay\"\nto = \"sales", "connection = [\"relay\", \"second\"]\nto = \"sales");
    let daemon = Driven::start(&sandbox, "2026-03-02T08:00:00Z");
    for number in 0..4 {
        sandbox.table().insert_at(&rows(keys(number..number + 1)), daemon.clock.now());
        daemon.pass(&sandbox, SignedDuration::from_hours(1), SignedDuration::from_mins(20)).await;
    }
    daemon.stop().await;
    let subjects: Vec<_> = alarm_mails(&messages).into_iter().map(|(subject, _)| subject).collect();
    assert_eq!(subjects.iter().filter(|subject| *subject == "leads: 1 new row").count(), 4, "{subjects:?}");
    let of_relay = subjects.iter().filter(|subject| subject.contains("the mail connection relay fails"));
    assert_eq!(of_relay.count(), 1, "{subjects:?}");
}

#[test]
fn case_12_a_file_that_an_edit_broke_is_mailed_and_so_is_its_repair() {
    let (port, messages) = smtp(|_| Some("250 queued"));
    let sandbox = Sandbox::new(flow(relay(port)));
    let daemon = sandbox.daemon();
    sandbox.edit("frequency = \"hour\"", "frequency = \"hours\"");
    let mails = eventually("the mail", || Some(alarm_mails(&messages)).filter(|mails| !mails.is_empty()));
    assert!(mails[0].0.starts_with("leadflow: flows.toml has a problem:"), "{:?}", mails[0]);
    assert!(mails[0].1.contains("flows.toml:13:13: `hours` is not valid for `frequency`"), "{}", mails[0].1);
    let ill = sandbox.command(&["health"]).output().unwrap();
    assert_eq!(ill.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&ill.stdout)
            .contains("flows.toml:13:13: `hours` is not valid for `frequency`"),
        "{ill:?}"
    );
    sandbox.edit("frequency = \"hours\"", "frequency = \"hour\"");
    let mails = eventually("the other mail", || Some(alarm_mails(&messages)).filter(|mails| mails.len() > 1));
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
    let sandbox = Sandbox::new(flow(FlowsToml::new().settings(&url).folder("relay")));
    let daemon = sandbox.daemon();
    eventually("a heartbeat", || (*beats.lock().unwrap() > 0).then_some(()));
    daemon.wait_for_log("the heartbeat failed");
    assert!(!daemon.log().contains("canary"), "{}", daemon.log());
    assert!(daemon.stop().success());
}
