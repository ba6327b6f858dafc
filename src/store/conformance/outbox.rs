//! A mail's life: queued, claimed, sent, doubted, put off.

use super::*;
use crate::alarm::HeldMails;

pub(in crate::store) async fn each_recipient_goes_its_own_way(state: &impl State) {
    let store = opened(state).await;
    let to = addresses();
    let run = begun(&store, 1).await;
    store.commit_run(run, scanned(2), std::iter::once(Ok(mail(&to, &[])))).await.unwrap();
    assert_eq!(store.next_try().await.unwrap(), Some(at(2)));
    let taken = take(&store, at(2)).await;
    assert_eq!((taken.tries, taken.bytes.as_slice()), (0, &b"Subject: 1 lead\r\n\r\n"[..]));
    assert_eq!(next(&store, at(2)).await, None, "a mail that is being sent is not taken twice");

    let heard = [Receipt::Accepted("250 ok".into()), Receipt::Later("451 later".into())];
    let after: Vec<_> = taken.recipients.iter().zip(heard).map(|(r, reply)| r.after(reply)).collect();
    store.record_attempt(replies(taken.id, after, at(60)), at(60)).await.unwrap();
    assert_eq!(outcome(&store, run).await, Outcome::Waiting);
    assert_eq!(next(&store, at(59)).await, None);
    store.retry_all_now(at(30)).await.unwrap();
    let taken = take(&store, at(30)).await;
    let states: Vec<_> = taken.recipients.iter().map(|r| r.state).collect();
    assert_eq!((states, taken.tries), (vec![RecipientState::Sent, RecipientState::Waiting], 1));

    let refused = taken.recipients[1].after(Receipt::Refused("550 no".into()));
    let after = vec![taken.recipients[0].clone(), refused];
    store.record_attempt(replies(taken.id, after, at(90)), at(90)).await.unwrap();
    assert_eq!(outcome(&store, run).await, Outcome::PartlySent);
    assert_eq!(store.next_try().await.unwrap(), None);
    assert_eq!(store.mails_of(run).await.unwrap()[0].recipients[1].reply.as_deref(), Some("550 no"));
}

pub(in crate::store) async fn a_mail_that_was_being_sent_when_the_process_ended_is_uncertain(
    state: &impl State,
) {
    let mut store = opened(state).await;
    let to = addresses();
    let run = begun(&store, 1).await;
    store.commit_run(run, scanned(2), std::iter::once(Ok(mail(&to, &[])))).await.unwrap();
    for (start, expected) in
        [(1, RecipientState::Uncertain), (2, RecipientState::Uncertain), (3, RecipientState::Held)]
    {
        take(&store, at(5)).await;
        store = state.open().await;
        assert_eq!(join(&store, "next", at(5)).await, TakenOver { runs: 0, messages: 1 });
        assert_eq!(store.mails_of(run).await.unwrap()[0].recipients[0].state, expected, "start {start}");
    }
    assert_eq!(store.run(run).await.unwrap().unwrap().outcome, Outcome::Held);
    assert_eq!(next(&store, at(9)).await, None);
}

pub(in crate::store) async fn an_unreachable_connection_defers_all_its_mails_and_no_other(
    state: &impl State,
) {
    let store = opened(state).await;
    let to = addresses();
    let other = vec!["other".to_owned()];
    let run = begun(&store, 1).await;
    let mails = [mail(&to, &[]), mail(&to, &[]), NewMessage { connections: other.clone(), ..mail(&to, &[]) }];
    store.commit_run(run, scanned(2), mails.into_iter().map(Ok)).await.unwrap();
    store.defer_lane(&to, at(100), at(10)).await.unwrap();
    let taken = take(&store, at(3)).await;
    assert_eq!(taken.connections, other);
    assert_eq!(next(&store, at(3)).await, None);
    assert_eq!(store.next_try().await.unwrap(), Some(at(100)));
    assert!(next(&store, at(-9_000)).await.is_some(), "the clock was set back by hours");
    store.defer_lane(&to, at(-8_900), at(-9_000)).await.unwrap();
    assert_eq!(next(&store, at(-9_000)).await, None, "it would be tried for ever");
    assert_eq!(store.next_try().await.unwrap(), Some(at(-8_900)));
    assert_eq!(store.waiting_mails("leads").await.unwrap(), 3);
}

pub(in crate::store) async fn what_waits_and_what_is_held_is_counted_by_flow(state: &impl State) {
    let store = opened(state).await;
    let to = addresses();
    let run = begun(&store, 1).await;
    let mails = vec![mail(&to, &[]); 3].into_iter().map(Ok);
    store.commit_run(run, scanned(2), mails).await.unwrap();
    let taken = take(&store, at(2)).await;
    let after: Vec<_> = taken.recipients.iter().map(|r| r.after(Receipt::Refused("550 no".into()))).collect();
    store.record_attempt(replies(taken.id, after, at(4)), at(4)).await.unwrap();
    let state = store.alarm_facts().await.unwrap().flows.remove("leads").unwrap();
    assert_eq!(
        (state.held, state.waiting),
        (Some(HeldMails { count: 1, since: at(2), oldest: taken.id }), Some((2, at(2))))
    );
    assert_eq!(store.defer_flow_if_used_up("leads", 2, at(10)).await.unwrap(), None);
    let hour = at(2) + jiff::SignedDuration::from_hours(1);
    let deferred = store.defer_flow_if_used_up("leads", 1, at(10)).await.unwrap();
    assert_eq!(deferred, Some(DeferredFlow { messages: 2, until: hour }));
    let state = store.alarm_facts().await.unwrap().flows.remove("leads").unwrap();
    assert_eq!(state.waiting, None, "what waits for per_hour alone is not late");
    assert_eq!(next(&store, at(3_601)).await, None);
    let first = next(&store, hour).await.unwrap();
    let later = begun(&store, 50).await;
    let newer = ScanResult { now: at(50), ..scanned(50) };
    store.commit_run(later, newer, std::iter::once(Ok(mail(&to, &[])))).await.unwrap();
    assert_eq!(next(&store, hour).await.unwrap().id, first.id, "newer mails do not overtake it");
    let newest = take(&store, at(99)).await;
    assert_eq!(newest.run, Some(later));
}

