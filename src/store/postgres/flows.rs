//! What the state knows of a flow.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use tokio_postgres::Row;

use super::identity::count_schedule;
use super::runs::run_of_columns;
use super::{Client, Db, Failure, execute, from_db, maybe_row, row, rows, text, to_db};
use crate::planner::ScheduleState;
use crate::store::FlowOverview;

/// As far as a look-back reaches, if nothing else is said.
const FAR_BACK: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What `schedule_of` reads, of `flows`.
pub(super) const SCHEDULE: &str = "flows.anchor, flows.last_slot, flows.off_since IS NOT NULL, CASE WHEN flows.failures > 0 THEN flows.failed_run END";

/// Flows that were never seen, and those that were by a clock that was set back since: what lies ahead of it would never
/// come due.
pub(super) const SEE: &str = "INSERT INTO flows (name, anchor)
    SELECT DISTINCT ON (name) name, at FROM unnest($1::text[], $2::bigint[]) AS seen (name, at)
    WHERE NOT EXISTS (SELECT 1 FROM flows WHERE flows.name = seen.name AND anchor <= at AND coalesce(last_slot, at) <= at)
    ON CONFLICT (name) DO UPDATE
    SET anchor = least(flows.anchor, excluded.anchor), last_slot = least(flows.last_slot, excluded.anchor)";

/// A flow that has taken no slot yet counts its slots from when it is seen on.
const SEE_ON: &str = "UPDATE flows SET seen_on = $2,
        anchor = CASE WHEN last_slot IS NULL AND due_since IS NULL THEN $2 ELSE anchor END
    WHERE name = ANY ($1::text[]) AND seen_on IS NULL";

impl Client {
    /// What the plan needs of these flows, which are all of the file, each with whether that has it on; one that was
    /// never seen is seen `now`. While a flow has never been on it is seen anew each time.
    pub(in crate::store) async fn schedule_states(
        &mut self,
        flows: &[(String, bool)],
        now: Timestamp,
    ) -> Result<BTreeMap<String, ScheduleState>, Failure> {
        let names: Vec<&str> = flows.iter().map(|(name, _)| name.as_str()).collect();
        let enabled: Vec<&str> =
            flows.iter().filter(|(_, is_on)| *is_on).map(|(name, _)| name.as_str()).collect();
        let tx = self.transaction().await?;
        see_all(&tx, &names, &vec![to_db(now); names.len()]).await?;
        let on = "SELECT name FROM flows WHERE name = ANY ($1::text[]) AND off_since IS NULL";
        let on: Vec<String> = rows(&tx, on, &[&enabled]).await?.iter().map(|row| row.get(0)).collect();
        execute(&tx, SEE_ON, &[&on, &to_db(now)]).await?;
        let not_on = "UPDATE flows SET seen_on = NULL WHERE seen_on IS NOT NULL AND name <> ALL ($1::text[])";
        execute(&tx, not_on, &[&on]).await?;
        // Seen on for the first time, perhaps.
        see_all(&tx, &names, &vec![to_db(now); names.len()]).await?;
        let ask = format!("SELECT {SCHEDULE}, name FROM flows WHERE name = ANY ($1::text[])");
        let found = rows(&tx, &ask, &[&names]).await?;
        tx.commit().await?;
        Ok(found.iter().map(|row| (row.get(4), schedule_of(row, 0))).collect())
    }

    /// What `leadflow list` shows of flows.
    pub(in crate::store) async fn overview(&self, flows: &[String]) -> Result<Vec<FlowOverview>, Failure> {
        let ask = format!(
            "SELECT wanted.at, {SCHEDULE}, flows.off_since, coalesce(waiting.mails, 0), last.id, flows.name, last.cause, last.due,
                 last.started, last.ended, last.outcome, last.summary, last.rows, last.mails, last.help, last.asked_by, flows.off_by
             FROM unnest($1::text[]) WITH ORDINALITY AS wanted (name, at) JOIN flows ON flows.name = wanted.name
             LEFT JOIN LATERAL (SELECT * FROM runs WHERE runs.flow = flows.id ORDER BY runs.id DESC LIMIT 1) AS last ON true
             LEFT JOIN (SELECT runs.flow, count(*) AS mails FROM mails JOIN runs ON runs.id = mails.run
                 WHERE mails.next_try IS NOT NULL GROUP BY runs.flow) AS waiting ON waiting.flow = flows.id"
        );
        let mut all = vec![FlowOverview::default(); flows.len()];
        let names: Vec<_> = flows.iter().map(|flow| text(flow)).collect();
        for row in rows(self, &ask, &[&names]).await? {
            let at: i64 = row.get(0);
            let Some(one) = usize::try_from(at - 1).ok().and_then(|at| all.get_mut(at)) else { continue };
            *one = FlowOverview {
                schedule: Some(schedule_of(&row, 1)),
                off_since: row.get::<_, Option<i64>>(5).map(from_db),
                last_run: row.get::<_, Option<i64>>(7).map(|_| run_of_columns(&row, 7)),
                waiting_mails: row.get(6),
                off_by: row.get(19),
            };
        }
        Ok(all)
    }

