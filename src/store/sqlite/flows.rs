//! What the state knows of a flow.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::identity::count_schedule;
use super::{Database, Failure, from_db, to_db};
use crate::planner::ScheduleState;
use crate::store::{FlowOverview, RunFilter};

/// As far as a look-back reaches, if nothing else is said.
const FAR_BACK: SignedDuration = SignedDuration::from_hours(7 * 24);

impl Database {
    /// What the plan needs of these flows, which are all of the file, each with whether that has it on; one that was
    /// never seen is seen `now`. While a flow has never been on, it is first seen each time.
    pub(crate) fn schedule_states<'a>(
        &mut self,
        flows: impl Iterator<Item = (&'a String, bool)>,
        now: Timestamp,
    ) -> Result<BTreeMap<String, ScheduleState>, Failure> {
        let tx = self.db.transaction()?;
        let look = |(flow, is_enabled): (&String, bool)| {
            see(&tx, flow, now)?;
            let known = schedule_state(&tx, flow)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
            see_on(&tx, flow, is_enabled && !known.is_off, now)?;
            // Seen on for the first time, perhaps.
            let anchor = see(&tx, flow, now)?;
            Ok::<_, rusqlite::Error>((flow.clone(), ScheduleState { anchor: from_db(anchor), ..known }))
        };
        let known: BTreeMap<String, ScheduleState> = flows.map(look).collect::<Result<_, _>>()?;
        let names = serde_json::json!(known.keys().collect::<Vec<_>>()).to_string();
        tx.execute(
            "UPDATE flows SET seen_on = NULL
             WHERE seen_on IS NOT NULL AND name NOT IN (SELECT value FROM json_each(?1))",
            [names],
        )?;
        tx.commit()?;
        Ok(known)
    }

    /// What `leadflow list` shows of a flow.
    pub(crate) fn overview(&self, flow: &str) -> Result<FlowOverview, Failure> {
        let newest = RunFilter { flow: Some(flow.to_owned()), limit: Some(1), ..RunFilter::default() };
        let (off_since, off_by) = self.off(flow)?;
        Ok(FlowOverview {
            schedule: schedule_state(&self.db, flow)?,
            off_since,
            off_by,
            last_run: self.find_runs(&newest)?.pop(),
            waiting_mails: self.waiting_mails(flow)?,
        })
    }

    /// When the flow was first seen; `None` if it never was.
    pub(crate) fn seen(&self, flow: &str) -> Result<Option<Timestamp>, Failure> {
        let anchor: Option<i64> = self
            .db
            .query_row("SELECT anchor FROM flows WHERE name = ?1", [flow], |row| row.get(0))
            .optional()?;
        Ok(anchor.map(from_db))
    }

    /// The clock was set back by this much; these flows are due since then.
    pub(crate) fn clock_went_back(
        &mut self,
        by: SignedDuration,
        due: &[(String, Timestamp)],
        now: Timestamp,
    ) -> Result<(), Failure> {
        let tx = self.db.transaction()?;
        clock_went_back(&tx, Some(by), now)?;
        let mut set = tx.prepare_cached(
            "UPDATE flows SET due_since = min(coalesce(due_since, ?2), ?2) WHERE name = ?1",
        )?;
        for (flow, since) in due {
            set.execute(params![flow, to_db(*since)])?;
        }
        drop(set);
        tx.commit()?;
        Ok(())
    }

    /// Since when `leadflow off` keeps the flow off, and who has turned it off.
    fn off(&self, flow: &str) -> Result<(Option<Timestamp>, Option<String>), Failure> {
        let mut ask = self.db.prepare_cached("SELECT off_since, off_by FROM flows WHERE name = ?1")?;
        let off = |row: &Row<'_>| Ok((row.get::<_, Option<i64>>(0)?.map(from_db), row.get(1)?));
        Ok(ask.query_row([flow], off).optional()?.unwrap_or_default())
    }
}

