//! The tables of a flow, and what it stays due for.

use super::*;

#[test]
fn what_is_known_of_a_table_waits_until_the_flow_comes_back_to_it() {
    let (_folder, mut store) = opened();
    let (to, keys) = (addresses(), [mark(1)]);
    let run = begun(&mut store, 1);
    store.commit_scan(run, &scanned(2), std::iter::once(Ok(mail(&to, &keys)))).unwrap();
    let here = visit(&mut store, "here/leads", 5);
    assert_eq!(here.past.unwrap().watermark, Some(at(2)));

    let there = visit(&mut store, "there/leads", 6);
    assert_eq!((there.first_due, there.past), (Some(at(6)), None));
    assert_eq!(visit(&mut store, "there/leads", 7), there, "it was first due once");
    assert_eq!(store.known(there.id, &[Key([1; 16])]).unwrap(), [None]);
    assert_eq!(store.reading("leads").unwrap(), None);
    store.begin_source(there.id, at(5)).unwrap();
    let past = Past { begin: at(5), watermark: None, looked_back: None };
    assert_eq!(store.reading("leads").unwrap(), Some(Reading { source: "there/leads".to_owned(), past }));
    let proof = store.proofs("leads", Key([1; 16])).unwrap();
    assert!(matches!(proof.as_slice(), [(_, Some(_))]), "its mail is still proved: {proof:?}");

    // By another way to write it, which an earlier version recorded.
    let back = Visit {
        flow: "leads",
        identity: "https://here/leads",
        known_as: Some("here/leads"),
        due: at(8),
        now: at(8),
        is_to_stay: true,
    };
    let back = store.visit(&back).unwrap();
    assert_eq!(back, Source { identity: "https://here/leads".to_owned(), ..here });
    assert_eq!(store.known(back.id, &[Key([1; 16])]).unwrap(), [Some(Version(1))]);

    while store.prune_sources(at(8)).unwrap() {}
    assert_eq!(store.sources("leads").unwrap().len(), 2, "it was left at that moment");
    while store.prune_sources(at(9)).unwrap() {}
    let left: Vec<_> = store.sources("leads").unwrap().into_iter().map(|source| source.id).collect();
    assert_eq!(left, [HERE]);
    assert_eq!(store.known(HERE, &[Key([1; 16])]).unwrap(), [Some(Version(1))]);
}

#[test]
fn a_slot_stays_due_until_the_table_was_read() {
    let (folder, mut store) = opened();
    let claim = |store: &mut Store, second: i64, since: i64| {
        let order = Order { since: Some(at(since)), ..Order::new(Cause::Schedule, Some(at(second))) };
        store.begin_runs(&[NewRun { flow: "leads", order, started: at(second) }]).unwrap().remove(0)
    };
    let due = |begun: &Begun| begun.due_since;
    let first = claim(&mut store, 10, 5);
    assert_eq!(due(&first), at(5), "the first slot that was missed");
    store.fail_run(first.run, &Failed { due_since: due(&first), ..failed("no table") }, at(11)).unwrap();
    let killed = claim(&mut store, 20, 20);
    assert_eq!(due(&killed), at(5));
    drop(store);
    let mut store = Store::open(folder.path()).unwrap();
    store.interrupt_runs(at(21)).unwrap();
    let good = claim(&mut store, 30, 30);
    assert_eq!(due(&good), at(5));
    store.commit_scan(good.run, &scanned(31), std::iter::empty()).unwrap();
    let killed = claim(&mut store, 40, 40);
    assert_eq!(due(&killed), at(40));
    let next = claim(&mut store, 50, 50);
    assert_eq!(due(&next), at(40), "the one before was left under way");
    let past = Order::of(Cause::Replay, Range::Past { from: at(1), to: at(2), again: false });
    store.commit_scan(next.run, &scanned(51), std::iter::empty()).unwrap();
    let replay =
        store.begin_runs(&[NewRun { flow: "leads", order: past, started: at(60) }]).unwrap().remove(0);
    store.fail_run(replay.run, &failed("no"), at(61)).unwrap();
    assert_eq!(due(&claim(&mut store, 70, 70)), at(70), "a run of the past says nothing of it");
}

#[test]
fn a_flow_that_was_never_on_is_first_seen_when_it_is() {
    let (_folder, mut store) = opened();
    let name = "late".to_owned();
    let mut plan = |is_enabled, second| {
        let flows = std::iter::once((&name, is_enabled));
        store.plan_of(flows, at(second)).unwrap().remove("late").unwrap().anchor
    };
    assert_eq!(plan(false, 10), at(10));
    plan(false, 20);
    assert_eq!(plan(true, 30), at(30));
    assert_eq!(plan(true, 40), at(30));
    store.set_off("late", Some(at(50)), at(50)).unwrap();
    store.set_off("late", None, at(60)).unwrap();
    assert_eq!(store.plan("late").unwrap().unwrap().anchor, at(60), "it has taken no slot meanwhile");
    let order = Order::new(Cause::Schedule, Some(at(60)));
    let run = store.begin_runs(&[NewRun { flow: "late", order, started: at(60) }]).unwrap().remove(0);
    store.fail_run(run.run, &failed("no table"), at(61)).unwrap();
    store.set_off("late", Some(at(70)), at(70)).unwrap();
    store.set_off("late", None, at(80)).unwrap();
    assert_eq!(store.plan("late").unwrap().unwrap().anchor, at(60));
}

