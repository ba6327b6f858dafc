//! The bounds of the planner, to the second, and what it counts.

use std::collections::BTreeSet;

use super::*;
use crate::schedule::recurrence::Frequency;
use crate::testing::{FlowBuilder, every};

fn at(text: &str) -> Timestamp {
    format!("2026-01-{text}Z").parse().unwrap()
}

fn known(anchor: &str, last_slot: Option<&str>) -> ScheduleState {
    ScheduleState { anchor: at(anchor), last_slot: last_slot.map(at), is_off: false, failed_run: None }
}

fn hourly() -> FlowBuilder {
    FlowBuilder::new("leads", every(Frequency::Hour, 1))
}

fn each_minute() -> FlowBuilder {
    FlowBuilder::new("leads", every(Frequency::Minute, 1))
}

/// A planner that has loaded these at that moment, each under the name of its flow.
fn loaded(flows: Vec<(FlowBuilder, ScheduleState)>, now: &str) -> Planner {
    let mut planner = Planner::default();
    load(&mut planner, flows, now);
    planner
}

fn load(planner: &mut Planner, flows: Vec<(FlowBuilder, ScheduleState)>, now: &str) {
    let built = flows.into_iter().map(|(flow, known)| (flow.build(), known));
    let named = built.map(|(flow, known)| ((flow.name.clone(), flow.clone()), (flow.name.clone(), known)));
    let (flows, known): (BTreeMap<_, _>, BTreeMap<_, _>) = named.unzip();
    planner.replace(&flows, &known, at(now));
}

/// The slots of the runs that are due then.
fn due(planner: &mut Planner, now: &str) -> Vec<Option<Timestamp>> {
    planner.due(at(now)).into_iter().map(|due| due.order.due).collect()
}

#[test]
fn a_minute_between_two_ticks_does_not_count_as_downtime() {
    let slot = Some(at("08T10:00:00"));
    for (tick, expected) in [("08T10:00:30", vec![slot]), ("08T10:00:31", vec![])] {
        let flow = (hourly().without_catch_up(), known("08T08:00:00", Some("08T09:00:00")));
        let mut planner = loaded(vec![flow], "08T09:59:00");
        assert_eq!(due(&mut planner, "08T09:59:30"), []);
        assert_eq!(due(&mut planner, tick), expected, "at {tick}");
    }
}

#[test]
fn a_clock_that_goes_back_by_a_minute_moves_no_slot() {
    for (back, next) in [("08T10:00:00", "08T10:02:00"), ("08T09:59:59", "08T10:00:59")] {
        let mut planner = loaded(vec![(each_minute(), known("08T10:01:00", None))], "08T10:01:00");
        assert_eq!(due(&mut planner, "08T10:01:00"), [Some(at("08T10:01:00"))]);
        planner.ended("leads");
        assert_eq!(due(&mut planner, "08T10:01:30"), []);
        assert_eq!(due(&mut planner, back), []);
        assert_eq!(planner.next(), Some(("leads", at(next))), "set back to {back}");
    }
}

#[test]
fn an_anchor_that_lies_ahead_is_put_right_and_one_within_a_minute_is_waited_for() {
    let mut planner = loaded(vec![(each_minute(), known("09T10:00:00", Some("08T09:00:00")))], "08T10:00:00");
    assert_eq!(due(&mut planner, "08T10:00:00"), []);
    assert_eq!(planner.next(), Some(("leads", at("08T10:01:00"))), "not tomorrow");
    for (anchor, next) in [("08T10:01:00", "08T10:01:00"), ("08T10:01:01", "08T11:00:00")] {
        let mut planner = loaded(vec![(hourly(), known(anchor, Some("08T09:00:00")))], "08T10:00:00");
        assert_eq!(due(&mut planner, "08T10:00:00"), []);
        assert_eq!(planner.next(), Some(("leads", at(next))), "an anchor at {anchor}");
    }
}

