//! A run's life in the store: claimed, committed, sent, doubted, pruned.

mod sources;

use super::*;
use crate::alarm::HeldMails;
use crate::history::{Cause, Order, Outcome, Range, RecordedStep, Step};
use crate::outbox::{Receipt, State};
use crate::rows::row::{Key, Mark, Version};
use crate::schedule::window::Past;

fn mark(number: u8) -> Mark {
    Mark { key: Key([number; 16]), version: Version(i64::from(number)) }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_770_000_000 + second).unwrap()
}

fn opened() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    store.anchor("leads", at(0)).unwrap();
    assert_eq!(visit(&mut store, "here/leads", 0).id, HERE);
    (folder, store)
}

/// The first table that `leads` reads.
const HERE: i64 = 1;

/// From now on `leads` reads this table.
fn visit(store: &mut Store, identity: &str, second: i64) -> Source {
    let (due, now) = (at(second), at(second));
    let known_as = None;
    store.visit(&Visit { flow: "leads", identity, known_as, due, now, is_to_stay: true }).unwrap()
}

fn begun(store: &mut Store, second: i64) -> i64 {
    let run =
        NewRun { flow: "leads", order: Order::new(Cause::Schedule, Some(at(second))), started: at(second) };
    store.begin_runs(&[run]).unwrap()[0].run
}

fn scanned(second: i64) -> Scanned {
    let past = Past { begin: at(0), watermark: Some(at(second)), looked_back: None };
    Scanned {
        source: HERE,
        past: Some(past),
        passed_over: vec![mark(9)],
        before_begin: None,
        rows: 1,
        outcome: Outcome::Waiting,
        summary: "1 new row".to_owned(),
        clock_problem: None,
        steps: vec![],
        now: at(second),
    }
}

/// The next mail of the first lane that has one.
fn next(store: &Store, now: Timestamp) -> Option<OutboxMail> {
    let lane = store.lanes(now).unwrap().into_iter().next()?;
    store.next_mail(&lane, now).unwrap()
}

fn outcome(store: &Store, run: i64) -> Outcome {
    store.run(run).unwrap().unwrap().outcome
}

/// The newest slot that a run of the flow has taken.
fn slot(store: &Store, flow: &str) -> Option<Timestamp> {
    store.plan(flow).unwrap().unwrap().last_slot
}

fn failed(summary: &str) -> Failed<'_> {
    Failed { summary, help: "look at it", steps: &[], due_since: at(1) }
}

/// The next mail, which is being sent from now on.
fn take(store: &mut Store, now: Timestamp) -> OutboxMail {
    let mail = next(store, now).unwrap();
    store.begin_sending(mail.id, "relay", now).unwrap();
    mail
}

fn mail<'a>(recipients: &'a [String], rows: &'a [Mark]) -> NewMail<'a> {
    NewMail {
        connections: recipients,
        sender: "leads@contoso.example",
        recipients,
        subject: "1 lead".to_owned(),
        message_id: "<1@contoso.example>".to_owned(),
        bytes: b"Subject: 1 lead\r\n\r\n".to_vec(),
        rows,
    }
}

fn addresses() -> Vec<String> {
    vec!["a@contoso.example".to_owned(), "b@contoso.example".to_owned()]
}

#[test]
fn a_run_whose_end_was_not_recorded_is_interrupted_and_commits_no_more() {
    let (_folder, mut store) = opened();
    let first = begun(&mut store, 1);
    let again = NewRun { flow: "leads", order: Order::new(Cause::Once, None), started: at(2) };
    let second = store.begin_runs(&[again]).unwrap()[0].run;
    let late = store.commit_scan(first, &scanned(3), std::iter::empty());
    assert!(matches!(late, Err(StoreError::RunOver(run)) if run == first));
    store.fail_run(second, &failed("the table is not there"), at(3)).unwrap();
    assert_eq!(slot(&store, "leads"), None, "the slot of an interrupted run is made up for");
    assert_eq!(store.interrupt_runs(at(4)).unwrap(), 0);
    let outcomes: Vec<_> = store.runs(Some("leads"), 10).unwrap().iter().map(|run| run.outcome).collect();
    assert_eq!(outcomes, [Outcome::Failed, Outcome::Interrupted]);
    let third = begun(&mut store, 7);
    store.fail_run(third, &failed("again"), at(8)).unwrap();
    assert_eq!(slot(&store, "leads"), Some(at(7)));
}

