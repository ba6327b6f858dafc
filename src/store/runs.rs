//! What runs ask of the state: claims, the tables that a flow reads, which rows it has seen, and the one
//! transaction in which a run ends.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{Backend, NewMessage, OldRows, Store, StoreError, on_backend};
use crate::history::{Outcome, RecordedStep, RunOrder};
use crate::planner::ScheduleState;
use crate::rows::row::{RowId, RowMark, RowVersion};
use crate::schedule::window::Progress;

/// A run that begins.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// The flow's name.
    pub flow: String,
    /// What it is to do.
    pub order: RunOrder,
    /// Now.
    pub started: Timestamp,
}

/// What became of a run that was wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// It has begun.
    Won(ClaimedRun),
    /// Another node has a run of the flow under way.
    UnderWay,
    /// There is nothing to do any more: another node has taken the slot, the retry or the request, or the flow is off.
    Settled(ScheduleState),
}

/// A run that has begun, and how far its flow has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedRun {
    /// The run's number.
    pub run: i64,
    /// The first slot since the flow last read its table to the end.
    pub due_since: Timestamp,
    /// No run has failed since then.
    pub is_first_try: bool,
    /// The table that the flow has read last.
    pub source: Option<Source>,
}

/// What a complete scan found, to be committed as a whole with its mails.
#[derive(Debug)]
pub struct ScanResult {
    /// The number of the table that was read.
    pub source: i64,
    /// How far the table is read from now on; `None` leaves it (a fixed window).
    pub progress: Option<Progress>,
    /// Skipped rows: they are seen from now on and no message carries them.
    pub skipped: Vec<RowMark>,
    /// Of the flow's first run, rows from before the baseline. They are skipped, too.
    pub old_rows: Option<Box<OldRows>>,
    /// How many new rows the run had.
    pub rows: u64,
    /// What came of it so far.
    pub outcome: Outcome,
    /// The outcome in a sentence.
    pub summary: String,
    /// Why the watermark stays, where the clocks cannot be trusted.
    pub clock_problem: Option<String>,
    /// What the run did, for the history.
    pub steps: Vec<RecordedStep>,
    /// The moment of the commit.
    pub now: Timestamp,
}

/// What a run that failed leaves.
#[derive(Debug, Clone)]
pub struct FailedRun {
    /// What happened, in a sentence.
    pub summary: String,
    /// What to do about it.
    pub help: String,
    /// What it had done.
    pub steps: Vec<RecordedStep>,
    /// As the run has begun with.
    pub due_since: Timestamp,
}

/// A table that a flow reads, or has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its number: rows are remembered by it.
    pub id: i64,
    /// Account and table, as [`crate::services::table::TableReader::identity`] has them.
    pub identity: String,
    /// The slot that the flow was first to read it for; `None` once it was read.
    pub first_due: Option<Timestamp>,
    /// How far it was read; `None` before its baseline is set, and with a fixed window.
    pub progress: Option<Progress>,
}

/// A flow reads a table that it did not read last.
#[derive(Debug, Clone)]
pub struct SourceRequest {
    /// The flow's name.
    pub flow: String,
    /// The table's identity.
    pub identity: String,
    /// The number by which the state knows it, where it does.
    pub known: Option<i64>,
    /// The slot that it is to be read for.
    pub due: Timestamp,
    /// Now.
    pub now: Timestamp,
    /// The flow reads it from now on; not so a run of the past.
    pub is_to_stay: bool,
}

