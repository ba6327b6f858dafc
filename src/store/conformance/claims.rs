//! Who has a run or a mail in hands, and what becomes of it when the owner is gone.

use super::*;
use crate::alarm::AlarmUpdate;

/// A run with so many mails, all to the same recipients.
async fn mailed(store: &Store, mails: usize) -> i64 {
    let run = begun(store, 1).await;
    let mails = vec![mail(&addresses(), &[]); mails].into_iter().map(Ok);
    store.commit_run(run, scanned(2), mails).await.unwrap();
    run
}

pub(in crate::store) async fn what_is_claimed_is_nobody_elses_and_lasts_however_late_it_is(
    state: &impl State,
) {
    let store = opened(state).await;
    mailed(&store, 2).await;
    let run = begun(&store, 3).await;
    let years_later = at(100_000_000);
    let first = next(&store, at(4)).await.unwrap();
    assert_eq!(next(&store, years_later).await.unwrap().id, first.id, "its owner could not go on with it");
    let stranger = state.open().await.next_message(&addresses(), years_later).await;
    assert!(matches!(stranger, Err(StoreError::TakenOver)), "{stranger:?}");
    assert_eq!(begin(&store, first.id, years_later).await.unwrap(), Begin::Begun);
    assert_ne!(next(&store, years_later).await.unwrap().id, first.id);
    store.commit_run(run, ScanResult { now: years_later, ..scanned(5) }, std::iter::empty()).await.unwrap();
}

pub(in crate::store) async fn what_another_owner_was_sending_is_uncertain_and_what_it_had_claimed_is_not(
    state: &impl State,
) {
    let gone = opened(state).await;
    let run = mailed(&gone, 3).await;
    take(&gone, at(3)).await;
    next(&gone, at(3)).await.unwrap();
    let under_way = begun(&gone, 4).await;
    let store = state.open().await;
    assert_eq!(join(&store, "next", at(5)).await, TakenOver { runs: 1, messages: 1 });
    assert_eq!(outcome(&store, under_way).await, Outcome::Interrupted);
    let mails = store.mails_of(run).await.unwrap();
    let marks: Vec<_> = mails.iter().map(|mail| mail.recipients[0].uncertain).collect();
    assert_eq!(marks, [1, 0, 0], "no server has heard of the others");
    assert!(mails.iter().all(|mail| mail.next_try.is_some() && !mail.is_sending));
    for _ in 0..3 {
        take(&store, at(5)).await;
    }
}

pub(in crate::store) async fn an_owner_that_was_taken_over_moves_nothing_more(state: &impl State) {
    let gone = opened(state).await;
    let run = mailed(&gone, 2).await;
    let sending = take(&gone, at(3)).await;
    let claimed = next(&gone, at(3)).await.unwrap();
    let late = begun(&gone, 4).await;
    let store = state.open().await;
    join(&store, "next", at(5)).await;
    let before = store.mails_of(run).await.unwrap();
    let is_over = |error: StoreError| {
        assert!(matches!(error, StoreError::TakenOver), "{error}");
        assert_eq!(error.kind(), Kind::Fatal);
    };
    let sent: Vec<_> =
        sending.recipients.iter().map(|known| known.after(Receipt::Accepted("250".to_owned()))).collect();
    is_over(gone.record_attempt(replies(sending.id, sent, at(6)), at(6)).await.unwrap_err());
    is_over(begin(&gone, claimed.id, at(6)).await.unwrap_err());
    is_over(gone.next_message(&addresses(), at(6)).await.unwrap_err());
    is_over(gone.interrupt_runs(at(6)).await.unwrap_err());
    is_over(gone.fail_run(late, failed("late"), at(6)).await.unwrap_err());
    let new = NewRun { flow: "leads".to_owned(), order: RunOrder::new(Cause::Once, None), started: at(6) };
    is_over(gone.claim_runs(vec![new]).await.unwrap_err());
    is_over(gone.commit_run(late, scanned(6), std::iter::empty()).await.unwrap_err());
    is_over(gone.set_baseline(HERE, at(6)).await.unwrap_err());
    is_over(gone.commit_alarms(AlarmUpdate::default(), None, at(6)).await.unwrap_err());
    assert_eq!(store.mails_of(run).await.unwrap(), before);
    assert_eq!(outcome(&store, late).await, Outcome::Interrupted);
}

pub(in crate::store) async fn a_claimed_mail_is_not_sent_once_a_person_has_decided_about_it(
    state: &impl State,
) {
    let store = opened(state).await;
    let run = mailed(&store, 1).await;
    let claimed = next(&store, at(3)).await.unwrap();
    store.add_request(Request::Drop(claimed.id), ANNA, at(4)).await.unwrap();
    store.take_requests(at(4)).await.unwrap();
    assert_eq!(begin(&store, claimed.id, at(5)).await.unwrap(), Begin::TakenBack);
    let late = replies(claimed.id, claimed.recipients.clone(), at(5));
    store.record_attempt(late, at(5)).await.unwrap();
    let states: Vec<_> =
        store.mails_of(run).await.unwrap()[0].recipients.iter().map(|one| one.state).collect();
    assert_eq!(states, [RecipientState::Dropped, RecipientState::Dropped]);
    assert_eq!(next(&store, at(9)).await, None);
}
