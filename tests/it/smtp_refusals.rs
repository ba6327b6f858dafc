//! Whose fault a refusal of an SMTP server is: no address and no mail is blamed for what is the
//! sender's, and nobody's mail waits for what is another one's.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use leadflow::flow::MailConnection;
use leadflow::outbox::Receipt;
use leadflow::services::mail::{Fault, Handover, MailSession as _, OutgoingMail, Session};
use serde_json::Value;

use crate::support::ENDLESS;
use crate::support::embedded;
use crate::support::flows_toml::FlowsToml;
use crate::support::leadflow::Sandbox;
use crate::support::smtp_script::{FROM, Script, Step, good, sandbox, say};

const BYTES: &[u8] = b"Subject: a\r\n\r\nb\r\n";

fn to(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("to{number}@contoso.example")).collect()
}

async fn open(script: &Script) -> Session {
    Session::open(&MailConnection::Smtp(script.connection())).await.unwrap()
}

async fn send(session: &mut Session, recipients: usize) -> Handover {
    session
        .send(OutgoingMail { id: 1, from: FROM, recipients: &to(recipients), bytes: BYTES, lease: &ENDLESS })
        .await
}

/// A server that answers so at a step, where the line holds the words.
fn refusing(at: &'static str, words: &'static str, reply: &'static str) -> Script {
    Script::start(move |step, line| if step == at && line.contains(words) { say(reply) } else { good(step) })
}

#[tokio::test]
async fn what_is_the_connections_blames_no_recipient_at_any_step() {
    for reply in [
        "530 5.7.0 Authentication required",
        "535 5.7.3 no",
        "550 5.7.30 Basic authentication is not supported",
        "504 5.5.2 <x>: Helo command rejected",
        "550 5.1.8 bad outbound sender",
        "554 5.2.252 SendAsDenied",
        "550 5.4.5 daily limit",
        "550 5.7.60 may not send as this sender",
        "550 5.7.708 traffic not accepted",
    ] {
        for at in ["MAIL", "RCPT", "DATA", "."] {
            let script = refusing(at, "", reply);
            let mut session = open(&script).await;
            let handover = send(&mut session, 3).await;
            assert_eq!(handover.receipts, [None, None, None], "{at} {reply}");
            let ((Some(Fault::Connection(error)), "MAIL") | (Some(Fault::Refused(error)), _)) =
                (handover.fault, at)
            else {
                panic!("{at} {reply}")
            };
            assert!(error.advice.message.contains(reply) && error.advice.help.is_some(), "{error}");
            assert!(script.messages().len() <= 1 && !session.is_usable());
        }
    }
}

#[tokio::test]
async fn what_is_a_recipients_is_its_own_and_the_others_get_the_mail() {
    for (reply, is_final) in [
        ("550 5.1.1 no such user", true),
        ("550 no such user", true),
        ("552 5.2.2 mailbox full", true),
        ("550 5.7.133 sender not authenticated for group", true),
        ("550 sorry, no mailbox here by that name (#5.1.1)", true),
        ("450 4.2.0 greylisted", false),
        ("451 4.7.1 greylisted", false),
        ("452 4.2.2 over quota", false),
    ] {
        let script = refusing("RCPT", "to1@", reply);
        let mut session = open(&script).await;
        let handover = send(&mut session, 3).await;
        let words = reply.to_owned();
        let refused = if is_final { Receipt::Refused(words) } else { Receipt::Later(words) };
        let accepted = Some(Receipt::Accepted("250 queued".to_owned()));
        assert_eq!(
            handover,
            Handover { receipts: vec![accepted.clone(), Some(refused), accepted], fault: None }
        );
        assert!(session.is_usable());
    }
}

#[tokio::test]
async fn a_policy_of_unclear_aim_condemns_nobody_by_itself() {
    for reply in
        ["554 5.7.1 Relay access denied", "550 5.7.1 Unable to relay", "553 sender rejected", "501 HELO"]
    {
        for (at, accepted) in [("RCPT", 0), (".", 0), ("DATA", 0)] {
            let script = refusing(at, "", reply);
            let handover = send(&mut open(&script).await, 2).await;
            assert_eq!(handover.receipts.iter().flatten().count(), accepted, "{at} {reply} {handover:?}");
            if at == "RCPT" || !reply.starts_with("501") {
                assert!(
                    matches!(handover.fault, Some(Fault::Broke { at: None, .. })),
                    "{at} {reply} {handover:?}"
                );
            }
        }
        // Who is taken gets the mail, and is not asked to take it again.
        let script = refusing("RCPT", "to0@", reply);
        let handover = send(&mut open(&script).await, 2).await;
        assert_eq!(handover.receipts, [None, Some(Receipt::Accepted("250 queued".to_owned()))]);
        assert!(matches!(handover.fault, Some(Fault::Declined { is_final: true, .. })), "{handover:?}");
    }
    // A limit that is reached at a later recipient: who was named gets the mail.
    let script = refusing("RCPT", "to1@", "550 5.4.5 daily limit");
    let handover = send(&mut open(&script).await, 3).await;
    assert_eq!(handover.receipts, [Some(Receipt::Accepted("250 queued".to_owned())), None, None]);
    assert!(matches!(handover.fault, Some(Fault::Declined { is_final: false, .. })), "{handover:?}");
}

