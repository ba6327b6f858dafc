//! Which alarms are raised, and when they are mailed.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::*;
use crate::flow::Config;
use crate::schedule::recurrence::Frequency;
use crate::testing::{self, FlowBuilder, every};

fn at(text: &str) -> Timestamp {
    format!("2026-01-{text}Z").parse().unwrap()
}

/// An hourly flow `leads`.
fn config() -> Config {
    testing::config([FlowBuilder::new("leads", every(Frequency::Hour, 1)).build()])
}

fn well() -> FlowState {
    FlowState {
        anchor: at("01T00:00:00"),
        on_since: None,
        is_off: false,
        last_read: Some(at("05T10:00:00")),
        watermark: Some(at("05T09:45:00")),
        failures: 0,
        failing_since: None,
        last_failure: None,
        clock_problem: None,
        held: None,
        waiting: None,
        waiting_reply: None,
    }
}

fn kinds(state: FlowState, connections: &[u32], now: &str) -> Vec<AlarmKind> {
    let connections = connections.iter().map(|failures| {
        let what = "no answer".to_owned();
        let failing_since = at("05T10:00:00");
        ("m".to_owned(), ConnectionState { failures: *failures, failing_since, what, help: None })
    });
    let on_time_since = Some(at("02T00:00:00"));
    let flows = BTreeMap::from([("leads".to_owned(), state)]);
    let facts = Facts { flows, connections: connections.collect(), on_time_since, ..Facts::default() };
    current_alarms(&config(), &facts, at(now)).into_iter().map(|alarm| alarm.kind).collect()
}

#[test]
fn each_fact_raises_its_alarm_and_causes_hide_their_effects() {
    let failing = FlowState {
        failures: 2,
        failing_since: Some(at("05T11:00:00")),
        last_failure: Some((7, "no table".to_owned(), None)),
        ..well()
    };
    let waiting = FlowState { waiting: Some((3, at("05T09:00:00"))), ..well() };
    let held =
        FlowState { held: Some(HeldMails { count: 1, since: at("05T09:00:00"), oldest: 3 }), ..well() };
    for (state, connections, now, expected) in [
        (well(), vec![], "05T10:30:00", vec![]),
        (well(), vec![], "05T13:05:00", vec![]),
        (well(), vec![], "05T13:05:01", vec![AlarmKind::Late]),
        (FlowState { is_off: true, ..well() }, vec![], "09T00:00:00", vec![]),
        (FlowState { on_since: Some(at("08T23:00:00")), ..well() }, vec![], "09T00:00:00", vec![]),
        (FlowState { last_read: None, ..well() }, vec![], "02T03:05:01", vec![AlarmKind::Late]),
        (failing.clone(), vec![], "05T10:30:00", vec![AlarmKind::Failing]),
        (failing, vec![], "09T00:00:00", vec![AlarmKind::Failing]),
        (waiting.clone(), vec![], "05T10:00:00", vec![]),
        (waiting.clone(), vec![], "05T10:00:01", vec![AlarmKind::Waiting]),
        (waiting, vec![3], "05T10:30:00", vec![AlarmKind::Connection]),
        (well(), vec![2], "05T10:30:00", vec![]),
        (held.clone(), vec![3], "05T10:30:00", vec![AlarmKind::Connection, AlarmKind::Held]),
        (FlowState { is_off: true, ..held }, vec![], "05T10:30:00", vec![AlarmKind::Held]),
        (
            FlowState { clock_problem: Some("no time".into()), ..well() },
            vec![],
            "05T10:30:00",
            vec![AlarmKind::Clock],
        ),
    ] {
        let words = format!("{state:?} {connections:?} at {now}");
        assert_eq!(kinds(state, &connections, now), expected, "{words}");
    }
}

