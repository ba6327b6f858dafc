//! A mail in the hands of its owner: claimed, being sent, recorded.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::breaks::note_break;
use super::limits::{is_hour_used_up, minute_used_up};
use super::message_bytes::read_text;
use super::nodes::check_owner;
use super::outbox::{
    IS_DUE, IS_FREE, defer_lane, due_at, json_of, names_of, recipients_of, update_run, write_recipients,
};
use super::{Database, Failure, from_db, to_db};
use crate::store::{AttemptRecord, Begin, ConnectionRest, QueuedMessage, SendLimits};

/// The last break of a waiting mail of the same flow and lane: a number, since clocks are set.
const FLOW_BROKE: &str = "(SELECT max(other.broke) FROM mails AS other JOIN runs AS its ON its.id = other.run
    WHERE other.broke IS NOT NULL AND other.connections = mails.connections AND its.flow = (SELECT flow FROM runs WHERE id = mails.run))";

impl Database {
    /// Claims the next mail of a lane. A claim that a power cut takes back costs nothing, so that no disk is waited for.
    pub(crate) fn next_message(
        &mut self,
        lane: &[String],
        now: Timestamp,
    ) -> Result<Option<QueuedMessage>, Failure> {
        self.db.pragma_update(None, "synchronous", "NORMAL")?;
        let claimed = self.claim_message(lane, now);
        self.db.pragma_update(None, "synchronous", "FULL")?;
        claimed
    }

    fn claim_message(&mut self, lane: &[String], now: Timestamp) -> Result<Option<QueuedMessage>, Failure> {
        let [now, too_late] = due_at(now);
        let clock = self.lease_now();
        let tx = self.db.transaction()?;
        check_owner(&tx, &self.owner, clock)?;
        let found = tx
            .prepare_cached(&format!(
                "SELECT id, run, connections, sender, tries, breaks,
                     (SELECT flows.name FROM runs JOIN flows ON flows.id = runs.flow WHERE runs.id = mails.run)
                 FROM mails WHERE connections = ?4 AND {IS_DUE} AND {IS_FREE}
                 ORDER BY iif(is_paced = 1 OR next_try > ?1, 0, next_try), {FLOW_BROKE}, broke, id LIMIT 1"
            ))?
            .query_row(params![now, too_late, self.owner, json_of(lane)], message_of)
            .optional()?;
        let Some(mut mail) = found else { return Ok(None) };
        tx.prepare_cached("UPDATE mails SET owner = ?2 WHERE id = ?1")?
            .execute(params![mail.id, self.owner])?;
        mail.recipients = recipients_of(&tx, mail.id)?;
        mail.bytes = read_text(&tx, mail.id)?;
        mail.resting = resting(&tx, lane)?;
        tx.commit()?;
        Ok(Some(mail))
    }

    /// Commits that the mail is being sent, where this owner still has it.
    pub(crate) fn begin_sending(
        &mut self,
        mail: i64,
        connection: &str,
        limits: SendLimits,
        now: Timestamp,
    ) -> Result<Begin, Failure> {
        let clock = self.lease_now();
        let tx = self.db.transaction()?;
        check_owner(&tx, &self.owner, clock)?;
        if let Some(per_hour) = limits.per_hour
            && is_hour_used_up(&tx, mail, per_hour, now)?
        {
            tx.execute(
                "UPDATE mails SET owner = NULL WHERE id = ?1 AND owner = ?2",
                params![mail, self.owner],
            )?;
            tx.commit()?;
            return Ok(Begin::TakenBack);
        }
        if let Some(per_minute) = limits.per_minute
            && let Some(wait) = minute_used_up(&tx, connection, per_minute, clock.unwrap_or(to_db(now)))?
        {
            return Ok(Begin::NotBefore(now + wait));
        }
        let begun = tx.execute(
            "UPDATE mails SET tries = tries + iif(sending = 1, 0, 1), sending = 1, began = coalesce(began, ?2),
                 is_paced = 0, connection = ?3
             WHERE id = ?1 AND owner = ?4",
            params![mail, to_db(now), connection, self.owner],
        )?;
        tx.commit()?;
        Ok(if begun > 0 { Begin::Begun } else { Begin::TakenBack })
    }

    /// Records what became of a try, and what that makes of the mail's run and of its lane.
    pub(crate) fn record_attempt(&mut self, attempt: &AttemptRecord, now: Timestamp) -> Result<(), Failure> {
        let AttemptRecord { message: mail, recipients, next_try, broke_over, defer_lane: lane } = attempt;
        let clock = self.lease_now();
        let tx = self.db.transaction()?;
        check_owner(&tx, &self.owner, clock)?;
        let mut claimed = tx.prepare_cached("SELECT 1 FROM mails WHERE id = ?1 AND owner = ?2")?;
        // Where a person has taken it out of these hands before it was sent, what the person has said of it holds.
        if claimed.exists(params![mail, self.owner])? {
            write_recipients(&tx, *mail, recipients, *next_try)?;
            if let Some(over) = broke_over {
                note_break(&tx, *mail, over)?;
            }
            update_run(&tx, *mail)?;
        }
        drop(claimed);
        if let Some((lane, until)) = lane {
            defer_lane(&tx, lane, &self.owner, *until, now)?;
        }
        tx.commit()?;
        Ok(())
    }
}

/// Those of these connections that rest.
fn resting(db: &Connection, lane: &[String]) -> Result<Vec<ConnectionRest>, Failure> {
    let mut ask = db.prepare_cached(
        "SELECT name, rest_until FROM connections
         WHERE rest_until IS NOT NULL AND name IN (SELECT value FROM json_each(?1))",
    )?;
    let found = ask.query_map([json_of(lane)], |row| {
        Ok(ConnectionRest { connection: row.get(0)?, until: from_db(row.get(1)?) })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn message_of(row: &Row<'_>) -> rusqlite::Result<QueuedMessage> {
    Ok(QueuedMessage {
        id: row.get(0)?,
        run: row.get(1)?,
        flow: row.get(6)?,
        connections: names_of(&row.get::<_, String>(2)?),
        sender: row.get(3)?,
        recipients: Vec::new(),
        bytes: Vec::new(),
        tries: row.get(4)?,
        breaks: row.get(5)?,
        resting: Vec::new(),
    })
}
