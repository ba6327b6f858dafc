//! The tables of a flow, and what it stays due for.

use super::*;

pub(in crate::store) async fn what_is_known_of_a_table_waits_until_the_flow_comes_back_to_it(
    state: &impl State,
) {
    let store = opened(state).await;
    let to = addresses();
    let rows = [mark(1)];
    let run = begun(&store, 1).await;
    store.commit_run(run, scanned(2), std::iter::once(Ok(mail(&to, &rows)))).await.unwrap();
    let here = open_source(&store, "here/leads", 5).await;
    assert_eq!(here.progress.unwrap().watermark, Some(at(2)));

    let there = open_source(&store, "there/leads", 6).await;
    assert_eq!((there.first_due, there.progress), (Some(at(6)), None));
    assert_eq!(open_source(&store, "there/leads", 7).await, there, "it was first due once");
    assert_eq!(store.seen_rows(there.id, vec![RowId([1; 16])]).await.unwrap(), [None]);
    store.set_baseline(there.id, at(5)).await.unwrap();
    let progress = Progress { baseline: at(5), watermark: None, last_deep_scan: None };
    assert_eq!(open_source(&store, "there/leads", 7).await.progress, Some(progress));
    let proof = store.provenance("leads", RowId([1; 16])).await.unwrap();
    assert!(
        matches!(proof.as_slice(), [Provenance { message: Some(_), .. }]),
        "its mail is still proved: {proof:?}"
    );

    // By another way to write it, which an earlier version recorded.
    let back = SourceRequest {
        flow: "leads".to_owned(),
        identity: "https://here/leads".to_owned(),
        known: Some(HERE),
        due: at(8),
        now: at(8),
        is_to_stay: true,
    };
    let back = store.open_source(back).await.unwrap();
    assert_eq!(back, Source { identity: "https://here/leads".to_owned(), ..here });
    assert_eq!(store.seen_rows(back.id, vec![RowId([1; 16])]).await.unwrap(), [Some(RowVersion(1))]);

    while store.prune_sources(at(8)).await.unwrap() {}
    assert_eq!(store.sources("leads").await.unwrap().len(), 2, "it was left at that moment");
    while store.prune_sources(at(9)).await.unwrap() {}
    let left: Vec<_> = store.sources("leads").await.unwrap().into_iter().map(|source| source.id).collect();
    assert_eq!(left, [HERE]);
    assert_eq!(store.seen_rows(HERE, vec![RowId([1; 16])]).await.unwrap(), [Some(RowVersion(1))]);
}

pub(in crate::store) async fn a_slot_stays_due_until_the_table_was_read(state: &impl State) {
    let store = opened(state).await;
    let claim = async |store: &Store, second: i64, since: i64| {
        let order = RunOrder { since: Some(at(since)), ..RunOrder::new(Cause::Schedule, Some(at(second))) };
        claim(store, vec![NewRun { flow: "leads".to_owned(), order, started: at(second) }]).await.remove(0)
    };
    let due = |begun: &ClaimedRun| begun.due_since;
    let first = claim(&store, 10, 5).await;
    assert_eq!(due(&first), at(5), "the first slot that was missed");
    store
        .fail_run(first.run, FailedRun { due_since: due(&first), ..failed("no table") }, at(11))
        .await
        .unwrap();
    let killed = claim(&store, 20, 20).await;
    assert_eq!(due(&killed), at(5));
    let store = state.open().await;
    assert_eq!(join(&store, "next", at(21)).await, TakenOver { runs: 1, messages: 0 });
    let good = claim(&store, 30, 30).await;
    assert_eq!(due(&good), at(5));
    store.commit_run(good.run, scanned(31), std::iter::empty()).await.unwrap();
    let killed = claim(&store, 40, 40).await;
    assert_eq!(due(&killed), at(40));
    let next = claim(&store, 50, 50).await;
    assert_eq!(due(&next), at(40), "the one before was left under way");
    let past =
        RunOrder::without_slot(Cause::Replay, RowRange::Replay { from: at(1), to: at(2), again: false });
    store.commit_run(next.run, scanned(51), std::iter::empty()).await.unwrap();
    let killed = claim(&store, 58, 52).await;
    assert_eq!(due(&killed), at(52));
    let store = state.open().await;
    assert_eq!(join(&store, "next", at(59)).await, TakenOver { runs: 1, messages: 0 });
    let next = claim(&store, 60, 60).await;
    assert_eq!(
        due(&next),
        at(52),
        "the recurrence has changed, and does not have the slots that were missed"
    );
    store.commit_run(next.run, scanned(61), std::iter::empty()).await.unwrap();
    let replay =
        super::claim(&store, vec![NewRun { flow: "leads".to_owned(), order: past, started: at(60) }])
            .await
            .remove(0);
    store.fail_run(replay.run, failed("no"), at(61)).await.unwrap();
    assert_eq!(due(&claim(&store, 70, 70).await), at(70), "a run of the past says nothing of it");
}

