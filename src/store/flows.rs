//! What the state knows of a flow.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::{Store, StoreError, from_db, to_db};
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
        let known: Option<(i64, Option<i64>)> = self
            .db
            .prepare_cached("SELECT anchor, last_slot FROM flows WHERE name = ?1")?
            .query_row([flow], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        // Nothing to write, as nearly always.
        if let Some((anchor, last_slot)) = known
            && anchor <= to_db(now)
            && last_slot.is_none_or(|slot| slot <= to_db(now))
        {
            return Ok(from_db(anchor));
        }
        let tx = self.db.transaction()?;
        tx.execute("INSERT OR IGNORE INTO flows (name, anchor) VALUES (?1, ?2)", params![flow, to_db(now)])?;
        // Seen by a clock that was set back since: what lies ahead of it would never come due.
        tx.execute(
            "UPDATE flows SET anchor = min(anchor, ?2), last_slot = min(last_slot, ?2)
             WHERE name = ?1 AND (anchor > ?2 OR last_slot > ?2)",
            params![flow, to_db(now)],
        )?;
        let anchor = tx.query_row("SELECT anchor FROM flows WHERE name = ?1", [flow], |row| row.get(0))?;
        tx.commit()?;
        Ok(from_db(anchor))
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
                |row| {
                    let moment = |at: Option<i64>| at.map(from_db);
                    let past = Past {
                        begin: from_db(row.get(1)?),
                        watermark: moment(row.get(2)?),
                        looked_back: moment(row.get(3)?),
                    };
                    Ok(Reading { source: row.get(0)?, past })
                },
            )
            .optional()?;
        Ok(found)
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

    /// Identity of the table that the flow has read last.
    ///
    /// # Errors
    /// When the database fails.
    pub fn source(&self, flow: &str) -> Result<Option<String>, StoreError> {
        let source: Option<Option<String>> = self
            .db
            .query_row("SELECT source FROM flows WHERE name = ?1", [flow], |row| row.get(0))
            .optional()?;
        Ok(source.flatten())
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
