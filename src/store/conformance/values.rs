//! Values that one backend keeps as they are and another might not: texts, numbers, and how much there is of them.

use serde_json::json;

use super::*;
use crate::alarm::{Alarm, AlarmKind, AlarmUpdate};
use crate::history::{RecordedStep, Step};

/// What others may send, and what no statement must stumble over.
const STRANGE: &str = "a\0b 'c' \"d\" \\e %f_ $1 ?1 \u{1f4e7} e\u{301} \u{ad}\u{feff}\r\n\t ";

/// The same, but for a NUL, which not every backend can keep.
fn is_same(found: &str, given: &str) -> bool {
    found == given || found == given.replace('\0', "\u{fffd}")
}

async fn queue(store: &Store, second: i64, mails: Vec<NewMessage>) -> i64 {
    let run = begun(store, second).await;
    let scan = ScanResult { now: at(second), ..scanned(second) };
    store.commit_run(run, scan, mails.into_iter().map(Ok)).await.unwrap();
    run
}

pub(in crate::store) async fn a_text_of_others_is_kept_whatever_is_in_it(state: &impl State) {
    let store = opened(state).await;
    let text = || STRANGE.to_owned();
    let step =
        Step::Other { name: "odd".to_owned(), inputs: json!({ STRANGE: STRANGE }), outputs: json!({}) };
    let steps = vec![RecordedStep { step, took: jiff::SignedDuration::ZERO }];
    let run = begun(&store, 1).await;
    let named = NewMessage { subject: text(), message_id: text(), ..mail(&addresses(), &[]) };
    let scan =
        ScanResult { summary: text(), clock_problem: Some(text()), steps: steps.clone(), ..scanned(1) };
    store.commit_run(run, scan, std::iter::once(Ok(named))).await.unwrap();
    assert!(is_same(&store.run(run).await.unwrap().unwrap().summary, STRANGE));
    assert_eq!(store.steps(run).await.unwrap(), steps, "JSON writes a NUL in another way");

    let taken = take(&store, at(2)).await;
    let refused = |known: &Recipient| known.after(Receipt::Refused(text()));
    let after = taken.recipients.iter().map(refused).collect();
    store.record_attempt(replies(taken.id, after, at(3)), at(3)).await.unwrap();
    let found = store.mails_of(run).await.unwrap().remove(0);
    assert!(is_same(&found.subject, STRANGE) && is_same(&found.message_id, STRANGE), "{found:?}");
    assert!(is_same(found.recipients[1].reply.as_deref().unwrap(), STRANGE), "{found:?}");

    let fails = begun(&store, 4).await;
    let failure = FailedRun { help: text(), ..failed(STRANGE) };
    store.fail_run(fails, failure, at(4)).await.unwrap();
    let run = store.run(fails).await.unwrap().unwrap();
    assert!(is_same(&run.summary, STRANGE) && is_same(run.help.as_deref().unwrap(), STRANGE), "{run:?}");
    store.add_request(Request::Retry(None), STRANGE, at(5)).await.unwrap();
    let queued = store.take_requests(at(5)).await.unwrap().remove(0);
    assert!(is_same(queued.asked_by.as_deref().unwrap(), STRANGE), "{queued:?}");
    let request = store.add_request(Request::Drop(99), STRANGE, at(5)).await.unwrap();
    store.refuse_request(request, text()).await.unwrap();
    let answer = store.answer(request).await.unwrap();
    assert!(matches!(&answer, Answer::Refused(why) if is_same(why, STRANGE)), "{answer:?}");
}

pub(in crate::store) async fn what_is_wrong_is_kept_whatever_is_in_it(state: &impl State) {
    let store = opened(state).await;
    let text = || STRANGE.to_owned();
    let failure = ConnectionFailure {
        connection: "relay".to_owned(),
        what: text(),
        help: Some(text()),
        rest_until: None,
    };
    store.record_connection_failure(failure, at(1)).await.unwrap();
    let alarm = Alarm {
        kind: AlarmKind::Connection,
        about: "relay".to_owned(),
        since: at(1),
        times: 1,
        what: text(),
        help: String::new(),
        look: String::new(),
    };
    let update = AlarmUpdate { raised: vec![alarm], ..AlarmUpdate::default() };
    store.commit_alarms(update, None, at(2)).await.unwrap();
    let facts = store.alarm_facts().await.unwrap();
    assert!(is_same(&facts.connections["relay"].what, STRANGE) && is_same(&facts.raised[0].what, STRANGE));
}