pub(in crate::store) async fn a_flow_that_was_never_on_is_first_seen_when_it_is(state: &impl State) {
    let store = opened(state).await;
    let plan = async |is_enabled, second| {
        let flows = vec![("late".to_owned(), is_enabled)];
        store.schedule_states(flows, at(second)).await.unwrap().remove("late").unwrap().anchor
    };
    let turn = async |request, second| {
        store.add_request(request, ANNA, at(second)).await.unwrap();
        store.take_requests(at(second)).await.unwrap();
    };
    let off = Request::Off("late".to_owned());
    let on = Request::On("late".to_owned());
    assert_eq!(plan(false, 10).await, at(10));
    plan(false, 20).await;
    assert_eq!(plan(true, 30).await, at(30));
    assert_eq!(plan(true, 40).await, at(30));
    turn(off.clone(), 50).await;
    turn(on.clone(), 60).await;
    assert_eq!(
        overview(&store, "late").await.schedule.unwrap().anchor,
        at(60),
        "it has taken no slot meanwhile"
    );
    let order = RunOrder::new(Cause::Schedule, Some(at(60)));
    let run = claim(&store, vec![NewRun { flow: "late".to_owned(), order, started: at(60) }]).await.remove(0);
    store.fail_run(run.run, failed("no table"), at(61)).await.unwrap();
    turn(off, 70).await;
    turn(on, 80).await;
    assert_eq!(overview(&store, "late").await.schedule.unwrap().anchor, at(60));
}

pub(in crate::store) async fn another_table_is_due_from_when_the_flow_is_on(state: &impl State) {
    let store = opened(state).await;
    let plan = async |is_enabled, second| {
        store.schedule_states(vec![("leads".to_owned(), is_enabled)], at(second)).await.unwrap();
    };
    let claim = async |store: &Store, second| {
        let order = RunOrder { since: Some(at(110)), ..RunOrder::new(Cause::Schedule, Some(at(second))) };
        claim(store, vec![NewRun { flow: "leads".to_owned(), order, started: at(second) }]).await.remove(0)
    };
    plan(true, 100).await;
    let read = claim(&store, 100).await.run;
    store.commit_run(read, scanned(101), std::iter::empty()).await.unwrap();
    plan(false, 105).await;
    plan(true, 10_000).await;
    let run = claim(&store, 10_001).await;
    assert_eq!(run.due_since, at(10_000), "and not since the slots of the time when it was off");
    store.withdraw_runs(vec![run]).await.unwrap();
    // The file has it no more, and again.
    see(&store, "other", 20_000).await;
    plan(true, 30_000).await;
    assert_eq!(claim(&store, 30_001).await.due_since, at(30_000));
}

pub(in crate::store) async fn what_was_mailed_stays_proved_when_a_first_scan_finds_it(state: &impl State) {
    let store = opened(state).await;
    let to = addresses();
    let rows = [mark(1), mark(2)];
    let replayed = begun(&store, 1).await;
    let scanned_past = ScanResult { progress: None, skipped: vec![], ..scanned(2) };
    store.commit_run(replayed, scanned_past, std::iter::once(Ok(mail(&to, &rows)))).await.unwrap();
    let first = begun(&store, 3).await;
    // The one as it was, the other written again.
    let written_again = RowMark { version: RowVersion(99), ..mark(2) };
    let old_rows = ScanResult { skipped: vec![mark(1), written_again], ..scanned(4) };
    store.commit_run(first, old_rows, std::iter::empty()).await.unwrap();
    let ask = [RowId([1; 16]), RowId([2; 16]), RowId([3; 16])];
    assert_eq!(
        store.mailed_rows(HERE, ask.to_vec()).await.unwrap(),
        [Some(RowVersion(1)), Some(RowVersion(!99)), None]
    );
    assert_eq!(
        store.seen_rows(HERE, ask.to_vec()).await.unwrap(),
        [Some(RowVersion(1)), Some(RowVersion(99)), None]
    );
}

pub(in crate::store) async fn a_flow_does_not_return_to_a_table_that_is_half_forgotten(state: &impl State) {
    let store = opened(state).await;
    open_source(&store, "there/leads", 5).await;
    assert!(store.prune_sources(at(6)).await.unwrap(), "there may be more");
    let back = open_source(&store, "here/leads", 7).await;
    assert!(back.id != HERE && back.progress.is_none() && back.first_due == Some(at(7)), "{back:?}");
}

