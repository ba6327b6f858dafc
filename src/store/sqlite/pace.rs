//! How many mails of a flow leave within an hour.

use jiff::Timestamp;
use rusqlite::params;

use super::outbox::due_at;
use super::{Store, StoreError, from_db, to_db};

impl Store {
    /// How many mails of a flow were first named to a server within this time, and when the oldest
    /// of them was.
    ///
    /// # Errors
    /// When the database fails.
    pub fn begun_within(
        &self,
        flow: &str,
        after: Timestamp,
        until: Timestamp,
    ) -> Result<(u32, Option<Timestamp>), StoreError> {
        let mut ask = self.db.prepare_cached(
            "SELECT count(*), min(began) FROM mails JOIN runs ON runs.id = mails.run
             WHERE began > ?2 AND began <= ?3 AND runs.flow = (SELECT id FROM flows WHERE name = ?1)",
        )?;
        Ok(ask.query_row(params![flow, to_db(after), to_db(until)], |row| {
            Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?.map(from_db)))
        })?)
    }

    /// Puts off the mails of a flow that no server has seen yet, as [`Store::pause`] does: its
    /// `per_hour` is used up. Returns how many.
    ///
    /// # Errors
    /// When the database fails.
    pub fn pace(&mut self, flow: &str, until: Timestamp, now: Timestamp) -> Result<usize, StoreError> {
        let [_, too_late] = due_at(now);
        Ok(self.db.execute(
            "UPDATE mails SET next_try = ?2, is_paced = 1
             WHERE (next_try < ?2 OR next_try > ?3) AND began IS NULL AND sending = 0 AND run IN
                 (SELECT id FROM runs WHERE flow = (SELECT id FROM flows WHERE name = ?1))",
            params![flow, to_db(until), too_late],
        )?)
    }
}
