//! Runs: committed in one transaction, looked up.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::claims::OF_NEW_ROWS;
use super::keys::{PIECE, columns, insert_keys};
use super::new_messages::insert_mail;
use super::nodes::check_owner;
use super::steps::StepColumns;
use super::together::{HOLD_LEASE, Statement};
use super::{Client, Db, Failure, Transaction, Values, from_db, maybe_row, rows, text, to_db};
use crate::history::{Outcome, Run};
use crate::platform::blocking::blocking;
use crate::platform::faults::crash_point;
use crate::store::{FailedRun, NewMessage, OldRows, ScanResult, StoreError};

pub(super) const RUNS: &str =
    "SELECT runs.id, flows.name, cause, due, started, ended, outcome, summary, rows, mails,
        help, asked_by FROM runs JOIN flows ON flows.id = runs.flow";

/// The runs that are under way and this owner's. They stay so until the end of the transaction.
const LOCK: &str = "SELECT 1 FROM runs WHERE id = ANY ($1::bigint[]) AND outcome = 'running' AND owner = $2
    ORDER BY id FOR UPDATE";

/// Ends runs that have read their tables to the end, with their steps; what they were made for is done. Where
/// one of them is not under way, or not this owner's, nothing is. They are locked before. Returns how many are ended.
const CLOSE: &str = "WITH read AS (
        SELECT * FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[],
                $9::bigint[], $10::bigint[], $11::bigint[], $12::text[])
            AS read (run, ended, outcome, summary, rows, mails, source, begin, watermark, looked_back, clock_problem)),
    ours AS (SELECT count(*) = cardinality($2) AS are_all FROM runs
        WHERE id = ANY ($2) AND outcome = 'running' AND owner = $1),
    closed AS (UPDATE runs SET ended = read.ended, outcome = read.outcome, summary = read.summary, rows = read.rows,
            mails = read.mails
        FROM read, ours WHERE runs.id = read.run AND ours.are_all
        RETURNING runs.id, runs.flow, runs.due, OF_NEW_ROWS AS is_of_new_rows),
    -- Should a fixed window become a covering one, the baseline is set then.
    moved AS (UPDATE sources SET first_due = NULL, begin = coalesce(read.begin, sources.begin),
            watermark = CASE WHEN read.begin IS NULL THEN sources.watermark ELSE read.watermark END,
            looked_back = CASE WHEN read.begin IS NULL THEN sources.looked_back ELSE read.looked_back END
        FROM read JOIN closed ON closed.id = read.run
        WHERE closed.is_of_new_rows AND sources.id = read.source AND (read.begin IS NOT NULL OR sources.first_due IS NOT NULL)),
    -- The slot of a run that has ended is done with; that of an interrupted one is made up for.
    done AS (UPDATE flows SET last_slot = CASE WHEN closed.due IS NULL THEN last_slot ELSE greatest(last_slot, closed.due) END,
            last_read = CASE WHEN is_of_new_rows THEN read.ended ELSE last_read END,
            failures = CASE WHEN is_of_new_rows THEN 0 ELSE failures END,
            failing_since = CASE WHEN is_of_new_rows THEN NULL ELSE failing_since END,
            due_since = CASE WHEN is_of_new_rows THEN NULL ELSE due_since END,
            clock_problem = CASE WHEN is_of_new_rows THEN read.clock_problem ELSE flows.clock_problem END
        FROM read JOIN closed ON closed.id = read.run WHERE flows.id = closed.flow),
    recorded AS (INSERT INTO steps (run, position, name, inputs, outputs, took)
        SELECT step.* FROM unnest($13::bigint[], $14::bigint[], $15::text[], $16::text[], $17::text[], $18::bigint[]) AS step, ours
        WHERE ours.are_all)
    SELECT count(*) FROM closed";

const FAIL: &str = "WITH closed AS (UPDATE runs SET ended = $3, outcome = 'failed', summary = $4, help = $5
        WHERE id = $2 AND outcome = 'running' AND owner = $1
        RETURNING id, flow, due, cause, OF_NEW_ROWS AS is_of_new_rows),
    -- A slot that is tried again is one failure.
    done AS (UPDATE flows SET last_slot = CASE WHEN closed.due IS NULL THEN last_slot ELSE greatest(last_slot, closed.due) END,
            failures = CASE WHEN is_of_new_rows THEN greatest(1, failures + CASE WHEN cause = 'retry' THEN 0 ELSE 1 END)
                ELSE failures END,
            failing_since = CASE WHEN is_of_new_rows THEN coalesce(failing_since, $3) ELSE failing_since END,
            failed_run = CASE WHEN is_of_new_rows THEN closed.id ELSE failed_run END,
            due_since = CASE WHEN is_of_new_rows THEN least(due_since, $6) ELSE due_since END
        FROM closed WHERE flows.id = closed.flow),
    recorded AS (INSERT INTO steps (run, position, name, inputs, outputs, took)
        SELECT step.* FROM unnest($7::bigint[], $8::bigint[], $9::text[], $10::text[], $11::text[], $12::bigint[]) AS step, closed)
    SELECT count(*) FROM closed";

