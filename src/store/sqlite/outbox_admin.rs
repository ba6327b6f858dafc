//! The outbox as people look at it and decide over it.

use jiff::Timestamp;
use rusqlite::{Row as DbRow, Transaction, params};

use super::message_bytes::read_text;
use super::outbox::{names_of, recipients_of, update_run, write_recipients};
use super::{Database, Failure, from_db, to_db};
use crate::outbox::{Recipient, Redirect};
use crate::store::{MessageRecord, OpenMails, OutboxEntry, OutboxFilter};

const ENTRIES: &str =
    "SELECT mails.id, subject, message_id, (SELECT sum(length(bytes)) FROM texts WHERE mail = mails.id), tries, next_try, is_paced, run, flows.name,
        created, connections, sending, connection, mails.asked_by
    FROM mails LEFT JOIN runs ON runs.id = mails.run LEFT JOIN flows ON flows.id = runs.flow";

impl Database {
    /// Mails of the outbox, oldest first.
    pub(crate) fn outbox(&self, filter: OutboxFilter) -> Result<Vec<OutboxEntry>, Failure> {
        let (condition, number) = match filter {
            OutboxFilter::Open => (
                "mails.id IN (SELECT id FROM mails WHERE next_try IS NOT NULL
                     UNION SELECT mail FROM recipients WHERE state = 'held'
                     UNION SELECT mail FROM recipients WHERE uncertain > 0)",
                0,
            ),
            OutboxFilter::One(mail) => ("mails.id = ?1", mail),
        };
        let mut ask =
            self.db.prepare(&format!("{ENTRIES} WHERE ?1 >= 0 AND ({condition}) ORDER BY mails.id"))?;
        let mut found: Vec<OutboxEntry> = ask.query_map([number], entry_of)?.collect::<Result<_, _>>()?;
        for entry in &mut found {
            entry.message.recipients = recipients_of(&self.db, entry.message.id)?;
        }
        Ok(found)
    }

    /// The RFC 5322 text of a mail, where it is still kept.
    pub(crate) fn message_bytes(&self, mail: i64) -> Result<Option<Vec<u8>>, Failure> {
        let text = read_text(&self.db, mail)?;
        Ok((!text.is_empty()).then_some(text))
    }

    /// The mails of a run, with what became of them.
    pub(crate) fn mails_of(&self, run: i64) -> Result<Vec<MessageRecord>, Failure> {
        let mut ask = self.db.prepare_cached(&format!("{ENTRIES} WHERE mails.run = ?1 ORDER BY mails.id"))?;
        let mut found: Vec<OutboxEntry> = ask.query_map([run], entry_of)?.collect::<Result<_, _>>()?;
        for entry in &mut found {
            entry.message.recipients = recipients_of(&self.db, entry.message.id)?;
        }
        Ok(found.into_iter().map(|entry| entry.message).collect())
    }

    /// How many mails of a flow still wait; one that is being sent waits, too.
    pub(crate) fn waiting_mails(&self, flow: &str) -> Result<i64, Failure> {
        // The order of a cross join is kept: few mails wait, and a flow has many runs.
        Ok(self.db.query_row(
            "SELECT count(*) FROM mails CROSS JOIN runs ON runs.id = mails.run
             WHERE mails.next_try IS NOT NULL AND runs.flow = (SELECT id FROM flows WHERE name = ?1)",
            [flow],
            |row| row.get(0),
        )?)
    }

    /// How many mails of all flows are open.
    pub(crate) fn open_mails(&self) -> Result<OpenMails, Failure> {
        // The order of a cross join is kept: few mails wait, and there are many recipients.
        let mut ask = self.db.prepare_cached(
            "SELECT count(DISTINCT mails.id) FILTER (WHERE state = 'waiting'),
                 count(DISTINCT mails.id) FILTER (WHERE state = 'uncertain'),
                 (SELECT count(DISTINCT mail) FROM recipients WHERE state = 'held')
             FROM mails CROSS JOIN recipients ON recipients.mail = mails.id WHERE mails.next_try IS NOT NULL",
        )?;
        let open = |row: &DbRow<'_>| {
            Ok(OpenMails { waiting: row.get(0)?, uncertain: row.get(1)?, held: row.get(2)? })
        };
        Ok(ask.query_row([], open)?)
    }
}

