//! What is due, tick by tick.

use super::*;
use crate::schedule::recurrence::{Every, Frequency};
use crate::testing::{FlowBuilder, every};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn hourly() -> Arc<Flow> {
    FlowBuilder::new("leads", every(Frequency::Hour, 1)).build()
}

/// Its slots are those of `every`, by the clocks of Paris.
fn in_paris(every: Every) -> Arc<Flow> {
    FlowBuilder::new("leads", every).time_zone("Europe/Paris").build()
}

fn loaded(flow: &Arc<Flow>, anchor: &str, last_slot: Option<&str>, now: &str) -> Planner {
    let known =
        ScheduleState { anchor: at(anchor), last_slot: last_slot.map(at), is_off: false, failed_run: None };
    let mut planner = Planner::default();
    let flows = BTreeMap::from([("leads".to_owned(), Arc::clone(flow))]);
    planner.replace(&flows, &BTreeMap::from([("leads".to_owned(), known)]), at(now));
    planner
}

/// The slots that are taken when it is ticked each second from one moment to another.
fn ticked(planner: &mut Planner, from: &str, to: &str) -> Vec<String> {
    let mut now = at(from);
    let end = at(to);
    let mut slots = Vec::new();
    while now <= end {
        for due in planner.due(now) {
            slots.push(due.order.due.map_or("retry".to_owned(), |slot| slot.to_string()));
            planner.ended("leads");
        }
        now += SignedDuration::from_secs(1);
    }
    slots
}

#[test]
fn three_days_over_the_change_of_clocks_in_a_moment() {
    let flow = in_paris(Every { hours: vec![2, 9], minutes: vec![30], ..every(Frequency::Day, 1) });
    let mut planner =
        loaded(&flow, "2026-03-01T00:00:00Z", Some("2026-03-27T08:30:00Z"), "2026-03-28T00:00:00Z");
    let expected = [
        "2026-03-28T01:30:00Z",
        "2026-03-28T08:30:00Z",
        "2026-03-29T01:30:00Z",
        "2026-03-29T07:30:00Z",
        "2026-03-30T00:30:00Z",
        "2026-03-30T07:30:00Z",
    ];
    assert_eq!(ticked(&mut planner, "2026-03-28T00:00:00Z", "2026-03-30T23:59:59Z"), expected);
}

#[test]
fn missed_slots_are_one_run_and_a_restart_repeats_none() {
    let hourly = hourly();
    let anchor = "2026-01-01T00:20:00Z";
    let last = Some("2026-01-05T08:20:00Z");
    let mut planner = loaded(&hourly, anchor, last, "2026-01-08T10:00:00Z");
    assert_eq!(
        ticked(&mut planner, "2026-01-08T10:00:00Z", "2026-01-08T10:20:00Z"),
        ["2026-01-08T09:20:00Z", "2026-01-08T10:20:00Z"]
    );
}

#[test]
fn without_catch_up_the_flow_waits_for_the_next_slot() {
    let flow = FlowBuilder::new("leads", every(Frequency::Hour, 1)).without_catch_up().build();
    let anchor = "2026-01-01T00:20:00Z";
    let last = Some("2026-01-05T08:20:00Z");
    let mut planner = loaded(&flow, anchor, last, "2026-01-08T10:00:00Z");
    assert_eq!(
        ticked(&mut planner, "2026-01-08T10:00:00Z", "2026-01-08T10:30:00Z"),
        ["2026-01-08T10:20:00Z"]
    );
    // Asleep from half past ten to noon.
    assert_eq!(ticked(&mut planner, "2026-01-08T12:00:00Z", "2026-01-08T12:10:00Z"), Vec::<String>::new());
    assert_eq!(
        ticked(&mut planner, "2026-01-08T12:10:01Z", "2026-01-08T12:20:00Z"),
        ["2026-01-08T12:20:00Z"]
    );
}

