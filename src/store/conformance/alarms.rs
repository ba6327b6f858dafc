//! What the alarms follow from, and what is recorded of them.

use super::*;
use crate::alarm::{Alarm, AlarmKind, AlarmUpdate};

fn alarm(kind: AlarmKind, about: &str, what: &str) -> Alarm {
    Alarm {
        kind,
        about: about.to_owned(),
        since: at(1),
        times: 1,
        what: what.to_owned(),
        help: "look at it".to_owned(),
        look: "leadflow health".to_owned(),
    }
}

pub(in crate::store) async fn an_alarm_is_raised_until_it_is_over_and_knows_its_mail(state: &impl State) {
    let store = opened(state).await;
    let failing = (AlarmKind::Failing, "leads".to_owned());
    let stand = vec![alarm(AlarmKind::Failing, "leads", "no table"), alarm(AlarmKind::File, "", "line 1")];
    let update = AlarmUpdate { raised: stand, mailed: vec![failing.clone()], over: vec![] };
    store.commit_alarms(update, Some(mail(&addresses(), &[])), at(2)).await.unwrap();
    let raised = store.alarm_facts().await.unwrap().raised;
    let known: Vec<_> = raised.iter().map(|one| (one.kind, one.mailed, one.is_mail_waiting)).collect();
    assert_eq!(known, [(AlarmKind::Failing, Some(at(2)), true), (AlarmKind::File, None, false)]);

    let later = Alarm { since: at(9), ..alarm(AlarmKind::Failing, "leads", "still no table") };
    let update =
        AlarmUpdate { raised: vec![later], mailed: vec![], over: vec![(AlarmKind::File, String::new())] };
    store.commit_alarms(update, None, at(3)).await.unwrap();
    let raised = store.alarm_facts().await.unwrap().raised;
    let [one] = raised.as_slice() else { panic!("{raised:?}") };
    assert_eq!((one.since, one.what.as_str(), one.mailed), (at(1), "still no table", Some(at(2))));

    let update = AlarmUpdate { over: vec![failing], ..AlarmUpdate::default() };
    store.commit_alarms(update, None, at(4)).await.unwrap();
    assert_eq!(store.alarm_facts().await.unwrap().raised, []);
}

pub(in crate::store) async fn a_mail_about_an_alarm_belongs_to_no_flow_and_is_a_fact_once_it_is_held(
    state: &impl State,
) {
    let store = opened(state).await;
    store.commit_alarms(AlarmUpdate::default(), Some(mail(&addresses(), &[])), at(2)).await.unwrap();
    assert_eq!(store.alarm_facts().await.unwrap().held_alarm_mail, None);
    let taken = take(&store, at(2)).await;
    assert_eq!((taken.run, taken.flow.as_deref()), (None, None));
    let refuse = |known: &Recipient| known.after(Receipt::Refused("550 no".to_owned()));
    let after = taken.recipients.iter().map(refuse).collect();
    store.record_attempt(replies(taken.id, after, at(3)), at(3)).await.unwrap();
    let held = store.alarm_facts().await.unwrap().held_alarm_mail;
    assert_eq!(held, Some((taken.id, "550 no".to_owned())));
}

pub(in crate::store) async fn a_connection_fails_from_its_first_failure_until_it_works(state: &impl State) {
    let store = opened(state).await;
    for (second, what) in [(1, "no route"), (2, "refused")] {
        let failure = ConnectionFailure {
            connection: "relay".to_owned(),
            what: what.to_owned(),
            help: Some("look at it".to_owned()),
            rest_until: None,
        };
        store.record_connection_failure(failure, at(second)).await.unwrap();
    }
    let failing = store.alarm_facts().await.unwrap().connections.remove("relay").unwrap();
    assert_eq!((failing.failures, failing.failing_since), (2, at(1)));
    assert_eq!((failing.what.as_str(), failing.help.as_deref()), ("refused", Some("look at it")));
    store.record_connection_success("other", None).await.unwrap();
    assert_eq!(store.alarm_facts().await.unwrap().connections.len(), 1);
    store.record_connection_success("relay", None).await.unwrap();
    assert!(store.alarm_facts().await.unwrap().connections.is_empty());
}

pub(in crate::store) async fn what_is_due_counts_as_late_from_the_last_plan_on(state: &impl State) {
    let store = opened(state).await;
    assert_eq!(store.alarm_facts().await.unwrap().on_time_since, None);
    for second in [5, 3] {
        store.set_on_time_since(at(second)).await.unwrap();
        assert_eq!(store.alarm_facts().await.unwrap().on_time_since, Some(at(second)));
    }
}
