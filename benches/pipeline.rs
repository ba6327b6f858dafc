//! The stages of a run on a page of 1,000 leads, one by one, and the planner: `cargo bench --bench pipeline`.
//! `scripts/bench` measures what a whole run costs, compared with others.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up says so")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use jiff::{SignedDuration, Timestamp};
use leadflow::compose::sheet::Sheet;
use leadflow::compose::spool::Spool;
use leadflow::compose::{ComposeInput, compose};
use leadflow::config;
use leadflow::filter::Filter;
use leadflow::flow::{Config, Flow};
use leadflow::planner::{Planner, ScheduleState};
use leadflow::rows::row::{Row, RowMark};
use leadflow::store::Store;
use serde::Deserialize;
use tempfile::TempDir;

#[path = "../examples/bench/lead.rs"]
mod bench_lead;

const ROWS: u64 = 1_000;
const WRITTEN: &str = "2026-11-24T18:33:35.1234567Z";

fn main() {
    divan::main();
}

/// As the table SDK reads a page.
#[derive(Deserialize)]
struct Page {
    value: Vec<Row>,
}

fn page() -> String {
    let mut page = String::from(r#"{"value":["#);
    for number in 0..ROWS {
        if number > 0 {
            page.push(',');
        }
        bench_lead::write(&mut page, number, WRITTEN);
    }
    page + "]}"
}

fn rows(page: &str) -> Vec<Row> {
    serde_json::from_str::<Page>(page).unwrap().value
}

fn spool(rows: &[Row]) -> (Spool, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::new(folder.path());
    for row in rows {
        spool.push(row).unwrap();
    }
    (spool, folder)
}

/// A file with so many flows, each due at the beginning of a minute.
fn config(flows: usize) -> std::sync::Arc<Config> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flows.toml");
    let mut text = String::from(
        "[connections.t.embedded_table]\nfile = \"t.db\"\n[connections.m.mail_folder]\npath = \"mail\"\n",
    );
    for number in 0..flows {
        let _ = write!(
            text,
            "[flows.flow-{number}]\nrecurrence = {{ frequency = \"minute\" }}\ntable = {{ connection = \"t\", name = \"leads\" }}\n\
             email = {{ connection = \"m\", to = \"a@b.example\", template = \"marketplace-leads\" }}\n"
        );
    }
    std::fs::write(&path, text).unwrap();
    config::load(&path).unwrap().config
}

#[divan::bench]
fn decode(bencher: Bencher<'_, '_>) {
    let page = page();
    bencher.counter(ItemsCount::new(ROWS)).bench(|| rows(black_box(&page)));
}

#[divan::bench]
fn filter(bencher: Bencher<'_, '_>) {
    let rows = rows(&page());
    let filter = "Timestamp gt datetime'2026-11-24T17:00:00Z' and ActionCode ne 'DNC'";
    let filter = Filter::parse(filter).unwrap();
    bencher
        .counter(ItemsCount::new(ROWS))
        .bench(|| rows.iter().filter(|row| filter.matches(black_box(row))).count());
}

#[divan::bench]
fn dedupe(bencher: Bencher<'_, '_>) {
    let (rows, folder) = (rows(&page()), tempfile::tempdir().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = Store::open(folder.path()).unwrap();
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        let ids: Vec<_> = rows.iter().map(|row| RowMark::new(row).id).collect();
        runtime.block_on(store.seen_rows(1, ids)).unwrap()
    });
}

#[divan::bench]
fn csv(bencher: Bencher<'_, '_>) {
    let (mut spool, _folder) = spool(&rows(&page()));
    let sheet = Sheet::from_spool(&spool);
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        let (mut lines, mut rows, mut bytes) = (sheet.lines(std::io::sink()), spool.rows().unwrap(), 0);
        while let Some(columns) = rows.next_columns().unwrap() {
            bytes = lines.write(&columns).unwrap();
        }
        bytes
    });
}

/// A digest of 1,000 leads, 200 of them in its body.
#[divan::bench]
fn render(bencher: Bencher<'_, '_>) {
    let (mut spool, folder) = spool(&rows(&page()));
    let flow: Arc<Flow> = Arc::clone(config(1).flows.values().next().unwrap());
    let from = leadflow::flow::Mailbox::bare("leads@contoso.example");
    let now: Timestamp = WRITTEN.parse().unwrap();
    let input = ComposeInput {
        flow: &flow,
        run: 1,
        past_time: now,
        now,
        from: &from,
        max_bytes: 8_000_000,
        is_test: false,
        hidden_tests: 0,
    };
    bencher
        .counter(ItemsCount::new(ROWS))
        .bench_local(|| compose(&input, &mut spool, folder.path()).unwrap().size());
}

/// All flows come due, and end.
#[divan::bench(args = [1, 100, 10_000])]
fn planner(bencher: Bencher<'_, '_>, flows: usize) {
    let config = config(flows);
    let mut now: Timestamp = "2026-11-24T18:33:00Z".parse().unwrap();
    let known = |name: &String| {
        (name.clone(), ScheduleState { anchor: now, last_slot: None, is_off: false, failed_run: None })
    };
    let known: BTreeMap<_, _> = config.flows.keys().map(known).collect();
    let mut planner = Planner::default();
    planner.replace(&config.flows, &known, now);
    bencher.counter(ItemsCount::new(flows)).bench_local(|| {
        now += SignedDuration::from_mins(1);
        let due = planner.due(now);
        assert_eq!(due.len(), flows);
        for due in due {
            planner.ended(&due.flow.name);
        }
    });
}
