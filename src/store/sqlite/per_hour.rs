//! How many mails of a flow leave within an hour.

use jiff::{SignedDuration, Timestamp};
use rusqlite::params;

use super::outbox::due_at;
use super::{Database, Failure, from_db, to_db};
use crate::store::DeferredFlow;

/// The span of `per_hour`.
const HOUR: SignedDuration = SignedDuration::from_hours(1);

impl Database {
    /// Puts off the mails of a flow that no server has seen yet, where its hour has had as many as it may.
    pub(crate) fn defer_flow_if_used_up(
        &mut self,
        flow: &str,
        per_hour: u32,
        now: Timestamp,
    ) -> Result<Option<DeferredFlow>, Failure> {
        let (count, oldest) = self.begun_within(flow, now.checked_sub(HOUR).unwrap_or(now), now)?;
        let Some(until) = oldest.filter(|_| count >= per_hour).map(|oldest| oldest + HOUR) else {
            return Ok(None);
        };
        Ok(Some(DeferredFlow { messages: self.defer_flow(flow, until, now)?, until }))
    }

    /// How many mails of a flow were first named to a server within this time, and when the oldest
    /// of them was.
    fn begun_within(
        &self,
        flow: &str,
        after: Timestamp,
        until: Timestamp,
    ) -> Result<(u32, Option<Timestamp>), Failure> {
        let mut ask = self.db.prepare_cached(
            "SELECT count(*), min(began) FROM mails JOIN runs ON runs.id = mails.run
             WHERE began > ?2 AND began <= ?3 AND runs.flow = (SELECT id FROM flows WHERE name = ?1)",
        )?;
        Ok(ask.query_row(params![flow, to_db(after), to_db(until)], |row| {
            Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?.map(from_db)))
        })?)
    }

    /// Puts off mails as a lane is put off. Returns how many.
    fn defer_flow(&mut self, flow: &str, until: Timestamp, now: Timestamp) -> Result<usize, Failure> {
        let [_, too_late] = due_at(now);
        let of_flow = "run IN (SELECT id FROM runs WHERE flow = (SELECT id FROM flows WHERE name = ?1))";
        let tx = self.db.transaction()?;
        let mails = tx.execute(
            &format!(
                "UPDATE mails SET next_try = ?2, is_paced = 1
                 WHERE (next_try < ?2 OR next_try > ?3) AND began IS NULL AND sending = 0 AND {of_flow}"
            ),
            params![flow, to_db(until), too_late],
        )?;
        let give_back =
            format!("UPDATE mails SET owner = NULL WHERE owner IS NOT NULL AND sending = 0 AND {of_flow}");
        tx.execute(&give_back, [flow])?;
        tx.commit()?;
        Ok(mails)
    }
}
