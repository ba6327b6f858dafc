//! Runs: claimed, committed in one transaction, looked up.

use std::io;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{
    Connection, OptionalExtension, Params, Row as DbRow, Transaction, TransactionBehavior, params,
};

use super::outbox::{NewMail, insert_mail};
use super::{Reading, Store, StoreError, from_db, to_db};
use crate::crash_point::crash_point;
use crate::history::{Order, Outcome, Run, Step};
use crate::row::{Key, Mark, Version};

/// A run that begins.
#[derive(Debug, Clone, Copy)]
pub struct NewRun<'a> {
    /// The flow's name; it must have been seen ([`Store::anchor`]).
    pub flow: &'a str,
    /// What it is to do.
    pub order: Order,
    /// Now.
    pub started: Timestamp,
}

/// What a complete scan found, to be committed as a whole with its mails.
#[derive(Debug)]
pub struct Scanned {
    /// Begin, watermark and deep scan as they are from now on; `None` leaves them (a fixed window).
    pub reading: Option<Reading>,
    /// Rows that are not news any more, unmailed: before begin, or passed over.
    pub passed_over: Vec<Mark>,
    /// How many new rows the run had.
    pub rows: u64,
    /// What came of it so far.
    pub outcome: Outcome,
    /// The outcome in a sentence.
    pub summary: String,
    /// Why the watermark stays, where the clocks cannot be trusted.
    pub clock_problem: Option<String>,
    /// What the run did, for the history.
    pub steps: Vec<Step>,
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
    pub steps: &'a [Step],
}

pub(super) const RUNS: &str =
    "SELECT runs.id, flows.name, cause, due, started, ended, outcome, summary, rows, mails,
        help FROM runs JOIN flows ON flows.id = runs.flow";

impl Store {
    /// Claims a run; its slot counts as taken once its end is recorded. A run that was left under way, since its end could not be
    /// recorded, is interrupted: the caller never runs a flow beside itself.
    ///
    /// # Errors
    /// When the database fails.
    pub fn begin_run(&mut self, run: &NewRun<'_>) -> Result<i64, StoreError> {
        let tx = self.db.transaction()?;
        interrupt(&tx, Some(run.flow), run.started)?;
        execute(
            &tx,
            "INSERT INTO runs (flow, cause, due, started, outcome)
             SELECT id, ?2, ?3, ?4, 'running' FROM flows WHERE name = ?1",
            params![run.flow, run.order.cause.word(), run.order.due.map(to_db), to_db(run.started)],
        )?;
        let id = tx.last_insert_rowid();
        execute(&tx, "UPDATE requests SET run = ?2 WHERE id = ?1", params![run.order.request, id])?;
        tx.commit()?;
        Ok(id)
    }

