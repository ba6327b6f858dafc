//! Runs: claimed, committed in one transaction, looked up.

use std::{io, iter};

use jiff::Timestamp;
use rusqlite::{
    Connection, OptionalExtension, Params, Row as DbRow, Transaction, TransactionBehavior, params,
};

use super::flows::see;
use super::outbox::{NewMail, insert_mail};
use super::sources::{Source, move_on, source_at};
use super::steps::insert_steps;
use super::{Store, StoreError, from_db, to_db};
use crate::history::{Order, Outcome, RecordedStep, Run};
use crate::platform::faults::crash_point;
use crate::rows::row::{Key, Mark, Version};
use crate::schedule::window::Past;
use crate::store::old_rows::OldRows;

/// A run that begins.
#[derive(Debug, Clone, Copy)]
pub struct NewRun<'a> {
    /// The flow's name.
    pub flow: &'a str,
    /// What it is to do.
    pub order: Order,
    /// Now.
    pub started: Timestamp,
}

/// A run that has begun, and how far its flow has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
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
pub struct Scanned {
    /// The number of the table that was read.
    pub source: i64,
    /// Begin, watermark and deep scan as they are from now on; `None` leaves them (a fixed window).
    pub past: Option<Past>,
    /// Rows that are not news any more, unmailed: hidden or passed over.
    pub passed_over: Vec<Mark>,
    /// As they are, of the flow's first run: rows from before begin.
    pub before_begin: Option<Box<OldRows>>,
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
#[derive(Debug, Clone, Copy)]
pub struct Failed<'a> {
    /// What happened, in a sentence.
    pub summary: &'a str,
    /// What to do about it.
    pub help: &'a str,
    /// What it had done.
    pub steps: &'a [RecordedStep],
    /// As the run has begun with.
    pub due_since: Timestamp,
}

pub(super) const RUNS: &str =
    "SELECT runs.id, flows.name, cause, due, started, ended, outcome, summary, rows, mails,
        help FROM runs JOIN flows ON flows.id = runs.flow";

/// A run of the past says nothing of how the flow is.
const OF_NEW_ROWS: &str = "cause NOT IN ('resubmit', 'replay')";

const INTERRUPT: &str = "UPDATE runs SET outcome = 'interrupted', ended = ?1,
        summary = 'it ended before its end was recorded; nothing was moved'
    WHERE outcome = 'running'";

/// What a run that was to read new rows was made for stays due until one of them has read the table.
const STAYS_DUE: &str = "UPDATE flows SET due_since = coalesce(due_since, coalesce(left.due, left.started))
    FROM runs AS left WHERE left.flow = flows.id AND left.outcome = 'running' AND left.cause NOT IN ('resubmit', 'replay')";

impl Store {
    /// Claims runs, all or none; a slot counts as taken once the end of its run is recorded. A run that was
    /// left under way, since its end could not be recorded, is interrupted: the caller never runs a flow
    /// beside itself.
    ///
    /// # Errors
    /// When the database fails.
    pub fn begin_runs(&mut self, runs: &[NewRun<'_>]) -> Result<Vec<Begun>, StoreError> {
        let tx = self.db.transaction()?;
        let begun = runs.iter().map(|run| begin(&tx, run)).collect::<Result<_, _>>()?;
        tx.commit()?;
        Ok(begun)
    }

    /// Takes back claims of runs that have done nothing yet; what asked for them waits again.
    ///
    /// # Errors
    /// When the database fails.
    pub fn withdraw_runs(&mut self, runs: &[i64]) -> Result<(), StoreError> {
        let tx = self.db.transaction()?;
        for run in runs {
            execute(&tx, "UPDATE requests SET run = NULL WHERE run = ?1", [run])?;
            execute(&tx, "DELETE FROM runs WHERE id = ?1 AND outcome = 'running'", [run])?;
        }
        tx.commit()?;
        Ok(())
    }

    /// Which version of each of these rows of a source was mailed, in their order; `None` for none. Of a row that
    /// was written again since and passed over it is one that the row does not have.
    ///
    /// # Errors
    /// When the database fails.
    pub fn mailed(&self, source: i64, keys: &[Key]) -> Result<Vec<Option<Version>>, StoreError> {
        self.versions(
            source,
            keys,
            "SELECT iif(mail IS NULL, ~version, version) FROM keys WHERE source = ?1 AND key = ?2
             AND (mail IS NOT NULL OR EXISTS (SELECT 1 FROM earlier WHERE earlier.source = ?1 AND earlier.key = ?2))",
        )
    }

    /// Which version of each of these rows of a source was handed on, in their order; `None` for none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn known(&self, source: i64, keys: &[Key]) -> Result<Vec<Option<Version>>, StoreError> {
        self.versions(source, keys, "SELECT version FROM keys WHERE source = ?1 AND key = ?2")
    }