#[test]
fn mails_that_are_held_or_wait_are_counted_and_it_says_what_to_do() {
    let shown = |state: FlowState| {
        let facts = Facts { flows: BTreeMap::from([("leads".to_owned(), state)]), ..Facts::default() };
        let Alarm { what, help, .. } = current_alarms(&config(), &facts, at("05T10:30:00")).remove(0);
        format!("{what}\n    {help}")
    };
    let held = |count| HeldMails { count, since: at("05T09:00:00"), oldest: 3 };
    let waiting = |count| Some((count, at("05T09:00:00")));
    let states = [
        FlowState { held: Some(held(1)), ..well() },
        FlowState { held: Some(held(2)), ..well() },
        FlowState { waiting: waiting(1), ..well() },
        FlowState { waiting: waiting(2), waiting_reply: Some("451 later".to_owned()), ..well() },
    ];
    insta::assert_snapshot!(states.map(shown).join("\n"));
}

fn alarm(times: u32) -> Alarm {
    let text = String::new;
    let since = at("05T10:00:00");
    Alarm {
        kind: AlarmKind::Failing,
        about: "leads".into(),
        since,
        times,
        what: text(),
        help: text(),
        look: text(),
    }
}

fn raised(mailed: Option<&str>, is_mail_waiting: bool) -> RaisedAlarm {
    let about = "leads".to_owned();
    let since = at("05T10:00:00");
    let what = String::new();
    RaisedAlarm { kind: AlarmKind::Failing, about, since, what, mailed: mailed.map(at), is_mail_waiting }
}

#[test]
fn an_alarm_is_mailed_once_again_after_repeat_and_when_it_is_over() {
    let failures = Failures {
        connections: vec!["m".to_owned()],
        to: Vec::new(),
        after: 2,
        repeat: SignedDuration::from_hours(24),
    };
    let mailed = |current: Vec<Alarm>, raised: Vec<RaisedAlarm>, now: &str| {
        let decision = decide(current, raised, Some(&failures), at(now));
        (decision.new.len(), decision.to_mail.len(), decision.over_to_mail.len(), decision.update.over.len())
    };
    for (current, known, now, expected) in [
        (vec![alarm(1)], vec![], "05T10:00:00", (1, 0, 0, 0)),
        (vec![alarm(2)], vec![raised(None, false)], "05T11:00:00", (0, 1, 0, 0)),
        (vec![alarm(3)], vec![raised(Some("05T11:00:00"), false)], "06T10:59:59", (0, 0, 0, 0)),
        (vec![alarm(3)], vec![raised(Some("05T11:00:00"), false)], "06T11:00:00", (0, 1, 0, 0)),
        (vec![alarm(3)], vec![raised(Some("05T11:00:00"), true)], "09T11:00:00", (0, 0, 0, 0)),
        (vec![alarm(3)], vec![raised(Some("05T11:00:00"), false)], "03T11:00:00", (0, 1, 0, 0)),
        (vec![], vec![raised(Some("05T11:00:00"), true)], "05T12:00:00", (0, 0, 1, 1)),
        (vec![], vec![raised(None, false)], "05T12:00:00", (0, 0, 0, 1)),
        (vec![], vec![], "05T12:00:00", (0, 0, 0, 0)),
    ] {
        assert_eq!(mailed(current, known, now), expected, "at {now}");
    }
    let silent = decide(vec![alarm(9)], vec![], None, at("05T10:00:00"));
    assert_eq!((silent.new.len(), silent.to_mail.len()), (1, 0), "without [settings.failures]");
}

#[test]
fn every_kind_has_its_own_words() {
    let words = AlarmKind::all().map(|kind| {
        let word = kind.as_str();
        assert_eq!(AlarmKind::parse(word), Some(kind));
        format!("{word}: {} | {}", kind.title("leads"), kind.end("leads"))
    });
    insta::assert_snapshot!(words.collect::<Vec<_>>().join("\n"));
    assert_eq!(AlarmKind::parse("lost"), None);
}