pub(in crate::store) async fn nothing_is_known_by_a_name_that_nothing_can_have(state: &impl State) {
    let store = opened(state).await;
    assert_eq!(store.seen(STRANGE).await.unwrap(), None);
    assert_eq!(overview(&store, STRANGE).await, FlowOverview::default());
    assert_eq!(store.waiting_mails(STRANGE).await.unwrap(), 0);
    assert_eq!(store.provenance(STRANGE, RowId([0; 16])).await.unwrap(), []);
    assert_eq!(store.last_provenance(STRANGE, vec![RowId([0; 16])]).await.unwrap(), [None]);
    assert_eq!(store.samples(STRANGE, at(0)).await.unwrap(), []);
    assert_eq!(store.sources(STRANGE).await.unwrap(), []);
    assert_eq!(store.preset_baseline_of(STRANGE).await.unwrap(), None);
    assert_eq!(store.defer_flow_if_used_up(STRANGE, 0, at(1)).await.unwrap(), None);
    let filter = RunFilter { flow: Some(STRANGE.to_owned()), ..RunFilter::default() };
    assert_eq!(store.find_runs(filter).await.unwrap(), []);
    assert!(matches!(store.rename(STRANGE, "new").await, Err(StoreError::Unknown(_))));
}

pub(in crate::store) async fn names_are_told_apart_and_ordered_by_their_bytes(state: &impl State) {
    let store = opened(state).await;
    for name in ["b", "a", "B", "A", "ä", "_", "a b", "a-b", "aa", "Leads"] {
        see(&store, name, 1).await;
    }
    let names = store.flow_names().await.unwrap();
    assert_eq!(names, ["A", "B", "Leads", "_", "a", "a b", "a-b", "aa", "b", "leads", "ä"]);
    assert_eq!(store.seen("Leads").await.unwrap(), Some(at(1)));
    assert_eq!(store.seen("LEADS").await.unwrap(), None);
    let lanes = ["b", "B", "ä", "a b", "aa"].map(|name| vec![name.to_owned(), "\"q\\".to_owned()]);
    let over = |lane: &Vec<String>| NewMessage { connections: lane.clone(), ..mail(&addresses(), &[]) };
    queue(&store, 2, lanes.iter().map(over).collect()).await;
    let mut found = store.due_lanes(at(2)).await.unwrap();
    assert_eq!(found.iter().map(|lane| lane[0].as_str()).collect::<Vec<_>>(), ["B", "a b", "aa", "b", "ä"]);
    let lane = found.pop().unwrap();
    let taken = store.next_message(&lane, at(2)).await.unwrap().unwrap();
    assert_eq!(taken.connections, lane);
    let broken = AttemptRecord {
        broke_over: Some(vec!["\"q\\".to_owned()]),
        ..replies(taken.id, taken.recipients, at(2))
    };
    store.record_attempt(broken, at(2)).await.unwrap();
    store.record_connection_success("\"q\\", Some(99)).await.unwrap();
    assert_eq!(store.next_message(&lane, at(2)).await.unwrap().unwrap().breaks, 1);
    let alarm = |about: &str| Alarm {
        kind: AlarmKind::Failing,
        about: about.to_owned(),
        since: at(1),
        times: 1,
        what: String::new(),
        help: String::new(),
        look: String::new(),
    };
    let raised = ["ä", "b", "B", ""].map(alarm).to_vec();
    store.commit_alarms(AlarmUpdate { raised, ..AlarmUpdate::default() }, None, at(2)).await.unwrap();
    let facts = store.alarm_facts().await.unwrap();
    assert_eq!(facts.raised.iter().map(|one| one.about.as_str()).collect::<Vec<_>>(), ["", "B", "b", "ä"]);
}

