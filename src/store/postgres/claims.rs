//! Runs that are claimed, given back, or left under way.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::flows::{SCHEDULE, SEE, schedule_of};
use super::sources::{COLUMNS, source_of};
use super::together::{HOLD_LEASE, Statement};
use super::{Client, Failure, Transaction, Values, from_db, rows, text, to_db};
use crate::history::{Cause, RowRange};
use crate::planner::ScheduleState;
use crate::store::{Claim, ClaimedRun, NewRun};

/// A run of the past says nothing of how the flow is.
pub(super) const OF_NEW_ROWS: &str = "cause NOT IN ('resubmit', 'replay')";

/// Flows that no other transaction has in hands.
const LOCK: &str =
    "SELECT name FROM flows WHERE name = ANY ($1::text[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED";

/// What is known of flows that are wanted, each with the run that is under way and the table that it reads.
const LOOK: &str = "SELECT wanted.at, flows.id, run_left.id, run_left.owner = $8,
        least(coalesce(stays.due_since, wanted.started),
            greatest(coalesce(last_read, wanted.since), coalesce(seen_on, wanted.since), wanted.since), wanted.started),
        stays.due_since IS NULL,
        -- Whether another node has done what the run is wanted for, or a person wants none.
        coalesce(flows.last_slot >= wanted.due, false) OR wanted.is_by_itself AND flows.off_since IS NOT NULL
            OR wanted.retry_of IS NOT NULL AND (flows.failures = 0 OR flows.failed_run IS DISTINCT FROM wanted.retry_of)
            OR wanted.request IS NOT NULL AND NOT EXISTS (SELECT 1 FROM requests
                WHERE requests.id = wanted.request AND requests.run IS NULL AND requests.answer IS NULL),
        SCHEDULE, COLUMNS
    FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::boolean[], $6::bigint[], $7::bigint[])
        WITH ORDINALITY AS wanted (name, started, since, due, is_by_itself, retry_of, request, at)
    JOIN flows ON flows.name = wanted.name
    LEFT JOIN runs AS run_left ON run_left.flow = flows.id AND run_left.outcome = 'running'
    CROSS JOIN LATERAL (SELECT CASE WHEN run_left.cause NOT IN ('resubmit', 'replay')
        THEN coalesce(flows.due_since, run_left.due, run_left.started) ELSE flows.due_since END AS due_since) AS stays
    LEFT JOIN sources ON sources.id = flows.source_id";

const BEGIN: &str = "WITH wanted AS (
        SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[])
            WITH ORDINALITY AS wanted (flow, cause, due, started, due_since, request, asked_by, at)),
    late AS (UPDATE flows SET due_since = wanted.due_since FROM wanted
        WHERE flows.id = wanted.flow AND wanted.due_since IS NOT NULL),
    begun AS (INSERT INTO runs (flow, cause, due, started, outcome, owner, asked_by)
        SELECT flow, cause, due, started, 'running', $8, asked_by FROM wanted ORDER BY at RETURNING id, flow),
    asked AS (UPDATE requests SET run = begun.id FROM begun JOIN wanted ON wanted.flow = begun.flow
        WHERE requests.id = wanted.request)
    SELECT flow, id FROM begun";

/// Ends runs that were left under way. What one that was to read new rows was made for stays due until one of them has
/// read the table.
const INTERRUPT: &str = "WITH over AS (SELECT * FROM runs WHERE outcome = 'running' AND WHICH),
    stays AS (UPDATE flows SET due_since = coalesce(flows.due_since, over.due, over.started) FROM over
        WHERE flows.id = over.flow AND over.cause NOT IN ('resubmit', 'replay')),
    ended AS (UPDATE runs SET outcome = 'interrupted', ended = $2,
            summary = 'it ended before its end was recorded; nothing was moved'
        FROM over WHERE runs.id = over.id RETURNING 1)
    SELECT count(*) FROM ended";

/// The runs of some owners, for [`INTERRUPT`].
const OF_OWNERS: &str = "owner = ANY ($1::text[])";

/// What a claim finds of a flow.
struct Found {
    flow: i64,
    /// The run that is under way, and whether it is this owner's.
    left: Option<(i64, bool)>,
    is_settled: bool,
    schedule: ScheduleState,
    due_since: i64,
    claimed: ClaimedRun,
}

impl Found {
    /// Whether a run begins.
    fn is_won(&self) -> bool {
        !self.is_settled && self.left.is_none_or(|(_, is_ours)| is_ours)
    }