/// Lets a mail be tried now, also for recipients that were held or dropped; without a number
/// every waiting or held mail. Sessions that broke are forgotten, and who asked is noted. A mail
/// that is being sent goes on.
pub(super) fn retry(
    tx: &Transaction<'_>,
    mail: Option<i64>,
    asked_by: Option<&str>,
    now: Timestamp,
) -> Result<(), Failure> {
    // What a person has dropped is tried again only when its number is named.
    let states = if mail.is_some() { "('held', 'dropped')" } else { "('held')" };
    let held: Vec<i64> = tx
        .prepare(&format!(
            "SELECT DISTINCT recipients.mail FROM recipients JOIN mails ON mails.id = recipients.mail
             WHERE state IN {states} AND sending = 0 AND EXISTS (SELECT 1 FROM texts WHERE mail = mails.id) AND (?1 IS NULL OR mails.id = ?1)"
        ))?
        .query_map([mail], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for &mail in &held {
        let again = |recipient: Recipient| recipient.retried().unwrap_or(recipient);
        let recipients: Vec<_> = recipients_of(tx, mail)?.into_iter().map(again).collect();
        write_recipients(tx, mail, &recipients, now)?;
        update_run(tx, mail)?;
    }
    tx.execute(
        "UPDATE mails SET next_try = min(next_try, ?2), is_paced = iif(next_try > ?2, 0, is_paced), asked_by = ?3
         WHERE next_try IS NOT NULL AND sending = 0 AND (?1 IS NULL OR id = ?1)",
        params![mail, to_db(now), asked_by],
    )?;
    if let Some(mail) = mail {
        // Who tries it already has seen it as it was before.
        tx.execute("UPDATE mails SET owner = NULL WHERE id = ?1 AND sending = 0", [mail])?;
    }
    tx.execute(
        "UPDATE mails SET breaks = 0, broke_over = NULL
         WHERE (breaks > 0 OR broke_over IS NOT NULL) AND next_try IS NOT NULL AND (?1 IS NULL OR id = ?1)",
        [mail],
    )?;
    Ok(())
}

/// Lets a mail be tried now for other addresses, and notes who asked; a mail that is being sent
/// goes on, and one whose text is not kept any more goes nowhere.
pub(super) fn redirect(
    tx: &Transaction<'_>,
    mail: i64,
    redirect: &Redirect,
    asked_by: Option<&str>,
    now: Timestamp,
) -> Result<(), Failure> {
    let is_free = tx
        .prepare(
            "SELECT 1 FROM mails WHERE id = ?1 AND sending = 0 AND EXISTS (SELECT 1 FROM texts WHERE mail = \
             mails.id)",
        )?
        .exists([mail])?;
    let before = recipients_of(tx, mail)?;
    let Some(recipients) = redirect.apply_to(&before).ok().filter(|_| is_free) else { return Ok(()) };
    for (position, recipient) in (0_i64..).zip(&recipients).skip(before.len()) {
        tx.execute(
            "INSERT INTO recipients (mail, position, address, state) VALUES (?1, ?2, ?3, ?4)",
            params![mail, position, recipient.address, recipient.state.as_str()],
        )?;
    }
    write_recipients(tx, mail, &recipients, now)?;
    tx.execute(
        "UPDATE mails SET is_paced = 0, breaks = 0, asked_by = ?2 WHERE id = ?1",
        params![mail, asked_by],
    )?;
    update_run(tx, mail)?;
    Ok(())
}

/// Gives a mail up for every recipient that has not got it, and notes who asked; a mail that is
/// being sent goes on.
pub(super) fn drop_mail(tx: &Transaction<'_>, mail: i64, asked_by: Option<&str>) -> Result<(), Failure> {
    let is_free = tx.prepare("SELECT 1 FROM mails WHERE id = ?1 AND sending = 0")?.exists([mail])?;
    let before = recipients_of(tx, mail)?;
    let is_open = before.iter().any(|recipient| recipient.dropped().is_some());
    if !is_free || !is_open {
        return Ok(());
    }
    let given_up = |recipient: Recipient| recipient.dropped().unwrap_or(recipient);
    let recipients: Vec<_> = before.into_iter().map(given_up).collect();
    write_recipients(tx, mail, &recipients, Timestamp::UNIX_EPOCH)?;
    tx.execute("UPDATE mails SET asked_by = ?2 WHERE id = ?1", params![mail, asked_by])?;
    update_run(tx, mail)?;
    Ok(())
}

fn entry_of(row: &DbRow<'_>) -> rusqlite::Result<OutboxEntry> {
    Ok(OutboxEntry {
        message: MessageRecord {
            id: row.get(0)?,
            subject: row.get(1)?,
            message_id: row.get(2)?,
            connections: names_of(&row.get::<_, String>(10)?),
            connection: row.get(12)?,
            size: row.get(3)?,
            tries: row.get(4)?,
            next_try: row.get::<_, Option<i64>>(5)?.map(from_db),
            is_deferred_by_rate: row.get(6)?,
            is_sending: row.get(11)?,
            recipients: Vec::new(),
            asked_by: row.get(13)?,
        },
        run: row.get(7)?,
        flow: row.get(8)?,
        created: from_db(row.get(9)?),
    })
}