#[test]
fn a_flow_that_was_never_seen_runs_at_once_and_never_beside_itself() {
    let flow = in_paris(every(Frequency::Second, 2));
    let now = "2026-01-08T10:00:00Z";
    let mut planner = loaded(&flow, now, None, now);
    assert_eq!(planner.due(at(now)).len(), 1);
    assert!(planner.due(at("2026-01-08T10:00:05Z")).is_empty(), "its run is under way");
    planner.ended("leads");
    let due = planner.due(at("2026-01-08T10:00:05Z"));
    assert_eq!(due[0].order.due.unwrap(), at("2026-01-08T10:00:04Z"), "the slots of the meantime are one");
}

#[test]
fn a_clock_that_goes_back_does_not_silence_it() {
    let flow = in_paris(every(Frequency::Minute, 1));
    let mut planner = loaded(&flow, "2026-01-01T00:00:00Z", None, "2026-01-08T10:00:00Z");
    assert_eq!(planner.due(at("2026-01-08T10:00:00Z")).len(), 1);
    planner.ended("leads");
    assert!(planner.due(at("2026-01-05T10:00:30Z")).is_empty());
    assert_eq!(planner.due(at("2026-01-05T10:01:00Z")).len(), 1);
    // First seen by a clock that was days ahead.
    let mut planner = loaded(&flow, "2026-01-08T10:00:00Z", None, "2026-01-08T10:00:00Z");
    assert!(planner.due(at("2026-01-05T10:00:00Z")).is_empty());
    assert_eq!(planner.due(at("2026-01-05T10:01:00Z")).len(), 1);
}

#[test]
fn a_reload_takes_no_slot_and_forgets_no_run() {
    let flow = FlowBuilder::new("leads", every(Frequency::Hour, 1)).without_catch_up().build();
    let anchor = "2026-01-01T00:00:00Z";
    let last = Some("2026-01-08T09:00:00Z");
    let mut planner = loaded(&flow, anchor, last, "2026-01-08T09:30:00Z");
    planner.due(at("2026-01-08T09:59:59Z"));
    let due = planner.due(at("2026-01-08T10:00:00Z")).remove(0);
    let known =
        ScheduleState { anchor: at(anchor), last_slot: last.map(at), is_off: false, failed_run: None };
    let known = BTreeMap::from([("leads".to_owned(), known)]);
    // Gone, and back again while its run is under way and another slot comes due.
    planner.replace(&BTreeMap::new(), &known, at("2026-01-08T10:59:58Z"));
    planner.replace(
        &BTreeMap::from([("leads".to_owned(), Arc::clone(&flow))]),
        &known,
        at("2026-01-08T10:59:59Z"),
    );
    planner.due(at("2026-01-08T10:59:59Z"));
    assert!(planner.due(at("2026-01-08T11:00:00Z")).is_empty());
    planner.replace(
        &BTreeMap::from([("leads".to_owned(), Arc::clone(&flow))]),
        &known,
        at("2026-01-08T11:00:01Z"),
    );
    planner.ended("leads");
    let due_again = planner.due(at("2026-01-08T11:00:02Z"));
    assert_eq!(due_again[0].order.due.unwrap(), at("2026-01-08T11:00:00Z"));
    planner.return_slot("leads", &due_again[0].order);
    assert_eq!(planner.due(at("2026-01-08T11:00:03Z"))[0].order.due.unwrap(), at("2026-01-08T11:00:00Z"));
    assert_eq!(due.order.due.unwrap(), at("2026-01-08T10:00:00Z"));
}

#[test]
fn off_and_on_again_is_one_catch_up_run() {
    let flow = hourly();
    let mut planner =
        loaded(&flow, "2026-01-01T00:00:00Z", Some("2026-01-08T09:00:00Z"), "2026-01-08T09:30:00Z");
    planner.set_off("leads", true, at("2026-01-08T09:30:00Z"));
    assert_eq!(ticked(&mut planner, "2026-01-08T09:30:00Z", "2026-01-08T12:30:00Z"), Vec::<String>::new());
    planner.set_off("leads", false, at("2026-01-08T12:30:01Z"));
    assert_eq!(
        ticked(&mut planner, "2026-01-08T12:30:01Z", "2026-01-08T12:59:59Z"),
        ["2026-01-08T12:00:00Z"]
    );
}