#[test]
fn alarms_of_one_kind_about_others_are_others() {
    let failing = |flow: &str| Alarm { about: flow.to_owned(), ..alarm(1) };
    let decision = decide(vec![failing("other")], vec![raised(None, false)], None, at("05T11:00:00"));
    let about = |alarms: &[Alarm]| alarms.iter().map(|alarm| alarm.about.clone()).collect::<Vec<_>>();
    assert_eq!(about(&decision.new), ["other"]);
    assert_eq!(decision.over.iter().map(|raised| raised.about.as_str()).collect::<Vec<_>>(), ["leads"]);
}

#[test]
fn a_signature_is_an_alarm_from_14_days_before_its_end() {
    let ends = BTreeMap::from([("t".to_owned(), (at("20T00:00:00"), "the file sas".to_owned()))]);
    let facts = Facts { ends, ..Facts::default() };
    assert_eq!(current_alarms(&config(), &facts, at("06T00:00:00")), []);
    let alarms = current_alarms(&config(), &facts, at("06T00:00:01"));
    assert_eq!((alarms[0].kind, alarms[0].about.as_str()), (AlarmKind::Expiring, "t"));
    assert!(alarms[0].what.contains("expires at 2026-01-20T00:00:00Z, in 13 days"), "{}", alarms[0].what);
    assert!(alarms[0].help.contains("the file sas"));
    assert!(current_alarms(&config(), &facts, at("20T00:00:00"))[0].what.contains("expired at"));
}

#[test]
fn a_connection_that_delays_its_flows_is_one_alarm_and_not_one_for_each_flow() {
    let flows = BTreeMap::from([("leads".to_owned(), well())]);
    let alarms_of = |holds: &str| {
        let of = HeldUp {
            connection: holds.to_owned(),
            flow: "leads".to_owned(),
            since: at("05T11:00:00"),
            others: 1,
            holders: vec!["a".to_owned(), "b".to_owned()],
        };
        let held_up = BTreeMap::from([(of.connection.clone(), (of.since, of.to_string()))]);
        let facts = Facts { flows: flows.clone(), held_up, ..Facts::default() };
        let alarms = current_alarms(&config(), &facts, at("05T18:00:00")).into_iter();
        alarms.map(|alarm| (alarm.kind, alarm.about, alarm.what)).collect::<Vec<_>>()
    };
    let words = "leads and 1 other wait longer than their recurrence, since 2026-01-05T11:00:00Z: the \
                 runs of a, b are still waiting for t";
    assert_eq!(alarms_of("t"), [(AlarmKind::HeldUp, "t".to_owned(), words.to_owned())]);
    assert_eq!(
        alarms_of("gone").iter().map(|alarm| alarm.0).collect::<Vec<_>>(),
        [AlarmKind::Late],
        "not in the file any more"
    );
}

#[test]
fn a_node_that_is_gone_is_an_alarm_at_once_and_one_that_differs_after_5_minutes() {
    let gone_nodes = BTreeMap::from([("vm-2".to_owned(), at("05T09:59:50"))]);
    let what = "vm-3 runs leadflow 2, vm-1 runs 1".to_owned();
    let differing_nodes = BTreeMap::from([("vm-3".to_owned(), (at("05T09:55:00"), what.clone()))]);
    let facts = Facts { gone_nodes, differing_nodes, ..Facts::default() };
    let kinds = |now| {
        current_alarms(&config(), &facts, at(now)).into_iter().map(|alarm| alarm.kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds("05T09:59:59"), [AlarmKind::NodeGone]);
    assert_eq!(kinds("05T10:00:00"), [AlarmKind::NodeGone, AlarmKind::NodeDiffers]);
    let alarms = current_alarms(&config(), &facts, at("05T10:00:00"));
    assert!(alarms[0].help.contains("leadflow nodes --forget vm-2"), "{}", alarms[0].help);
    assert_eq!((alarms[1].about.as_str(), &alarms[1].what), ("vm-3", &what));
    assert!(alarms.iter().all(|alarm| alarm.kind.is_warning()), "they do not stop the heartbeat");
}
