//! Several processes that work on one state, each with a lease.

use super::*;

/// A state that the first node has opened, whose flow has read a table; and a second node, which has joined.
pub(super) async fn two(state: &impl State) -> (Store, Store) {
    let first = opened(state).await;
    let second = state.open().await;
    second.take_over(named("second"), at(0)).await.unwrap();
    (first, second)
}

/// The lease of the node ends now.
fn lapse(store: &Store, name: &str) {
    store.raw(&format!("UPDATE nodes SET lease_until = 0 WHERE name = '{name}'")).unwrap();
}

fn due(second: i64) -> NewRun {
    let order = RunOrder::new(Cause::Schedule, Some(at(second)));
    NewRun { flow: "leads".to_owned(), order, started: at(second) }
}

async fn beat(store: &Store, second: i64) -> Beat {
    store.beat("of a file".to_owned(), at(second)).await.unwrap()
}

async fn wanted(store: &Store, run: NewRun) -> Claim {
    store.claim_runs(vec![run]).await.unwrap().remove(0)
}

pub(in crate::store) async fn a_flow_runs_on_one_node_and_its_slot_once(state: &impl State) {
    let (first, second) = two(state).await;
    let run = won(wanted(&first, due(10)).await).run;
    assert_eq!(wanted(&second, due(10)).await, Claim::UnderWay);
    assert_eq!(wanted(&second, due(11)).await, Claim::UnderWay);
    first.commit_run(run, scanned(12), std::iter::empty()).await.unwrap();
    let Claim::Settled(known) = wanted(&second, due(10)).await else { panic!("the slot is taken") };
    assert_eq!((known.last_slot, known.failed_run), (Some(at(10)), None));
    won(wanted(&second, due(13)).await);
}

pub(in crate::store) async fn a_failed_run_is_retried_by_one_node_and_a_flow_that_is_off_by_none(
    state: &impl State,
) {
    let (first, second) = two(state).await;
    let run = won(wanted(&first, due(10)).await).run;
    first.fail_run(run, failed("no table"), at(11)).await.unwrap();
    let retry = |of| {
        let order = RunOrder { retry_of: Some(of), ..RunOrder::new(Cause::Retry, None) };
        NewRun { flow: "leads".to_owned(), order, started: at(20) }
    };
    let again = won(wanted(&second, retry(run)).await).run;
    second.fail_run(again, failed("still none"), at(21)).await.unwrap();
    let Claim::Settled(known) = wanted(&first, retry(run)).await else { panic!("another has tried") };
    assert_eq!(known.failed_run, Some(again));
    let again = won(wanted(&first, retry(again)).await).run;
    first.commit_run(again, scanned(22), std::iter::empty()).await.unwrap();
    assert!(matches!(wanted(&second, retry(again)).await, Claim::Settled(_)), "it went well");

    let before = beat(&second, 30).await.schedule;
    first.add_request(Request::Off("leads".to_owned()), ANNA, at(30)).await.unwrap();
    first.take_requests(at(30)).await.unwrap();
    assert!(beat(&second, 31).await.schedule > before, "others are to learn it");
    let Claim::Settled(known) = wanted(&second, due(40)).await else { panic!("it is off") };
    assert!(known.is_off);
    let by_hand = RunOrder::without_slot(Cause::Trigger, RowRange::New);
    won(wanted(&second, NewRun { order: by_hand, ..due(41) }).await);
}

pub(in crate::store) async fn a_request_is_taken_by_one_node(state: &impl State) {
    let (first, second) = two(state).await;
    assert!(!beat(&first, 1).await.has_requests);
    let run = Request::Run { flow: "leads".to_owned(), cause: Cause::Trigger, range: RowRange::New };
    let id = second.add_request(run, ANNA, at(1)).await.unwrap();
    assert!(beat(&first, 2).await.has_requests);
    let order = RunOrder { request: Some(id), ..RunOrder::without_slot(Cause::Trigger, RowRange::New) };
    let asked = NewRun { flow: "leads".to_owned(), order, started: at(2) };
    let run = won(wanted(&first, asked.clone()).await).run;
    first.commit_run(run, scanned(3), std::iter::empty()).await.unwrap();
    assert!(matches!(wanted(&second, asked).await, Claim::Settled(_)));
    assert_eq!(second.answer(id).await.unwrap(), Answer::Run(run));
}