#[test]
fn a_retry_that_lies_further_ahead_than_any_wait_is_made_now() {
    let failing = ScheduleState { failed_run: Some(1), ..known("08T08:00:00", Some("08T10:00:00")) };
    for (tick, runs) in [("08T09:50:00", 0), ("08T09:49:59", 1), ("07T10:20:00", 1)] {
        let mut planner = loaded(vec![(hourly(), failing)], "08T10:20:00");
        assert_eq!(due(&mut planner, tick).len(), runs, "set back to {tick}");
    }
}

#[test]
fn a_failed_run_waits_for_a_slot_of_the_next_five_minutes() {
    for (failed, waits) in [("08T10:55:00", true), ("08T10:54:59", false)] {
        let mut planner = loaded(vec![(hourly(), known("08T10:00:00", None))], "08T10:00:00");
        assert_eq!(due(&mut planner, "08T10:00:00").len(), 1);
        planner.failed("leads", Some(1), at(failed));
        assert_eq!(planner.next() == Some(("leads", at("08T11:00:00"))), waits, "failed at {failed}");
    }
}

#[test]
fn after_a_successful_run_the_next_failure_is_the_first_again() {
    let mut planner = loaded(vec![(hourly(), known("08T10:00:00", None))], "08T10:00:00");
    assert_eq!(due(&mut planner, "08T10:00:00").len(), 1);
    planner.failed("leads", Some(1), at("08T10:00:00"));
    assert_eq!(due(&mut planner, "08T10:01:00"), [None]);
    planner.failed("leads", Some(1), at("08T10:01:00"));
    assert_eq!(due(&mut planner, "08T10:03:00"), [None]);
    planner.succeeded("leads");
    assert!(planner.claim("leads"), "no run of it is under way");
    planner.failed("leads", Some(1), at("08T10:10:00"));
    let (_, next) = planner.next().unwrap();
    assert!(next <= at("08T10:11:00"), "{next}");
}

#[test]
fn a_flow_that_is_claimed_is_not_due_beside_it() {
    let mut planner = loaded(vec![(hourly(), known("08T10:00:00", None))], "08T10:00:00");
    assert!(planner.claim("leads"));
    assert!(!planner.claim("leads"), "it runs already");
    assert_eq!(due(&mut planner, "08T10:00:00"), []);
    planner.ended("leads");
    assert_eq!(due(&mut planner, "08T10:00:01").len(), 1);
}

#[test]
fn without_catch_up_a_flow_that_is_turned_on_again_skips_what_it_missed() {
    let on = || (hourly().without_catch_up(), known("08T08:00:00", Some("08T09:00:00")));
    let mut planner = loaded(vec![on()], "08T09:59:00");
    planner.set_off("leads", false, at("08T10:00:00"));
    assert_eq!(due(&mut planner, "08T10:00:00").len(), 1, "it was on already");
    let mut planner = loaded(vec![on()], "08T09:59:00");
    planner.set_off("leads", true, at("08T09:59:30"));
    planner.set_off("leads", false, at("08T11:30:00"));
    assert_eq!(due(&mut planner, "08T11:30:00"), []);
    assert_eq!(due(&mut planner, "08T11:59:30"), []);
    let next = planner.due(at("08T12:00:00")).remove(0).order;
    assert_eq!(next.since, Some(at("08T10:00:00")), "its run covers what was passed over");
}

#[test]
fn a_failed_run_is_tried_at_once_when_its_flow_is_turned_on() {
    let mut planner = loaded(vec![(hourly(), known("08T10:00:00", None))], "08T10:00:00");
    assert_eq!(due(&mut planner, "08T10:00:00").len(), 1);
    planner.failed("leads", Some(1), at("08T10:30:00"));
    planner.set_off("leads", true, at("08T10:30:01"));
    planner.set_off("leads", false, at("08T10:30:02"));
    assert_eq!(due(&mut planner, "08T10:30:02"), [None]);
}

