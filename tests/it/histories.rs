//! Random histories against the promise: rows that come late, are written again or deleted, tables
//! and mail folders that fail, restarts, standstills. The clock is driven; an oracle keeps count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use leadflow::config;
use leadflow::engine::delivery::Delivery;
use leadflow::engine::{RunContext, run};
use leadflow::flow::Config;
use leadflow::history::{Cause, RunOrder};
use leadflow::platform::clock::DrivenClock;
use proptest::prelude::*;

use crate::support::embedded::{Embedded, row};
use crate::support::flows_toml::{FlowsToml, KEYS, SINCE};
use crate::support::mail::Mail;
use crate::support::postgres::context;

/// Something that happens.
#[derive(Debug, Clone)]
enum Event {
    /// So many rows become visible, so many minutes after their `Timestamp`.
    Insert { rows: usize, minutes_late: i64 },
    /// A row that is there is written again.
    Merge(prop::sample::Index),
    /// A row that is there is deleted.
    Delete(prop::sample::Index),
    /// So many minutes pass.
    Wait(i64),
    /// The flow runs.
    Run,
    /// The flow runs and its table cannot be read.
    RunWithoutTable,
    /// The flow runs and its mail cannot be delivered.
    RunWithoutMail,
    /// The process ends and starts again.
    Restart,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        5 => (1_usize..4, 0_i64..15).prop_map(|(rows, minutes_late)| Event::Insert { rows, minutes_late }),
        1 => any::<prop::sample::Index>().prop_map(Event::Merge),
        1 => any::<prop::sample::Index>().prop_map(Event::Delete),
        4 => prop_oneof![1_i64..90, 1_i64..6_000].prop_map(Event::Wait),
        5 => Just(Event::Run),
        1 => Just(Event::RunWithoutTable),
        1 => Just(Event::RunWithoutMail),
        1 => Just(Event::Restart),
    ];
    prop::collection::vec(event, 1..40)
}

/// What the oracle knows of a row.
#[derive(Debug, Clone, Copy)]
struct Written {
    /// Its `Timestamp` at the flow's begin, or its first one after that.
    at: Timestamp,
    is_there: bool,
    /// A run has read the table since it became visible.
    was_read: bool,
}

struct World {
    folder: tempfile::TempDir,
    whole: Arc<Config>,
    without_table: Arc<Config>,
    without_mail: Arc<Config>,
    clock: DrivenClock,
    ctx: RunContext,
    table: Embedded,
    rows: BTreeMap<String, Written>,
    begin: Option<Timestamp>,
}

fn flows(table: &str, mail: &str, condition: &str) -> FlowsToml {
    FlowsToml::new()
        .table_connection("demo", "embedded_table", &format!("file = \"{table}\""))
        .mail_connection("folder", "mail_folder", &format!("path = \"{mail}\""))
        .flow("leads")
        .condition(condition)
        .filter(SINCE)
        .body(KEYS)
        .more("max_rows = 5000")
}