pub(in crate::store) async fn a_lane_is_one_nodes_at_a_time_and_keeps_its_order(state: &impl State) {
    let (first, second) = two(state).await;
    let run = won(wanted(&first, due(1)).await).run;
    first.commit_run(run, scanned(2), vec![mail(&addresses(), &[]); 3].into_iter().map(Ok)).await.unwrap();
    let sending = take(&first, at(3)).await;
    assert_eq!(second.due_lanes(at(3)).await.unwrap(), Vec::<Vec<String>>::new());
    assert_eq!(second.next_message(&addresses(), at(3)).await.unwrap(), None);
    let sent: Vec<_> =
        sending.recipients.iter().map(|known| known.after(Receipt::Accepted("250".to_owned()))).collect();
    first.record_attempt(replies(sending.id, sent, at(4)), at(4)).await.unwrap();
    assert_eq!(next(&second, at(4)).await.unwrap().id, sending.id + 1);
    assert_eq!(first.next_message(&addresses(), at(4)).await.unwrap(), None, "now it is the other's");
    second.defer_lane(&addresses(), at(5), at(4)).await.unwrap();
    assert_eq!(next(&first, at(5)).await.unwrap().id, sending.id + 1);
}

pub(in crate::store) async fn a_lease_that_is_renewed_holds_and_one_that_has_ended_is_taken_over(
    state: &impl State,
) {
    let (first, second) = two(state).await;
    let mailed = won(wanted(&first, due(1)).await).run;
    first.commit_run(mailed, scanned(2), vec![mail(&addresses(), &[]); 2].into_iter().map(Ok)).await.unwrap();
    let sending = take(&first, at(3)).await;
    let under_way = won(wanted(&first, due(3)).await).run;
    let schedule = beat(&first, 3).await.schedule;
    assert_eq!(beat(&second, 4).await.taken_over, TakenOver::default(), "its lease holds");
    assert!(beat(&first, 4).await.is_first && !beat(&second, 4).await.is_first);
    lapse(&first, "first");
    let refused = first.commit_run(under_way, scanned(5), std::iter::empty()).await.unwrap_err();
    assert!(matches!(refused, StoreError::TakenOver), "nobody has taken over yet, and yet: {refused}");
    let refused = first.mark_interrupted_uncertain(at(5)).await.unwrap_err();
    assert!(matches!(refused, StoreError::TakenOver), "{refused}");
    let refused = first.defer_lane(&addresses(), at(60), at(5)).await.unwrap_err();
    assert!(matches!(refused, StoreError::TakenOver), "{refused}");
    let taken = beat(&second, 5).await;
    assert_eq!(taken.taken_over, TakenOver { runs: 1, messages: 1 });
    assert!(taken.is_first && taken.schedule > schedule);
    assert_eq!(outcome(&second, under_way).await, Outcome::Interrupted);
    assert!(matches!(first.beat(String::new(), at(6)).await, Err(StoreError::TakenOver)));
    let mails = second.mails_of(mailed).await.unwrap();
    let marks: Vec<_> = mails.iter().map(|one| (one.id, one.recipients[0].uncertain)).collect();
    assert_eq!(marks, [(sending.id, 1), (sending.id + 1, 0)]);
    take(&second, at(6)).await;
    take(&second, at(6)).await;
    won(wanted(&second, due(3)).await);
    first.take_over(named("first"), at(7)).await.unwrap();
    assert!(!beat(&first, 7).await.is_first, "it has joined anew");
    assert_eq!(second.nodes().await.unwrap().iter().filter(|node| node.is_alive).count(), 2);
}