#[test]
fn a_flow_that_the_file_turns_on_again_starts_over() {
    let seen = known("08T06:00:00", Some("08T07:00:00"));
    let mut planner = loaded(vec![(hourly().without_catch_up().disabled(), seen)], "08T07:30:00");
    load(&mut planner, vec![(hourly().without_catch_up(), seen)], "08T08:40:00");
    assert_eq!(due(&mut planner, "08T08:40:00"), []);
    assert_eq!(planner.next(), Some(("leads", at("08T09:00:00"))));
}

#[test]
fn another_recurrence_goes_by_its_own_slots() {
    let seen = known("08T08:00:00", Some("08T08:00:00"));
    let mut planner = loaded(vec![(hourly().without_catch_up(), seen)], "08T08:35:00");
    let often = FlowBuilder::new("leads", every(Frequency::Minute, 10));
    load(&mut planner, vec![(often, seen)], "08T08:36:00");
    assert_eq!(due(&mut planner, "08T08:36:00"), [Some(at("08T08:30:00"))]);
}

#[test]
fn a_slot_that_was_missed_by_the_old_recurrence_is_when_the_flow_was_first_due() {
    let seen = known("08T08:00:00", Some("08T08:00:00"));
    let mut planner = loaded(vec![(hourly(), seen)], "08T08:30:00");
    // The state does not take the claim.
    let order = planner.due(at("08T09:00:00")).remove(0).order;
    planner.return_slot("leads", &order);
    load(&mut planner, vec![(FlowBuilder::new("leads", every(Frequency::Hour, 3)), seen)], "08T09:10:00");
    assert_eq!(due(&mut planner, "08T09:10:00"), []);
    let order = planner.due(at("08T11:00:00")).remove(0).order;
    assert_eq!((order.due, order.since), (Some(at("08T11:00:00")), Some(at("08T09:00:00"))));
}

#[test]
fn what_is_on_is_counted_and_is_next() {
    let named = |name: &str, minutes| FlowBuilder::new(name, every(Frequency::Minute, minutes));
    let seen = known("08T08:00:00", Some("08T10:00:00"));
    let off = ScheduleState { is_off: true, ..seen };
    let flows = vec![
        (named("on", 30), seen),
        (named("other", 50), seen),
        (named("off", 10), off),
        (named("disabled", 20).disabled(), seen),
        (named("both", 5).disabled(), off),
    ];
    let planner = loaded(flows, "08T10:00:00");
    assert_eq!(planner.on_and_off(), (2, 3));
    let are_on = ["on", "other", "off", "disabled", "both", "unknown"].map(|flow| planner.is_on(flow));
    assert_eq!(are_on, [true, true, false, false, false, false]);
    assert_eq!(planner.next(), Some(("on", at("08T10:30:00"))));
}

#[test]
fn the_next_run_is_that_of_a_flow_which_is_on() {
    let seen = known("08T08:00:00", Some("08T10:00:00"));
    let now = at("08T10:20:00");
    assert_eq!(next_run(&hourly().build(), &seen, now), Some(at("08T11:00:00")));
    assert_eq!(next_run(&hourly().disabled().build(), &seen, now), None);
    assert_eq!(next_run(&hourly().build(), &ScheduleState { is_off: true, ..seen }, now), None);
}

#[test]
fn the_first_slot_of_all_counts_as_missed_until_it_is_taken() {
    let flow = hourly().build();
    let now = at("08T10:20:00");
    assert_eq!(first_missed(&flow, &known("08T10:20:00", None), now), Some(now));
    assert_eq!(first_missed(&flow, &known("08T08:20:00", Some("08T08:20:00")), now), Some(at("08T09:20:00")));
    assert_eq!(first_missed(&flow, &known("08T08:20:00", Some("08T10:20:00")), now), None);
    let missed = known("08T08:20:00", Some("08T08:20:00"));
    for (known, expected) in
        [(missed, Some(at("08T09:20:00"))), (ScheduleState { is_off: true, ..missed }, None)]
    {
        assert_eq!(loaded(vec![(hourly(), known)], "08T10:20:00").missed("leads"), expected);
    }
}