pub(in crate::store) async fn what_runs_are_due_since_follows_a_clock_that_is_set_back(state: &impl State) {
    let store = opened(state).await;
    let run = begun(&store, 100_000).await;
    store
        .fail_run(run, FailedRun { due_since: at(100_000), ..failed("no network") }, at(100_001))
        .await
        .unwrap();
    let there = open_source(&store, "there/leads", 100_000).await;
    store.clock_went_back(jiff::SignedDuration::from_secs(32_400), vec![], at(67_700)).await.unwrap();
    let order = RunOrder::new(Cause::Retry, None);
    let begun =
        claim(&store, vec![NewRun { flow: "leads".to_owned(), order, started: at(67_701) }]).await.remove(0);
    assert_eq!((begun.due_since, begun.is_first_try), (at(67_600), false));
    assert_eq!(begun.source.unwrap().first_due, Some(at(67_600)));
    assert_eq!(there.first_due, Some(at(100_000)));
    join(&store, "next", at(60_000)).await;
    let first_due = store.sources("leads").await.unwrap()[1].first_due.unwrap();
    assert_eq!(first_due, at(60_000 - 7 * 24 * 3_600), "nobody knows by how much");
}

pub(in crate::store) async fn a_slot_that_nobody_claimed_stays_due_when_the_clock_is_set_back(
    state: &impl State,
) {
    let store = opened(state).await;
    see(&store, "leads", 1_000).await;
    see(&store, "other", 1_000).await;
    let by = jiff::SignedDuration::from_secs(90_000);
    let due = |since| vec![("leads".to_owned(), at(since))];
    store.clock_went_back(by, due(3_600), at(3_700)).await.unwrap();
    // Once more, before a run has come.
    store.clock_went_back(jiff::SignedDuration::from_secs(60), due(3_590), at(3_645)).await.unwrap();
    let scheduled = |flow: &str| {
        let order = RunOrder { since: Some(at(7_200)), ..RunOrder::new(Cause::Schedule, Some(at(7_200))) };
        NewRun { flow: flow.to_owned(), order, started: at(7_201) }
    };
    let begun = claim(&store, vec![scheduled("leads"), scheduled("other")]).await;
    assert_eq!((begun[0].due_since, begun[0].is_first_try), (at(3_540), false));
    assert_eq!((begun[1].due_since, begun[1].is_first_try), (at(7_200), true), "it was not due");
}

pub(in crate::store) async fn another_table_is_not_due_later_because_the_clock_was_ahead_at_the_last_run(
    state: &impl State,
) {
    let store = opened(state).await;
    see(&store, "leads", 100_000).await;
    let read = begun(&store, 100_000).await;
    store.commit_run(read, scanned(100_001), std::iter::empty()).await.unwrap();
    store.clock_went_back(jiff::SignedDuration::from_secs(90_000), vec![], at(10_010)).await.unwrap();
    let order = RunOrder { since: Some(at(11_000)), ..RunOrder::new(Cause::Schedule, Some(at(11_000))) };
    let begun =
        claim(&store, vec![NewRun { flow: "leads".to_owned(), order, started: at(15_000) }]).await.remove(0);
    assert_eq!(begun.due_since, at(11_000));
}

pub(in crate::store) async fn a_baseline_that_was_preset_holds_until_the_flow_begins(state: &impl State) {
    let store = opened(state).await;
    let flows = vec!["leads".to_owned(), "new".to_owned()];
    store.preset_baseline(flows, at(-500), at(5)).await.unwrap();
    assert_eq!(store.preset_baseline_of("leads").await.unwrap(), None, "it reads a table already");
    assert_eq!(store.preset_baseline_of("new").await.unwrap(), Some(at(-500)));
    assert_eq!(store.preset_baseline_of("nothere").await.unwrap(), None);
    let request = SourceRequest {
        flow: "new".to_owned(),
        identity: "here/leads".to_owned(),
        known: None,
        due: at(6),
        now: at(6),
        is_to_stay: true,
    };
    let source = store.open_source(request).await.unwrap();
    store.set_baseline(source.id, at(-500)).await.unwrap();
    assert_eq!(store.preset_baseline_of("new").await.unwrap(), None);
}

pub(in crate::store) async fn the_last_provenance_of_a_row_is_found_whichever_table_it_is_in(
    state: &impl State,
) {
    let store = opened(state).await;
    let first = begun(&store, 1).await;
    store.commit_run(first, scanned(2), std::iter::once(Ok(mail(&addresses(), &[mark(1)])))).await.unwrap();
    let there = open_source(&store, "there/leads", 3).await.id;
    let second = begun(&store, 4).await;
    let scan = ScanResult { source: there, skipped: vec![mark(2)], ..scanned(5) };
    store.commit_run(second, scan, std::iter::empty()).await.unwrap();
    let ask = [1, 2, 3].map(|number| RowId([number; 16])).to_vec();
    let found = store.last_provenance("leads", ask.clone()).await.unwrap();
    let mailed = store.mails_of(first).await.unwrap()[0].id;
    let expected = [
        Some(Provenance { run: first, message: Some(mailed) }),
        Some(Provenance { run: second, message: None }),
        None,
    ];
    assert_eq!(found, expected);
    assert_eq!(store.last_provenance("nothere", ask).await.unwrap(), [None, None, None]);
}
