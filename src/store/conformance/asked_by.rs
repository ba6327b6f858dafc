//! Who asked for it: the name goes from a request to what comes of it.

use super::*;
use crate::outbox::Redirect;

const BERT: &str = "bert (page)";

/// Does what somebody asks for.
async fn ask(store: &Store, request: Request, who: &str, second: i64) {
    store.add_request(request, who, at(second)).await.unwrap();
    store.take_requests(at(second)).await.unwrap();
}

pub(in crate::store) async fn who_turned_a_flow_off_is_known_while_it_is_off(state: &impl State) {
    let store = opened(state).await;
    let (off, on) = (|| Request::Off("leads".to_owned()), || Request::On("leads".to_owned()));
    let by = async || {
        let overview = overview(&store, "leads").await;
        (overview.off_since, overview.off_by)
    };
    assert_eq!(by().await, (None, None));
    ask(&store, off(), ANNA, 1).await;
    assert_eq!(by().await, (Some(at(1)), Some(ANNA.to_owned())));
    ask(&store, off(), BERT, 2).await;
    assert_eq!(by().await, (Some(at(1)), Some(ANNA.to_owned())), "it was off already");
    ask(&store, on(), BERT, 3).await;
    assert_eq!(by().await, (None, None));
    ask(&store, off(), BERT, 4).await;
    assert_eq!(by().await, (Some(at(4)), Some(BERT.to_owned())));
}

pub(in crate::store) async fn a_run_bears_the_name_of_who_asked_for_it(state: &impl State) {
    let store = opened(state).await;
    let run = Request::Run { flow: "leads".to_owned(), cause: Cause::Trigger, range: RowRange::New };
    store.add_request(run, ANNA, at(1)).await.unwrap();
    let claimed = async |second| {
        let QueuedRequest { id, asked_by, .. } = store.take_requests(at(second)).await.unwrap().remove(0);
        let order = RunOrder::without_slot(Cause::Trigger, RowRange::New);
        let order = RunOrder { request: Some(id), asked_by, ..order };
        claim(&store, vec![NewRun { flow: "leads".to_owned(), order, started: at(second) }]).await.remove(0)
    };
    store.withdraw_runs(vec![claimed(2).await]).await.unwrap();
    let asked = claimed(3).await.run;
    store.commit_run(asked, scanned(4), std::iter::empty()).await.unwrap();
    assert_eq!(store.run(asked).await.unwrap().unwrap().asked_by.as_deref(), Some(ANNA));
    let last = overview(&store, "leads").await.last_run.unwrap();
    assert_eq!((last.id, last.asked_by.as_deref()), (asked, Some(ANNA)));
    let by_itself = begun(&store, 5).await;
    let found = store.find_runs(RunFilter::default()).await.unwrap();
    let names: Vec<_> = found.iter().map(|run| (run.id, run.asked_by.as_deref())).collect();
    assert_eq!(names, [(by_itself, None), (asked, Some(ANNA))]);
}

pub(in crate::store) async fn a_mail_bears_the_name_of_who_decided_about_it_last(state: &impl State) {
    let store = opened(state).await;
    let run = begun(&store, 1).await;
    store.commit_run(run, scanned(2), vec![mail(&addresses(), &[]); 4].into_iter().map(Ok)).await.unwrap();
    for receipt in [Receipt::Accepted("250 ok".to_owned()), Receipt::Refused("550 no".to_owned())] {
        let taken = take(&store, at(3)).await;
        let after = taken.recipients.iter().map(|known| known.after(receipt.clone())).collect();
        store.record_attempt(replies(taken.id, after, at(3)), at(3)).await.unwrap();
    }
    let being_sent = take(&store, at(3)).await.id;
    let names = async || {
        let mails = store.mails_of(run).await.unwrap();
        mails.into_iter().map(|mail| mail.asked_by).collect::<Vec<_>>()
    };
    let [anna, bert] = [ANNA, BERT].map(|name| Some(name.to_owned()));
    assert_eq!((names().await, being_sent), (vec![None; 4], 3));
    ask(&store, Request::Retry(None), ANNA, 4).await;
    let retried = [None, anna.clone(), None, anna.clone()];
    assert_eq!(names().await, retried, "one was sent, one is held, one is being sent, one waits");
    for nothing_to_do in [Request::Retry(Some(1)), Request::Drop(1), Request::Retry(Some(99))] {
        ask(&store, nothing_to_do, BERT, 5).await;
    }
    assert_eq!(names().await, retried);
    ask(&store, Request::Drop(2), BERT, 6).await;
    assert_eq!(names().await, [None, bert.clone(), None, anna.clone()]);
    ask(&store, Request::Retry(Some(2)), ANNA, 7).await;
    assert_eq!(names().await, retried);
    let elsewhere = Redirect { to: vec!["z@b.example".to_owned()], instead_of: Some(addresses().remove(0)) };
    ask(&store, Request::Send(4, elsewhere), BERT, 8).await;
    assert_eq!(names().await, [None, anna, None, bert.clone()]);
    let entry = store.outbox(OutboxFilter::One(4)).await.unwrap().remove(0);
    assert_eq!(entry.message.asked_by, bert);
}

pub(in crate::store) async fn an_earlier_version_leaves_requests_without_a_name(state: &impl State) {
    let store = opened(state).await;
    let id = store.add_request(Request::Off("leads".to_owned()), ANNA, at(1)).await.unwrap();
    store.raw("UPDATE requests SET asked_by = NULL").unwrap();
    let taken = store.take_requests(at(2)).await.unwrap();
    assert_eq!((taken.len(), taken[0].id, &taken[0].asked_by), (1, id, &None));
    let overview = overview(&store, "leads").await;
    assert_eq!((overview.off_since, overview.off_by), (Some(at(2)), None));
}