#[test]
fn a_commit_is_all_or_nothing() {
    let (_folder, mut store) = opened();
    let (to, keys) = (addresses(), [mark(1)]);
    let run = begun(&mut store, 1);
    let broken = [Ok(mail(&to, &keys)), Err(std::io::Error::other("disk"))];
    store.commit_scan(run, &scanned(2), broken.into_iter()).unwrap_err();
    assert_eq!(store.reading("leads").unwrap(), None);
    assert_eq!(store.known(HERE, &[Key([1; 16]), Key([9; 16])]).unwrap(), [None, None]);
    assert_eq!(next(&store, at(9)), None);

    store.commit_scan(run, &scanned(2), std::iter::once(Ok(mail(&to, &keys)))).unwrap();
    assert_eq!(store.reading("leads").unwrap().unwrap().past.watermark, Some(at(2)));
    assert_eq!(
        store.known(HERE, &[Key([1; 16]), Key([9; 16]), Key([2; 16])]).unwrap(),
        [Some(Version(1)), Some(Version(9)), None]
    );
    let seen = store.run(run).unwrap().unwrap();
    assert_eq!((seen.outcome, seen.rows, seen.mails), (Outcome::Waiting, 1, 1));
}

#[test]
fn each_recipient_goes_its_own_way() {
    let (_folder, mut store) = opened();
    let to = addresses();
    let run = begun(&mut store, 1);
    store.commit_scan(run, &scanned(2), std::iter::once(Ok(mail(&to, &[])))).unwrap();
    assert_eq!(store.next_try().unwrap(), Some(at(2)));
    let taken = take(&mut store, at(2));
    assert_eq!((taken.tries, taken.bytes.as_slice()), (0, &b"Subject: 1 lead\r\n\r\n"[..]));
    assert_eq!(next(&store, at(2)), None, "a mail that is being sent is not taken twice");

    let replies = [Receipt::Accepted("250 ok".into()), Receipt::Later("451 later".into())];
    let after: Vec<_> = taken.recipients.iter().zip(replies).map(|(r, reply)| r.after(reply)).collect();
    store.record_replies(taken.id, &after, at(60)).unwrap();
    assert_eq!(outcome(&store, run), Outcome::Waiting);
    assert_eq!(next(&store, at(59)), None);
    store.hurry(at(30)).unwrap();
    let taken = take(&mut store, at(30));
    let states: Vec<_> = taken.recipients.iter().map(|r| r.state).collect();
    assert_eq!((states, taken.tries), (vec![State::Sent, State::Waiting], 1));

    let after = [taken.recipients[0].clone(), taken.recipients[1].after(Receipt::Refused("550 no".into()))];
    store.record_replies(taken.id, &after, at(90)).unwrap();
    assert_eq!(outcome(&store, run), Outcome::PartlySent);
    assert_eq!(store.next_try().unwrap(), None);
    assert_eq!(store.mails_of(run).unwrap()[0].recipients[1].reply.as_deref(), Some("550 no"));
}

#[test]
fn a_mail_that_was_being_sent_when_the_process_ended_is_uncertain() {
    let (folder, mut store) = opened();
    let to = addresses();
    let run = begun(&mut store, 1);
    store.commit_scan(run, &scanned(2), std::iter::once(Ok(mail(&to, &[])))).unwrap();
    for (start, state) in [(1, State::Uncertain), (2, State::Uncertain), (3, State::Held)] {
        take(&mut store, at(5));
        drop(store);
        store = Store::open(folder.path()).unwrap();
        assert_eq!(store.doubt_interrupted_mails(at(5)).unwrap(), 1);
        assert_eq!(store.mails_of(run).unwrap()[0].recipients[0].state, state, "start {start}");
    }
    assert_eq!(store.run(run).unwrap().unwrap().outcome, Outcome::Held);
    assert_eq!(next(&store, at(9)), None);
}

