//! The row's way, from a slot that has come due to a mail that lies in the outbox.
//!
//! 1. **due**: the slot is claimed; a flow never runs beside itself.
//! 2. **window**: how far back this run reads, and what the flow's first run passes over.
//! 3. **query**: every page to the clean end, into a bounded spool.
//! 4. **new rows**: those that the flow has not handed on yet, told page by page.
//! 5. **condition**: whether they make a mail.
//! 6. **render**: the final bytes.
//! 7. **commit**: keys, mails, watermark and record in one transaction. Until here nothing has moved.
//! 8. **send** is the outbox's, from what was committed.
//! 9. **history** is what each step noted on its way.

mod commit;
mod error;
mod marks;
mod query;
mod record;
mod window;

pub(crate) use window::CLOCKS_DIFFER;

use std::path::PathBuf;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tracing::{error, info, warn};

use crate::blocking::blocking;
use crate::clock::Clock;
use crate::condition::Verdict;
use crate::crash_point::crash_point;
use crate::flow::{Config, Flow};
use crate::history::{Cause, Order, Outcome, Range};
use crate::store::{Failed, NewRun, SharedStore, StoreError};
use crate::table::Table;

pub use error::RunError;
use record::{Facts, Record};

/// What every run works with.
#[derive(Debug, Clone)]
pub struct Workplace {
    /// The state.
    pub store: SharedStore,
    /// The wall clock.
    pub clock: Clock,
    /// The state folder, where a large spool lies.
    pub folder: PathBuf,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The run's number.
    pub run: i64,
    /// What came of it so far; its mail may still wait.
    pub outcome: Outcome,
    /// The outcome in a sentence.
    pub summary: String,
}

/// Runs a flow once, as the order says. A run that fails moves nothing, and is recorded as failed.
///
/// # Errors
/// Only when the run could not even be claimed or recorded: another one is under way, or the
/// state fails.
pub async fn run(
    place: &Workplace,
    config: &Config,
    flow: &Arc<Flow>,
    order: &Order,
) -> Result<Ended, StoreError> {
    let started = place.clock.now();
    let run = claim(place, flow, order, started).await?;
    crash_point("run-claimed");
    let mut record = Record::default();
    let result = rows_way(place, config, flow, (run, order.range), &mut record).await;
    let facts = record.facts();
    let told = Told { flow, run, cause: order.cause, facts, took: place.clock.now().duration_since(started) };
    match result {
        Ok((outcome, summary)) => {
            let ended = Ended { run, outcome, summary };
            told.ended(&ended);
            Ok(ended)
        }
        Err(RunError::Store(error)) if error.is_lasting() => Err(error),
        Err(failure) => {
            told.failed(&failure);
            let summary = failure.to_string();
            end_failed(place, run, &failure, record).await?;
            Ok(Ended { run, outcome: Outcome::Failed, summary })
        }
    }
}

/// The run's one line in the log.
struct Told<'a> {
    flow: &'a Flow,
    run: i64,
    cause: Cause,
    facts: Facts,
    took: SignedDuration,
}

impl Told<'_> {
    /// The JSON of the log has no number of 128 bits.
    fn took_ms(&self) -> u64 {
        u64::try_from(self.took.as_millis()).unwrap_or_default()
    }

    fn ended(self, ended: &Ended) {
        let (run, took_ms) = (self.run, self.took_ms());
        let Facts { past_time, pages, scanned, new, mails } = self.facts;
        let (flow, cause, outcome) = (&self.flow.name, self.cause.word(), ended.outcome.word());
        info!(flow, run, cause, outcome, new, scanned, pages, mails, past_time, took_ms, "{}", ended.summary);
    }

    fn failed(self, failure: &RunError) {
        let (run, took_ms) = (self.run, self.took_ms());
        let Facts { past_time, pages, scanned, new, .. } = self.facts;
        let (flow, cause, outcome) = (&self.flow.name, self.cause.word(), Outcome::Failed.word());
        let help = failure.help();
        error!(
            flow,
            run, cause, outcome, new, scanned, pages, past_time, took_ms, help, "the run failed: {failure}"
        );
    }
}

async fn rows_way(
    place: &Workplace,
    config: &Config,
    flow: &Arc<Flow>,
    (run, range): (i64, Range),
    record: &mut Record,
) -> Result<(Outcome, String), RunError> {
    let table = open_table(place, config, flow).await?;
    let window = window::open(place, flow, &table, range, record).await?;
    let found = query::new_rows(place, flow, &table, &window, record).await?;
    let verdict = decide(flow, found.spool.len(), record);
    let (mails, found) = match verdict {
        Verdict::Mail => commit::render(place, config, flow, run, &window, found, record).await?,
        Verdict::NothingNew | Verdict::Gather | Verdict::PassOver => (None, found),
    };
    for note in mails.iter().flat_map(crate::mail::compose::Mails::notes) {
        warn!(flow = flow.name, run, "{note}");
    }
    crash_point("before-commit");
    let decided = commit::Decided { window, found, verdict, mails };
    let committed = commit::commit(place, flow, run, decided, record).await?;
    crash_point("after-commit");
    Ok(committed)
}

async fn claim(place: &Workplace, flow: &Flow, order: &Order, started: Timestamp) -> Result<i64, StoreError> {
    let (name, order) = (flow.name.clone(), *order);
    let claim = move |store: &mut crate::store::Store| {
        store.anchor(&name, started)?;
        store.begin_run(&NewRun { flow: &name, order, started })
    };
    place.store.call(claim).await
}

async fn open_table(place: &Workplace, config: &Config, flow: &Flow) -> Result<Table, RunError> {
    let name = &flow.table.connection;
    let connection = config.tables.get(name).ok_or_else(|| RunError::NoConnection(name.clone()))?.clone();
    let (table, clock) = (flow.table.name.clone(), place.clock.clone());
    let open = move || Table::open(&connection, &table, &clock);
    Ok(blocking(open).await.map_err(|_| RunError::Stopped)??)
}

fn decide(flow: &Flow, length: u64, record: &mut Record) -> Verdict {
    let verdict = flow.condition.decide(length);
    let inputs = serde_json::json!({ "condition": flow.condition.to_string(), "length": length });
    let outputs = serde_json::json!({ "result": verdict == Verdict::Mail, "then": verdict.words() });
    record.step("condition", inputs, outputs);
    verdict
}

async fn end_failed(
    place: &Workplace,
    run: i64,
    failure: &RunError,
    mut record: Record,
) -> Result<(), StoreError> {
    let (summary, help, now) = (failure.to_string(), failure.help().to_owned(), place.clock.now());
    let steps = record.take_steps();
    let end = move |store: &mut crate::store::Store| {
        store.fail_run(run, &Failed { summary: &summary, help: &help, steps: &steps }, now)
    };
    place.store.call(end).await
}