impl Store {
    /// What the plan needs of these flows, which are all of the file, each with whether that has it on; one that was
    /// never seen is seen `now`. While a flow has never been on, it is first seen each time.
    ///
    /// # Errors
    /// As every operation.
    pub async fn schedule_states(
        &self,
        flows: Vec<(String, bool)>,
        now: Timestamp,
    ) -> Result<BTreeMap<String, ScheduleState>, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => {
                sqlite
                    .call(move |db| db.schedule_states(flows.iter().map(|(name, is_on)| (name, *is_on)), now))
                    .await
            }
            Backend::Postgres(postgres) => {
                postgres.call(async move |db| db.schedule_states(&flows, now).await).await
            }
        }
    }

    /// Records that what is due counts as late from now on: a start, a reload, or the end of a downtime.
    ///
    /// # Errors
    /// As every operation.
    pub async fn set_on_time_since(&self, now: Timestamp) -> Result<(), StoreError> {
        on_backend!(self, db => db.set_on_time_since(now))
    }

    /// The clock was set back by this much: the moments that the baseline of a table follows from, and when mails
    /// are tried again, are earlier by as much. Flows that no run has served yet are due since these moments, which are by
    /// the clock as it is now.
    ///
    /// # Errors
    /// As every operation.
    pub async fn clock_went_back(
        &self,
        by: SignedDuration,
        due: Vec<(String, Timestamp)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        on_backend!(self, db => db.clock_went_back(by, &due, now))
    }

    /// Claims runs, each on its own; a slot counts as taken once the end of its run is recorded. A run of this owner
    /// that was left under way, since its end could not be recorded, is interrupted: the caller never runs a flow
    /// beside itself.
    ///
    /// # Errors
    /// As every operation.
    pub async fn claim_runs(&self, runs: Vec<NewRun>) -> Result<Vec<Claim>, StoreError> {
        on_backend!(self, db => db.claim_runs(&runs))
    }

    /// Takes back claims of runs that have done nothing yet; what asked for them waits again.
    ///
    /// # Errors
    /// As every operation.
    pub async fn withdraw_runs(&self, claims: Vec<ClaimedRun>) -> Result<(), StoreError> {
        on_backend!(self, db => db.withdraw_runs(&claims))
    }

    /// Ends the runs that this owner has under way: they are interrupted, and what they were made for stays due. Returns
    /// how many.
    ///
    /// # Errors
    /// As every operation.
    pub async fn interrupt_runs(&self, now: Timestamp) -> Result<usize, StoreError> {
        on_backend!(self, db => db.interrupt_runs(now))
    }

    /// Every table that the flow reads or has read.
    ///
    /// # Errors
    /// As every operation.
    pub async fn sources(&self, flow: &str) -> Result<Vec<Source>, StoreError> {
        let flow = flow.to_owned();
        on_backend!(self, db => db.sources(&flow))
    }

    /// The source that is known by this number or has that identity, and has it from now on; it is made if the flow has
    /// never read it, or has forgotten it meanwhile.
    ///
    /// # Errors
    /// As every operation.
    pub async fn open_source(&self, request: SourceRequest) -> Result<Source, StoreError> {
        on_backend!(self, db => db.open_source(&request))
    }

    /// The baseline that the flow's next source gets, if `recover` has said so.
    ///
    /// # Errors
    /// As every operation.
    pub async fn preset_baseline_of(&self, flow: &str) -> Result<Option<Timestamp>, StoreError> {
        let flow = flow.to_owned();
        on_backend!(self, db => db.preset_baseline_of(&flow))
    }

    /// Rows of the source from before this moment are not mailed.
    ///
    /// # Errors
    /// As every operation.
    pub async fn set_baseline(&self, source: i64, baseline: Timestamp) -> Result<(), StoreError> {
        on_backend!(self, db => db.set_baseline(source, baseline))
    }

    /// Which version of each of these rows of a source is seen, in their order; `None` for none.
    ///
    /// # Errors
    /// As every operation.
    pub async fn seen_rows(
        &self,
        source: i64,
        ids: Vec<RowId>,
    ) -> Result<Vec<Option<RowVersion>>, StoreError> {
        on_backend!(self, db => db.seen_rows(source, &ids))
    }

    /// Which version of each of these rows of a source was mailed, in their order; `None` for none. Of a row that
    /// was written again since and skipped it is one that the row does not have.
    ///
    /// # Errors
    /// As every operation.
    pub async fn mailed_rows(
        &self,
        source: i64,
        ids: Vec<RowId>,
    ) -> Result<Vec<Option<RowVersion>>, StoreError> {
        on_backend!(self, db => db.mailed_rows(source, &ids))
    }

    /// Commits a run: seen rows, mails, watermark and run record, all or nothing. The mails are taken one at a
    /// time, so that only one of them is in memory.
    ///
    /// # Errors
    /// [`StoreError::RunOver`] where the run is not this owner's any more, [`StoreError::Mail`], and as every
    /// operation; then nothing has moved.
    pub async fn commit_run(
        &self,
        run: i64,
        scan: ScanResult,
        mails: impl Iterator<Item = io::Result<NewMessage>> + Send + 'static,
    ) -> Result<(), StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.call(move |db| db.commit_run(run, &scan, mails)).await,
            Backend::Postgres(postgres) => {
                postgres.call_for_long(async move |db| db.commit_run(run, scan, mails).await).await
            }
        }
    }

    /// Commits runs that processed no row, all or nothing. All are of one owner, which loses its claims together: where
    /// one of the runs is over, so are the others, and none may be committed. Since nothing has moved then, the caller
    /// may make all of them again.
    ///
    /// # Errors
    /// As [`Store::commit_run`]; then nothing of any of them has moved.
    pub async fn commit_empty_scans(&self, runs: Vec<(i64, Arc<ScanResult>)>) -> Result<(), StoreError> {
        on_backend!(self, db => db.commit_empty_scans(&runs))
    }

    /// Ends a run that failed; nothing has moved.
    ///
    /// # Errors
    /// As every operation.
    pub async fn fail_run(&self, run: i64, failed: FailedRun, now: Timestamp) -> Result<(), StoreError> {
        on_backend!(self, db => db.fail_run(run, &failed, now))
    }
}