impl Client {
    /// Commits a scan: keys, mails, watermark and run record, all or nothing.
    ///
    /// The mails are taken one at a time, so that only one of them is in memory.
    pub(in crate::store) async fn commit_run(
        &mut self,
        run: i64,
        mut scanned: ScanResult,
        mut mails: impl Iterator<Item = io::Result<NewMessage>> + Send + 'static,
    ) -> Result<(), Failure> {
        let owner = self.owner.clone();
        let tx = self.transaction().await?;
        check_owner(&tx, &owner).await?;
        maybe_row(&tx, LOCK, &[&[run].as_slice(), &&*owner]).await?.ok_or(StoreError::RunOver(run))?;
        if let Some(old) = scanned.old_rows.take() {
            insert_old_rows(&tx, scanned.source, run, *old).await?;
        }
        let (keys, versions) = columns(std::mem::take(&mut scanned.skipped));
        insert_keys(&tx, scanned.source, run, None, (&keys, &versions)).await?;
        let mut count = 0;
        loop {
            let (next, rest) =
                blocking(move || (mails.next(), mails)).await.map_err(|_| StoreError::Stopped)?;
            mails = rest;
            let Some(mail) = next else { break };
            let mail = mail.map_err(StoreError::Mail)?;
            let id = insert_mail(&tx, Some(run), &mail, scanned.now).await?;
            let (keys, versions) = columns(mail.rows);
            insert_keys(&tx, scanned.source, run, Some(id), (&keys, &versions)).await?;
            count += 1;
        }
        let ended = [(run, &scanned, count)];
        let columns = EndedColumns::of(&owner, &ended);
        let closed = rows(&tx, &CLOSE.replace("OF_NEW_ROWS", OF_NEW_ROWS), &columns.values()).await?;
        columns.check(&tx, &closed).await?;
        crash_point("in-commit");
        tx.commit().await?;
        Ok(())
    }

    /// Commits scans that processed no row, all or nothing.
    pub(in crate::store) async fn commit_empty_scans(
        &self,
        runs: &[(i64, Arc<ScanResult>)],
    ) -> Result<(), Failure> {
        let ended: Vec<_> = runs.iter().map(|(run, scanned)| (*run, &**scanned, 0)).collect();
        let columns = EndedColumns::of(self.owner(), &ended);
        let close = CLOSE.replace("OF_NEW_ROWS", OF_NEW_ROWS);
        let all: [Statement<'_>; 3] = [
            (HOLD_LEASE, &[&self.owner()]),
            (LOCK, &[&columns.runs, &self.owner()]),
            (&close, &columns.values()),
        ];
        crash_point("in-commit");
        let count = self.together(&all).await?.pop().unwrap_or_default();
        columns.check(self, &count).await
    }

    /// Ends a run that failed; nothing has moved.
    pub(in crate::store) async fn fail_run(
        &self,
        run: i64,
        failed: &FailedRun,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let mut steps = StepColumns::default();
        steps.add(run, &failed.steps);
        let StepColumns { runs, positions, names, inputs, outputs, took } = &steps;
        let (summary, help) = (text(&failed.summary), text(&failed.help));
        let (ended, due_since) = (to_db(now), to_db(failed.due_since));
        let fails = FAIL.replace("OF_NEW_ROWS", OF_NEW_ROWS);
        let values: Values<'_> = &[
            &self.owner(),
            &run,
            &ended,
            &summary,
            &help,
            &due_since,
            runs,
            positions,
            names,
            inputs,
            outputs,
            took,
        ];
        let all: [Statement<'_>; 2] = [(HOLD_LEASE, &[&self.owner()]), (&fails, values)];
        let closed = self.together(&all).await?.pop().unwrap_or_default();
        if closed.first().is_none_or(|row| row.get::<_, i64>(0) == 0) {
            return Err(StoreError::RunOver(run).into());
        }
        Ok(())
    }

    /// The run of that number.
    pub(in crate::store) async fn run(&self, id: i64) -> Result<Option<Run>, Failure> {
        let ask = format!("{RUNS} WHERE runs.id = $1");
        Ok(maybe_row(self, &ask, &[&id]).await?.map(|row| run_of(&row)))
    }
}