    fn versions(&self, source: i64, keys: &[Key], ask: &str) -> Result<Vec<Option<Version>>, StoreError> {
        // Without it each look would take the lock of the database anew.
        let _together = Transaction::new_unchecked(&self.db, TransactionBehavior::Deferred)?;
        let mut ask = self.db.prepare_cached(ask)?;
        let mut version = |key: &Key| {
            let found = ask.query_row(params![source, key.0], |row| row.get(0)).optional()?;
            Ok(found.map(Version))
        };
        keys.iter().map(&mut version).collect()
    }

    /// Commits a scan: keys, mails, watermark and run record, all or nothing.
    ///
    /// The mails are taken one at a time, so that only one of them is in memory.
    ///
    /// # Errors
    /// When the database fails or a mail cannot be read; then nothing has moved.
    pub fn commit_scan<'a>(
        &mut self,
        run: i64,
        scanned: &Scanned,
        mails: impl Iterator<Item = io::Result<NewMail<'a>>>,
    ) -> Result<(), StoreError> {
        let tx = self.db.transaction()?;
        record_scan(&tx, run, scanned, mails)?;
        crash_point("in-commit");
        tx.commit()?;
        Ok(())
    }

    /// Commits scans that handed on no row, all or nothing.
    ///
    /// # Errors
    /// When the database fails; then nothing has moved.
    pub fn commit_quiet_scans<'a>(
        &mut self,
        runs: impl Iterator<Item = (i64, &'a Scanned)>,
    ) -> Result<(), StoreError> {
        let tx = self.db.transaction()?;
        for (run, scanned) in runs {
            record_scan(&tx, run, scanned, iter::empty())?;
        }
        crash_point("in-commit");
        tx.commit()?;
        Ok(())
    }

    /// Ends a run that failed; nothing has moved.
    ///
    /// # Errors
    /// When the database fails.
    pub fn fail_run(&mut self, run: i64, failed: &Failed<'_>, now: Timestamp) -> Result<(), StoreError> {
        let tx = self.db.transaction()?;
        let (flow, due, is_of_new_rows): (i64, Option<i64>, bool) = tx
            .prepare_cached(&format!("SELECT flow, due, {OF_NEW_ROWS} FROM runs WHERE id = ?1"))?
            .query_row([run], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        execute(
            &tx,
            "UPDATE runs SET ended = ?2, outcome = 'failed', summary = ?3, help = ?4 WHERE id = ?1",
            params![run, to_db(now), failed.summary, failed.help],
        )?;
        if is_of_new_rows {
            // A slot that is tried again is one failure.
            execute(
                &tx,
                "UPDATE flows SET failures = max(1, failures + (SELECT cause != 'retry' FROM runs WHERE id = ?3)),
                     failing_since = coalesce(failing_since, ?2), failed_run = ?3, due_since = min(coalesce(due_since, ?4), ?4)
                 WHERE id = ?1",
                params![flow, to_db(now), run, to_db(failed.due_since)],
            )?;
        }
        insert_steps(&tx, run, failed.steps)?;
        take_slot(&tx, flow, due)?;
        tx.commit()?;
        Ok(())
    }

    /// Runs that were left under way are interrupted. Returns how many.
    ///
    /// # Errors
    /// When the database fails.
    pub fn interrupt_runs(&mut self, now: Timestamp) -> Result<usize, StoreError> {
        let tx = self.db.transaction()?;
        execute(&tx, STAYS_DUE, [])?;
        let count = execute(&tx, INTERRUPT, [to_db(now)])?;
        tx.commit()?;
        Ok(count)
    }

    /// The run of that number.
    ///
    /// # Errors
    /// When the database fails.
    pub fn run(&self, id: i64) -> Result<Option<Run>, StoreError> {
        let ask = format!("{RUNS} WHERE runs.id = ?1");
        Ok(self.db.prepare_cached(&ask)?.query_row([id], run_of).optional()?)
    }

    /// Deletes ended runs that began before `before`, their steps and their mails; runs whose mail
    /// still waits or is held stay. The keys stay. Returns how many.
    ///
    /// # Errors
    /// When the database fails.
    pub fn prune_history(&mut self, before: Timestamp) -> Result<usize, StoreError> {
        let tx = self.db.transaction()?;
        let old = "started < ?1 AND outcome != 'running' AND NOT EXISTS (
            SELECT 1 FROM mails JOIN recipients ON recipients.mail = mails.id
            WHERE mails.run = runs.id AND state IN ('waiting', 'uncertain', 'held'))";
        tx.execute(
            &format!("DELETE FROM mails WHERE run IN (SELECT id FROM runs WHERE {old})"),
            [to_db(before)],
        )?;
        tx.execute(
            "DELETE FROM mails WHERE run IS NULL AND created < ?1 AND next_try IS NULL AND sending = 0
             AND NOT EXISTS (SELECT 1 FROM recipients WHERE mail = mails.id AND state = 'held')",
            [to_db(before)],
        )?;
        let count = tx.execute(&format!("DELETE FROM runs WHERE {old}"), [to_db(before)])?;
        tx.commit()?;
        Ok(count)
    }
}

