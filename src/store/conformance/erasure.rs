//! What the state forgets of a person, and what it proves of that.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::alarm::{Alarm, AlarmKind, AlarmUpdate};
use crate::history::{RecordedStep, Step};
use crate::outbox::Redirect;

const NAME: &str = "Ada Lovelace";

fn naming() -> IsFound {
    Arc::new(|text: &str| text.contains(NAME))
}

/// A run with a mail that names the person, and a step of that name.
async fn run_with_a_mail(store: &Store, second: i64, step: &str) -> (i64, i64) {
    let run = begun(store, second).await;
    let step = Step::Other { name: step.to_owned(), inputs: json!({}), outputs: json!({ "of": NAME }) };
    let steps = vec![RecordedStep { step, took: jiff::SignedDuration::ZERO }];
    let named = NewMessage {
        subject: format!("a lead of {NAME}"),
        bytes: format!("Subject: {NAME}\r\n\r\n").into_bytes(),
        ..mail(&addresses(), &[])
    };
    let scan = ScanResult { summary: format!("1 row of {NAME}"), steps, ..scanned(second) };
    store.commit_run(run, scan, std::iter::once(Ok(named))).await.unwrap();
    (run, store.mails_of(run).await.unwrap()[0].id)
}

/// The next mail is sent; the server's reply names the person.
async fn send(store: &Store, second: i64) {
    let taken = take(store, at(second)).await;
    let accept = |known: &Recipient| known.after(Receipt::Accepted(format!("250 thanks, {NAME}")));
    let after = taken.recipients.iter().map(accept).collect();
    store.record_attempt(replies(taken.id, after, at(second)), at(second)).await.unwrap();
}

pub(in crate::store) async fn a_mail_is_forgotten_with_what_rendered_it_once_it_is_sent(state: &impl State) {
    let store = opened(state).await;
    let (run, sent) = run_with_a_mail(&store, 1, "render").await;
    send(&store, 2).await;
    let (_, waits) = run_with_a_mail(&store, 3, "render").await;
    assert_eq!(store.kept_messages().await.unwrap(), [sent, waits]);
    assert!(!store.is_waiting(sent).await.unwrap() && store.is_waiting(waits).await.unwrap());
    assert!(!store.erase_message(waits).await.unwrap(), "it is still to be sent");
    take(&store, at(4)).await;
    assert!(store.is_waiting(waits).await.unwrap(), "it is being sent");
    assert!(!store.erase_message(waits).await.unwrap());
    assert!(store.erase_message(sent).await.unwrap());
    assert_eq!(store.kept_messages().await.unwrap(), [waits]);
    assert_eq!(store.message_bytes(sent).await.unwrap(), None);
    let mails = store.mails_of(run).await.unwrap();
    assert_eq!(mails[0].subject, "(forgotten)");
    let steps = store.steps(run).await.unwrap();
    assert!(!format!("{steps:?}").contains(NAME), "{steps:?}");
}

pub(in crate::store) async fn every_text_that_names_a_person_is_replaced_but_of_a_mail_that_waits(
    state: &impl State,
) {
    let store = opened(state).await;
    let (sent, _) = run_with_a_mail(&store, 1, "query").await;
    send(&store, 2).await;
    let fails = begun(&store, 3).await;
    let failure = FailedRun { help: format!("ask {NAME}"), ..failed(&format!("no row of {NAME}")) };
    store.fail_run(fails, failure, at(4)).await.unwrap();
    let what = format!("refused {NAME}");
    let failure = ConnectionFailure {
        connection: "relay".to_owned(),
        what,
        help: Some(NAME.to_owned()),
        rest_until: None,
    };
    store.record_connection_failure(failure, at(5)).await.unwrap();
    let alarm = Alarm {
        kind: AlarmKind::Failing,
        about: "leads".to_owned(),
        since: at(5),
        times: 1,
        what: NAME.to_owned(),
        help: String::new(),
        look: String::new(),
    };
    store
        .commit_alarms(AlarmUpdate { raised: vec![alarm], ..AlarmUpdate::default() }, None, at(5))
        .await
        .unwrap();
    let elsewhere = Redirect { to: vec![NAME.to_owned()], instead_of: None };
    let request = store.add_request(Request::Send(1, elsewhere), NAME, at(6)).await.unwrap();
    store.refuse_request(request, format!("not for {NAME}")).await.unwrap();
    let (waits, waiting) = run_with_a_mail(&store, 7, "query").await;
    for asked in [Request::Off("leads".to_owned()), Request::Retry(Some(waiting))] {
        store.add_request(asked, NAME, at(8)).await.unwrap();
    }
    store.take_requests(at(8)).await.unwrap();
    store.raw(&format!("UPDATE runs SET asked_by = '{NAME}' WHERE id = {fails}")).unwrap();

    // Of the sent mail: subject, two replies, summary, outputs; of the failed run two, of its connection two, the
    // alarm, what was asked for and the answer; of the run whose mail waits summary and outputs. And who asked: for the
    // request, for the run that failed, for the mail that waits, and that the flow is off.
    assert_eq!(store.erase_texts(naming()).await.unwrap(), 18);
    assert_eq!(store.erase_texts(naming()).await.unwrap(), 0);
    let facts = store.alarm_facts().await.unwrap();
    assert_eq!((facts.connections["relay"].what.as_str(), facts.raised[0].what.as_str()), FORGOTTEN_TWICE);
    let mails = [store.mails_of(sent).await.unwrap(), store.mails_of(waits).await.unwrap()].concat();
    assert_eq!(
        (mails[0].subject.as_str(), mails[0].recipients[1].reply.as_deref().unwrap()),
        FORGOTTEN_TWICE
    );
    assert_eq!(mails[1].subject, format!("a lead of {NAME}"), "it is sent as it was made");
    let off_by = overview(&store, "leads").await.off_by;
    assert_eq!((mails[1].asked_by.as_deref().unwrap(), off_by.as_deref().unwrap()), FORGOTTEN_TWICE);
    for run in [sent, fails, waits] {
        let run = store.run(run).await.unwrap().unwrap();
        let steps = store.steps(run.id).await.unwrap();
        assert!(!format!("{run:?} {steps:?}").contains(NAME), "{run:?} {steps:?}");
    }
    assert_eq!(store.answer(request).await.unwrap(), Answer::Refused("(forgotten)".to_owned()));
}

const FORGOTTEN_TWICE: (&str, &str) = ("(forgotten)", "(forgotten)");

pub(in crate::store) async fn what_is_forgotten_is_proved_to_be_gone(state: &impl State) {
    let store = opened(state).await;
    let (_, sent) = run_with_a_mail(&store, 1, "render").await;
    send(&store, 2).await;
    assert!(!store.prove_absent(naming()).await.unwrap().left.is_empty(), "it is there still");
    assert!(store.erase_message(sent).await.unwrap());
    store.erase_texts(naming()).await.unwrap();
    assert!(store.purge_remains().await.unwrap(), "nobody else reads");
    let found = store.prove_absent(naming()).await.unwrap();
    assert!(found.left.is_empty() && found.unreadable.is_empty() && found.bytes > 0, "{found:?}");
    store.verify().await.unwrap();
}