/// All that the table had before, in pieces.
async fn insert_old_rows(tx: &Transaction<'_>, source: i64, run: i64, old: OldRows) -> Result<(), Failure> {
    let old = Arc::new(old);
    let mut last = None;
    loop {
        let here = Arc::clone(&old);
        let piece = blocking(move || here.piece(last, PIECE)).await.map_err(|_| StoreError::Stopped)??;
        let Some(end) = piece.last() else { return Ok(()) };
        last = Some(end.id);
        let (keys, versions) = columns(piece);
        insert_keys(tx, source, run, None, (&keys, &versions)).await?;
    }
}

/// Runs that have read their tables to the end, as columns.
struct EndedColumns<'a> {
    owner: &'a str,
    runs: Vec<i64>,
    mails: Vec<i64>,
    outcomes: Vec<&'static str>,
    summaries: Vec<Cow<'a, str>>,
    problems: Vec<Option<Cow<'a, str>>>,
    ended: Vec<i64>,
    rows: Vec<i64>,
    sources: Vec<i64>,
    begin: Vec<Option<i64>>,
    watermarks: Vec<Option<i64>>,
    looked_back: Vec<Option<i64>>,
    steps: StepColumns,
}

impl<'a> EndedColumns<'a> {
    /// Each run with what it has read, and how many mails it has made.
    fn of(owner: &'a str, ended: &[(i64, &'a ScanResult, i64)]) -> Self {
        let scans = || ended.iter().map(|(_, scanned, _)| *scanned);
        let mut steps = StepColumns::default();
        for (run, scanned, _) in ended {
            steps.add(*run, &scanned.steps);
        }
        Self {
            owner,
            runs: ended.iter().map(|(run, ..)| *run).collect(),
            mails: ended.iter().map(|(_, _, mails)| *mails).collect(),
            outcomes: scans().map(|scanned| scanned.outcome.as_str()).collect(),
            summaries: scans().map(|scanned| text(&scanned.summary)).collect(),
            problems: scans().map(|scanned| scanned.clock_problem.as_deref().map(text)).collect(),
            ended: scans().map(|scanned| to_db(scanned.now)).collect(),
            rows: scans().map(|scanned| i64::try_from(scanned.rows).unwrap_or(i64::MAX)).collect(),
            sources: scans().map(|scanned| scanned.source).collect(),
            begin: scans().map(|scanned| Some(to_db(scanned.progress?.baseline))).collect(),
            watermarks: scans().map(|scanned| Some(to_db(scanned.progress?.watermark?))).collect(),
            looked_back: scans().map(|scanned| Some(to_db(scanned.progress?.last_deep_scan?))).collect(),
            steps,
        }
    }

    /// The parameters of [`CLOSE`].
    fn values(&self) -> [&(dyn ToSql + Sync); 18] {
        let StepColumns { runs, positions, names, inputs, outputs, took } = &self.steps;
        [
            &self.owner,
            &self.runs,
            &self.ended,
            &self.outcomes,
            &self.summaries,
            &self.rows,
            &self.mails,
            &self.sources,
            &self.begin,
            &self.watermarks,
            &self.looked_back,
            &self.problems,
            runs,
            positions,
            names,
            inputs,
            outputs,
            took,
        ]
    }

    /// That [`CLOSE`] has ended all of them.
    async fn check(&self, db: &impl Db, closed: &[Row]) -> Result<(), Failure> {
        let count = closed.first().map_or(0, |row| row.get::<_, i64>(0));
        if usize::try_from(count) == Ok(self.runs.len()) {
            return Ok(());
        }
        let ask = "SELECT wanted.run FROM unnest($1::bigint[]) AS wanted (run) WHERE NOT EXISTS (
            SELECT 1 FROM runs WHERE id = wanted.run AND outcome = 'running' AND owner = $2) LIMIT 1";
        let lost = maybe_row(db, ask, &[&self.runs, &self.owner]).await?.map(|row| row.get(0));
        Err(StoreError::RunOver(lost.or(self.runs.first().copied()).unwrap_or_default()).into())
    }
}

/// The columns of [`RUNS`].
pub(super) fn run_of(row: &Row) -> Run {
    run_of_columns(row, 0)
}

/// The columns of [`RUNS`], from this one on.
pub(super) fn run_of_columns(row: &Row, first: usize) -> Run {
    let moment = |column| row.get::<_, Option<i64>>(first + column).map(from_db);
    Run {
        id: row.get(first),
        flow: row.get(first + 1),
        cause: row.get(first + 2),
        due: moment(3),
        started: from_db(row.get(first + 4)),
        ended: moment(5),
        outcome: Outcome::parse(row.get(first + 6)).unwrap_or(Outcome::Failed),
        summary: row.get(first + 7),
        rows: row.get::<_, i64>(first + 8).unsigned_abs(),
        mails: row.get::<_, i64>(first + 9).unsigned_abs(),
        help: row.get(first + 10),
        asked_by: row.get(first + 11),
    }
}