#[test]
fn another_table_is_due_from_when_the_flow_is_on() {
    let (_folder, mut store) = opened();
    let name = "leads".to_owned();
    let plan = |store: &mut Store, is_enabled, second| {
        store.plan_of(std::iter::once((&name, is_enabled)), at(second)).unwrap();
    };
    let claim = |store: &mut Store, second| {
        let order = Order { since: Some(at(110)), ..Order::new(Cause::Schedule, Some(at(second))) };
        store.begin_runs(&[NewRun { flow: "leads", order, started: at(second) }]).unwrap().remove(0)
    };
    plan(&mut store, true, 100);
    let read = claim(&mut store, 100).run;
    store.commit_scan(read, &scanned(101), std::iter::empty()).unwrap();
    plan(&mut store, false, 105);
    plan(&mut store, true, 10_000);
    let run = claim(&mut store, 10_001);
    assert_eq!(run.due_since, at(10_000), "and not since the slots of the time when it was off");
    store.withdraw_runs(&[run.run]).unwrap();
    // The file has it no more, and again.
    let other = "other".to_owned();
    store.plan_of(std::iter::once((&other, true)), at(20_000)).unwrap();
    plan(&mut store, true, 30_000);
    assert_eq!(claim(&mut store, 30_001).due_since, at(30_000));
}

#[test]
fn what_was_mailed_stays_proved_when_a_first_scan_finds_it() {
    let (_folder, mut store) = opened();
    let (to, keys) = (addresses(), [mark(1), mark(2)]);
    let replayed = begun(&mut store, 1);
    let scanned_past = Scanned { past: None, passed_over: vec![], ..scanned(2) };
    store.commit_scan(replayed, &scanned_past, std::iter::once(Ok(mail(&to, &keys)))).unwrap();
    let first = begun(&mut store, 3);
    // The one as it was, the other written again.
    let written_again = Mark { version: Version(99), ..mark(2) };
    let before_begin = Scanned { passed_over: vec![mark(1), written_again], ..scanned(4) };
    store.commit_scan(first, &before_begin, std::iter::empty()).unwrap();
    let ask = [Key([1; 16]), Key([2; 16]), Key([3; 16])];
    assert_eq!(store.mailed(HERE, &ask).unwrap(), [Some(Version(1)), Some(Version(!99)), None]);
    assert_eq!(store.known(HERE, &ask).unwrap(), [Some(Version(1)), Some(Version(99)), None]);
}

#[test]
fn a_table_that_is_half_forgotten_is_not_come_back_to() {
    let (_folder, mut store) = opened();
    visit(&mut store, "there/leads", 5);
    assert!(store.prune_sources(at(6)).unwrap(), "there may be more");
    let back = visit(&mut store, "here/leads", 7);
    assert!(back.id != HERE && back.past.is_none() && back.first_due == Some(at(7)), "{back:?}");
}

#[test]
fn what_runs_are_due_since_follows_a_clock_that_is_set_back() {
    let (_folder, mut store) = opened();
    let run = begun(&mut store, 100_000);
    store.fail_run(run, &Failed { due_since: at(100_000), ..failed("no network") }, at(100_001)).unwrap();
    let there = visit(&mut store, "there/leads", 100_000);
    store.clock_went_back(Some(jiff::SignedDuration::from_secs(32_400)), at(67_700)).unwrap();
    let order = Order::new(Cause::Retry, None);
    let begun = store.begin_runs(&[NewRun { flow: "leads", order, started: at(67_701) }]).unwrap().remove(0);
    assert_eq!((begun.due_since, begun.is_first_try), (at(67_600), false));
    assert_eq!(begun.source.unwrap().first_due, Some(at(67_600)));
    assert_eq!(there.first_due, Some(at(100_000)));
    store.clock_went_back(None, at(60_000)).unwrap();
    let first_due = store.sources("leads").unwrap()[1].first_due.unwrap();
    assert_eq!(first_due, at(60_000 - 7 * 24 * 3_600), "nobody knows by how much");
}

#[test]
fn another_table_is_not_due_later_since_the_clock_was_ahead_at_the_last_run() {
    let (_folder, mut store) = opened();
    let name = "leads".to_owned();
    store.plan_of(std::iter::once((&name, true)), at(100_000)).unwrap();
    let read = begun(&mut store, 100_000);
    store.commit_scan(read, &scanned(100_001), std::iter::empty()).unwrap();
    store.clock_went_back(Some(jiff::SignedDuration::from_secs(90_000)), at(10_010)).unwrap();
    let order = Order { since: Some(at(11_000)), ..Order::new(Cause::Schedule, Some(at(11_000))) };
    let begun = store.begin_runs(&[NewRun { flow: "leads", order, started: at(15_000) }]).unwrap().remove(0);
    assert_eq!(begun.due_since, at(11_000));
}
