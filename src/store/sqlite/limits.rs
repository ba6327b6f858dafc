//! How many mails of a flow leave within an hour, and how many a connection is handed within a minute.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, ToSql, Transaction, params};

use super::outbox::due_at;
use super::{Database, Failure, from_db, to_db};
use crate::store::DeferredFlow;

/// The span of `per_minute`, in microseconds.
const MINUTE: i64 = 60_000_000;
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
        let flow_id = "SELECT id FROM flows WHERE name = ?1";
        let (count, oldest) = begun_within_an_hour(&self.db, flow_id, flow, now)?;
        let Some(until) = oldest.filter(|_| count >= per_hour).map(|oldest| oldest + HOUR) else {
            return Ok(None);
        };
        Ok(Some(DeferredFlow { messages: self.defer_flow(flow, until, now)?, until }))
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

/// How many mails of a flow, which the text finds by the parameter, were first named to a server within the hour before
/// `now`, and when the oldest of them was.
fn begun_within_an_hour(
    db: &Connection,
    flow: &str,
    parameter: impl ToSql,
    now: Timestamp,
) -> Result<(u32, Option<Timestamp>), Failure> {
    let mut ask = db.prepare_cached(&format!(
        "SELECT count(*), min(began) FROM mails JOIN runs ON runs.id = mails.run
         WHERE began > ?2 AND began <= ?3 AND runs.flow = ({flow})"
    ))?;
    let after = now.checked_sub(HOUR).unwrap_or(now);
    Ok(ask.query_row(params![parameter, to_db(after), to_db(now)], |row| {
        Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?.map(from_db)))
    })?)
}

/// Whether the flow of a mail has had the mails of its hour, where no server has seen this one yet.
pub(super) fn is_hour_used_up(
    tx: &Transaction<'_>,
    mail: i64,
    per_hour: u32,
    now: Timestamp,
) -> Result<bool, Failure> {
    let is_new = tx.prepare_cached("SELECT 1 FROM mails WHERE id = ?1 AND began IS NULL")?.exists([mail])?;
    let flow = "SELECT its.flow FROM mails AS this JOIN runs AS its ON its.id = this.run WHERE this.id = ?1";
    Ok(is_new && begun_within_an_hour(tx, flow, mail, now)?.0 >= per_hour)
}

/// How long a connection takes no mail, since it was handed as many as it may within a minute; else one more is counted.
/// `clock` is in the time of all who count, in microseconds.
pub(super) fn minute_used_up(
    tx: &Transaction<'_>,
    connection: &str,
    per_minute: u32,
    clock: i64,
) -> Result<Option<SignedDuration>, Failure> {
    // What lies ahead was counted before the clock was set back.
    tx.prepare_cached("DELETE FROM sends WHERE connection = ?1 AND (at <= ?2 OR at > ?3)")?
        .execute(params![connection, clock - MINUTE, clock])?;
    let mut ask = tx.prepare_cached("SELECT count(*), min(at) FROM sends WHERE connection = ?1")?;
    let (count, oldest): (u32, Option<i64>) =
        ask.query_row([connection], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if let Some(oldest) = oldest.filter(|_| count >= per_minute) {
        return Ok(Some(SignedDuration::from_micros(oldest + MINUTE - clock)));
    }
    tx.prepare_cached("INSERT INTO sends (connection, at) VALUES (?1, ?2)")?
        .execute(params![connection, clock])?;
    Ok(None)
}
