//! What a process counts of its own work, on a real engine.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use leadflow::config;
use leadflow::engine::{Engine, Meters, RunContext};
use leadflow::flow::Config;
use leadflow::history::{Cause, RunOrder};
use leadflow::platform::clock::{Clock, DrivenClock};
use leadflow::store::{NewRun, Store};
use leadflow::views::metrics::MetricsView;
use tokio::sync::watch;

use crate::support::breaking::Breaking;
use crate::support::embedded::rows;
use crate::support::flows_toml::{FlowsToml, KEYS, SINCE};
use crate::support::leadflow::Sandbox;
use crate::support::{done, now};

/// An engine's process and what it counts, on a clock that stands still.
struct Process {
    ctx: RunContext,
    config: Arc<Config>,
    clock: DrivenClock,
}

impl Process {
    /// One that begins now.
    fn new(sandbox: &Sandbox) -> Self {
        let config = config::load(&sandbox.path("flows.toml")).unwrap().config;
        let clock = DrivenClock::new(now());
        let folder = config.settings.state.clone();
        let store = Store::open(&folder).unwrap();
        let ctx = RunContext::online(store, Clock::Driven(clock.clone()), folder);
        Self { ctx, config, clock }
    }

    /// Runs every flow, then delivers what is due.
    async fn run_once(&self) {
        let engine = Engine::start_once(self.ctx.clone(), Arc::clone(&self.config)).await.unwrap();
        let order = RunOrder::new(Cause::Once, None);
        let wanted = self.config.flows.values().map(|flow| (Arc::clone(flow), order.clone())).collect();
        let (_stop, stopping) = watch::channel(false);
        engine.run_now(wanted, stopping).await.unwrap();
    }

    fn has(&self, lines: &[&str]) {
        let text = text(&self.ctx.meters);
        for line in lines {
            assert!(text.lines().any(|it| it == *line), "`{line}` is not in:\n{text}");
        }
    }
}

fn text(meters: &Meters) -> String {
    let mut view = MetricsView::new(true);
    view.add_live(meters.families());
    view.to_text().unwrap()
}

/// Each flow has a fate of its own: `leads` is taken for one and refused for the other, `doubted` gets no reply, `away`
/// finds no server, `unread` has no table, and `idle` has no rows.
fn flows(taking: &Breaking, silent: &Breaking) -> FlowsToml {
    let flow = |flows: FlowsToml, name: &str| flows.flow(name).reads("demo", name).filter(SINCE).body(KEYS);
    let flows = FlowsToml::new().embedded("demo").smtp("taking", taking.port);
    let flows = flow(flows, "leads").to("sales@contoso.example; nobody@contoso.example");
    let flows = flow(flow(flows, "idle"), "few").condition("length > 5");
    let flows = flow(flows.smtp("silent", silent.port), "doubted");
    let flows = flow(flows.smtp("nowhere", 1), "away");
    let flows = flows.table_connection("spoilt", "embedded_table", "file = \"spoilt.db\"");
    flows.flow("unread").reads("spoilt", "leads").filter(SINCE).body(KEYS)
}

