//! What every backend does: one suite, which is called with a way to open a state of that backend.

pub(in crate::store) mod alarms;
pub(in crate::store) mod asked_by;
pub(in crate::store) mod breaks;
pub(in crate::store) mod claims;
pub(in crate::store) mod erasure;
pub(in crate::store) mod identity;
pub(in crate::store) mod nodes;
pub(in crate::store) mod outbox;
pub(in crate::store) mod races;
pub(in crate::store) mod requests;
pub(in crate::store) mod runs;
pub(in crate::store) mod sources;
pub(in crate::store) mod values;

use jiff::Timestamp;

use super::*;
use crate::history::{Cause, Outcome, RowRange, RunOrder};
use crate::outbox::{Receipt, Recipient, RecipientState};
use crate::rows::row::{RowId, RowMark, RowVersion};
use crate::schedule::window::Progress;

/// A state of some backend, empty at first.
pub(in crate::store) trait State {
    /// Opens it, as another process would.
    fn open(&self) -> impl Future<Output = Store>;
}

/// All tests of the suite, each on a new state; `$state` is an expression that makes one.
macro_rules! conforms {
    ($state:expr) => {
        $crate::store::conformance::conforms! { $state;
            alarms::an_alarm_is_raised_until_it_is_over_and_knows_its_mail,
            alarms::a_mail_about_an_alarm_belongs_to_no_flow_and_is_a_fact_once_it_is_held,
            alarms::a_connection_fails_from_its_first_failure_until_it_works,
            alarms::what_is_due_counts_as_late_from_the_last_plan_on,
            asked_by::who_turned_a_flow_off_is_known_while_it_is_off,
            asked_by::a_run_bears_the_name_of_who_asked_for_it,
            asked_by::a_mail_bears_the_name_of_who_decided_about_it_last,
            asked_by::an_earlier_version_leaves_requests_without_a_name,
            breaks::a_mail_that_broke_goes_last_and_is_to_blame_once_another_gets_through,
            breaks::a_mail_is_cleared_when_another_breaks_at_the_same_connection,
            breaks::what_was_being_sent_without_a_recorded_reply_is_uncertain,
            breaks::a_mail_is_not_held_up_by_mails_of_its_flow_that_break_in_another_lane,
            claims::what_is_claimed_is_nobody_elses_and_lasts_however_late_it_is,
            claims::what_another_owner_was_sending_is_uncertain_and_what_it_had_claimed_is_not,
            claims::an_owner_that_was_taken_over_moves_nothing_more,
            claims::a_claimed_mail_is_not_sent_once_a_person_has_decided_about_it,
            erasure::a_mail_is_forgotten_with_what_rendered_it_once_it_is_sent,
            erasure::every_text_that_names_a_person_is_replaced_but_of_a_mail_that_waits,
            erasure::what_is_forgotten_is_proved_to_be_gone,
            identity::the_state_is_whole_and_has_one_name_for_whoever_opens_it,
            identity::what_another_process_writes_counts_as_unseen,
            runs::a_run_whose_end_was_not_recorded_is_interrupted_and_commits_no_more,
            runs::a_commit_is_all_or_nothing,
            runs::runs_are_claimed_together_recorded_together_and_taken_back,
            runs::failures_count_since_the_last_run_that_succeeded,
            runs::history_ends_and_what_waits_stays,
            outbox::each_recipient_goes_its_own_way,
            outbox::a_mail_that_was_being_sent_when_the_process_ended_is_uncertain,
            outbox::an_unreachable_connection_defers_all_its_mails_and_no_other,
            outbox::what_waits_and_what_is_held_is_counted_by_flow,
            outbox::a_mail_is_open_in_each_state_that_a_recipient_of_it_has,
            outbox::the_outbox_shows_what_waits_what_is_held_and_what_may_have_arrived_twice,
            outbox::mails_keep_their_order_when_the_clock_is_set_back,
            requests::a_request_is_read_fulfilled_and_gone,
            requests::a_mail_that_is_being_sent_is_neither_dropped_nor_sent_elsewhere,
            requests::every_request_comes_back_as_it_was_left,
            requests::runs_are_found_by_flow_outcome_time_and_number,
            values::the_runs_of_all_flows_that_made_a_mail_are_found,
            requests::a_flow_is_first_seen_once_and_its_new_name_keeps_everything,
            sources::what_is_known_of_a_table_waits_until_the_flow_comes_back_to_it,
            sources::a_baseline_that_was_preset_holds_until_the_flow_begins,
            sources::the_last_provenance_of_a_row_is_found_whichever_table_it_is_in,
            sources::a_slot_stays_due_until_the_table_was_read,
            sources::a_flow_that_was_never_on_is_first_seen_when_it_is,
            sources::another_table_is_due_from_when_the_flow_is_on,
            sources::what_was_mailed_stays_proved_when_a_first_scan_finds_it,
            sources::a_flow_does_not_return_to_a_table_that_is_half_forgotten,
            sources::what_runs_are_due_since_follows_a_clock_that_is_set_back,
            sources::a_slot_that_nobody_claimed_stays_due_when_the_clock_is_set_back,
            sources::another_table_is_not_due_later_because_the_clock_was_ahead_at_the_last_run,
            values::a_text_of_others_is_kept_whatever_is_in_it,
            values::what_is_wrong_is_kept_whatever_is_in_it,
            values::nothing_is_known_by_a_name_that_nothing_can_have,
            values::names_are_told_apart_and_ordered_by_their_bytes,
            values::mails_without_a_break_go_before_those_with_one,
            values::numbers_and_moments_are_kept_however_great_they_are,
            values::of_nothing_there_is_nothing,
            values::a_great_mail_is_given_back_byte_by_byte,
            values::a_hundred_thousand_rows_are_one_commit,
        }
    };
    ($state:expr; $($room:ident::$test:ident,)*) => {$(
        #[tokio::test]
        async fn $test() {
            $crate::store::conformance::$room::$test(&$state).await;
        }
    )*};
}
pub(in crate::store) use conforms;

