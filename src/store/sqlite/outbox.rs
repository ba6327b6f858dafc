//! The outbox: mails with their final bytes, and each recipient's state.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::breaks::note_break;
use super::message_bytes::{read_text, write_text};
use super::{Database, Failure, from_db, to_db};
use crate::outbox::{LONGEST_WAIT, Receipt, Recipient, State, outcome_of};
use crate::store::{AttemptRecord, NewMessage, QueuedMessage};

impl Database {
    /// The lists of connections that have a mail whose time has come.
    pub(crate) fn due_lanes(&self, now: Timestamp) -> Result<Vec<Vec<String>>, Failure> {
        let mut ask =
            self.db.prepare_cached(&format!("SELECT DISTINCT connections FROM mails WHERE {IS_DUE}"))?;
        let found = ask.query_map(due_at(now), |row| Ok(names_of(&row.get::<_, String>(0)?)))?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// The next mail of these connections whose time has come. Those that have waited for their flow's
    /// `per_hour`, or since the clock was set back, go before those that were made meanwhile. One in the
    /// middle of which a session broke goes after those that are due with it, and mails of a flow of such
    /// ones after those of other flows.
    pub(crate) fn next_message(
        &self,
        lane: &[String],
        now: Timestamp,
    ) -> Result<Option<QueuedMessage>, Failure> {
        let [now, too_late] = due_at(now);
        let mut ask = self.db.prepare_cached(&format!(
            "SELECT id, run, connections, sender, tries, breaks,
                 (SELECT flows.name FROM runs JOIN flows ON flows.id = runs.flow WHERE runs.id = mails.run)
             FROM mails WHERE connections = ?3 AND {IS_DUE}
             ORDER BY iif(is_paced = 1 OR next_try > ?1, 0, next_try), {FLOW_BROKE}, broke, id LIMIT 1"
        ))?;
        let found = ask
            .query_row(params![now, too_late, json_of(lane)], |row| {
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
                })
            })
            .optional()?;
        let Some(mut mail) = found else { return Ok(None) };
        mail.recipients = recipients_of(&self.db, mail.id)?;
        mail.bytes = read_text(&self.db, mail.id)?;
        Ok(Some(mail))
    }

    /// Commits that the mail is being sent over this connection, before its first command goes out.
    /// The next connection of the list is the same try.
    pub(crate) fn begin_sending(
        &mut self,
        mail: i64,
        connection: &str,
        now: Timestamp,
    ) -> Result<(), Failure> {
        self.db.execute(
            "UPDATE mails SET tries = tries + iif(sending = 1, 0, 1), sending = 1, began = coalesce(began, ?2),
                 is_paced = 0, connection = ?3
             WHERE id = ?1",
            params![mail, to_db(now), connection],
        )?;
        Ok(())
    }

    /// Records what became of a try, and what that makes of the mail's run and of its lane.
    pub(crate) fn record_attempt(&mut self, attempt: &AttemptRecord, now: Timestamp) -> Result<(), Failure> {
        let AttemptRecord { mail, recipients, next_try, broke_over, defer_lane: lane } = attempt;
        let tx = self.db.transaction()?;
        write_recipients(&tx, *mail, recipients, *next_try)?;
        if let Some(over) = broke_over {
            note_break(&tx, *mail, over)?;
        }
        update_run(&tx, *mail)?;
        if let Some((lane, until)) = lane {
            defer_lane(&tx, lane, *until, now)?;
        }
        tx.commit()?;
        Ok(())
    }

    /// Mails whose replies could not be recorded are uncertain. Returns how many.
    pub(crate) fn mark_interrupted_uncertain(&mut self, now: Timestamp) -> Result<usize, Failure> {
        let tx = self.db.transaction()?;
        let mails = mark_uncertain(&tx, now)?;
        tx.commit()?;
        Ok(mails)
    }

    /// Puts off every mail of a lane.
    pub(crate) fn defer_lane(
        &mut self,
        lane: &[String],
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), Failure> {
        defer_lane(&self.db, lane, until, now)
    }

    /// Lets every waiting mail be tried at `now`: somebody has started leadflow or changed its file.
    pub(crate) fn retry_all_now(&mut self, now: Timestamp) -> Result<(), Failure> {
        self.db.execute(
            "UPDATE mails SET next_try = ?1, is_paced = 0 WHERE next_try > ?1 AND sending = 0",
            [to_db(now)],
        )?;
        Ok(())
    }

    /// When the next mail is to be tried; `None` while nothing waits.
    pub(crate) fn next_try(&self) -> Result<Option<Timestamp>, Failure> {
        let next: Option<i64> = self.db.query_row(
            "SELECT min(next_try) FROM mails WHERE next_try IS NOT NULL AND sending = 0",
            [],
            |row| row.get(0),
        )?;
        Ok(next.map(from_db))
    }
}