#[test]
fn a_failed_run_is_tried_again_before_a_slot_that_is_far() {
    let daily = in_paris(Every { hours: vec![9], ..every(Frequency::Day, 1) });
    let mut planner =
        loaded(&daily, "2026-01-01T00:00:00Z", Some("2026-01-07T08:00:00Z"), "2026-01-08T07:59:59Z");
    assert_eq!(planner.due(at("2026-01-08T08:00:00Z")).len(), 1);
    planner.failed("leads", Some(1), at("2026-01-08T08:00:20Z"));
    let (_, next) = planner.next().unwrap();
    let mut now = next;
    let mut waits = Vec::new();
    for _ in 0..9 {
        assert!(planner.due(now - SignedDuration::from_secs(1)).is_empty());
        let due = planner.due(now).remove(0);
        assert_eq!((due.order.cause, due.order.due), (Cause::Retry, None));
        planner.failed("leads", Some(1), now);
        waits.push(planner.next().unwrap().1.duration_since(now).as_secs());
        now = planner.next().unwrap().1;
    }
    let full = [60, 120, 240, 480, 960, 1_800, 1_800, 1_800, 1_800];
    assert!(waits.iter().zip(full).all(|(wait, full)| *wait <= full && *wait >= full * 4 / 5), "{waits:?}");
    planner.due(now);
    planner.succeeded("leads");
    assert_eq!(planner.next().unwrap().1, at("2026-01-09T08:00:00Z"), "nothing is left to try");
}

#[test]
fn a_slot_that_is_near_is_waited_for() {
    let flow = in_paris(every(Frequency::Minute, 5));
    let mut planner = loaded(&flow, "2026-01-08T10:00:00Z", None, "2026-01-08T10:00:00Z");
    planner.due(at("2026-01-08T10:00:00Z"));
    planner.failed("leads", Some(1), at("2026-01-08T10:00:01Z"));
    assert_eq!(planner.next().unwrap().1, at("2026-01-08T10:05:00Z"));
    // Of retries too: the last one before the slot is that slot's.
    let hourly = hourly();
    let mut planner = loaded(&hourly, "2026-01-08T10:00:00Z", None, "2026-01-08T10:00:00Z");
    planner.due(at("2026-01-08T10:00:00Z"));
    planner.failed("leads", Some(1), at("2026-01-08T10:56:00Z"));
    assert_eq!(planner.next().unwrap().1, at("2026-01-08T11:00:00Z"));
}

#[test]
fn a_failed_run_that_waits_for_a_slot_is_tried_when_the_clock_goes_back() {
    let flow = hourly();
    let mut planner = loaded(&flow, "2026-01-08T10:00:00Z", None, "2026-01-08T10:00:00Z");
    planner.due(at("2026-01-08T10:00:00Z"));
    planner.failed("leads", Some(1), at("2026-01-08T10:57:00Z"));
    assert_eq!(planner.next().unwrap().1, at("2026-01-08T11:00:00Z"));
    let due = planner.due(at("2026-01-05T11:00:30Z"));
    assert_eq!(due[0].order.cause, Cause::Retry, "the next slot is an hour away again");
}

#[test]
fn a_failed_run_is_tried_at_once_after_a_start_and_a_change_of_the_file() {
    let hourly = hourly();
    let anchor = "2026-01-08T10:00:00Z";
    let now = at("2026-01-08T10:20:00Z");
    let known =
        ScheduleState { anchor: at(anchor), last_slot: Some(at(anchor)), is_off: false, failed_run: Some(1) };
    let flows = BTreeMap::from([("leads".to_owned(), Arc::clone(&hourly))]);
    let mut planner = Planner::default();
    planner.replace(&flows, &BTreeMap::from([("leads".to_owned(), known)]), now);
    assert_eq!(planner.due(now)[0].order.cause, Cause::Retry);
    planner.failed("leads", Some(1), now);
    assert!(planner.due(now + SignedDuration::from_secs(1)).is_empty());
    let later = now + SignedDuration::from_secs(2);
    planner.replace(&flows, &BTreeMap::from([("leads".to_owned(), known)]), later);
    let order = planner.due(later).remove(0).order;
    planner.return_slot("leads", &order);
    assert!(planner.due(later).is_empty(), "it could not be recorded, and is not tried again each second");
    assert_eq!(planner.due(later + SignedDuration::from_secs(60))[0].order.cause, Cause::Retry);
    planner.failed("leads", Some(1), later);
    planner.set_off("leads", true, later);
    assert!(planner.due(later + SignedDuration::from_mins(20)).is_empty(), "it is off");
}