impl World {
    fn new(condition: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let load = |name: &str, table: &str, mail: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, flows(table, mail, condition).to_string()).unwrap();
            config::load(&path).unwrap().config
        };
        std::fs::write(folder.path().join("no-database"), "garbage").unwrap();
        std::fs::write(folder.path().join("no-folder"), "").unwrap();
        let no = |name: &str| folder.path().join(name).display().to_string();
        let whole = load("a.toml", "demo.db", "mail");
        let without_table = load("b.toml", &no("no-database"), "mail");
        let without_mail = load("c.toml", "demo.db", &no("no-folder"));
        let clock = DrivenClock::new("2026-03-02T08:00:00Z".parse().unwrap());
        let state = folder.path().join("state");
        let ctx = context(&clock, &state);
        let table = Embedded::open(&state.join("demo.db"), "leads");
        Self {
            folder,
            whole,
            without_table,
            without_mail,
            clock,
            ctx,
            table,
            rows: BTreeMap::new(),
            begin: None,
        }
    }

    async fn happen(&mut self, event: &Event) {
        match event {
            Event::Insert { rows, minutes_late } => {
                let at = self.clock.now() - SignedDuration::from_mins(*minutes_late);
                for _ in 0..*rows {
                    let key = format!("r{:04}", self.rows.len());
                    self.write(&key, at);
                    self.rows.insert(key, Written { at, is_there: true, was_read: false });
                }
            }
            Event::Merge(which) => {
                if let Some(key) = self.one_that_is_there(*which) {
                    self.write(&key, self.clock.now());
                    if self.begin.is_none() {
                        self.rows.get_mut(&key).unwrap().at = self.clock.now();
                    }
                }
            }
            Event::Delete(which) => {
                if let Some(key) = self.one_that_is_there(*which) {
                    self.table.delete(&key);
                    self.rows.get_mut(&key).unwrap().is_there = false;
                }
            }
            Event::Wait(minutes) => self.clock.advance(SignedDuration::from_mins(*minutes)),
            Event::Run => self.run(&Arc::clone(&self.whole), true).await,
            Event::RunWithoutTable => self.run(&Arc::clone(&self.without_table), false).await,
            Event::RunWithoutMail => self.run(&Arc::clone(&self.without_mail), true).await,
            Event::Restart => {
                self.ctx = context(&self.clock, &self.state());
            }
        }
    }

    /// A second of its own for each run, as the clock of the service has seconds.
    async fn run(&mut self, config: &Config, reads: bool) {
        self.clock.advance(SignedDuration::from_secs(2));
        let flow = &config.flows["leads"];
        run::run(&self.ctx, config, flow, &RunOrder::new(Cause::Schedule, None)).await.unwrap();
        let delivery = Delivery::new(&self.ctx);
        delivery.retry_all_now().await.unwrap();
        delivery.deliver(config, || false).await.unwrap();
        if reads {
            let read = self.ctx.store.sources("leads").await.unwrap()[0].progress;
            self.begin = self.begin.or(read.map(|progress| progress.baseline));
            self.rows.values_mut().filter(|row| row.is_there).for_each(|row| row.was_read = true);
        }
    }

    fn write(&self, key: &str, at: Timestamp) {
        self.table.insert_at(&[row(key)], at);
    }

    fn one_that_is_there(&self, which: prop::sample::Index) -> Option<String> {
        let there: Vec<_> =
            self.rows.iter().filter(|(_, row)| row.is_there).map(|(key, _)| key.clone()).collect();
        (!there.is_empty()).then(|| which.get(&there).clone())
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Every key of every mail, as often as it was mailed.
    fn mailed(&self) -> BTreeMap<String, usize> {
        let mut found = BTreeMap::new();
        for mail in Mail::in_folder(&self.state().join("mail")) {
            for key in mail.text().split_whitespace() {
                *found.entry(key.to_owned()).or_default() += 1;
            }
        }
        found
    }
}

/// Plays a history, ends it with a run that goes well, and holds it against the promise; `spare`
/// rows may still gather.
async fn play(events: &[Event], condition: &str, spare: usize) {
    let mut world = World::new(condition);
    for event in events {
        world.happen(event).await;
    }
    world.happen(&Event::Run).await;
    let mailed = world.mailed();
    let begin = world.begin.unwrap();
    let twice: Vec<_> = mailed.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "mailed twice: {twice:?}");
    let (before, since): (Vec<_>, Vec<_>) = world.rows.iter().partition(|(_, row)| row.at <= begin);
    let old: BTreeSet<_> =
        before.into_iter().map(|(key, _)| key).filter(|key| mailed.contains_key(*key)).collect();
    assert!(old.is_empty(), "from before begin: {old:?}");
    let must = since.into_iter().filter(|(_, row)| row.is_there || (row.was_read && spare == 0));
    let lost: BTreeSet<_> = must.map(|(key, _)| key).filter(|key| !mailed.contains_key(*key)).collect();
    assert!(lost.len() <= spare, "lost: {lost:?}");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_row_is_mailed_exactly_once(events in events()) {
        runtime().block_on(play(&events, "length > 0", 0));
    }

    #[test]
    fn rows_that_gather_are_mailed_exactly_once(events in events()) {
        runtime().block_on(play(&events, "length >= 4", 3));
    }
}