    /// What becomes of the claim, with the number of the run that has begun.
    fn claim(self, run: i64) -> Claim {
        match self.left {
            Some((_, false)) => Claim::UnderWay,
            _ if self.is_settled => Claim::Settled(self.schedule),
            _ => Claim::Won(ClaimedRun { run, ..self.claimed }),
        }
    }
}

impl Client {
    /// Claims runs, each on its own; a slot counts as taken once the end of its run is recorded. A run of this owner
    /// that was left under way, since its end could not be recorded, is interrupted.
    pub(in crate::store) async fn claim_runs(&self, runs: &[NewRun]) -> Result<Vec<Claim>, Failure> {
        let mut found = self.look(runs).await?;
        let begun = self.begin(runs, &found).await?;
        let claim = |at| {
            // Who has the flow in hands at this moment is about to begin a run of it, or to end one.
            let Some(found) = found.remove(&at) else { return Claim::UnderWay };
            let run = begun.get(&found.flow).copied().unwrap_or_default();
            found.claim(run)
        };
        Ok((1_i64..).zip(runs).map(|(at, _)| at).map(claim).collect())
    }

    /// Ends the runs that this owner has under way.
    pub(in crate::store) async fn interrupt_runs(&self, now: Timestamp) -> Result<usize, Failure> {
        let (interrupt, owner) = (INTERRUPT.replace("WHICH", OF_OWNERS), [self.owner()]);
        let all: [Statement<'_>; 2] =
            [(HOLD_LEASE, &[&self.owner()]), (&interrupt, &[&owner.as_slice(), &to_db(now)])];
        Ok(self.together(&all).await?.pop().map_or(0, |rows| count_of(&rows)))
    }

    /// Takes back claims of runs that have done nothing yet; what asked for them waits again.
    pub(in crate::store) async fn withdraw_runs(&self, claims: &[ClaimedRun]) -> Result<(), Failure> {
        let runs: Vec<i64> = claims.iter().map(|claim| claim.run).collect();
        let first: Vec<i64> =
            claims.iter().filter(|claim| claim.is_first_try).map(|claim| claim.run).collect();
        let withdraw = "WITH taken AS (
                DELETE FROM runs WHERE id = ANY ($1::bigint[]) AND outcome = 'running' AND owner = $3 RETURNING id, flow),
            -- As it was before a claim recorded more than its own slot.
            not_due AS (UPDATE flows SET due_since = NULL FROM taken
                WHERE flows.id = taken.flow AND taken.id = ANY ($2::bigint[]))
            UPDATE requests SET run = NULL FROM taken WHERE requests.run = taken.id";
        let all: [Statement<'_>; 2] =
            [(HOLD_LEASE, &[&self.owner()]), (withdraw, &[&runs, &first, &self.owner()])];
        self.together(&all).await.map(drop)
    }

    /// Locks the flows that nobody else has in hands, and looks at them; by the place of each in the list. Leaves the
    /// transaction open.
    async fn look(&self, runs: &[NewRun]) -> Result<BTreeMap<i64, Found>, Failure> {
        let names: Vec<&str> = runs.iter().map(|run| run.flow.as_str()).collect();
        let started: Vec<i64> = runs.iter().map(|run| to_db(run.started)).collect();
        let since: Vec<i64> = runs.iter().map(|run| to_db(run.order.since.unwrap_or(run.started))).collect();
        let due: Vec<Option<i64>> = runs.iter().map(|run| run.order.due.map(to_db)).collect();
        let is_by_itself: Vec<bool> =
            runs.iter().map(|run| matches!(run.order.cause, Cause::Schedule | Cause::Retry)).collect();
        let retry_of: Vec<Option<i64>> = runs.iter().map(|run| run.order.retry_of).collect();
        let requests: Vec<Option<i64>> = runs.iter().map(|run| run.order.request).collect();
        let look = LOOK.replace("SCHEDULE", SCHEDULE).replace("COLUMNS", COLUMNS);
        let of_flows: Values<'_> =
            &[&names, &started, &since, &due, &is_by_itself, &retry_of, &requests, &self.owner()];
        let all: [Statement<'_>; 4] = [
            (HOLD_LEASE, &[&self.owner()]),
            (SEE, &[&names, &started]),
            (LOCK, &[&names]),
            (&look, of_flows),
        ];
        let mut found = self.begin_together(&all).await?;
        let (known, locked) = (found.pop().unwrap_or_default(), found.pop().unwrap_or_default());
        let locked: BTreeSet<&str> = locked.iter().map(|row| row.get(0)).collect();
        let is_locked = |at: i64| {
            let name = usize::try_from(at - 1).ok().and_then(|at| names.get(at));
            name.is_some_and(|name| locked.contains(name))
        };
        let found = known.iter().map(|row| (row.get::<_, i64>(0), found_of(row)));
        Ok(found.filter(|(at, _)| is_locked(*at)).collect())
    }

    /// Begins a run of each flow that is won, and ends the transaction. Returns the number of each flow's run.
    async fn begin(
        &self,
        runs: &[NewRun],
        found: &BTreeMap<i64, Found>,
    ) -> Result<BTreeMap<i64, i64>, Failure> {
        let of_run = INTERRUPT.replace("WHICH", "id = $1");
        let lost = |(at, run): (i64, &NewRun)| match found.get(&at)?.left {
            Some((left, true)) => Some((left, to_db(run.started))),
            _ => None,
        };
        let lost: Vec<(i64, i64)> = (1_i64..).zip(runs).filter_map(lost).collect();
        let lost: Vec<[&(dyn ToSql + Sync); 2]> =
            lost.iter().map(|(run, now)| [run as _, now as _]).collect();
        let new = NewRuns::of(runs, found);
        let NewRuns { flows, causes, due, started, due_since, requests, asked_by } = &new;
        let values: Values<'_> = &[flows, causes, due, started, due_since, requests, asked_by, &self.owner()];
        let mut all: Vec<Statement<'_>> =
            lost.iter().map(|lost| (of_run.as_str(), lost.as_slice())).collect();
        all.push((BEGIN, values));
        let begun = self.end_together(&all).await?.pop().unwrap_or_default();
        Ok(begun.iter().map(|row| (row.get(0), row.get(1))).collect())
    }
}

/// Runs that these owners have left under way are interrupted. Returns how many.
pub(super) async fn interrupt_runs_of(
    tx: &Transaction<'_>,
    owners: &[String],
    now: Timestamp,
) -> Result<usize, Failure> {
    let interrupt = INTERRUPT.replace("WHICH", OF_OWNERS);
    Ok(count_of(&rows(tx, &interrupt, &[&owners, &to_db(now)]).await?))
}

/// The number that a statement counts.
fn count_of(rows: &[Row]) -> usize {
    rows.first().map_or(0, |row| usize::try_from(row.get::<_, i64>(0)).unwrap_or_default())
}

fn found_of(row: &Row) -> Found {
    let left = row.get::<_, Option<i64>>(2).map(|left| (left, row.get::<_, Option<bool>>(3) == Some(true)));
    let due_since: i64 = row.get(4);
    let source = row.get::<_, Option<i64>>(11).map(|_| source_of(row, 11));
    let claimed = ClaimedRun { run: 0, due_since: from_db(due_since), is_first_try: row.get(5), source };
    Found {
        flow: row.get(1),
        left,
        is_settled: row.get(6),
        schedule: schedule_of(row, 7),
        due_since,
        claimed,
    }
}

/// Runs that begin, as columns.
#[derive(Default)]
struct NewRuns<'a> {
    flows: Vec<i64>,
    causes: Vec<&'static str>,
    due: Vec<Option<i64>>,
    started: Vec<i64>,
    /// What a flow is due since from now on, where that is another moment.
    due_since: Vec<Option<i64>>,
    requests: Vec<Option<i64>>,
    asked_by: Vec<Option<Cow<'a, str>>>,
}

impl<'a> NewRuns<'a> {
    /// Of the flows that are won.
    fn of(runs: &'a [NewRun], found: &BTreeMap<i64, Found>) -> Self {
        let mut new = Self::default();
        for (at, run) in (1_i64..).zip(runs) {
            let Some(found) = found.get(&at).filter(|found| found.is_won()) else { continue };
            let order = &run.order;
            new.flows.push(found.flow);
            new.causes.push(order.cause.as_str());
            new.due.push(order.due.map(to_db));
            new.started.push(to_db(run.started));
            // The next process may read another recurrence, which does not have the slots that were missed by this one.
            let is_late = found.due_since < to_db(order.due.unwrap_or(run.started));
            new.due_since.push((order.range == RowRange::New && is_late).then_some(found.due_since));
            new.requests.push(order.request);
            new.asked_by.push(order.asked_by.as_deref().map(text));
        }
        new
    }
}
