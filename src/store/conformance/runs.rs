//! A run's life: claimed, committed, failed, pruned.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::history::{RecordedStep, Step};

pub(in crate::store) async fn a_run_whose_end_was_not_recorded_is_interrupted_and_commits_no_more(
    state: &impl State,
) {
    let store = opened(state).await;
    let first = begun(&store, 1).await;
    let again = NewRun { flow: "leads".to_owned(), order: RunOrder::new(Cause::Once, None), started: at(2) };
    let second = claim(&store, vec![again]).await[0].run;
    let late = store.commit_run(first, scanned(3), std::iter::empty()).await;
    assert!(matches!(late, Err(StoreError::RunOver(run)) if run == first), "{late:?}");
    store.fail_run(second, failed("the table is not there"), at(3)).await.unwrap();
    assert_eq!(slot(&store, "leads").await, None, "the slot of an interrupted run is made up for");
    assert_eq!(join(&store, "next", at(4)).await, TakenOver::default());
    let outcomes: Vec<_> =
        store.find_runs(RunFilter::default()).await.unwrap().iter().map(|run| run.outcome).collect();
    assert_eq!(outcomes, [Outcome::Failed, Outcome::Interrupted]);
    let third = begun(&store, 7).await;
    store.fail_run(third, failed("again"), at(8)).await.unwrap();
    assert_eq!(slot(&store, "leads").await, Some(at(7)));
}

pub(in crate::store) async fn a_commit_is_all_or_nothing(state: &impl State) {
    let store = opened(state).await;
    let to = addresses();
    let rows = [mark(1)];
    let run = begun(&store, 1).await;
    let broken = [Ok(mail(&to, &rows)), Err(std::io::Error::other("disk"))];
    store.commit_run(run, scanned(2), broken.into_iter()).await.unwrap_err();
    assert_eq!(read(&store).await, None);
    assert_eq!(store.seen_rows(HERE, vec![RowId([1; 16]), RowId([9; 16])]).await.unwrap(), [None, None]);
    assert_eq!(next(&store, at(9)).await, None);

    store.commit_run(run, scanned(2), std::iter::once(Ok(mail(&to, &rows)))).await.unwrap();
    assert_eq!(read(&store).await.unwrap().watermark, Some(at(2)));
    assert_eq!(
        store.seen_rows(HERE, vec![RowId([1; 16]), RowId([9; 16]), RowId([2; 16])]).await.unwrap(),
        [Some(RowVersion(1)), Some(RowVersion(9)), None]
    );
    let seen = store.run(run).await.unwrap().unwrap();
    assert_eq!((seen.outcome, seen.rows, seen.mails), (Outcome::Waiting, 1, 1));
}

pub(in crate::store) async fn runs_are_claimed_together_recorded_together_and_taken_back(state: &impl State) {
    let store = opened(state).await;
    let order = |second| RunOrder::new(Cause::Schedule, Some(at(second)));
    let new =
        |flow: &str, second| NewRun { flow: flow.to_owned(), order: order(second), started: at(second) };
    let trigger = Request::Run { flow: "c".to_owned(), cause: Cause::Trigger, range: RowRange::New };
    let request = store.add_request(trigger, ANNA, at(0)).await.unwrap();
    let mut asked = new("c", 2);
    asked.order.request = Some(request);
    let begun = claim(&store, vec![new("leads", 2), new("b", 2), asked]).await;
    let runs: Vec<i64> = begun.iter().map(|begun| begun.run).collect();
    assert_eq!((begun[0].run, begun[0].due_since), (runs[0], at(2)));
    assert_eq!(begun[0].source.as_ref().map(|source| source.progress), Some(None));
    assert_eq!(store.answer(request).await.unwrap(), Answer::Run(runs[2]));
    let quiet = ScanResult { skipped: vec![], outcome: Outcome::NothingNew, ..scanned(3) };
    let quiet = Arc::new(quiet);
    let scan = |run| (run, Arc::clone(&quiet));
    store.commit_empty_scans(vec![scan(runs[0]), scan(99)]).await.unwrap_err();
    assert_eq!(outcome(&store, runs[0]).await, Outcome::Running, "all or nothing");
    store.commit_empty_scans(vec![scan(runs[0]), scan(runs[1])]).await.unwrap();
    assert_eq!(
        (outcome(&store, runs[0]).await, outcome(&store, runs[1]).await),
        (Outcome::NothingNew, Outcome::NothingNew)
    );
    assert_eq!(slot(&store, "b").await, Some(at(2)));
    store.withdraw_runs(begun.clone()).await.unwrap();
    assert!(store.run(runs[0]).await.unwrap().is_some(), "what has ended stays");
    assert_eq!(store.run(runs[2]).await.unwrap(), None);
    assert_eq!(store.answer(request).await.unwrap(), Answer::Pending);
    let again = claim(&store, vec![new("leads", 5)]).await.remove(0);
    assert_eq!(again.source.unwrap().progress, quiet.progress);
    assert!(again.run > runs[2], "no number twice");
}

