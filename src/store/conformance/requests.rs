//! What commands ask for, and what they look at.

use super::*;
use crate::outbox::Redirect;

pub(in crate::store) async fn a_request_is_read_fulfilled_and_gone(state: &impl State) {
    let store = opened(state).await;
    let off = Request::Off("leads".to_owned());
    let id = state.open().await.add_request(off.clone(), ANNA, at(1)).await.unwrap();
    assert_eq!(store.answer(id).await.unwrap(), Answer::Pending);
    assert_eq!(
        store.take_requests(at(2)).await.unwrap(),
        [QueuedRequest { id, request: off, asked_by: Some(ANNA.to_owned()) }]
    );
    assert_eq!(store.answer(id).await.unwrap(), Answer::Done);
    assert_eq!(overview(&store, "leads").await.off_since, Some(at(2)));
    assert!(store.take_requests(at(3)).await.unwrap().is_empty());
    store.add_request(Request::On("leads".to_owned()), ANNA, at(4)).await.unwrap();
    store.take_requests(at(5)).await.unwrap();
    assert_eq!(overview(&store, "leads").await.off_since, None);
}

pub(in crate::store) async fn a_mail_that_is_being_sent_is_neither_dropped_nor_sent_elsewhere(
    state: &impl State,
) {
    let store = opened(state).await;
    let run = begun(&store, 1).await;
    store.commit_run(run, scanned(2), std::iter::once(Ok(mail(&addresses(), &[])))).await.unwrap();
    let sending = take(&store, at(3)).await;
    let elsewhere = Redirect { to: vec!["z@b.example".to_owned()], instead_of: None };
    for request in [Request::Drop(sending.id), Request::Send(sending.id, elsewhere)] {
        let id = store.add_request(request, ANNA, at(4)).await.unwrap();
        assert_eq!(store.take_requests(at(4)).await.unwrap(), [], "nothing says that it was done");
        let answer = store.answer(id).await.unwrap();
        let Answer::Refused(why) = answer else { panic!("{answer:?}") };
        assert!(why.contains("is being sent right now"), "{why}");
    }
}

pub(in crate::store) async fn every_request_comes_back_as_it_was_left(state: &impl State) {
    let store = opened(state).await;
    let flow = || "leads".to_owned();
    let past = RowRange::Replay { from: at(1), to: at(2), again: true };
    let runs = [
        Request::Run { flow: flow(), cause: Cause::Trigger, range: RowRange::New },
        Request::Run { flow: flow(), cause: Cause::Replay, range: past },
    ];
    let others = [
        Request::On(flow()),
        Request::Retry(None),
        Request::Retry(Some(7)),
        Request::Drop(8),
        Request::Send(9, Redirect { to: vec!["a@b.example".to_owned()], instead_of: None }),
        Request::Send(9, Redirect { to: vec![], instead_of: Some("c@b.example".to_owned()) }),
    ];
    let all = [&runs[..], &others].concat();
    for request in &all {
        store.add_request(request.clone(), ANNA, at(3)).await.unwrap();
    }
    let taken = async || -> Vec<Request> {
        store.take_requests(at(4)).await.unwrap().into_iter().map(|queued| queued.request).collect()
    };
    assert_eq!(taken().await, all);
    assert_eq!(taken().await, runs, "they wait until they are claimed");
    store.refuse_request(2, "no".to_owned()).await.unwrap();
    assert_eq!(store.answer(2).await.unwrap(), Answer::Refused("no".to_owned()));
    assert_eq!(taken().await, runs[..1]);
    store.prune(Retention { history: at(0), message_bytes: at(0), answers: at(4) }).await.unwrap();
    assert_eq!(store.answer(2).await.unwrap(), Answer::Done, "what became of it is forgotten");
}

pub(in crate::store) async fn runs_are_found_by_flow_outcome_time_and_number(state: &impl State) {
    let store = opened(state).await;
    see(&store, "other", 0).await;
    // Runs 1 to 6, a minute apart, of either flow in turn; the even ones fail, the last goes on.
    for (number, flow) in (1..).zip(["leads", "other", "leads", "other", "leads", "leads"]) {
        let started = at(number * 60);
        let order = RunOrder::new(Cause::Schedule, None);
        let run = NewRun { flow: flow.to_owned(), order, started };
        let run = claim(&store, vec![run]).await[0].run;
        if number % 2 == 0 && number < 6 {
            store.fail_run(run, failed("no"), at(number * 60 + 1)).await.unwrap();
        }
    }
    let all = RunFilter::default();
    let of = |flow: &str| RunFilter { flow: Some(flow.to_owned()), ..RunFilter::default() };
    let is_failed = vec![Outcome::Failed];
    let or_running = vec![Outcome::Failed, Outcome::Running];
    for (filter, expected) in [
        (all.clone(), vec![6, 5, 4, 3, 2, 1]),
        (of("other"), vec![4, 2]),
        (of("nothere"), vec![]),
        (RunFilter { outcomes: is_failed, ..all.clone() }, vec![4, 2]),
        (RunFilter { outcomes: or_running, ..all.clone() }, vec![6, 4, 2]),
        (RunFilter { since: Some(at(180)), until: Some(at(300)), ..all.clone() }, vec![4, 3]),
        (RunFilter { before: Some(3), ..all.clone() }, vec![2, 1]),
        (RunFilter { after: Some(4), ..all }, vec![6, 5]),
        (RunFilter { before: Some(6), limit: Some(2), ..of("leads") }, vec![5, 3]),
    ] {
        let found = store.find_runs(filter.clone()).await.unwrap();
        let found: Vec<_> = found.iter().map(|run| run.id).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
    assert_eq!(store.flow_names().await.unwrap(), ["leads", "other"]);
    let samples = store.samples("other", at(240)).await.unwrap();
    let [sample] = samples.as_slice() else { panic!("{samples:?}") };
    assert!(sample.is_failed && sample.took == Some(jiff::SignedDuration::from_secs(1)), "{sample:?}");
}

pub(in crate::store) async fn a_flow_is_first_seen_once_and_its_new_name_keeps_everything(
    state: &impl State,
) {
    let store = opened(state).await;
    see(&store, "leads", 90_000).await;
    assert_eq!(store.seen("leads").await.unwrap(), Some(at(0)));
    let run = begun(&store, 90_001).await;
    see(&store, "other", 90_002).await;
    let taken = store.rename("leads", "other").await;
    assert!(matches!(taken, Err(StoreError::NameTaken(_))), "{taken:?}");
    let unknown = store.rename("nothere", "new").await;
    assert!(matches!(unknown, Err(StoreError::Unknown(_))), "{unknown:?}");
    store.rename("leads", "new").await.unwrap();
    assert_eq!(overview(&store, "new").await.last_run.unwrap().id, run);
    assert_eq!(store.seen("leads").await.unwrap(), None);
}
