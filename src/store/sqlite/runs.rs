//! Runs: claimed, committed in one transaction, looked up.

use std::sync::Arc;
use std::{io, iter};

use jiff::Timestamp;
use rusqlite::{
    Connection, OptionalExtension, Params, Row as DbRow, Transaction, TransactionBehavior, params,
};

use super::flows::{schedule_state, see};
use super::nodes::{IS_OF, check_owner};
use super::outbox::insert_mail;
use super::sources::{move_on, source_at};
use super::steps::insert_steps;
use super::{Database, Failure, from_db, to_db};
use crate::history::{Cause, Outcome, RowRange, Run};
use crate::platform::faults::crash_point;
use crate::rows::row::{RowId, RowMark, RowVersion};
use crate::store::{Claim, ClaimedRun, FailedRun, NewMessage, NewRun, ScanResult, StoreError};

pub(super) const RUNS: &str =
    "SELECT runs.id, flows.name, cause, due, started, ended, outcome, summary, rows, mails,
        help, asked_by FROM runs JOIN flows ON flows.id = runs.flow";

/// A run of the past says nothing of how the flow is.
const OF_NEW_ROWS: &str = "cause NOT IN ('resubmit', 'replay')";

const INTERRUPT: &str = "UPDATE runs SET outcome = 'interrupted', ended = ?2,
        summary = 'it ended before its end was recorded; nothing was moved'
    WHERE outcome = 'running'";

/// What a run that was to read new rows was made for stays due until one of them has read the table.
const STAYS_DUE: &str = "UPDATE flows SET due_since = coalesce(due_since, coalesce(left.due, left.started))
    FROM runs AS left WHERE left.flow = flows.id AND left.outcome = 'running' AND left.cause NOT IN ('resubmit', 'replay')";

/// As it was before a claim recorded more than its own slot.
const NOT_DUE: &str = "UPDATE flows SET due_since = NULL
    WHERE id = (SELECT flow FROM runs WHERE id = ?1 AND outcome = 'running')";

impl Database {
    /// Claims runs, each on its own; a slot counts as taken once the end of its run is recorded. A run of this owner
    /// that was left under way, since its end could not be recorded, is interrupted.
    pub(crate) fn claim_runs(&mut self, runs: &[NewRun]) -> Result<Vec<Claim>, Failure> {
        let clock = self.lease_now();
        let tx = self.db.transaction()?;
        check_owner(&tx, &self.owner, clock)?;
        let begun = runs.iter().map(|run| begin(&tx, &self.owner, run)).collect::<Result<_, _>>()?;
        tx.commit()?;
        Ok(begun)
    }

    /// Ends the runs that this owner has under way.
    pub(crate) fn interrupt_runs(&mut self, now: Timestamp) -> Result<usize, Failure> {
        let clock = self.lease_now();
        let tx = self.db.transaction()?;
        check_owner(&tx, &self.owner, clock)?;
        let interrupted = interrupt_runs(&tx, Some(&self.owner), now)?;
        tx.commit()?;
        Ok(interrupted)
    }

    /// Takes back claims of runs that have done nothing yet; what asked for them waits again.
    pub(crate) fn withdraw_runs(&mut self, claims: &[ClaimedRun]) -> Result<(), Failure> {
        let clock = self.lease_now();
        let tx = self.db.transaction()?;
        check_owner(&tx, &self.owner, clock)?;
        for ClaimedRun { run, is_first_try, .. } in claims {
            if *is_first_try {
                execute(&tx, NOT_DUE, [run])?;
            }
            execute(&tx, "UPDATE requests SET run = NULL WHERE run = ?1", [run])?;
            execute(&tx, "DELETE FROM runs WHERE id = ?1 AND outcome = 'running'", [run])?;
        }
        tx.commit()?;
        Ok(())
    }

    /// Which version of each of these rows of a source was mailed, in their order; `None` for none. Of a row that
    /// was written again since and skipped it is one that the row does not have.
    pub(crate) fn mailed_rows(&self, source: i64, ids: &[RowId]) -> Result<Vec<Option<RowVersion>>, Failure> {
        self.versions(
            source,
            ids,
            "SELECT iif(mail IS NULL, ~version, version) FROM keys WHERE source = ?1 AND key = ?2
             AND (mail IS NOT NULL OR EXISTS (SELECT 1 FROM earlier WHERE earlier.source = ?1 AND earlier.key = ?2))",
        )
    }

    /// Which version of each of these rows of a source is seen, in their order; `None` for none.
    pub(crate) fn seen_rows(&self, source: i64, ids: &[RowId]) -> Result<Vec<Option<RowVersion>>, Failure> {
        self.versions(source, ids, "SELECT version FROM keys WHERE source = ?1 AND key = ?2")
    }