    /// Which version of each of these rows the flow has mailed, in their order; `None` for none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn mailed(&self, flow: &str, keys: &[Key]) -> Result<Vec<Option<Version>>, StoreError> {
        self.versions(flow, keys, "AND mail IS NOT NULL")
    }

    /// Which version of each of these rows the flow has handed on, in their order; `None` for none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn known(&self, flow: &str, keys: &[Key]) -> Result<Vec<Option<Version>>, StoreError> {
        self.versions(flow, keys, "")
    }

    fn versions(&self, flow: &str, keys: &[Key], more: &str) -> Result<Vec<Option<Version>>, StoreError> {
        // Without it each look would take the lock of the database anew.
        let _together = Transaction::new_unchecked(&self.db, TransactionBehavior::Deferred)?;
        let mut id = self.db.prepare_cached("SELECT id FROM flows WHERE name = ?1")?;
        let id: Option<i64> = id.query_row([flow], |row| row.get(0)).optional()?;
        let mut ask = self
            .db
            .prepare_cached(&format!("SELECT version FROM keys WHERE flow = ?1 AND key = ?2 {more}"))?;
        let mut version = |key: &Key| {
            let found = ask.query_row(params![id, key.0], |row| row.get(0)).optional()?;
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
        let flow: i64 = tx
            .prepare_cached("SELECT flow FROM runs WHERE id = ?1 AND outcome = 'running'")?
            .query_row([run], |row| row.get(0))
            .optional()?
            .ok_or(StoreError::RunOver(run))?;
        insert_keys(&tx, flow, run, None, &scanned.passed_over)?;
        let mut count = 0_i64;
        for mail in mails {
            let mail = mail.map_err(StoreError::Mail)?;
            let id = insert_mail(&tx, Some(run), &mail, scanned.now)?;
            insert_keys(&tx, flow, run, Some(id), mail.rows)?;
            count += 1;
        }
        if let Some(Reading { source, past }) = &scanned.reading {
            execute(
                &tx,
                "UPDATE flows SET source = ?2, begin = ?3, watermark = ?4, looked_back = ?5 WHERE id = ?1",
                params![
                    flow,
                    source,
                    to_db(past.begin),
                    past.watermark.map(to_db),
                    past.looked_back.map(to_db)
                ],
            )?;
        }
        execute(
            &tx,
            "UPDATE runs SET ended = ?2, outcome = ?3, summary = ?4, rows = ?5, mails = ?6 WHERE id = ?1",
            params![
                run,
                to_db(scanned.now),
                scanned.outcome.word(),
                scanned.summary,
                i64::try_from(scanned.rows).unwrap_or(i64::MAX),
                count
            ],
        )?;
        if is_of_new_rows(&tx, run)? {
            execute(
                &tx,
                "UPDATE flows SET last_read = ?2, failures = 0, failing_since = NULL, clock_problem = ?3 WHERE id = ?1",
                params![flow, to_db(scanned.now), scanned.clock_problem],
            )?;
        }
        insert_steps(&tx, run, &scanned.steps)?;
        take_slot(&tx, run)?;
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
        tx.execute(
            "UPDATE runs SET ended = ?2, outcome = 'failed', summary = ?3, help = ?4 WHERE id = ?1",
            params![run, to_db(now), failed.summary, failed.help],
        )?;
        if is_of_new_rows(&tx, run)? {
            tx.execute(
                "UPDATE flows SET failures = failures + 1, failing_since = coalesce(failing_since, ?2), failed_run = ?1
                 WHERE id = (SELECT flow FROM runs WHERE id = ?1)",
                params![run, to_db(now)],
            )?;
        }
        insert_steps(&tx, run, failed.steps)?;
        take_slot(&tx, run)?;
        tx.commit()?;
        Ok(())
    }

    /// Runs that were left under way, of one flow or of all, are interrupted. Returns how many.
    ///
    /// # Errors
    /// When the database fails.
    pub fn interrupt_runs(&mut self, flow: Option<&str>, now: Timestamp) -> Result<usize, StoreError> {
        interrupt(&self.db, flow, now)
    }

    /// The run of that number.
    ///
    /// # Errors
    /// When the database fails.
    pub fn run(&self, id: i64) -> Result<Option<Run>, StoreError> {
        let ask = format!("{RUNS} WHERE runs.id = ?1");
        Ok(self.db.prepare_cached(&ask)?.query_row([id], run_of).optional()?)
    }

    /// The steps of a run, in their order.
    ///
    /// # Errors
    /// When the database fails.
    pub fn steps(&self, run: i64) -> Result<Vec<Step>, StoreError> {
        let mut ask = self.db.prepare_cached(
            "SELECT name, inputs, outputs, took FROM steps WHERE run = ?1 ORDER BY position",
        )?;
        let json = |text: String| serde_json::from_str(&text).unwrap_or_default();
        let found = ask
            .query_map([run], |row| {
                Ok(Step {
                    name: row.get(0)?,
                    inputs: json(row.get(1)?),
                    outputs: json(row.get(2)?),
                    took: SignedDuration::from_micros(row.get(3)?),
                })
            })?
            .collect::<Result<_, _>>()?;
        Ok(found)
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

fn interrupt(db: &Connection, flow: Option<&str>, now: Timestamp) -> Result<usize, StoreError> {
    Ok(execute(
        db,
        "UPDATE runs SET outcome = 'interrupted', ended = ?1,
             summary = 'it ended before its end was recorded; nothing was moved'
         WHERE outcome = 'running' AND (?2 IS NULL OR flow = (SELECT id FROM flows WHERE name = ?2))",
        params![to_db(now), flow],
    )?)
}

/// What every run does is parsed once.
fn execute(db: &Connection, sql: &str, values: impl Params) -> rusqlite::Result<usize> {
    db.prepare_cached(sql)?.execute(values)
}

fn insert_keys(
    tx: &Transaction<'_>,
    flow: i64,
    run: i64,
    mail: Option<i64>,
    rows: &[Mark],
) -> Result<(), StoreError> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO keys (flow, key, version, run, mail) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (flow, key) DO UPDATE SET version = ?3, run = ?4, mail = ?5",
    )?;
    // In the order of the tree that they go into.
    let mut rows = rows.to_vec();
    rows.sort_unstable_by_key(|mark| mark.key);
    for Mark { key, version } in rows {
        insert.execute(params![flow, key.0, version.0, run, mail])?;
    }
    Ok(())
}

/// A run of the past says nothing of how the flow is.
fn is_of_new_rows(tx: &Transaction<'_>, run: i64) -> Result<bool, StoreError> {
    let mut ask =
        tx.prepare_cached("SELECT 1 FROM runs WHERE id = ?1 AND cause NOT IN ('resubmit', 'replay')")?;
    Ok(ask.exists([run])?)
}

/// The slot of a run that has ended is done with; that of an interrupted one is made up for.
fn take_slot(tx: &Transaction<'_>, run: i64) -> Result<(), StoreError> {
    execute(
        tx,
        "UPDATE flows SET last_slot = max(coalesce(last_slot, runs.due), runs.due)
         FROM runs WHERE runs.id = ?1 AND flows.id = runs.flow AND runs.due IS NOT NULL",
        [run],
    )?;
    Ok(())
}

fn insert_steps(tx: &Transaction<'_>, run: i64, steps: &[Step]) -> Result<(), StoreError> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO steps (run, position, name, inputs, outputs, took) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (position, step) in (0_i64..).zip(steps) {
        let took = i64::try_from(step.took.as_micros()).unwrap_or(i64::MAX);
        insert.execute(params![
            run,
            position,
            step.name,
            step.inputs.to_string(),
            step.outputs.to_string(),
            took
        ])?;
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