/// The flow's anchor, in the form of the database; both are made if need be.
pub(super) fn see(db: &Connection, flow: &str, now: Timestamp) -> rusqlite::Result<i64> {
    let mut ask = db.prepare_cached("SELECT anchor, last_slot FROM flows WHERE name = ?1")?;
    let now = to_db(now);
    let mut known = || ask.query_row([flow], |row| Ok((row.get(0)?, row.get(1)?))).optional();
    let is_right =
        |(anchor, slot): &(i64, Option<i64>)| *anchor <= now && slot.is_none_or(|slot| slot <= now);
    // Nothing to write, as nearly always.
    if let Some((anchor, _)) = known()?.filter(is_right) {
        return Ok(anchor);
    }
    // Seen by a clock that was set back since: what lies ahead of it would never come due.
    db.execute(
        "INSERT INTO flows (name, anchor) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET anchor = min(anchor, ?2), last_slot = min(last_slot, ?2)",
        params![flow, now],
    )?;
    Ok(known()?.map_or(now, |(anchor, _)| anchor))
}

/// The clock was set back: the moments that the baseline of a table follows from, and when mails are tried
/// again, are earlier by as much. Where that is not known the former are as early as a look-back reaches, and
/// the latter is now.
pub(super) fn clock_went_back(
    db: &Connection,
    by: Option<SignedDuration>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let (shift, far_back, at_once) = match by {
        Some(by) => (i64::try_from(by.as_micros()).unwrap_or_default(), i64::MAX, i64::MAX),
        None => (0, to_db(now.checked_sub(FAR_BACK).unwrap_or(now)), to_db(now)),
    };
    for (table, moment, which, at_most) in [
        ("flows", "due_since", "1", far_back),
        ("flows", "last_read", "1", far_back),
        ("flows", "seen_on", "1", far_back),
        ("sources", "first_due", "begin IS NULL", far_back),
        ("mails", "next_try", "1", at_once),
        // An hour's mails are counted by it.
        ("mails", "began", "1", at_once),
    ] {
        let set = format!("UPDATE {table} SET {moment} = min({moment} - ?1, ?2)");
        db.execute(&format!("{set} WHERE {moment} IS NOT NULL AND {which}"), [shift, at_most])?;
    }
    // A slot that comes again is another one.
    db.execute("UPDATE flows SET last_slot = ?1 WHERE last_slot > ?1", [to_db(now)])?;
    Ok(())
}

/// Turns the flow off since `off`, or on with `None`; survives restarts. Of a flow that is off already, since when and by
/// whom stays as it is.
pub(super) fn set_off(
    db: &Connection,
    flow: &str,
    off: Option<Timestamp>,
    by: Option<&str>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    see(db, flow, now)?;
    see_on(db, flow, off.is_none(), now)?;
    count_schedule(db)?;
    db.execute(
        "UPDATE flows SET on_since = iif(?2 IS NULL AND off_since IS NOT NULL, ?3, on_since),
             off_since = iif(?2 IS NULL, NULL, coalesce(off_since, ?2)),
             off_by = CASE WHEN ?2 IS NULL THEN NULL WHEN off_since IS NULL THEN ?4 ELSE off_by END
         WHERE name = ?1",
        params![flow, off.map(to_db), to_db(now), by],
    )?;
    Ok(())
}

/// A flow that has taken no slot yet counts its slots from when it is seen on.
fn see_on(db: &Connection, flow: &str, is_on: bool, now: Timestamp) -> rusqlite::Result<()> {
    let is_new = "last_slot IS NULL AND due_since IS NULL";
    if is_on {
        db.prepare_cached(&format!(
            "UPDATE flows SET seen_on = ?2, anchor = iif({is_new}, ?2, anchor) WHERE name = ?1 AND \
             seen_on IS NULL"
        ))?
        .execute(params![flow, to_db(now)])?;
    } else {
        db.prepare_cached("UPDATE flows SET seen_on = NULL WHERE name = ?1 AND seen_on IS NOT NULL")?
            .execute([flow])?;
    }
    Ok(())
}

pub(super) fn schedule_state(db: &Connection, flow: &str) -> rusqlite::Result<Option<ScheduleState>> {
    let mut ask = db.prepare_cached(
        "SELECT anchor, last_slot, off_since IS NOT NULL, iif(failures > 0, failed_run, NULL) FROM flows WHERE name = ?1",
    )?;
    let known = |row: &Row<'_>| {
        let last_slot = row.get::<_, Option<i64>>(1)?.map(from_db);
        Ok(ScheduleState {
            anchor: from_db(row.get(0)?),
            last_slot,
            is_off: row.get(2)?,
            failed_run: row.get(3)?,
        })
    };
    ask.query_row([flow], known).optional()
}