#[test]
fn an_unreachable_connection_puts_off_all_its_mails_and_no_other() {
    let (_folder, mut store) = opened();
    let (to, other) = (addresses(), vec!["other".to_owned()]);
    let run = begun(&mut store, 1);
    let mails = [mail(&to, &[]), mail(&to, &[]), NewMail { connections: &other, ..mail(&to, &[]) }];
    store.commit_scan(run, &scanned(2), mails.into_iter().map(Ok)).unwrap();
    store.pause(&to, at(100), at(10)).unwrap();
    let taken = take(&mut store, at(3));
    assert_eq!(taken.connections, other);
    assert_eq!(next(&store, at(3)), None);
    assert_eq!(store.next_try().unwrap(), Some(at(100)));
    assert!(next(&store, at(-9_000)).is_some(), "the clock was set back by hours");
    store.pause(&to, at(-8_900), at(-9_000)).unwrap();
    assert_eq!(next(&store, at(-9_000)), None, "it would be tried for ever");
    assert_eq!(store.next_try().unwrap(), Some(at(-8_900)));
    assert_eq!(store.waiting_mails("leads").unwrap(), 3);
}

#[test]
fn history_ends_and_what_waits_stays() {
    let (_folder, mut store) = opened();
    let to = addresses();
    let sent = begun(&mut store, 1);
    let steps = vec![step("window"), step("query")];
    store
        .commit_scan(sent, &Scanned { steps, ..scanned(2) }, std::iter::once(Ok(mail(&to, &[mark(1)]))))
        .unwrap();
    assert_eq!(store.steps(sent).unwrap(), [step("window"), step("query")]);
    let taken = take(&mut store, at(3));
    assert_eq!(store.purge_sent(at(9)).unwrap(), 0);
    let after: Vec<_> = taken.recipients.iter().map(|r| r.after(Receipt::Accepted("250".into()))).collect();
    store.record_replies(taken.id, &after, at(4)).unwrap();
    assert_eq!(store.purge_sent(at(9)).unwrap(), 1);

    let waits = begun(&mut store, 5);
    store.commit_scan(waits, &scanned(6), std::iter::once(Ok(mail(&to, &[])))).unwrap();
    assert_eq!(store.prune_history(at(9)).unwrap(), 1);
    assert_eq!(store.runs(None, 10).unwrap().iter().map(|run| run.id).collect::<Vec<_>>(), [waits]);
    assert_eq!(store.known(HERE, &[Key([1; 16])]).unwrap(), [Some(Version(1))], "keys outlive the history");
}

fn step(name: &str) -> RecordedStep {
    let (inputs, outputs) = (serde_json::json!({ "a": 1 }), serde_json::json!({}));
    let step = Step::Other { name: name.to_owned(), inputs, outputs };
    RecordedStep { step, took: jiff::SignedDuration::from_millis(5) }
}

#[test]
fn migrations_are_sound() {
    Migrations::from_slice(&MIGRATIONS).validate().unwrap();
}

#[test]
fn a_second_lock_is_refused_and_the_first_one_frees_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let lock = Lock::take(folder.path()).unwrap();
    let error = Lock::take(folder.path()).unwrap_err();
    assert!(error.to_string().starts_with("another leadflow works on"), "{error}");
    drop(lock);
    Lock::take(folder.path()).unwrap();
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Store::open(&file.join("state")).unwrap_err().to_string();
    assert!(error.contains("file/state") && error.contains("settings.state"), "{error}");
}