#[tokio::test]
async fn each_end_of_a_run_and_each_result_of_an_attempt_is_counted_once() {
    let taking = Breaking::start(|_, _| false);
    let silent = Breaking::start(|step, _| step == "end");
    let sandbox = Sandbox::on_sqlite(flows(&taking, &silent));
    for (table, count) in [("leads", 3), ("few", 2), ("doubted", 1), ("away", 1)] {
        sandbox.embedded(table).insert(&rows((0..count).map(|number| format!("{table}{number}"))));
    }
    fs::write(sandbox.path("state/spoilt.db"), "no database at all, but a text of some length").unwrap();
    let process = Process::new(&sandbox);
    process.run_once().await;
    process.has(&[
        "leadflow_runs_total{outcome=\"nothing-new\"} 1",
        "leadflow_runs_total{outcome=\"condition-false\"} 1",
        "leadflow_runs_total{outcome=\"waiting\"} 3",
        "leadflow_runs_total{outcome=\"failed\"} 1",
        "leadflow_runs_total{outcome=\"interrupted\"} 0",
        "leadflow_run_duration_seconds_count 6",
        // Those that gather are not processed.
        "leadflow_rows_total 5",
        "leadflow_deliveries_total{result=\"sent\"} 1",
        "leadflow_deliveries_total{result=\"held\"} 1",
        "leadflow_deliveries_total{result=\"uncertain\"} 1",
        "leadflow_deliveries_total{result=\"waiting\"} 1",
        "leadflow_delivery_duration_seconds_count 3",
        "leadflow_connection_failures_total{connection=\"taking\"} 0",
        "leadflow_connection_failures_total{connection=\"silent\"} 1",
        "leadflow_connection_failures_total{connection=\"nowhere\"} 1",
    ]);
    let shown = text(&process.ctx.meters);
    assert!(!shown.contains("contoso"), "{shown}");

    silent.play(|_, _| false);
    process.clock.advance(SignedDuration::from_mins(2));
    process.run_once().await;
    process.has(&[
        "leadflow_runs_total{outcome=\"nothing-new\"} 5",
        "leadflow_runs_total{outcome=\"condition-false\"} 2",
        "leadflow_runs_total{outcome=\"failed\"} 2",
        "leadflow_rows_total 5",
        "leadflow_deliveries_total{result=\"sent\"} 2",
        "leadflow_deliveries_total{result=\"uncertain\"} 1",
        "leadflow_deliveries_total{result=\"waiting\"} 2",
        "leadflow_connection_failures_total{connection=\"silent\"} 1",
        "leadflow_connection_failures_total{connection=\"nowhere\"} 2",
    ]);
}

#[tokio::test]
async fn a_run_that_the_last_process_left_counts_as_interrupted_where_that_is_recorded() {
    let sandbox = Sandbox::on_sqlite(FlowsToml::demo().flow("leads").filter(SINCE).body(KEYS));
    let before = Process::new(&sandbox);
    let started = before.clock.now();
    before.ctx.store.take_over(before.ctx.node.clone(), started).await.unwrap();
    let order = RunOrder::new(Cause::Schedule, Some(started));
    let run = NewRun { flow: "leads".to_owned(), order, started };
    before.ctx.store.claim_runs(vec![run]).await.unwrap();
    before.has(&["leadflow_runs_total{outcome=\"interrupted\"} 0"]);
    let after = Process::new(&sandbox);
    after.run_once().await;
    after.has(&[
        "leadflow_runs_total{outcome=\"interrupted\"} 1",
        "leadflow_runs_total{outcome=\"nothing-new\"} 1",
    ]);
}

#[tokio::test]
async fn a_tick_is_late_by_what_is_more_than_a_second_since_the_last() {
    let sandbox = Sandbox::on_sqlite(FlowsToml::demo().flow("leads").filter(SINCE).body(KEYS));
    let process = Process::new(&sandbox);
    let mut engine = Engine::start(process.ctx.clone(), Arc::clone(&process.config)).await.unwrap();
    for steady in [0, 1_000, 1_900, 5_900] {
        process.clock.pass(Duration::from_millis(steady));
        // What the wall clock says does not matter.
        process.clock.advance(SignedDuration::from_secs(30));
        engine.tick().await.unwrap();
    }
    engine.stop_delivery().await;
    process.has(&[
        "leadflow_tick_lateness_seconds_bucket{le=\"0.01\"} 2",
        "leadflow_tick_lateness_seconds_bucket{le=\"2.5\"} 2",
        "leadflow_tick_lateness_seconds_bucket{le=\"10\"} 3",
        "leadflow_tick_lateness_seconds_sum 3",
        "leadflow_tick_lateness_seconds_count 3",
    ]);
}

#[test]
fn figures_of_the_state_and_of_the_process_are_one_text_in_which_no_name_comes_twice() {
    let sandbox = Sandbox::on_sqlite(FlowsToml::demo().flow("leads").filter(SINCE).body(KEYS));
    let process = Process::new(&sandbox);
    let facts = done(process.ctx.store.alarm_facts()).unwrap();
    let open = done(process.ctx.store.open_mails()).unwrap();
    let mut view = MetricsView::new(true);
    view.add_state(&process.config, &facts, &[]);
    view.add_mails(open);
    view.add_live(process.ctx.meters.families());
    let text = view.to_text().unwrap();
    let names: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(names.windows(2).all(|two| two[0] < two[1]), "{names:?}");
    for name in ["leadflow_build_info", "leadflow_mails", "leadflow_reloads_total", "leadflow_runs_total"] {
        assert!(names.contains(&name), "{names:?}");
    }
    view.add_live(process.ctx.meters.families());
    assert!(view.to_text().is_err());
}