    fn versions(&self, source: i64, ids: &[RowId], ask: &str) -> Result<Vec<Option<RowVersion>>, Failure> {
        // Without it each look would take the lock of the database again.
        let _together = Transaction::new_unchecked(&self.db, TransactionBehavior::Deferred)?;
        let mut ask = self.db.prepare_cached(ask)?;
        let mut version = |id: &RowId| {
            let found = ask.query_row(params![source, id.0], |row| row.get(0)).optional()?;
            Ok(found.map(RowVersion))
        };
        ids.iter().map(&mut version).collect()
    }

    /// Commits a scan: keys, mails, watermark and run record, all or nothing.
    ///
    /// The mails are taken one at a time, so that only one of them is in memory.
    pub(crate) fn commit_run(
        &mut self,
        run: i64,
        scanned: &ScanResult,
        mails: impl Iterator<Item = io::Result<NewMessage>>,
    ) -> Result<(), Failure> {
        let clock = self.lease_now();
        let tx = self.db.transaction()?;
        check_owner(&tx, &self.owner, clock)?;
        record_scan(&tx, &self.owner, run, scanned, mails)?;
        crash_point("in-commit");
        tx.commit()?;
        Ok(())
    }

    /// Commits scans that processed no row, all or nothing.
    pub(crate) fn commit_empty_scans(&mut self, runs: &[(i64, Arc<ScanResult>)]) -> Result<(), Failure> {
        let clock = self.lease_now();
        let tx = self.db.transaction()?;
        check_owner(&tx, &self.owner, clock)?;
        for (run, scanned) in runs {
            record_scan(&tx, &self.owner, *run, scanned, iter::empty())?;
        }
        crash_point("in-commit");
        tx.commit()?;
        Ok(())
    }

    /// Ends a run that failed; nothing has moved.
    pub(crate) fn fail_run(&mut self, run: i64, failed: &FailedRun, now: Timestamp) -> Result<(), Failure> {
        let clock = self.lease_now();
        let tx = self.db.transaction()?;
        check_owner(&tx, &self.owner, clock)?;
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
        insert_steps(&tx, run, &failed.steps)?;
        take_slot(&tx, flow, due)?;
        tx.commit()?;
        Ok(())
    }

    /// The run of that number.
    pub(crate) fn run(&self, id: i64) -> Result<Option<Run>, Failure> {
        let ask = format!("{RUNS} WHERE runs.id = ?1");
        Ok(self.db.prepare_cached(&ask)?.query_row([id], run_of).optional()?)
    }
}

/// Runs of this owner, or of those who are gone, that are under way are interrupted. Returns how many.
pub(super) fn interrupt_runs(
    tx: &Transaction<'_>,
    owner: Option<&str>,
    now: Timestamp,
) -> rusqlite::Result<usize> {
    execute(tx, &format!("{STAYS_DUE} AND {IS_OF}"), [owner])?;
    execute(tx, &format!("{INTERRUPT} AND {IS_OF}"), params![owner, to_db(now)])
}