/// The tests of a backend on which several processes may work, each on a new state.
macro_rules! conforms_for_nodes {
    ($state:expr) => {
        $crate::store::conformance::conforms! { $state;
            nodes::a_flow_runs_on_one_node_and_its_slot_once,
            nodes::a_failed_run_is_retried_by_one_node_and_a_flow_that_is_off_by_none,
            nodes::a_request_is_taken_by_one_node,
            nodes::a_lane_is_one_nodes_at_a_time_and_keeps_its_order,
            nodes::a_lease_that_is_renewed_holds_and_one_that_has_ended_is_taken_over,
            nodes::a_node_that_leaves_is_gone_at_once_and_one_that_is_lost_is_remembered,
            nodes::what_may_be_sent_is_counted_for_all_nodes_together,
            nodes::a_connection_that_fails_rests_for_every_node,
            nodes::a_name_is_one_process_while_its_lease_holds,
            races::of_two_who_claim_of_a_lane_one_gets_its_mail,
            races::what_comes_of_mails_of_a_run_at_once_is_all_counted,
            races::no_more_is_begun_at_once_than_a_minute_takes,
            races::no_more_is_begun_at_once_than_an_hour_takes,
            races::requests_are_done_once_and_in_their_order,
            races::failures_that_are_noted_at_once_are_all_counted,
        }
    };
}
pub(in crate::store) use conforms_for_nodes;

fn mark(number: u8) -> RowMark {
    RowMark { id: RowId([number; 16]), version: RowVersion(i64::from(number)) }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_770_000_000 + second).unwrap()
}

/// A state in which `leads` reads its first table.
async fn opened(state: &impl State) -> Store {
    let store = state.open().await;
    join(&store, "first", at(0)).await;
    see(&store, "leads", 0).await;
    assert_eq!(open_source(&store, "here/leads", 0).await.id, HERE);
    store
}

/// Who asks.
const ANNA: &str = "anna";

/// The first table that `leads` reads.
const HERE: i64 = 1;

/// The flow is seen, on.
async fn see(store: &Store, flow: &str, second: i64) {
    store.schedule_states(vec![(flow.to_owned(), true)], at(second)).await.unwrap();
}

/// From now on `leads` reads this table.
async fn open_source(store: &Store, identity: &str, second: i64) -> Source {
    let request = SourceRequest {
        flow: "leads".to_owned(),
        identity: identity.to_owned(),
        known: None,
        due: at(second),
        now: at(second),
        is_to_stay: true,
    };
    store.open_source(request).await.unwrap()
}