fn begin(tx: &Transaction<'_>, run: &NewRun<'_>) -> Result<Begun, StoreError> {
    see(tx, run.flow, run.started)?;
    let (order, started) = (run.order, to_db(run.started));
    let since = order.since.map_or(started, to_db);
    let mut look = tx.prepare_cached(
        "SELECT id, EXISTS (SELECT 1 FROM runs WHERE runs.flow = flows.id AND outcome = 'running')
         FROM flows WHERE name = ?1",
    )?;
    let (flow, was_left): (i64, bool) = look.query_row([run.flow], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if was_left {
        execute(tx, &format!("{STAYS_DUE} AND flows.id = ?1"), [flow])?;
        execute(tx, &format!("{INTERRUPT} AND flow = ?2"), params![started, flow])?;
    }
    let mut ask = tx.prepare_cached(
        "SELECT min(coalesce(due_since, ?3), max(coalesce(last_read, ?2), coalesce(seen_on, ?2), ?2), ?3),
             due_since IS NULL, sources.id, identity, first_due, sources.begin, watermark, looked_back
         FROM flows LEFT JOIN sources ON sources.id = source_id WHERE flows.id = ?1",
    )?;
    let (due_since, is_first_try, source): (i64, bool, _) = ask
        .query_row(params![flow, since, started], |row| Ok((row.get(0)?, row.get(1)?, source_at(row, 2)?)))?;
    execute(
        tx,
        "INSERT INTO runs (flow, cause, due, started, outcome) VALUES (?1, ?2, ?3, ?4, 'running')",
        params![flow, order.cause.word(), order.due.map(to_db), started],
    )?;
    let id = tx.last_insert_rowid();
    if let Some(request) = order.request {
        execute(tx, "UPDATE requests SET run = ?2 WHERE id = ?1", params![request, id])?;
    }
    Ok(Begun { run: id, due_since: from_db(due_since), is_first_try, source })
}

/// Keys, mails, watermark and run record of a scan.
fn record_scan<'a>(
    tx: &Transaction<'_>,
    run: i64,
    scanned: &Scanned,
    mails: impl Iterator<Item = io::Result<NewMail<'a>>>,
) -> Result<(), StoreError> {
    let (flow, due, is_of_new_rows): (i64, Option<i64>, bool) = tx
        .prepare_cached(&format!(
            "SELECT flow, due, {OF_NEW_ROWS} FROM runs WHERE id = ?1 AND outcome = 'running'"
        ))?
        .query_row([run], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?
        .ok_or(StoreError::RunOver(run))?;
    if let Some(old) = &scanned.before_begin {
        let mut insert = tx.prepare_cached(INSERT_KEY)?;
        old.each(|Mark { key, version }| {
            insert.execute(params![scanned.source, key.0, version.0, run, None::<i64>])?;
            Ok::<_, StoreError>(())
        })?;
    }
    insert_keys(tx, scanned.source, run, None, &scanned.passed_over)?;
    let mut count = 0_i64;
    for mail in mails {
        let mail = mail.map_err(StoreError::Mail)?;
        let id = insert_mail(tx, Some(run), &mail, scanned.now)?;
        insert_keys(tx, scanned.source, run, Some(id), mail.rows)?;
        count += 1;
    }
    if is_of_new_rows {
        move_on(tx, scanned.source, scanned.past)?;
    }
    let (now, rows) = (to_db(scanned.now), i64::try_from(scanned.rows).unwrap_or(i64::MAX));
    execute(
        tx,
        "UPDATE runs SET ended = ?2, outcome = ?3, summary = ?4, rows = ?5, mails = ?6 WHERE id = ?1",
        params![run, now, scanned.outcome.word(), scanned.summary, rows, count],
    )?;
    if is_of_new_rows {
        execute(
            tx,
            "UPDATE flows SET last_read = ?2, failures = 0, failing_since = NULL, due_since = NULL, clock_problem = ?3
             WHERE id = ?1",
            params![flow, now, scanned.clock_problem],
        )?;
    }
    insert_steps(tx, run, &scanned.steps)?;
    take_slot(tx, flow, due)
}

/// What every run does is parsed once.
fn execute(db: &Connection, sql: &str, values: impl Params) -> rusqlite::Result<usize> {
    db.prepare_cached(sql)?.execute(values)
}

/// A row that was mailed and is found as it was stays proved.
const INSERT_KEY: &str = "INSERT INTO keys (source, key, version, run, mail) VALUES (?1, ?2, ?3, ?4, ?5)
     ON CONFLICT (source, key) DO UPDATE SET version = ?3, run = ?4, mail = ?5
     WHERE ?5 IS NOT NULL OR mail IS NULL OR version != ?3";

fn insert_keys(
    tx: &Transaction<'_>,
    source: i64,
    run: i64,
    mail: Option<i64>,
    rows: &[Mark],
) -> Result<(), StoreError> {
    let mut insert = tx.prepare_cached(INSERT_KEY)?;
    // In the order of the tree that they go into.
    let mut rows = rows.to_vec();
    rows.sort_unstable_by_key(|mark| mark.key);
    for Mark { key, version } in rows {
        insert.execute(params![source, key.0, version.0, run, mail])?;
    }
    Ok(())
}

/// The slot of a run that has ended is done with; that of an interrupted one is made up for.
fn take_slot(tx: &Transaction<'_>, flow: i64, due: Option<i64>) -> Result<(), StoreError> {
    if due.is_some() {
        execute(
            tx,
            "UPDATE flows SET last_slot = max(coalesce(last_slot, ?2), ?2) WHERE id = ?1",
            params![flow, due],
        )?;
    }
    Ok(())
}

pub(super) fn run_of(row: &DbRow<'_>) -> rusqlite::Result<Run> {
    let word: String = row.get(6)?;
    Ok(Run {
        id: row.get(0)?,
        flow: row.get(1)?,
        cause: row.get(2)?,
        due: row.get::<_, Option<i64>>(3)?.map(from_db),
        started: from_db(row.get(4)?),
        ended: row.get::<_, Option<i64>>(5)?.map(from_db),
        outcome: Outcome::of_word(&word).unwrap_or(Outcome::Failed),
        summary: row.get(7)?,
        rows: row.get::<_, i64>(8)?.unsigned_abs(),
        mails: row.get::<_, i64>(9)?.unsigned_abs(),
        help: row.get(10)?,
    })
}