#[test]
fn rows_of_slots_that_are_not_caught_up_are_covered_all_the_same() {
    let flow = FlowBuilder::new("leads", every(Frequency::Hour, 1)).without_catch_up().build();
    let mut planner =
        loaded(&flow, "2026-01-01T00:00:00Z", Some("2026-01-05T08:00:00Z"), "2026-01-08T10:30:00Z");
    planner.due(at("2026-01-08T10:59:59Z"));
    let order = planner.due(at("2026-01-08T11:00:00Z")).remove(0).order;
    assert_eq!(
        (order.due, order.since),
        (Some(at("2026-01-08T11:00:00Z")), Some(at("2026-01-05T09:00:00Z")))
    );
    planner.return_slot("leads", &order);
    let again = planner.due(at("2026-01-08T11:00:01Z")).remove(0).order;
    assert_eq!(again, order);
    planner.ended("leads");
    planner.due(at("2026-01-08T11:59:59Z"));
    let next = planner.due(at("2026-01-08T12:00:00Z")).remove(0).order;
    assert_eq!(next.since, next.due, "none was missed since");
}

#[test]
fn a_slot_that_nobody_could_claim_is_earlier_when_the_clock_is_set_back() {
    let flow = hourly();
    let mut planner = loaded(&flow, "2026-01-08T10:00:00Z", None, "2026-01-08T10:00:00Z");
    let order = planner.due(at("2026-01-08T10:00:10Z")).remove(0).order;
    planner.return_slot("leads", &order);
    planner.set_back(SignedDuration::from_hours(27), at("2026-01-07T07:00:11Z"));
    assert!(planner.due(at("2026-01-07T07:10:00Z")).is_empty(), "the next slot is to come");
    let order = planner.due(at("2026-01-07T08:10:00Z")).remove(0).order;
    assert_eq!(
        (order.due, order.since),
        (Some(at("2026-01-07T08:10:00Z")), Some(at("2026-01-07T07:00:00Z")))
    );
}

#[test]
fn a_slot_that_came_while_nobody_could_look_is_due_when_the_clock_is_set_back() {
    let flow = hourly();
    let mut planner =
        loaded(&flow, "2026-01-08T10:00:00Z", Some("2026-01-08T10:00:00Z"), "2026-01-08T10:00:01Z");
    planner.due(at("2026-01-08T10:59:50Z"));
    let by = SignedDuration::from_hours(27);
    assert_eq!(planner.passed_before_set_back(by, at("2026-01-07T07:59:59Z")), [], "none had come");
    // The slot of 11 o'clock came between two looks.
    let now = at("2026-01-07T08:00:05Z");
    let due_since = at("2026-01-07T08:00:00Z");
    assert_eq!(planner.passed_before_set_back(by, now), [("leads".to_owned(), due_since)]);
    planner.set_back(by, now);
    planner.set_off("leads", true, now);
    assert_eq!(planner.passed_before_set_back(by, now), [], "a flow that is off is not due");
    planner.set_off("leads", false, now);
    assert!(planner.due(now).is_empty(), "the next slot is to come");
    let order = planner.due(at("2026-01-07T09:00:05Z")).remove(0).order;
    assert_eq!(order.since, Some(due_since));
}

#[test]
fn a_retry_is_earlier_when_the_clock_is_set_back() {
    let flow = hourly();
    let mut planner = loaded(&flow, "2026-01-08T10:00:00Z", None, "2026-01-08T10:00:00Z");
    planner.due(at("2026-01-08T10:00:10Z"));
    planner.failed("leads", Some(1), at("2026-01-08T10:40:00Z"));
    planner.set_back(SignedDuration::from_mins(5), at("2026-01-08T10:35:01Z"));
    let order = planner.due(at("2026-01-08T10:38:00Z")).remove(0).order;
    assert_eq!(order.cause, Cause::Retry);
}