/// Mails that were being sent may have arrived. Their recipients that still waited are uncertain now, and the mails
/// wait again. Returns how many.
pub(super) fn mark_uncertain(tx: &Transaction<'_>, now: Timestamp) -> Result<usize, Failure> {
    let mails: Vec<i64> = tx
        .prepare("SELECT id FROM mails WHERE sending = 1")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for &mail in &mails {
        let doubt = || Receipt::Unknown("the process ended while the mail was being sent".to_owned());
        let after = |r: Recipient| if r.is_due() { r.after(doubt()) } else { r };
        let recipients: Vec<_> = recipients_of(tx, mail)?.into_iter().map(after).collect();
        write_recipients(tx, mail, &recipients, now)?;
        update_run(tx, mail)?;
    }
    Ok(mails.len())
}

/// So it does mails that are due since they lie later than any wait, or they would stay due.
fn defer_lane(db: &Connection, lane: &[String], until: Timestamp, now: Timestamp) -> Result<(), Failure> {
    let [_, too_late] = due_at(now);
    db.execute(
        "UPDATE mails SET next_try = ?2
         WHERE connections = ?1 AND (next_try < ?2 OR next_try > ?3) AND sending = 0",
        params![json_of(lane), to_db(until), too_late],
    )?;
    Ok(())
}

pub(super) fn insert_mail(
    tx: &Transaction<'_>,
    run: Option<i64>,
    mail: &NewMessage,
    now: Timestamp,
) -> Result<i64, Failure> {
    let connections = json_of(&mail.connections);
    tx.execute(
        "INSERT INTO mails (run, connections, sender, subject, message_id, created, next_try)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
        params![run, connections, mail.sender, mail.subject, mail.message_id, to_db(now)],
    )?;
    let id = tx.last_insert_rowid();
    write_text(tx, id, &mail.bytes)?;
    for (position, address) in (0_i64..).zip(&mail.recipients) {
        tx.execute(
            "INSERT INTO recipients (mail, position, address, state) VALUES (?1, ?2, ?3, 'waiting')",
            params![id, position, address],
        )?;
    }
    Ok(id)
}

pub(super) fn write_recipients(
    tx: &Transaction<'_>,
    mail: i64,
    recipients: &[Recipient],
    next_try: Timestamp,
) -> Result<(), Failure> {
    for (position, recipient) in (0_i64..).zip(recipients) {
        tx.execute(
            "UPDATE recipients SET state = ?3, uncertain = ?4, reply = ?5 WHERE mail = ?1 AND position = ?2",
            params![mail, position, recipient.state.word(), recipient.uncertain, recipient.reply],
        )?;
    }
    let next_try = recipients.iter().any(Recipient::is_due).then(|| to_db(next_try));
    tx.execute(
        "UPDATE mails SET sending = 0, next_try = ?2, broke_over = NULL, broke = iif(?2 IS NULL, NULL, broke)
         WHERE id = ?1",
        params![mail, next_try],
    )?;
    Ok(())
}

pub(super) fn recipients_of(db: &Connection, mail: i64) -> Result<Vec<Recipient>, Failure> {
    let mut ask = db.prepare_cached(
        "SELECT address, state, uncertain, reply FROM recipients WHERE mail = ?1 ORDER BY position",
    )?;
    let found = ask
        .query_map([mail], |row| {
            let word: String = row.get(1)?;
            Ok(Recipient {
                address: row.get(0)?,
                state: State::of_word(&word).unwrap_or(State::Held),
                uncertain: row.get(2)?,
                reply: row.get(3)?,
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(found)
}

/// Its time has come; or it lies later than any wait, since the clock was set back.
const IS_DUE: &str = "next_try IS NOT NULL AND (next_try <= ?1 OR next_try > ?2) AND sending = 0
    AND EXISTS (SELECT 1 FROM texts WHERE mail = mails.id)";

/// The last break of a waiting mail of the same flow: a number, since clocks are set.
const FLOW_BROKE: &str = "(SELECT max(other.broke) FROM mails AS other JOIN runs AS its ON its.id = other.run
    WHERE other.broke IS NOT NULL AND its.flow = (SELECT flow FROM runs WHERE id = mails.run))";

pub(super) fn due_at(now: Timestamp) -> [i64; 2] {
    [now, now.checked_add(LONGEST_WAIT * 2).unwrap_or(Timestamp::MAX)].map(to_db)
}

pub(super) fn json_of(connections: &[String]) -> String {
    serde_json::json!(connections).to_string()
}

pub(super) fn names_of(connections: &str) -> Vec<String> {
    serde_json::from_str(connections).unwrap_or_default()
}

/// The outcome of a mail's run follows from the recipients of all mails of that run.
pub(super) fn update_run(tx: &Transaction<'_>, mail: i64) -> Result<(), Failure> {
    let run: Option<i64> = tx.query_row("SELECT run FROM mails WHERE id = ?1", [mail], |row| row.get(0))?;
    let Some(run) = run else { return Ok(()) };
    let mut ask = tx.prepare_cached("SELECT id FROM mails WHERE run = ?1")?;
    let mails: Vec<i64> = ask.query_map([run], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut all = Vec::new();
    for mail in mails {
        all.extend(recipients_of(tx, mail)?);
    }
    tx.execute("UPDATE runs SET outcome = ?2 WHERE id = ?1", params![run, outcome_of(&all).word()])?;
    Ok(())
}
