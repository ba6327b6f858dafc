//! Which rows are news: begin, merges, the look-back, conditions. The clock is driven.

use jiff::{SignedDuration, Timestamp};
use leadflow::config;
use leadflow::engine::delivery::Delivery;
use leadflow::engine::{RunContext, run};
use leadflow::flow::Config;
use leadflow::history::{Cause, Outcome, RunOrder};
use leadflow::platform::clock::DrivenClock;

use crate::support::azurite::Table;
use crate::support::embedded::Embedded;
use crate::support::flows_toml::{FlowsToml, KEYS, SINCE, guide};
use crate::support::leadflow::Sandbox;
use crate::support::leads::{keys, lead, leads};
use crate::support::mail::Mail;
use crate::support::mail_server::MailServer;
use crate::support::postgres::{context, on_postgres};
use crate::support::{eventually, now};

/// A flow on an embedded table and a mail folder, with a clock that stands still.
struct Office {
    folder: tempfile::TempDir,
    config: std::sync::Arc<Config>,
    ctx: RunContext,
    clock: DrivenClock,
    table: Embedded,
    seen: usize,
}

fn without_filter() -> FlowsToml {
    FlowsToml::demo().flow("leads").condition("length > 0").reads("demo", "marketplaceleads").body(KEYS)
}

fn flows() -> FlowsToml {
    without_filter().filter(SINCE)
}

impl Office {
    fn open(flows: &FlowsToml) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flows.toml");
        std::fs::write(&path, flows.to_string()).unwrap();
        let config = config::load(&path).unwrap().config;
        let clock = DrivenClock::new("2026-03-02T08:00:00Z".parse().unwrap());
        let state = folder.path().join("state");
        let ctx = context(&clock, &state);
        let table = Embedded::open(&state.join("demo.db"), "marketplaceleads");
        Self { folder, config, ctx, clock, table, seen: 0 }
    }

    /// Writes leads whose `Timestamp` is so many minutes ago.
    fn write(&self, numbers: &[usize], minutes_ago: i64) {
        let at = self.clock.now() - SignedDuration::from_mins(minutes_ago);
        self.table.insert_at(&numbers.iter().map(|number| lead(*number)).collect::<Vec<_>>(), at);
    }

    /// Runs after so many minutes and delivers; returns the outcome and the new mails' words.
    async fn run_after(&mut self, minutes: i64) -> (Outcome, Vec<String>) {
        self.clock.advance(SignedDuration::from_mins(minutes));
        let flow = &self.config.flows["leads"];
        let ended =
            run::run(&self.ctx, &self.config, flow, &RunOrder::new(Cause::Schedule, None)).await.unwrap();
        let delivery = Delivery::new(&self.ctx);
        delivery.deliver(&self.config, || false).await.unwrap();
        let run = self.ctx.store.run(ended.run).await.unwrap().unwrap();
        (run.outcome, self.new_mails())
    }

    fn new_mails(&mut self) -> Vec<String> {
        let mut mails = Mail::in_folder(&self.folder.path().join("state/mail"));
        let new = mails.split_off(self.seen);
        self.seen += new.len();
        new.iter().map(|mail| mail.text().trim().to_owned()).collect()
    }

    /// Another file from now on.
    fn edit(&mut self, flows: &FlowsToml) {
        let path = self.folder.path().join("flows.toml");
        std::fs::write(&path, flows.to_string()).unwrap();
        self.config = config::load(&path).unwrap().config;
    }
}

fn mailed(words: &str) -> (Outcome, Vec<String>) {
    (Outcome::Sent, vec![words.to_owned()])
}

#[tokio::test]
async fn only_rows_since_the_baseline_are_mailed() {
    let mut office = Office::open(&flows());
    office.write(&[1], 61);
    office.write(&[2], 59);
    assert_eq!(office.run_after(0).await, mailed("lead-00002"), "the first run reads one window back");
    assert_eq!(office.run_after(60).await, (Outcome::NothingNew, vec![]));
    office.write(&[1, 2], 1);
    assert_eq!(office.run_after(1).await, (Outcome::NothingNew, vec![]), "old rows that were written again");
    office.write(&[3], 0);
    assert_eq!(office.run_after(1).await, mailed("lead-00003"));
}

#[tokio::test]
async fn without_a_filter_rows_before_the_baseline_are_not_mailed_either() {
    let mut office = Office::open(&without_filter());
    office.write(&[1], 61);
    office.write(&[2], 59);
    assert_eq!(office.run_after(0).await, mailed("lead-00002"));
    office.write(&[3], 0);
    assert_eq!(office.run_after(60).await, mailed("lead-00003"));
}

#[tokio::test]
async fn case_16_and_case_17_late_rows_are_found_by_the_overlap_and_the_look_back_and_none_from_before_the_baseline()
 {
    let mut office = Office::open(&flows().every("minute"));
    office.write(&[1], 60 * 24);
    assert_eq!(office.run_after(0).await, (Outcome::NothingNew, vec![]));
    office.run_after(60).await;
    office.write(&[2], 14);
    assert_eq!(office.run_after(1).await, mailed("lead-00002"), "visible 14 minutes late: the overlap");
    for _ in 0..20 {
        office.run_after(60).await;
    }
    office.write(&[3], 60 * 12);
    // Visible late, with a Timestamp from before begin.
    office.write(&[4], 60 * 48);
    assert_eq!(office.run_after(60).await, (Outcome::NothingNew, vec![]), "twelve hours late");
    assert_eq!(office.run_after(180).await, mailed("lead-00003"), "the look-back of the day");
    let read = office.ctx.store.sources("leads").await.unwrap()[0].progress.unwrap();
    assert_eq!(read.last_deep_scan, Some(office.clock.now()), "once a day");
    assert_eq!(office.run_after(60 * 24 * 3).await, (Outcome::NothingNew, vec![]));
}