fn begin(tx: &Transaction<'_>, owner: &str, run: &NewRun) -> Result<Claim, Failure> {
    see(tx, &run.flow, run.started)?;
    let order = &run.order;
    let started = to_db(run.started);
    let since = order.since.map_or(started, to_db);
    let mut look = tx.prepare_cached(
        "SELECT flows.id, runs.id, runs.owner = ?2 FROM flows LEFT JOIN runs ON runs.flow = flows.id AND outcome = 'running'
         WHERE name = ?1",
    )?;
    let (flow, left, is_ours): (i64, Option<i64>, Option<bool>) =
        look.query_row([&run.flow, owner], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    match (left, is_ours) {
        (Some(left), Some(true)) => {
            execute(tx, &format!("{STAYS_DUE} AND left.id = ?1"), [left])?;
            execute(tx, &format!("{INTERRUPT} AND id = ?1"), params![left, started])?;
        }
        (Some(_), _) => return Ok(Claim::UnderWay),
        (None, _) => {}
    }
    if is_settled(tx, flow, run)? {
        let state = schedule_state(tx, &run.flow)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        return Ok(Claim::Settled(state));
    }
    let mut ask = tx.prepare_cached(
        "SELECT min(coalesce(due_since, ?3), max(coalesce(last_read, ?2), coalesce(seen_on, ?2), ?2), ?3),
             due_since IS NULL, sources.id, identity, first_due, sources.begin, watermark, looked_back
         FROM flows LEFT JOIN sources ON sources.id = source_id WHERE flows.id = ?1",
    )?;
    let (due_since, is_first_try, source): (i64, bool, _) = ask
        .query_row(params![flow, since, started], |row| Ok((row.get(0)?, row.get(1)?, source_at(row, 2)?)))?;
    // The next process may read another recurrence, which does not have the slots that were missed by this one.
    if order.range == RowRange::New && due_since < order.due.map_or(started, to_db) {
        execute(tx, "UPDATE flows SET due_since = ?2 WHERE id = ?1", [flow, due_since])?;
    }
    execute(
        tx,
        "INSERT INTO runs (flow, cause, due, started, outcome, owner, asked_by)
         VALUES (?1, ?2, ?3, ?4, 'running', ?5, ?6)",
        params![flow, order.cause.as_str(), order.due.map(to_db), started, owner, order.asked_by],
    )?;
    let id = tx.last_insert_rowid();
    if let Some(request) = order.request {
        execute(tx, "UPDATE requests SET run = ?2 WHERE id = ?1", params![request, id])?;
    }
    Ok(Claim::Won(ClaimedRun { run: id, due_since: from_db(due_since), is_first_try, source }))
}

/// Whether another node has done what the run was wanted for.
fn is_settled(tx: &Transaction<'_>, flow: i64, run: &NewRun) -> Result<bool, Failure> {
    let NewRun { order, .. } = run;
    let mut ask = tx.prepare_cached(
        "SELECT (?2 IS NOT NULL AND coalesce(last_slot >= ?2, 0))
             OR (?3 AND off_since IS NOT NULL)
             OR (?4 IS NOT NULL AND (failures = 0 OR failed_run IS NOT ?4))
             OR (?5 IS NOT NULL AND NOT EXISTS (SELECT 1 FROM requests WHERE id = ?5 AND run IS NULL AND answer IS NULL))
         FROM flows WHERE id = ?1",
    )?;
    let is_by_itself = matches!(order.cause, Cause::Schedule | Cause::Retry);
    let of_order = params![flow, order.due.map(to_db), is_by_itself, order.retry_of, order.request];
    Ok(ask.query_row(of_order, |row| row.get(0))?)
}

/// Keys, mails, watermark and run record of a scan.
fn record_scan(
    tx: &Transaction<'_>,
    owner: &str,
    run: i64,
    scanned: &ScanResult,
    mails: impl Iterator<Item = io::Result<NewMessage>>,
) -> Result<(), Failure> {
    let (flow, due, is_of_new_rows): (i64, Option<i64>, bool) = tx
        .prepare_cached(&format!(
            "SELECT flow, due, {OF_NEW_ROWS} FROM runs WHERE id = ?1 AND outcome = 'running' AND owner = ?2"
        ))?
        .query_row(params![run, owner], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?
        .ok_or(StoreError::RunOver(run))?;
    if let Some(old) = &scanned.old_rows {
        let mut insert = tx.prepare_cached(INSERT_KEY)?;
        old.each(|RowMark { id, version }| {
            insert.execute(params![scanned.source, id.0, version.0, run, None::<i64>])?;
            Ok(())
        })?;
    }
    insert_keys(tx, scanned.source, run, None, scanned.skipped.clone())?;
    let mut count = 0_i64;
    for mail in mails {
        let mail = mail.map_err(StoreError::Mail)?;
        let id = insert_mail(tx, Some(run), &mail, scanned.now)?;
        insert_keys(tx, scanned.source, run, Some(id), mail.rows)?;
        count += 1;
    }
    if is_of_new_rows {
        move_on(tx, scanned.source, scanned.progress)?;
    }
    let now = to_db(scanned.now);
    let rows = i64::try_from(scanned.rows).unwrap_or(i64::MAX);
    execute(
        tx,
        "UPDATE runs SET ended = ?2, outcome = ?3, summary = ?4, rows = ?5, mails = ?6 WHERE id = ?1",
        params![run, now, scanned.outcome.as_str(), scanned.summary, rows, count],
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
    mut rows: Vec<RowMark>,
) -> Result<(), Failure> {
    let mut insert = tx.prepare_cached(INSERT_KEY)?;
    // In the order of the tree that they go into.
    rows.sort_unstable_by_key(|mark| mark.id);
    for RowMark { id, version } in rows {
        insert.execute(params![source, id.0, version.0, run, mail])?;
    }
    Ok(())
}

/// The slot of a run that has ended is done with; that of an interrupted one is made up for.
fn take_slot(tx: &Transaction<'_>, flow: i64, due: Option<i64>) -> Result<(), Failure> {
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
        outcome: Outcome::parse(&word).unwrap_or(Outcome::Failed),
        summary: row.get(7)?,
        rows: row.get::<_, i64>(8)?.unsigned_abs(),
        mails: row.get::<_, i64>(9)?.unsigned_abs(),
        help: row.get(10)?,
        asked_by: row.get(11)?,
    })
}