#[test]
fn failures_count_since_the_last_run_that_went_well() {
    let (_folder, mut store) = opened();
    for second in [1, 3] {
        let run = begun(&mut store, second);
        store.fail_run(run, &failed("the table is not there"), at(second + 1)).unwrap();
    }
    let state = store.flow_states().unwrap().remove("leads").unwrap();
    assert_eq!((state.failures, state.failing_since, state.last_read), (2, Some(at(2)), None));
    assert_eq!(state.last_failure, Some((2, "the table is not there".into(), Some("look at it".into()))));
    let run = begun(&mut store, 5);
    let mail = mail(&[], &[]);
    store.commit_scan(run, &scanned(6), std::iter::once(Ok(mail))).unwrap();
    let state = store.flow_states().unwrap().remove("leads").unwrap();
    assert_eq!((state.failures, state.failing_since, state.last_read), (0, None, Some(at(6))));
}

#[test]
fn what_waits_and_what_is_held_is_counted_by_flow() {
    let (_folder, mut store) = opened();
    let to = addresses();
    let run = begun(&mut store, 1);
    let mails = (0..3).map(|_| Ok(mail(&to, &[])));
    store.commit_scan(run, &scanned(2), mails).unwrap();
    let taken = take(&mut store, at(2));
    let after: Vec<_> = taken.recipients.iter().map(|r| r.after(Receipt::Refused("550 no".into()))).collect();
    store.record_replies(taken.id, &after, at(4)).unwrap();
    let state = store.flow_states().unwrap().remove("leads").unwrap();
    assert_eq!(
        (state.held, state.waiting),
        (Some(HeldMails { count: 1, since: at(2), oldest: taken.id }), Some((2, at(2))))
    );
    assert_eq!(store.begun_within("leads", at(0), at(9)).unwrap(), (1, Some(at(2))));
    assert_eq!(store.pace("leads", at(100), at(10)).unwrap(), 2);
    let state = store.flow_states().unwrap().remove("leads").unwrap();
    assert_eq!(state.waiting, None, "what waits for per_hour alone is not late");
    assert_eq!(next(&store, at(99)), None);
    let first = next(&store, at(100)).unwrap();
    let later = begun(&mut store, 50);
    let newer = Scanned { now: at(50), ..scanned(50) };
    store.commit_scan(later, &newer, std::iter::once(Ok(mail(&to, &[])))).unwrap();
    assert_eq!(next(&store, at(100)).unwrap().id, first.id, "newer mails do not overtake it");
    let newest = take(&mut store, at(99));
    assert_eq!(newest.run, Some(later));
    store.pace("leads", at(-8_900), at(-9_000)).unwrap();
    assert_eq!(next(&store, at(-9_000)), None, "the clock was set back by hours");
}

#[test]
fn mails_keep_their_order_when_the_clock_is_set_back() {
    let (_folder, mut store) = opened();
    let to = addresses();
    let add = |store: &mut Store, second| {
        let run = begun(store, second);
        let scan = Scanned { now: at(second), ..scanned(second) };
        store.commit_scan(run, &scan, std::iter::once(Ok(mail(&to, &[])))).unwrap();
    };
    add(&mut store, 300_000);
    let first = next(&store, at(300_000)).unwrap().id;
    add(&mut store, 300_000);
    take(&mut store, at(300_000));
    let first = first + 1;
    store.pace("leads", at(303_600), at(300_001)).unwrap();
    store.clock_went_back(Some(jiff::SignedDuration::from_secs(299_000)), at(1_001)).unwrap();
    assert_eq!(next(&store, at(4_599)), None, "it waits as long as it would have");
    let within = store.begun_within("leads", at(1_001 - 3_600), at(1_001)).unwrap();
    assert_eq!(within, (1, Some(at(1_000))), "what an hour has had is counted");
    add(&mut store, 1_002);
    store.pace("leads", at(4_600), at(1_003)).unwrap();
    assert_eq!(next(&store, at(4_600)).unwrap().id, first);
    store.clock_went_back(None, at(500)).unwrap();
    assert_eq!(next(&store, at(500)).unwrap().id, first, "nobody knows by how much");
}