#[tokio::test]
async fn what_is_the_messages_holds_for_all_and_the_session_goes_on() {
    for (at, reply, is_final) in [
        (".", "552 5.3.4 too big", true),
        (".", "554 this is spam", true),
        ("DATA", "554 no", true),
        (".", "451 4.7.1 greylisted", false),
        ("DATA", "451 later", false),
    ] {
        let script = refusing(at, "", reply);
        let mut session = open(&script).await;
        let words = reply.to_owned();
        let receipt = Some(if is_final { Receipt::Refused(words) } else { Receipt::Later(words) });
        assert_eq!(send(&mut session, 2).await, Handover { receipts: vec![receipt; 2], fault: None });
        assert!(session.is_usable());
        assert_eq!(script.count("RSET"), usize::from(at == "DATA"), "recipients are not left behind");
    }
}

/// A server that takes so many recipients in a transaction.
fn taking(most: usize, refusal: &'static str) -> Script {
    let named = AtomicUsize::new(0);
    Script::start(move |step, _| match step {
        "MAIL" => {
            named.store(0, Ordering::Relaxed);
            good(step)
        }
        "RCPT" if named.fetch_add(1, Ordering::Relaxed) >= most => say(refusal),
        step => good(step),
    })
}

#[tokio::test]
async fn too_many_recipients_go_in_more_transactions_of_the_session() {
    for refusal in ["452 4.5.3 too many recipients", "552 too many recipients", "452", "550 5.5.3 no more"] {
        let script = taking(2, refusal);
        let handover = send(&mut open(&script).await, 5).await;
        assert_eq!(
            handover,
            Handover::judged(vec![Receipt::Accepted("250 queued".to_owned()); 5]),
            "{refusal}"
        );
        assert_eq!((script.messages().len(), script.count("GREETING")), (3, 1), "{refusal}");
    }
    // None at all is no question of how many.
    let handover = send(&mut open(&taking(0, "452 4.5.3 too many recipients")).await, 2).await;
    let later = Receipt::Later("452 4.5.3 too many recipients".to_owned());
    assert_eq!(handover, Handover::judged(vec![later; 2]));
}

#[tokio::test]
async fn a_session_that_the_server_ends_by_its_own_limit_is_nobodys_fault() {
    for end in [
        say("421 4.7.0 too many messages in this session"),
        say("452 4.3.1 enough"),
        say("450 4.7.1 session limit"),
        Step::SayAndClose(b"421 bye\r\n".to_vec()),
        Step::Close,
    ] {
        let count = AtomicUsize::new(0);
        let script = Script::start(move |step, _| {
            let is_later = step == "MAIL" && count.fetch_add(1, Ordering::Relaxed) > 0;
            if is_later { end.clone() } else { good(step) }
        });
        let mut session = open(&script).await;
        assert!(send(&mut session, 1).await.fault.is_none());
        let second = send(&mut session, 1).await;
        assert!(matches!(second.fault, Some(Fault::Ended(_))), "{second:?}");
        assert!(!session.is_usable());
        // A new one that has taken nothing has no such excuse.
        let third = send(&mut open(&script).await, 1).await;
        assert!(matches!(third.fault, Some(Fault::Connection(_))), "{third:?}");
    }
}

#[test]
fn the_next_connection_takes_the_mail_and_no_recipient_is_held() {
    for (at, reply) in [
        ("RCPT", "530 5.7.57 Client not authenticated"),
        ("RCPT", "550 5.7.1 relaying denied"),
        ("RCPT", "553 sender rejected"),
        (".", "554 5.2.252 SendAsDenied"),
        (".", "550 5.7.1 not allowed"),
    ] {
        let (first, second) = (refusing(at, "", reply), Script::start(|step, _| good(step)));
        let sandbox = sandbox(&[first.port, second.port]);
        let log = sandbox.run_once().stderr;
        assert!(log.contains(reply) && log.contains("connection=\"relay0\""), "{log}");
        assert_eq!(second.messages().len(), 1, "{at} {reply}");
        let run = sandbox.shown(1);
        let recipients = run["mails"][0]["recipients"].as_array().unwrap().clone();
        assert!(recipients.len() == 2 && recipients.iter().all(|to| to["state"] == "sent"), "{recipients:?}");
        // Alone it waits, and nobody is held.
        let alone = crate::support::smtp_script::sandbox(&[first.port]);
        assert_eq!(alone.run(&["run", "--once"]).code, 1);
        let run = alone.shown(1);
        let recipients = run["mails"][0]["recipients"].as_array().unwrap().clone();
        assert!(recipients.iter().all(|to| to["state"] == "waiting"), "{at} {reply}: {recipients:?}");
        let said = recipients[0]["reply"].as_str().unwrap();
        assert!(said.contains(reply), "{said}");
    }
}