    /// When the flow was first seen; `None` if it never was.
    pub(in crate::store) async fn seen(&self, flow: &str) -> Result<Option<Timestamp>, Failure> {
        let found = maybe_row(self, "SELECT anchor FROM flows WHERE name = $1", &[&text(flow)]).await?;
        Ok(found.map(|row| from_db(row.get(0))))
    }

    /// The clock was set back by this much; these flows are due since then.
    pub(in crate::store) async fn clock_went_back(
        &mut self,
        by: SignedDuration,
        due: &[(String, Timestamp)],
        now: Timestamp,
    ) -> Result<(), Failure> {
        let tx = self.transaction().await?;
        clock_went_back(&tx, Some(by), now).await?;
        let (flows, since): (Vec<_>, Vec<_>) =
            due.iter().map(|(flow, since)| (text(flow), to_db(*since))).unzip();
        let set = "UPDATE flows SET due_since = least(flows.due_since, due.since)
            FROM unnest($1::text[], $2::bigint[]) AS due (flow, since) WHERE flows.name = due.flow";
        execute(&tx, set, &[&flows, &since]).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Sees flows, each at its moment, which is in the form of the database.
pub(super) async fn see_all(db: &impl Db, flows: &[&str], at: &[i64]) -> Result<(), Failure> {
    execute(db, SEE, &[&flows, &at]).await.map(drop)
}

/// The flow's anchor, in the form of the database; both are made if need be.
pub(super) async fn see(db: &impl Db, flow: &str, now: Timestamp) -> Result<i64, Failure> {
    see_all(db, &[flow], &[to_db(now)]).await?;
    Ok(row(db, "SELECT anchor FROM flows WHERE name = $1", &[&flow]).await?.get(0))
}

/// The clock was set back: the moments that the baseline of a table follows from, and when mails are tried
/// again, are earlier by as much. Where that is not known the former are as early as a look-back reaches, and
/// the latter is now.
pub(super) async fn clock_went_back(
    db: &impl Db,
    by: Option<SignedDuration>,
    now: Timestamp,
) -> Result<(), Failure> {
    let (shift, far_back, at_once) = match by {
        Some(by) => (i64::try_from(by.as_micros()).unwrap_or_default(), i64::MAX, i64::MAX),
        None => (0, to_db(now.checked_sub(FAR_BACK).unwrap_or(now)), to_db(now)),
    };
    for (table, moment, which, at_most) in [
        ("flows", "due_since", "true", far_back),
        ("flows", "last_read", "true", far_back),
        ("flows", "seen_on", "true", far_back),
        ("sources", "first_due", "begin IS NULL", far_back),
        ("mails", "next_try", "true", at_once),
        // An hour's mails are counted by it.
        ("mails", "began", "true", at_once),
    ] {
        let set = format!("UPDATE {table} SET {moment} = least({moment} - $1, $2)");
        execute(db, &format!("{set} WHERE {moment} IS NOT NULL AND {which}"), &[&shift, &at_most]).await?;
    }
    // A slot that comes again is another one.
    execute(db, "UPDATE flows SET last_slot = $1 WHERE last_slot > $1", &[&to_db(now)]).await?;
    Ok(())
}

/// Turns the flow off since `off`, or on with `None`; survives restarts. Of a flow that is off already, since when and by
/// whom stays as it is.
pub(super) async fn set_off(
    db: &impl Db,
    flow: &str,
    off: Option<Timestamp>,
    by: Option<&str>,
    now: Timestamp,
) -> Result<(), Failure> {
    see(db, flow, now).await?;
    if off.is_none() {
        execute(db, SEE_ON, &[&[flow].as_slice(), &to_db(now)]).await?;
    } else {
        execute(db, "UPDATE flows SET seen_on = NULL WHERE name = $1", &[&flow]).await?;
    }
    let turn = "UPDATE flows SET on_since = CASE WHEN $2::bigint IS NULL AND off_since IS NOT NULL THEN $3 ELSE on_since END,
             off_since = CASE WHEN $2::bigint IS NULL THEN NULL ELSE coalesce(off_since, $2) END,
             off_by = CASE WHEN $2::bigint IS NULL THEN NULL WHEN off_since IS NULL THEN $4 ELSE off_by END
         WHERE name = $1";
    execute(db, turn, &[&flow, &off.map(to_db), &to_db(now), &by]).await?;
    count_schedule(db).await
}

/// The columns of [`SCHEDULE`], from this one on.
pub(super) fn schedule_of(row: &Row, first: usize) -> ScheduleState {
    ScheduleState {
        anchor: from_db(row.get(first)),
        last_slot: row.get::<_, Option<i64>>(first + 1).map(from_db),
        is_off: row.get(first + 2),
        failed_run: row.get(first + 3),
    }
}