#[test]
fn a_database_of_the_first_schema_is_brought_on() {
    let folder = tempfile::tempdir().unwrap();
    let db = Connection::open(folder.path().join("leadflow.db")).unwrap();
    db.execute_batch(include_str!("migrations/1.sql")).unwrap();
    db.execute_batch(
        "PRAGMA user_version = 1;
         INSERT INTO flows (name, anchor) VALUES ('leads', 1);
         INSERT INTO runs (flow, cause, started, ended, outcome) VALUES (1, 'once', 2, 3, 'sent'), (1, 'once', 4, 5, 'failed');
         INSERT INTO mails (run, connections, sender, subject, message_id, bytes, created, tries, next_try)
             VALUES (1, '[\"relay\"]', 'a@b.example', 's', '<1>', x'00', 3, 1, 7);
         INSERT INTO recipients (mail, position, address, state) VALUES (1, 0, 'c@d.example', 'waiting');",
    )
    .unwrap();
    drop(db);
    let store = Store::open(folder.path()).unwrap();
    let state = store.flow_states().unwrap().remove("leads").unwrap();
    assert_eq!((state.failures, state.last_read), (1, Some(from_db(3))));
    let mail = next(&store, at(0)).unwrap();
    assert_eq!((mail.run, mail.flow.as_deref(), mail.recipients.len()), (Some(1), Some("leads"), 1));
    assert_eq!(store.id().unwrap().len(), 32);
}

#[test]
fn runs_are_claimed_together_recorded_together_and_taken_back() {
    let (_folder, mut store) = opened();
    let order = |second| Order::new(Cause::Schedule, Some(at(second)));
    let new = |flow, second| NewRun { flow, order: order(second), started: at(second) };
    let request = store
        .leave_request(
            &Request::Run { flow: "c".to_owned(), cause: Cause::Trigger, range: Range::New },
            at(0),
        )
        .unwrap();
    let mut asked = new("c", 2);
    asked.order.request = Some(request);
    let begun = store.begin_runs(&[new("leads", 2), new("b", 2), asked]).unwrap();
    let runs: Vec<i64> = begun.iter().map(|begun| begun.run).collect();
    assert_eq!((begun[0].run, begun[0].due_since), (runs[0], at(2)));
    assert_eq!(begun[0].source.as_ref().map(|source| source.past), Some(None));
    assert_eq!(store.answer(request).unwrap(), Answer::Run(runs[2]));
    let quiet = Scanned { passed_over: vec![], outcome: Outcome::NothingNew, ..scanned(3) };
    store.commit_quiet_scans([(runs[0], &quiet), (99, &quiet)].into_iter()).unwrap_err();
    assert_eq!(outcome(&store, runs[0]), Outcome::Running, "all or nothing");
    store.commit_quiet_scans([(runs[0], &quiet), (runs[1], &quiet)].into_iter()).unwrap();
    assert_eq!(
        (outcome(&store, runs[0]), outcome(&store, runs[1])),
        (Outcome::NothingNew, Outcome::NothingNew)
    );
    assert_eq!(slot(&store, "b"), Some(at(2)));
    store.withdraw_runs(&runs).unwrap();
    assert!(store.run(runs[0]).unwrap().is_some(), "what has ended stays");
    assert_eq!(store.run(runs[2]).unwrap(), None);
    assert_eq!(store.answer(request).unwrap(), Answer::Waits);
    let again = store.begin_runs(&[new("leads", 5)]).unwrap().remove(0);
    assert_eq!(again.source.unwrap().past, quiet.past);
    assert!(again.run > runs[2], "no number twice");
}

#[test]
fn many_may_open_a_new_state_at_once() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let open = || Store::open(folder.path()).map(drop);
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
            for one in all {
                one.join().unwrap().unwrap();
            }
        });
    }
}