/// State and reply of each recipient of the mails of run 1, in their order.
fn recipients(sandbox: &Sandbox) -> Vec<(String, String)> {
    let run = sandbox.shown(1);
    let all = run["mails"].as_array().unwrap().iter().flat_map(|mail| mail["recipients"].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    all.map(|to| (text(&to["state"]), text(&to["reply"]))).collect()
}

#[test]
fn a_recipient_declined_beside_others_goes_by_the_next_connection_or_is_held() {
    for (reply, state) in
        [("554 5.7.1 Relay access denied", "held"), ("530 5.7.0 Authentication required", "waiting")]
    {
        let first = refusing("RCPT", "partners@", reply);
        let second = Script::start(|step, _| good(step));
        let both = sandbox(&[first.port, second.port]);
        both.run_once();
        assert!(recipients(&both).iter().all(|(state, _)| state == "sent"), "{reply}");
        assert_eq!(
            (first.messages().len(), second.messages().len(), second.count("RCPT")),
            (1, 1, 1),
            "{reply}"
        );

        let alone = sandbox(&[first.port]);
        let log = alone.run(&["run", "--once"]).stderr;
        let found = recipients(&alone);
        assert_eq!((found[0].0.as_str(), found[1].0.as_str()), ("sent", state), "{log}");
        assert!(found[1].1.contains(reply), "{found:?}");
        assert!(!log.contains("the mail connection fails"), "it takes mail: {log}");
    }
}

/// Flows over one server, with a mail a row and so many rows each.
fn office(script: &Script, flows: &[(&str, &str)], rows: usize) -> Sandbox {
    let connections = FlowsToml::new().embedded("demo").smtp("relay", script.port);
    let sandbox = Sandbox::new(flows.iter().fold(connections, |all, (name, to)| {
        all.flow(name).reads("demo", name).to(to).body("{{length}}").more("each = \"row\"")
    }));
    for (name, _) in flows {
        sandbox.embedded(name).insert(&embedded::rows(0..rows));
    }
    sandbox
}

#[test]
fn a_server_of_one_mail_a_session_takes_all_in_new_sessions_at_once() {
    for end in ["421 4.7.0 one mail a session", "452 4.3.1 enough", "450 4.7.1 session limit"] {
        let has_taken = Mutex::new(false);
        let script = Script::start(move |step, _| {
            let mut has_taken = has_taken.lock().unwrap();
            match step {
                "greeting" => *has_taken = false,
                "." => *has_taken = true,
                "MAIL" if *has_taken => return say(end),
                _ => {}
            }
            good(step)
        });
        let sandbox = office(&script, &[("leads", "sales@contoso.example")], 4);
        let log = sandbox.run_once().stderr;
        assert_eq!((script.messages().len(), script.count("GREETING")), (4, 4), "{end}");
        assert!(!log.contains("WARN"), "nothing has failed: {log}");
    }
}

#[test]
fn what_is_refused_for_one_mail_alone_keeps_no_other_waiting() {
    for reply in ["530 5.7.0 Authentication required", "554 5.7.1 Relay access denied", "504 5.5.2 HELO"] {
        let script = refusing("RCPT", "abroad@", reply);
        let flows = [("abroad", "abroad@fabrikam.example"), ("leads", "sales@contoso.example")];
        let sandbox = office(&script, &flows, 2);
        // The first two tries are those of the mails that are refused.
        for _ in 0..3 {
            assert_eq!(sandbox.run(&["run", "--once"]).code, 1, "{reply}");
        }
        assert_eq!(script.messages().len(), 2, "the others have gone: {reply}");
        let waiting = sandbox.json(&["outbox", "list", "--json"]);
        let states: Vec<_> =
            waiting.as_array().unwrap().iter().map(|mail| mail["recipients"][0]["state"].clone()).collect();
        assert_eq!(states, ["waiting", "waiting"], "{reply}");
    }
}