pub(in crate::store) async fn mails_without_a_break_go_before_those_with_one(state: &impl State) {
    let store = opened(state).await;
    see(&store, "other", 0).await;
    let to = addresses();
    let broken = queue(&store, 1, vec![mail(&to, &[]), mail(&to, &[])]).await;
    let taken = take(&store, at(2)).await;
    let attempt = AttemptRecord { broke_over: Some(vec![]), ..replies(taken.id, taken.recipients, at(1)) };
    store.record_attempt(attempt, at(2)).await.unwrap();
    // Each is due since the same moment: what has no run and what is of another flow has no break either.
    store.commit_alarms(AlarmUpdate::default(), Some(mail(&to, &[])), at(1)).await.unwrap();
    let order = RunOrder::new(Cause::Schedule, Some(at(1)));
    let new = NewRun { flow: "other".to_owned(), order, started: at(1) };
    let other = claim(&store, vec![new]).await[0].run;
    store.commit_run(other, scanned(1), std::iter::once(Ok(mail(&to, &[])))).await.unwrap();
    let mut found = Vec::new();
    for _ in 0..4 {
        let taken = take(&store, at(2)).await;
        found.push((taken.run, taken.tries));
    }
    assert_eq!(found, [(None, 0), (Some(other), 0), (Some(broken), 0), (Some(broken), 1)]);
}

pub(in crate::store) async fn numbers_and_moments_are_kept_however_great_they_are(state: &impl State) {
    let store = opened(state).await;
    let run = begun(&store, 1).await;
    let rows = [i64::MIN, -1, i64::MAX].map(RowVersion);
    let rows = [0, 0x80, 0xff].map(|byte| RowId([byte; 16])).into_iter().zip(rows);
    let rows: Vec<RowMark> = rows.map(|(id, version)| RowMark { id, version }).collect();
    let [ancient, far] = [-377_705_023_201, 253_402_207_200].map(|at| Timestamp::from_second(at).unwrap());
    let progress =
        Progress { baseline: ancient, watermark: Some(far), last_deep_scan: Some(Timestamp::UNIX_EPOCH) };
    let scan = ScanResult { rows: u64::MAX, progress: Some(progress), ..scanned(1) };
    store.commit_run(run, scan, std::iter::once(Ok(mail(&addresses(), &rows)))).await.unwrap();
    assert_eq!(read(&store).await, Some(progress));
    assert_eq!(store.run(run).await.unwrap().unwrap().rows, i64::MAX.unsigned_abs());
    let ids = rows.iter().map(|mark| mark.id).collect();
    let versions: Vec<_> = rows.iter().map(|mark| Some(mark.version)).collect();
    assert_eq!(store.seen_rows(HERE, ids).await.unwrap(), versions);

    let taken = take(&store, at(2)).await;
    let often = Recipient { uncertain: u32::MAX, ..taken.recipients[0].clone() };
    let after = vec![often.clone(), taken.recipients[1].clone()];
    store.record_attempt(replies(taken.id, after, far), at(2)).await.unwrap();
    let found = store.mails_of(run).await.unwrap().remove(0);
    assert_eq!(found.recipients[0], often);
    assert_eq!(found.next_try, Some(far));
    assert_eq!(store.outbox(OutboxFilter::One(i64::MAX)).await.unwrap(), []);
    assert_eq!(store.outbox(OutboxFilter::One(-1)).await.unwrap(), []);
    assert!(!store.is_waiting(i64::MIN).await.unwrap());
    assert_eq!(store.defer_flow_if_used_up("leads", u32::MAX, at(3)).await.unwrap(), None);
    for (limit, expected) in [(0, 0), (u32::MAX, 1)] {
        let filter = RunFilter { limit: Some(limit), ..RunFilter::default() };
        assert_eq!(store.find_runs(filter).await.unwrap().len(), expected);
    }
}

