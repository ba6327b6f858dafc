//! What the state knows of a flow.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Store, StoreError, from_db, to_db};
use crate::agenda::Known;
use crate::window::Past;

/// How far a flow has read, and which table that is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Identity of the table; another one means a new begin.
    pub source: String,
    /// Begin, watermark and last deep scan.
    pub past: Past,
}

impl Store {
    /// The flow's anchor: the moment it was first seen, which is `now` if that is the first time.
    ///
    /// # Errors
    /// When the database fails.
    pub fn anchor(&mut self, flow: &str, now: Timestamp) -> Result<Timestamp, StoreError> {
        Ok(from_db(see(&self.db, flow, now)?))
    }

    /// What the plan needs of these flows, which are seen `now` if they never were.
    ///
    /// # Errors
    /// When the database fails.
    pub fn plan_of<'a>(
        &mut self,
        flows: impl Iterator<Item = &'a String>,
        now: Timestamp,
    ) -> Result<BTreeMap<String, Known>, StoreError> {
        let tx = self.db.transaction()?;
        let look = |flow: &String| {
            see(&tx, flow, now)?;
            let mut ask = tx.prepare_cached(
                "SELECT anchor, last_slot, off_since IS NOT NULL FROM flows WHERE name = ?1",
            )?;
            let known = ask.query_row([flow], |row| {
                let last_slot = row.get::<_, Option<i64>>(1)?.map(from_db);
                Ok(Known { anchor: from_db(row.get(0)?), last_slot, is_off: row.get(2)? })
            })?;
            Ok::<_, rusqlite::Error>((flow.clone(), known))
        };
        let known = flows.map(look).collect::<Result<_, _>>()?;
        tx.commit()?;
        Ok(known)
    }

    /// When the flow was first seen; `None` if it never was.
    ///
    /// # Errors
    /// When the database fails.
    pub fn seen(&self, flow: &str) -> Result<Option<Timestamp>, StoreError> {
        let anchor: Option<i64> = self
            .db
            .query_row("SELECT anchor FROM flows WHERE name = ?1", [flow], |row| row.get(0))
            .optional()?;
        Ok(anchor.map(from_db))
    }

    /// The newest slot that a run of the flow has taken.
    ///
    /// # Errors
    /// When the database fails.
    pub fn last_slot(&self, flow: &str) -> Result<Option<Timestamp>, StoreError> {
        let slot: Option<Option<i64>> = self
            .db
            .query_row("SELECT last_slot FROM flows WHERE name = ?1", [flow], |row| row.get(0))
            .optional()?;
        Ok(slot.flatten().map(from_db))
    }

    /// How far the flow has read; `None` before its begin, and with a fixed window.
    ///
    /// # Errors
    /// When the database fails.
    pub fn reading(&self, flow: &str) -> Result<Option<Reading>, StoreError> {
        let found = self
            .db
            .query_row(
                "SELECT source, begin, watermark, looked_back FROM flows
                 WHERE name = ?1 AND source IS NOT NULL AND begin IS NOT NULL",
                [flow],
                |row| Ok((row.get(0)?, past_of(row)?)),
            )
            .optional()?;
        Ok(found.and_then(|(source, past)| Some(Reading { source, past: past? })))
    }

    /// Makes `source` the table that the flow reads, with a new begin (`None` for a fixed window).
    /// What was remembered of another table is forgotten.
    ///
    /// # Errors
    /// When the database fails.
    pub fn begin_reading(
        &mut self,
        flow: &str,
        source: &str,
        begin: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let tx = self.db.transaction()?;
        tx.execute(
            "DELETE FROM keys WHERE flow = (SELECT id FROM flows WHERE name = ?1 AND source IS NOT ?2)",
            [flow, source],
        )?;
        tx.execute(
            "UPDATE flows SET source = ?2, begin = ?3, watermark = NULL, looked_back = NULL WHERE name = ?1",
            params![flow, source, begin.map(to_db)],
        )?;
        tx.commit()?;
        Ok(())
    }

    /// Makes a flow that has read nothing yet begin at this moment.
    ///
    /// # Errors
    /// When the database fails.
    pub fn preset_begin(&mut self, flow: &str, begin: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        self.anchor(flow, now)?;
        let put = "UPDATE flows SET begin = ?2 WHERE name = ?1 AND source IS NULL";
        self.db.execute(put, params![flow, to_db(begin)])?;
        Ok(())
    }

    /// Where a flow that has read nothing yet is to begin, if somebody has said so.
    ///
    /// # Errors
    /// When the database fails.
    pub fn begin_preset(&self, flow: &str) -> Result<Option<Timestamp>, StoreError> {
        let ask = "SELECT begin FROM flows WHERE name = ?1 AND source IS NULL";
        let begin: Option<Option<i64>> = self.db.query_row(ask, [flow], |row| row.get(0)).optional()?;
        Ok(begin.flatten().map(from_db))
    }

    /// Turns the flow off since `off`, or on with `None`; survives restarts.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_off(&mut self, flow: &str, off: Option<Timestamp>, now: Timestamp) -> Result<(), StoreError> {
        self.anchor(flow, now)?;
        self.db.execute(
            "UPDATE flows SET on_since = iif(?2 IS NULL AND off_since IS NOT NULL, ?3, on_since),
                 off_since = iif(?2 IS NULL, NULL, coalesce(off_since, ?2))
             WHERE name = ?1",
            params![flow, off.map(to_db), to_db(now)],
        )?;
        Ok(())
    }

    /// Since when `leadflow off` keeps the flow off.
    ///
    /// # Errors
    /// When the database fails.
    pub fn off_since(&self, flow: &str) -> Result<Option<Timestamp>, StoreError> {
        let off: Option<Option<i64>> = self
            .db
            .query_row("SELECT off_since FROM flows WHERE name = ?1", [flow], |row| row.get(0))
            .optional()?;
        Ok(off.flatten().map(from_db))
    }
}

/// The flow's anchor, in the form of the database; both are made if need be.
pub(super) fn see(db: &Connection, flow: &str, now: Timestamp) -> rusqlite::Result<i64> {
    let (mut ask, now) =
        (db.prepare_cached("SELECT anchor, last_slot FROM flows WHERE name = ?1")?, to_db(now));
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

/// Begin, watermark and deep scan out of a row that has them from its second column on.
pub(super) fn past_of(row: &Row<'_>) -> rusqlite::Result<Option<Past>> {
    let Some(begin) = row.get::<_, Option<i64>>(1)? else { return Ok(None) };
    let moment = |at: Option<i64>| at.map(from_db);
    let (watermark, looked_back) = (moment(row.get(2)?), moment(row.get(3)?));
    Ok(Some(Past { begin: from_db(begin), watermark, looked_back }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_anchor_is_the_first_sight_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (first, later) =
            ("2026-01-05T08:00:00Z".parse().unwrap(), "2026-01-06T08:00:00Z".parse().unwrap());
        assert_eq!(Store::open(folder.path()).unwrap().anchor("leads", first).unwrap(), first);
        let mut again = Store::open(folder.path()).unwrap();
        assert_eq!(again.anchor("leads", later).unwrap(), first);
        assert_eq!(again.reading("leads").unwrap(), None);
        again.set_off("leads", Some(later), later).unwrap();
        assert_eq!(again.off_since("leads").unwrap(), Some(later));
        again.set_off("leads", None, later).unwrap();
        assert_eq!(again.off_since("leads").unwrap(), None);
    }
}