pub(in crate::store) async fn a_mail_is_open_in_each_state_that_a_recipient_of_it_has(state: &impl State) {
    let store = opened(state).await;
    assert_eq!(store.open_mails().await.unwrap(), OpenMails::default());
    let to = addresses();
    let run = begun(&store, 1).await;
    store.commit_run(run, scanned(2), vec![mail(&to, &[]); 3].into_iter().map(Ok)).await.unwrap();
    let alarm = mail(&to, &[]);
    store.commit_alarms(crate::alarm::AlarmUpdate::default(), Some(alarm), at(2)).await.unwrap();
    let open = async || {
        let OpenMails { waiting, uncertain, held } = store.open_mails().await.unwrap();
        (waiting, uncertain, held)
    };
    let mut expected = (4, 0, 0);
    let accepted = || Receipt::Accepted("250 ok".into());
    let refused = || Receipt::Refused("550 no".into());
    let unknown = || Receipt::Unknown("no reply".into());
    for (heard, next) in [
        ([unknown(), Receipt::Later("451 later".into())], (4, 1, 0)),
        ([refused(), unknown()], (3, 2, 1)),
        ([refused(), refused()], (2, 2, 2)),
        ([accepted(), accepted()], (1, 2, 2)),
    ] {
        let taken = take(&store, at(2)).await;
        assert_eq!(open().await, expected, "one that is being sent waits, too");
        let after = taken.recipients.iter().zip(heard).map(|(known, receipt)| known.after(receipt));
        store.record_attempt(replies(taken.id, after.collect(), at(90)), at(3)).await.unwrap();
        expected = next;
        assert_eq!(open().await, expected);
    }
}

pub(in crate::store) async fn mails_keep_their_order_when_the_clock_is_set_back(state: &impl State) {
    let store = opened(state).await;
    let to = addresses();
    let add = async |second| {
        let run = begun(&store, second).await;
        let scan = ScanResult { now: at(second), ..scanned(second) };
        store.commit_run(run, scan, std::iter::once(Ok(mail(&to, &[])))).await.unwrap();
    };
    add(299_999).await;
    add(300_000).await;
    let sent = take(&store, at(300_000)).await.id;
    let deferred = store.defer_flow_if_used_up("leads", 1, at(300_001)).await.unwrap().unwrap();
    assert_eq!(deferred.until, at(303_600));
    store.clock_went_back(jiff::SignedDuration::from_secs(299_000), vec![], at(1_001)).await.unwrap();
    assert_eq!(next(&store, at(4_599)).await, None, "it waits as long as it would have");
    add(1_002).await;
    let deferred = store.defer_flow_if_used_up("leads", 1, at(1_003)).await.unwrap().unwrap();
    assert_eq!(deferred.until, at(4_600), "what an hour has had is counted");
    assert_eq!(next(&store, at(4_600)).await.unwrap().id, sent + 1);
    assert_eq!(join(&store, "next", at(500)).await.messages, 1, "the clock was set back meanwhile");
    assert_eq!(next(&store, at(500)).await.unwrap().id, sent + 1, "nobody knows by how much");
}

pub(in crate::store) async fn the_outbox_shows_what_waits_what_is_held_and_what_may_have_arrived_twice(
    state: &impl State,
) {
    let store = opened(state).await;
    let to = addresses();
    let run = begun(&store, 1).await;
    store.commit_run(run, scanned(2), vec![mail(&to, &[]); 4].into_iter().map(Ok)).await.unwrap();
    let mut doubted = Vec::new();
    for reply in ["accepted", "refused", "unknown"] {
        let taken = take(&store, at(3)).await;
        let receipt = |words: String| match reply {
            "accepted" => Receipt::Accepted(words),
            "refused" => Receipt::Refused(words),
            _ => Receipt::Unknown(words),
        };
        let after = taken.recipients.iter().map(|known| known.after(receipt(reply.to_owned()))).collect();
        store.record_attempt(replies(taken.id, after, at(60)), at(3)).await.unwrap();
        doubted.push(taken.id);
    }
    let [sent, held, uncertain] = doubted.try_into().unwrap();
    let open = store.outbox(OutboxFilter::Open).await.unwrap();
    let shown: Vec<_> = open.iter().map(|entry| (entry.message.id, entry.message.next_try)).collect();
    assert_eq!(shown, [(held, None), (uncertain, Some(at(60))), (uncertain + 1, Some(at(2)))]);
    assert!(open.iter().all(|entry| (entry.run, entry.flow.as_deref()) == (Some(run), Some("leads"))));
    let one = store.outbox(OutboxFilter::One(sent)).await.unwrap();
    assert_eq!(
        one.iter().map(|entry| (entry.message.id, entry.created)).collect::<Vec<_>>(),
        [(sent, at(2))]
    );
    assert_eq!(one[0].message.connection.as_deref(), Some("relay"));
    assert_eq!(store.outbox(OutboxFilter::One(99)).await.unwrap(), []);
}