pub(in crate::store) async fn failures_count_since_the_last_run_that_succeeded(state: &impl State) {
    let store = opened(state).await;
    for second in [1, 3] {
        let run = begun(&store, second).await;
        store.fail_run(run, failed("the table is not there"), at(second + 1)).await.unwrap();
    }
    let state = store.alarm_facts().await.unwrap().flows.remove("leads").unwrap();
    assert_eq!((state.failures, state.failing_since, state.last_read), (2, Some(at(2)), None));
    assert_eq!(state.last_failure, Some((2, "the table is not there".into(), Some("look at it".into()))));
    let run = begun(&store, 5).await;
    let mail = mail(&[], &[]);
    store.commit_run(run, scanned(6), std::iter::once(Ok(mail))).await.unwrap();
    let state = store.alarm_facts().await.unwrap().flows.remove("leads").unwrap();
    assert_eq!((state.failures, state.failing_since, state.last_read), (0, None, Some(at(6))));
    assert_eq!(state.watermark, Some(at(6)));
}

pub(in crate::store) async fn history_ends_and_what_waits_stays(state: &impl State) {
    let store = opened(state).await;
    let to = addresses();
    let sent = begun(&store, 1).await;
    let steps = vec![step("window"), step("query")];
    store
        .commit_run(sent, ScanResult { steps, ..scanned(2) }, std::iter::once(Ok(mail(&to, &[mark(1)]))))
        .await
        .unwrap();
    assert_eq!(store.steps(sent).await.unwrap(), [step("window"), step("query")]);
    let taken = take(&store, at(3)).await;
    let keep = Retention { history: at(0), message_bytes: at(9), answers: at(0) };
    store.prune(keep).await.unwrap();
    assert!(store.message_bytes(taken.id).await.unwrap().is_some(), "it is being sent");
    let after: Vec<_> = taken.recipients.iter().map(|r| r.after(Receipt::Accepted("250".into()))).collect();
    store.record_attempt(replies(taken.id, after, at(4)), at(4)).await.unwrap();
    store.prune(keep).await.unwrap();
    assert_eq!(store.message_bytes(taken.id).await.unwrap(), None);

    let waits = begun(&store, 5).await;
    store.commit_run(waits, scanned(6), std::iter::once(Ok(mail(&to, &[])))).await.unwrap();
    assert_eq!(store.prune(Retention { history: at(9), ..keep }).await.unwrap(), 1);
    assert_eq!(
        store.find_runs(RunFilter::default()).await.unwrap().iter().map(|run| run.id).collect::<Vec<_>>(),
        [waits]
    );
    assert_eq!(
        store.seen_rows(HERE, vec![RowId([1; 16])]).await.unwrap(),
        [Some(RowVersion(1))],
        "seen rows outlive the history"
    );
}

fn step(name: &str) -> RecordedStep {
    let step = Step::Other { name: name.to_owned(), inputs: json!({ "a": 1 }), outputs: json!({}) };
    RecordedStep { step, took: jiff::SignedDuration::from_millis(5) }
}