pub(in crate::store) async fn a_node_that_leaves_is_gone_at_once_and_one_that_is_lost_is_remembered(
    state: &impl State,
) {
    let (first, second) = two(state).await;
    second.leave().await.unwrap();
    let names = async || {
        let nodes = first.nodes().await.unwrap();
        nodes.into_iter().map(|one| (one.node.name, one.is_alive)).collect::<Vec<_>>()
    };
    assert_eq!(names().await, [("first".to_owned(), true)]);
    second.take_over(named("second"), at(1)).await.unwrap();
    won(wanted(&second, due(2)).await);
    second.leave().await.unwrap();
    assert_eq!(beat(&first, 2).await.taken_over, TakenOver { runs: 1, messages: 0 }, "it left work behind");
    second.take_over(named("second"), at(3)).await.unwrap();
    assert!(!first.forget_node("second").await.unwrap(), "it is alive");
    lapse(&first, "second");
    beat(&first, 4).await;
    assert_eq!(names().await, [("first".to_owned(), true), ("second".to_owned(), false)]);
    assert!(first.forget_node("second").await.unwrap());
    assert_eq!(names().await.len(), 1);
}

pub(in crate::store) async fn what_may_be_sent_is_counted_for_all_nodes_together(state: &impl State) {
    let (first, second) = two(state).await;
    let lanes = ["a", "b", "c"].map(|name| vec![name.to_owned()]);
    let run = won(wanted(&first, due(1)).await).run;
    let mails = lanes.clone().map(|lane| Ok(NewMessage { connections: lane, ..mail(&addresses(), &[]) }));
    first.commit_run(run, scanned(2), mails.into_iter()).await.unwrap();
    let [a, b, c] = lanes;
    let minute = SendLimits { per_minute: Some(1), per_hour: None };
    let one = first.next_message(&a, at(3)).await.unwrap().unwrap().id;
    assert_eq!(first.begin_sending(one, "relay", minute, at(3)).await.unwrap(), Begin::Begun);
    let two = second.next_message(&b, at(3)).await.unwrap().unwrap().id;
    let later = second.begin_sending(two, "relay", minute, at(3)).await.unwrap();
    assert!(matches!(later, Begin::NotBefore(until) if until > at(3) && until <= at(63)), "{later:?}");
    assert_eq!(second.begin_sending(two, "other", minute, at(3)).await.unwrap(), Begin::Begun);
    let hour = SendLimits { per_minute: None, per_hour: Some(2) };
    let three = first.next_message(&c, at(3)).await.unwrap().unwrap().id;
    assert_eq!(first.begin_sending(three, "relay", hour, at(3)).await.unwrap(), Begin::TakenBack);
    assert_eq!(first.defer_flow_if_used_up("leads", 2, at(3)).await.unwrap().unwrap().messages, 1);
}

pub(in crate::store) async fn a_connection_that_fails_rests_for_every_node(state: &impl State) {
    let (first, second) = two(state).await;
    let run = won(wanted(&first, due(1)).await).run;
    first.commit_run(run, scanned(2), std::iter::once(Ok(mail(&addresses(), &[])))).await.unwrap();
    let name = addresses().remove(0);
    let failure = ConnectionFailure {
        connection: name.clone(),
        what: "it is down".to_owned(),
        help: None,
        rest_until: Some(at(60)),
    };
    first.record_connection_failure(failure, at(2)).await.unwrap();
    let found = next(&second, at(3)).await.unwrap().resting;
    assert_eq!(found, [ConnectionRest { connection: name.clone(), until: at(60) }]);
    second.record_connection_success(&name, None).await.unwrap();
    assert_eq!(next(&second, at(4)).await.unwrap().resting, []);
}

pub(in crate::store) async fn a_name_is_one_process_while_its_lease_holds(state: &impl State) {
    let (first, _) = two(state).await;
    let other = state.open().await;
    let refused = other.take_over(named("first"), at(1)).await.unwrap_err();
    assert!(matches!(&refused, StoreError::NameHeld(name) if name == "first"), "{refused}");
    let run = won(wanted(&first, due(1)).await).run;
    let again = first.take_over(named("first"), at(1)).await.unwrap();
    assert_eq!(again, TakenOver { runs: 1, messages: 0 }, "its own lease does not keep it from joining anew");
    assert_eq!(outcome(&first, run).await, Outcome::Interrupted);
    lapse(&first, "first");
    other.take_over(named("first"), at(2)).await.unwrap();
    assert!(matches!(first.beat(String::new(), at(3)).await, Err(StoreError::TakenOver)));
}