async fn begun(store: &Store, second: i64) -> i64 {
    let order = RunOrder::new(Cause::Schedule, Some(at(second)));
    let run = NewRun { flow: "leads".to_owned(), order, started: at(second) };
    claim(store, vec![run]).await.remove(0).run
}

/// Claims runs, all of which begin.
async fn claim(store: &Store, runs: Vec<NewRun>) -> Vec<ClaimedRun> {
    store.claim_runs(runs).await.unwrap().into_iter().map(won).collect()
}

fn won(claim: Claim) -> ClaimedRun {
    match claim {
        Claim::Won(claimed) => claimed,
        other => panic!("{other:?}"),
    }
}

/// A process begins its work on the state; those of before are gone.
async fn join(store: &Store, name: &str, now: Timestamp) -> TakenOver {
    store.raw("UPDATE nodes SET lease_until = 0 WHERE lease_until IS NOT NULL").unwrap();
    store.take_over(named(name), now).await.unwrap()
}

fn named(node: &str) -> NewNode {
    NewNode { name: node.to_owned(), version: "1.0".to_owned(), digest: "of a file".to_owned() }
}

/// Whether the mail may be sent over the connection.
async fn begin(store: &Store, mail: i64, now: Timestamp) -> Result<Begin, StoreError> {
    store.begin_sending(mail, "relay", SendLimits::default(), now).await
}

fn scanned(second: i64) -> ScanResult {
    let progress = Progress { baseline: at(0), watermark: Some(at(second)), last_deep_scan: None };
    ScanResult {
        source: HERE,
        progress: Some(progress),
        skipped: vec![mark(9)],
        old_rows: None,
        rows: 1,
        outcome: Outcome::Waiting,
        summary: "1 new row".to_owned(),
        clock_problem: None,
        steps: vec![],
        now: at(second),
    }
}

/// How far `leads` has read the table that it read first.
async fn read(store: &Store) -> Option<Progress> {
    store.sources("leads").await.unwrap()[0].progress
}

/// Claims the next mail of the first lane that has one.
async fn next(store: &Store, now: Timestamp) -> Option<QueuedMessage> {
    let lane = store.due_lanes(now).await.unwrap().into_iter().next()?;
    store.next_message(&lane, now).await.unwrap()
}

async fn outcome(store: &Store, run: i64) -> Outcome {
    store.run(run).await.unwrap().unwrap().outcome
}

async fn overview(store: &Store, flow: &str) -> FlowOverview {
    store.overview(vec![flow.to_owned()]).await.unwrap().remove(0)
}

/// The newest slot that a run of the flow has taken.
async fn slot(store: &Store, flow: &str) -> Option<Timestamp> {
    overview(store, flow).await.schedule.unwrap().last_slot
}

fn failed(summary: &str) -> FailedRun {
    FailedRun { summary: summary.to_owned(), help: "look at it".to_owned(), steps: vec![], due_since: at(1) }
}

/// The next mail, which is being sent from now on.
async fn take(store: &Store, now: Timestamp) -> QueuedMessage {
    let mail = next(store, now).await.unwrap();
    assert_eq!(begin(store, mail.id, now).await.unwrap(), Begin::Begun);
    mail
}

/// What a try leaves in which no session broke.
fn replies(mail: i64, recipients: Vec<Recipient>, next_try: Timestamp) -> AttemptRecord {
    AttemptRecord { message: mail, recipients, next_try, broke_over: None, defer_lane: None }
}

fn mail(recipients: &[String], rows: &[RowMark]) -> NewMessage {
    NewMessage {
        connections: recipients.to_vec(),
        sender: "leads@contoso.example".to_owned(),
        recipients: recipients.to_vec(),
        subject: "1 lead".to_owned(),
        message_id: "<1@contoso.example>".to_owned(),
        bytes: b"Subject: 1 lead\r\n\r\n".to_vec(),
        rows: rows.to_vec(),
    }
}

fn addresses() -> Vec<String> {
    vec!["a@contoso.example".to_owned(), "b@contoso.example".to_owned()]
}