#[test]
fn flows_that_fail_together_come_back_one_after_the_other() {
    let spreads: Vec<f64> = (0..1_000).map(|number| spread(&format!("flow-{number}"))).collect();
    assert!(spreads.iter().all(|spread| (0.0..1.0).contains(spread)));
    let different: BTreeSet<u64> = spreads.iter().map(|spread| spread.to_bits()).collect();
    assert!(different.len() > 300, "{}", different.len());
    assert!(spreads.iter().any(|spread| *spread < 0.1) && spreads.iter().any(|spread| *spread > 0.9));
}

/// A planner whose run of 10:00 is under way.
fn at_ten() -> Planner {
    let mut planner = loaded(vec![(hourly(), known("08T10:00:00", None))], "08T10:00:00");
    assert_eq!(due(&mut planner, "08T10:00:00").len(), 1);
    planner
}

fn next(planner: &Planner) -> Option<Timestamp> {
    planner.next().map(|(_, next)| next)
}

#[test]
fn what_another_node_has_done_is_not_done_again() {
    let mut planner = at_ten();
    planner.follow("leads", &known("08T10:00:00", Some("08T10:00:00")));
    assert_eq!(next(&planner), Some(at("08T11:00:00")), "as it was planned");
    assert!(planner.claim("leads"), "no run of it is under way here");
    let mut planner = at_ten();
    planner.failed("leads", Some(1), at("08T10:00:00"));
    planner.follow("leads", &known("08T10:00:00", Some("08T12:00:00")));
    assert_eq!(next(&planner), Some(at("08T13:00:00")), "slots and retry are another's");
    assert_eq!(due(&mut planner, "08T12:59:59"), []);
    assert_eq!(due(&mut planner, "08T13:00:00"), [Some(at("08T13:00:00"))]);
    planner.follow("leads", &ScheduleState { is_off: true, ..known("08T10:00:00", None) });
    assert!(!planner.is_on("leads"));
}

#[test]
fn a_node_catches_up_with_what_others_have_changed() {
    let others = |state: ScheduleState| BTreeMap::from([("leads".to_owned(), state)]);
    let same = known("08T10:00:00", Some("08T10:00:00"));
    let mut planner = at_ten();
    planner.catch_up_with(&others(same), at("08T10:00:01"));
    assert!(!planner.claim("leads"), "its run is still under way");
    let failed = ScheduleState { failed_run: Some(7), ..same };
    planner.catch_up_with(&others(failed), at("08T10:00:01"));
    assert_eq!(next(&planner), Some(at("08T11:00:00")), "the run under way is the retry");
    planner.ended("leads");
    planner.catch_up_with(&others(failed), at("08T10:00:02"));
    let retry = next(&planner).unwrap();
    assert!(retry > at("08T10:00:02") && retry < at("08T10:02:00"), "{retry}");
    planner.catch_up_with(&others(failed), at("08T10:00:30"));
    assert_eq!(next(&planner), Some(retry), "it is planned once");
    let order = planner.due(retry).remove(0).order;
    assert_eq!((order.cause, order.retry_of), (Cause::Retry, Some(7)));

    let mut planner = at_ten();
    planner.succeeded("leads");
    planner.catch_up_with(&others(known("08T10:00:00", Some("08T12:00:00"))), at("08T10:00:03"));
    assert_eq!(next(&planner), Some(at("08T13:00:00")), "another has taken these slots");
    let off = ScheduleState { is_off: true, ..known("08T10:00:00", Some("08T12:00:00")) };
    planner.catch_up_with(&others(off), at("08T12:30:00"));
    assert!(!planner.is_on("leads"));
    planner.catch_up_with(&others(ScheduleState { is_off: false, ..off }), at("08T13:10:00"));
    assert_eq!(due(&mut planner, "08T13:10:00"), [Some(at("08T13:00:00"))], "what it missed is made up for");
}