pub(in crate::store) async fn of_nothing_there_is_nothing(state: &impl State) {
    let store = opened(state).await;
    assert_eq!(store.seen_rows(HERE, vec![]).await.unwrap(), []);
    assert_eq!(store.mailed_rows(HERE, vec![]).await.unwrap(), []);
    assert_eq!(store.last_provenance("leads", vec![]).await.unwrap(), []);
    assert_eq!(store.overview(vec![]).await.unwrap(), []);
    assert_eq!(store.claim_runs(vec![]).await.unwrap(), []);
    store.withdraw_runs(vec![]).await.unwrap();
    store.commit_empty_scans(vec![]).await.unwrap();
    store.preset_baseline(vec![], at(0), at(0)).await.unwrap();
    store.commit_alarms(AlarmUpdate::default(), None, at(1)).await.unwrap();
    assert_eq!(store.take_requests(at(1)).await.unwrap(), []);
    assert_eq!(
        store.prune(Retention { history: at(0), message_bytes: at(0), answers: at(0) }).await.unwrap(),
        0
    );
    assert_eq!(store.due_lanes(at(1)).await.unwrap(), Vec::<Vec<String>>::new());
    let run = queue(&store, 1, vec![]).await;
    assert_eq!(store.mails_of(run).await.unwrap(), []);
    let nobody = NewMessage { connections: vec![], subject: String::new(), ..mail(&[], &[]) };
    let run = queue(&store, 2, vec![nobody]).await;
    let found = store.mails_of(run).await.unwrap().remove(0);
    assert!(
        found.recipients.is_empty() && found.connections.is_empty() && found.subject.is_empty(),
        "{found:?}"
    );
    assert_eq!(store.schedule_states(vec![], at(3)).await.unwrap().len(), 0);
}

pub(in crate::store) async fn a_great_mail_is_given_back_byte_by_byte(state: &impl State) {
    let store = opened(state).await;
    let bytes: Vec<u8> = (0..(3_usize << 20) + 7).map(|at| (at % 251).to_le_bytes()[0]).collect();
    let run = queue(&store, 1, vec![NewMessage { bytes: bytes.clone(), ..mail(&addresses(), &[]) }]).await;
    let known = store.mails_of(run).await.unwrap().remove(0);
    assert_eq!(known.size, i64::try_from(bytes.len()).ok());
    assert!(store.message_bytes(known.id).await.unwrap().is_some_and(|found| found == bytes));
    assert!(take(&store, at(1)).await.bytes == bytes);
}

pub(in crate::store) async fn a_hundred_thousand_rows_are_one_commit(state: &impl State) {
    let store = opened(state).await;
    let mark = |number: u32, version| {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.wrapping_mul(2_654_435_761).to_le_bytes());
        RowMark { id: RowId(id), version: RowVersion(version) }
    };
    let rows: Vec<RowMark> = (0..100_000).map(|number| mark(number, i64::from(number))).collect();
    let run = begun(&store, 1).await;
    let all = [mail(&addresses(), &rows[..60_000]), mail(&addresses(), &rows[60_000..99_000])];
    // A row that was written while it was read comes twice, also within one list.
    let skipped = [&rows[99_000..], &[mark(99_000, -1), mark(5, -1)]].concat();
    let scan = ScanResult { skipped, ..scanned(1) };
    store.commit_run(run, scan, all.into_iter().map(Ok)).await.unwrap();
    let ids = rows.iter().map(|mark| mark.id).collect();
    let found = store.seen_rows(HERE, ids).await.unwrap();
    assert_eq!(found.iter().flatten().count(), 100_000);
    let changed = found.iter().zip(&rows).filter(|(found, mark)| **found != Some(mark.version));
    assert!(changed.count() <= 1, "but for the one that came twice in one list");
    assert_eq!(found[5], Some(RowVersion(5)), "it was mailed after it was skipped");
    let proof = store.provenance("leads", rows[99_000].id).await.unwrap();
    assert_eq!(proof, [Provenance { run, message: None }]);
    let mailed = store.mailed_rows(HERE, vec![rows[0].id, rows[99_999].id]).await.unwrap();
    assert_eq!(mailed, [Some(RowVersion(0)), None]);
}

pub(in crate::store) async fn the_runs_of_all_flows_that_made_a_mail_are_found(state: &impl State) {
    let store = opened(state).await;
    see(&store, "leads", 90_000).await;
    let before = begun(&store, 90_001).await;
    store.commit_run(before, scanned(90_002), std::iter::once(Ok(mail(&addresses(), &[])))).await.unwrap();
    let mailed = begun(&store, 90_010).await;
    store.commit_run(mailed, scanned(90_012), std::iter::once(Ok(mail(&addresses(), &[])))).await.unwrap();
    let quiet = begun(&store, 90_020).await;
    store.commit_run(quiet, scanned(90_021), std::iter::empty()).await.unwrap();
    let found = store.mailed_samples(at(90_010)).await.unwrap();
    let [(flow, sample)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((flow.as_str(), sample.started, sample.mails), ("leads", at(90_010), 1));
    assert_eq!(store.samples("leads", at(90_010)).await.unwrap()[0], *sample);
}
