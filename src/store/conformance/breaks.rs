//! Sessions that broke in the middle of a mail, and mails whose reply could not be recorded.

use super::*;

/// A run with so many mails that go over the same connections.
async fn made(store: &Store, second: i64, mails: usize) {
    let run = begun(store, second).await;
    let mails = vec![mail(&addresses(), &[]); mails].into_iter().map(Ok);
    store.commit_run(run, ScanResult { now: at(second), ..scanned(second) }, mails).await.unwrap();
}

/// Sends the next mail, in the middle of which the session over `relay` breaks. Returns its number.
async fn breaks(store: &Store, second: i64) -> i64 {
    let taken = take(store, at(second)).await;
    let later = |known: &Recipient| known.after(Receipt::Later("it broke".to_owned()));
    let after = taken.recipients.iter().map(later).collect();
    let over = Some(vec!["relay".to_owned()]);
    let attempt = AttemptRecord { broke_over: over, ..replies(taken.id, after, at(second)) };
    store.record_attempt(attempt, at(second)).await.unwrap();
    taken.id
}

pub(in crate::store) async fn a_mail_that_broke_goes_last_and_is_to_blame_once_another_gets_through(
    state: &impl State,
) {
    let store = opened(state).await;
    made(&store, 1, 2).await;
    let broken = breaks(&store, 2).await;
    let other = take(&store, at(3)).await;
    assert_ne!(other.id, broken, "it goes after those that are due with it");
    store.record_connection_success("elsewhere", Some(other.id)).await.unwrap();
    store.record_connection_success("relay", None).await.unwrap();
    let again = next(&store, at(4)).await.unwrap();
    assert_eq!((again.id, again.breaks), (broken, 0), "the connection has taken no other mail");
    store.record_connection_success("relay", Some(broken)).await.unwrap();
    assert_eq!(next(&store, at(4)).await.unwrap().breaks, 0, "its own way does not make it its fault");
    store.record_connection_success("relay", Some(other.id)).await.unwrap();
    assert_eq!(next(&store, at(4)).await.unwrap().breaks, 1);
    store.record_connection_success("relay", Some(other.id)).await.unwrap();
    assert_eq!(next(&store, at(4)).await.unwrap().breaks, 1, "one break is counted once");
}

pub(in crate::store) async fn a_mail_is_cleared_when_another_breaks_at_the_same_connection(
    state: &impl State,
) {
    let store = opened(state).await;
    made(&store, 1, 2).await;
    let first = breaks(&store, 2).await;
    let second = breaks(&store, 2).await;
    store.clear_suspicion("elsewhere", second).await.unwrap();
    store.clear_suspicion("relay", second).await.unwrap();
    store.record_connection_success("relay", None).await.unwrap();
    store.record_connection_success("relay", Some(99)).await.unwrap();
    let mut found = Vec::new();
    for _ in 0..2 {
        let taken = take(&store, at(3)).await;
        found.push((taken.id, taken.breaks));
    }
    assert_eq!(found, [(first, 0), (second, 1)]);
}

pub(in crate::store) async fn what_was_being_sent_without_a_recorded_reply_is_uncertain(state: &impl State) {
    let store = opened(state).await;
    made(&store, 1, 2).await;
    let sending = take(&store, at(2)).await;
    let claimed = next(&store, at(2)).await.unwrap();
    assert_eq!(store.mark_interrupted_uncertain(at(3)).await.unwrap(), 1);
    assert_eq!(store.mark_interrupted_uncertain(at(3)).await.unwrap(), 0);
    let open = store.outbox(OutboxFilter::Open).await.unwrap();
    let marks: Vec<_> =
        open.iter().map(|one| (one.message.id, one.message.recipients[0].uncertain)).collect();
    assert_eq!(marks, [(sending.id, 1), (claimed.id, 0)], "no server has heard of the other");
    assert!(open.iter().all(|one| one.message.next_try.is_some() && !one.message.is_sending));
}

pub(in crate::store) async fn a_mail_is_not_held_up_by_mails_of_its_flow_that_break_in_another_lane(
    state: &impl State,
) {
    let store = opened(state).await;
    see(&store, "partners", 0).await;
    let (here, there) = (vec!["here".to_owned()], vec!["there".to_owned()]);
    let make = async |flow: &str, connections: &[String], second| {
        let order = RunOrder::new(Cause::Schedule, Some(at(second)));
        let run = NewRun { flow: flow.to_owned(), order, started: at(second) };
        let run = claim(&store, vec![run]).await.remove(0).run;
        let mail = NewMessage { connections: connections.to_vec(), ..mail(&addresses(), &[]) };
        let scan = ScanResult { now: at(second), ..scanned(second) };
        store.commit_run(run, scan, std::iter::once(Ok(mail))).await.unwrap();
    };
    let broken = async |lane: &[String]| {
        let taken = store.next_message(lane, at(9)).await.unwrap().unwrap();
        assert_eq!(begin(&store, taken.id, at(9)).await.unwrap(), Begin::Begun);
        let attempt = AttemptRecord {
            broke_over: Some(Vec::new()),
            ..replies(taken.id, taken.recipients.clone(), at(9))
        };
        store.record_attempt(attempt, at(9)).await.unwrap();
        taken.id
    };
    make("partners", &here, 1).await;
    let of_partners = broken(&here).await;
    make("leads", &there, 2).await;
    broken(&there).await;
    make("leads", &here, 9).await;
    let first = store.next_message(&here, at(9)).await.unwrap().unwrap();
    assert_ne!(first.id, of_partners, "the session broke at it in this lane");
}
