//! The outbox: mails with their final bytes, and each recipient's state.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, params};

use super::message_bytes::write_text;
use super::nodes::{IS_OF, check_owner, give_back};
use super::{Database, Failure, from_db, to_db};
use crate::outbox::{LONGEST_WAIT, Receipt, Recipient, RecipientState, outcome_of};
use crate::store::NewMessage;

impl Database {
    /// The lists of connections that have a mail whose time has come.
    pub(crate) fn due_lanes(&self, now: Timestamp) -> Result<Vec<Vec<String>>, Failure> {
        let mut ask = self.db.prepare_cached(&format!(
            "SELECT DISTINCT connections FROM mails WHERE {IS_DUE} AND {IS_FREE}"
        ))?;
        let [now, too_late] = due_at(now);
        let found =
            ask.query_map(params![now, too_late, self.owner], |row| Ok(names_of(&row.get::<_, String>(0)?)))?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// Mails whose replies could not be recorded are uncertain. Returns how many.
    pub(crate) fn mark_interrupted_uncertain(&mut self, now: Timestamp) -> Result<usize, Failure> {
        let clock = self.lease_now();
        let tx = self.db.transaction()?;
        check_owner(&tx, &self.owner, clock)?;
        let mails = mark_uncertain(&tx, Some(&self.owner), now)?;
        give_back(&tx, Some(&self.owner))?;
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
        let clock = self.lease_now();
        let tx = self.db.transaction()?;
        check_owner(&tx, &self.owner, clock)?;
        defer_lane(&tx, lane, &self.owner, until, now)?;
        tx.commit()?;
        Ok(())
    }

    /// Lets every waiting mail be tried at `now`: somebody has started leadflow or changed its file.
    pub(crate) fn retry_all_now(&mut self, now: Timestamp) -> Result<(), Failure> {
        let tx = self.db.transaction()?;
        tx.execute(
            "UPDATE mails SET next_try = ?1, is_paced = 0 WHERE next_try > ?1 AND sending = 0",
            [to_db(now)],
        )?;
        tx.execute("UPDATE connections SET rest_until = NULL WHERE rest_until IS NOT NULL", [])?;
        tx.commit()?;
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

/// Mails that this owner, or those who are gone, were sending may have arrived. Their recipients that still waited are
/// uncertain now, and the mails wait again. Returns how many.
pub(super) fn mark_uncertain(
    tx: &Transaction<'_>,
    owner: Option<&str>,
    now: Timestamp,
) -> Result<usize, Failure> {
    let mails: Vec<i64> = tx
        .prepare(&format!("SELECT id FROM mails WHERE sending = 1 AND {IS_OF}"))?
        .query_map([owner], |row| row.get(0))?
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
pub(super) fn defer_lane(
    tx: &Transaction<'_>,
    lane: &[String],
    owner: &str,
    until: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let ([_, too_late], lane) = (due_at(now), json_of(lane));
    tx.execute(
        "UPDATE mails SET next_try = ?2
         WHERE connections = ?1 AND (next_try < ?2 OR next_try > ?3) AND sending = 0",
        params![lane, to_db(until), too_late],
    )?;
    let give_back = "UPDATE mails SET owner = NULL WHERE connections = ?1 AND owner = ?2 AND sending = 0";
    tx.execute(give_back, params![lane, owner]).map(drop)
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
            params![mail, position, recipient.state.as_str(), recipient.uncertain, recipient.reply],
        )?;
    }
    let next_try = recipients.iter().any(Recipient::is_due).then(|| to_db(next_try));
    tx.execute(
        "UPDATE mails SET sending = 0, owner = NULL, next_try = ?2, broke_over = NULL, broke = iif(?2 IS NULL, NULL, broke)
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
                state: RecipientState::parse(&word).unwrap_or(RecipientState::Held),
                uncertain: row.get(2)?,
                reply: row.get(3)?,
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(found)
}

/// Its time has come; or it lies later than any wait, since the clock was set back.
pub(super) const IS_DUE: &str = "next_try IS NOT NULL AND (next_try <= ?1 OR next_try > ?2) AND sending = 0
    AND EXISTS (SELECT 1 FROM texts WHERE mail = mails.id)";

/// No other owner has a mail of its lane in hands.
pub(super) const IS_FREE: &str =
    "NOT EXISTS (SELECT 1 FROM mails AS held WHERE held.connections = mails.connections
    AND held.owner IS NOT NULL AND held.owner != ?3)";

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
    tx.execute("UPDATE runs SET outcome = ?2 WHERE id = ?1", params![run, outcome_of(&all).as_str()])?;
    Ok(())
}