#[tokio::test]
async fn case_15_rows_of_a_downtime_are_all_read() {
    let mut office = Office::open(&flows());
    office.run_after(0).await;
    for day in 0..6 {
        office.write(&[day], 0);
        office.clock.advance(SignedDuration::from_hours(24));
    }
    let words = (0..6).map(|day| format!("lead-{day:05}")).collect::<Vec<_>>().join(" ");
    // Rows come in the order of their partitions: days 1 to 6 of the month.
    assert_eq!(office.run_after(0).await, mailed(&words));
}

#[tokio::test]
async fn five_gather() {
    let mut office = Office::open(&flows().condition("length >= 5"));
    office.run_after(0).await;
    office.write(&[1, 2], 0);
    assert_eq!(office.run_after(60).await, (Outcome::ConditionFalse, vec![]));
    for _ in 0..30 {
        assert_eq!(office.run_after(60).await.0, Outcome::ConditionFalse);
    }
    office.write(&[3, 4, 5], 0);
    assert_eq!(office.run_after(60).await, mailed("lead-00001 lead-00002 lead-00003 lead-00004 lead-00005"));
    assert_eq!(office.run_after(60).await, (Outcome::NothingNew, vec![]));
}

#[tokio::test]
async fn a_heartbeat_beats_while_nothing_comes() {
    let mut office = Office::open(&flows().condition("length == 0"));
    assert_eq!(office.run_after(0).await, mailed(""));
    office.write(&[1], 0);
    assert_eq!(office.run_after(5).await, (Outcome::ConditionFalse, vec![]));
    assert_eq!(office.run_after(5).await, mailed(""), "the row was passed over, though it is read again");
}

#[tokio::test]
async fn case_19_a_change_is_mailed_when_the_flow_says_so() {
    let mut office = Office::open(&flows().of_table("notify_on = \"change\""));
    office.write(&[1], 120);
    assert_eq!(office.run_after(0).await.0, Outcome::NothingNew);
    office.write(&[1], 0);
    assert_eq!(office.run_after(1).await, mailed("lead-00001"));
    assert_eq!(office.run_after(60).await.0, Outcome::NothingNew);
}

#[tokio::test]
async fn a_fixed_window_has_no_memory() {
    let mut office = Office::open(&flows().window("mode = \"fixed\"\nunit = \"hour\"\ninterval = 1"));
    office.write(&[1], 30);
    assert_eq!(office.run_after(0).await, mailed("lead-00001"));
    assert_eq!(office.run_after(15).await, mailed("lead-00001"), "as Power Automate does");
    office.write(&[2], 0);
    assert_eq!(office.run_after(61).await, (Outcome::NothingNew, vec![]), "as Power Automate does, too");
}

#[tokio::test]
async fn another_table_has_its_own_baseline_and_the_first_one_continues() {
    let mut office = Office::open(&flows());
    office.write(&[1], 1);
    assert_eq!(office.run_after(0).await, mailed("lead-00001"));
    let elsewhere = flows().reads("demo", "otherleads");
    office.edit(&elsewhere);
    let other = Embedded::open(&office.folder.path().join("state/demo.db"), "otherleads");
    let now: Timestamp = office.clock.now();
    other.insert_at(&[lead(1)], now - SignedDuration::from_hours(5));
    other.insert_at(&[lead(2)], now);
    assert_eq!(office.run_after(1).await, mailed("lead-00002"));
    // Back at the first one, which was written to meanwhile.
    office.write(&[3], 0);
    office.edit(&flows());
    assert_eq!(office.run_after(60).await, mailed("lead-00003"), "nothing twice, nothing left out");
    office.edit(&elsewhere);
    assert_eq!(office.run_after(60).await, (Outcome::NothingNew, vec![]));
}

#[tokio::test]
async fn case_19_a_merge_of_an_old_row_is_not_mailed_on_azurite() {
    let (table, server) = (Table::create().await, MailServer::start(&[]));
    table.insert(&leads(0..3)).await;
    // A window of a second, and the server rounds its time to the second: what is there now is before the baseline.
    let sandbox = Sandbox::with_azurite(guide(&table.name, server.port).of_a_second());
    let old = now() + SignedDuration::from_millis(4_100);
    eventually("the leads to be older than the window", || (now() > old).then_some(()));
    sandbox.run_once();
    table.merge("11:2F2:2F2026", "lead-00001", &serde_json::json!({ "Description": "called back" })).await;
    sandbox.run_once();
    assert!(server.mails().is_empty(), "{:?}", server.mails()[0].text());
    table.insert(&leads(3..4)).await;
    sandbox.run_once();
    assert_eq!(server.mails()[0].row_keys(), keys(3..4));
}

#[test]
fn rows_are_mailed_once_from_a_database_as_well() {
    on_postgres(&[
        only_rows_since_the_baseline_are_mailed,
        case_16_and_case_17_late_rows_are_found_by_the_overlap_and_the_look_back_and_none_from_before_the_baseline,
        five_gather,
        another_table_has_its_own_baseline_and_the_first_one_continues,
    ]);
}
