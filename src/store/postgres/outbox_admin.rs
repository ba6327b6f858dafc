//! The outbox as people look at it and decide over it.

use std::borrow::Cow;

use deadpool_postgres::Transaction;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::message_bytes::text_of;
use super::outbox::{
    LOCK_MAILS, LOCK_RUNS, changed, count, ids_of, names_of, people, people_at, people_of, write_recipients,
};
use super::{Client, Failure, execute, from_db, maybe_row, row, rows, text, to_db};
use crate::outbox::{Recipient, Redirect};
use crate::store::{MessageRecord, OpenMails, OutboxEntry, OutboxFilter};

/// Mails with all that is shown of them; a condition and an order follow.
macro_rules! entries {
    () => {
        concat!(
            "SELECT mails.id, mails.subject, mails.message_id,
                (SELECT sum(length(bytes)) FROM texts WHERE texts.mail = mails.id), mails.tries, mails.next_try,
                mails.is_paced, mails.run, flows.name, mails.created, mails.connections, mails.sending, mails.connection, mails.asked_by, ",
            people!(),
            " FROM mails LEFT JOIN runs ON runs.id = mails.run LEFT JOIN flows ON flows.id = runs.flow ",
            people_of!("mails.id")
        )
    };
}

/// A mail over which a person decides, and which nobody changes meanwhile.
struct Decided {
    is_sending: bool,
    has_text: bool,
    recipients: Vec<Recipient>,
}

impl Client {
    /// Mails of the outbox, oldest first.
    pub(in crate::store) async fn outbox(&self, filter: OutboxFilter) -> Result<Vec<OutboxEntry>, Failure> {
        const OPEN: &str = concat!(
            entries!(),
            " WHERE mails.id IN (SELECT id FROM mails WHERE next_try IS NOT NULL
                UNION SELECT mail FROM recipients WHERE state = 'held'
                UNION SELECT mail FROM recipients WHERE uncertain > 0) ORDER BY mails.id"
        );
        const ONE: &str = concat!(entries!(), " WHERE mails.id = $1");
        let found = match filter {
            OutboxFilter::Open => rows(self, OPEN, &[]).await?,
            OutboxFilter::One(mail) => rows(self, ONE, &[&mail]).await?,
        };
        found.iter().map(entry_of).collect()
    }

    /// The mails of a run, with what became of them.
    pub(in crate::store) async fn mails_of(&self, run: i64) -> Result<Vec<MessageRecord>, Failure> {
        const OF_RUN: &str = concat!(entries!(), " WHERE mails.run = $1 ORDER BY mails.id");
        let found = rows(self, OF_RUN, &[&run]).await?;
        found.iter().map(|row| Ok(entry_of(row)?.message)).collect()
    }

    /// The RFC 5322 text of a mail, where it is still kept.
    pub(in crate::store) async fn message_bytes(&self, mail: i64) -> Result<Option<Vec<u8>>, Failure> {
        let found = row(self, concat!("SELECT ", text_of!("$1")), &[&mail]).await?;
        Ok(found.try_get::<_, Option<Vec<u8>>>(0)?.filter(|text| !text.is_empty()))
    }

    /// How many mails of a flow still wait; one that is being sent waits, too.
    pub(in crate::store) async fn waiting_mails(&self, flow: &str) -> Result<i64, Failure> {
        const WAITING: &str = "SELECT count(*) FROM mails JOIN runs ON runs.id = mails.run
            WHERE mails.next_try IS NOT NULL AND runs.flow = (SELECT id FROM flows WHERE name = $1)";
        Ok(row(self, WAITING, &[&text(flow)]).await?.try_get(0)?)
    }

    /// How many mails of all flows are open.
    pub(in crate::store) async fn open_mails(&self) -> Result<OpenMails, Failure> {
        const OPEN: &str = "SELECT count(DISTINCT mails.id) FILTER (WHERE state = 'waiting'),
                count(DISTINCT mails.id) FILTER (WHERE state = 'uncertain'),
                (SELECT count(DISTINCT mail) FROM recipients WHERE state = 'held')
            FROM mails JOIN recipients ON recipients.mail = mails.id WHERE mails.next_try IS NOT NULL";
        let found = row(self, OPEN, &[]).await?;
        let number = |index| Ok::<_, Failure>(count(found.try_get(index)?));
        Ok(OpenMails { waiting: number(0)?, uncertain: number(1)?, held: number(2)? })
    }
}

/// Lets a mail be tried now, also for recipients that were held or dropped; without a number
/// every waiting or held mail. Sessions that broke are forgotten, and who asked is noted. A mail that is being sent goes on.
pub(super) async fn retry(
    tx: &Transaction<'_>,
    mail: Option<i64>,
    asked_by: Option<&str>,
    now: Timestamp,
) -> Result<(), Failure> {
    const WAITING: &str = "WITH waiting AS (
            SELECT id FROM mails WHERE next_try IS NOT NULL AND NOT sending AND ($1::bigint IS NULL OR id = $1)
            ORDER BY id FOR NO KEY UPDATE)
        UPDATE mails SET next_try = least(next_try, $2), is_paced = is_paced AND next_try <= $2, asked_by = $3
        FROM waiting WHERE mails.id = waiting.id";
    const GIVE_BACK: &str = "UPDATE mails SET owner = NULL WHERE id = $1 AND NOT sending";
    const FORGIVE: &str = "WITH blamed AS (
            SELECT id FROM mails WHERE (breaks > 0 OR broke_over IS NOT NULL) AND next_try IS NOT NULL
                AND ($1::bigint IS NULL OR id = $1)
            ORDER BY id FOR NO KEY UPDATE)
        UPDATE mails SET breaks = 0, broke_over = NULL FROM blamed WHERE mails.id = blamed.id";
    retry_held(tx, mail, now).await?;
    execute(tx, WAITING, &[&mail, &to_db(now), &asked_by]).await?;
    if let Some(mail) = mail {
        // Who tries it already has seen it as it was before.
        execute(tx, GIVE_BACK, &[&mail]).await?;
    }
    execute(tx, FORGIVE, &[&mail]).await.map(drop)
}

/// Lets mails be tried for recipients for whom nobody would try them any more.
async fn retry_held(tx: &Transaction<'_>, mail: Option<i64>, now: Timestamp) -> Result<(), Failure> {
    const HELD: &str = "SELECT DISTINCT recipients.mail FROM recipients
        WHERE recipients.state = ANY($1) AND ($2::bigint IS NULL OR recipients.mail = $2)";
    const FREE: &str = concat!(
        "SELECT mails.id, ",
        people!(),
        " FROM mails ",
        people_of!("mails.id"),
        " WHERE mails.id = ANY($1) AND NOT mails.sending
            AND EXISTS (SELECT 1 FROM texts WHERE texts.mail = mails.id) ORDER BY mails.id"
    );
    // What a person has dropped is tried again only when its number is named.
    let states: &[&str] = if mail.is_some() { &["held", "dropped"] } else { &["held"] };
    let held = ids_of(&rows(tx, HELD, &[&states, &mail]).await?)?;
    if held.is_empty() {
        return Ok(());
    }
    rows(tx, LOCK_RUNS, &[&held]).await?;
    rows(tx, LOCK_MAILS, &[&held]).await?;
    let again = |one: Recipient| one.retried().unwrap_or(one);
    let retried = changed(&rows(tx, FREE, &[&held]).await?, again)?;
    write_recipients(tx, &retried, now).await
}

/// Lets a mail be tried now for other addresses, and notes who asked; a mail that is being sent goes on, and one whose text
/// is not kept any more goes nowhere.
pub(super) async fn redirect(
    tx: &Transaction<'_>,
    mail: i64,
    redirect: &Redirect,
    asked_by: Option<&str>,
    now: Timestamp,
) -> Result<(), Failure> {
    const ADD: &str = "INSERT INTO recipients (mail, position, address, state)
        SELECT $1, $2 + new.place - 1, new.address, new.state
        FROM unnest($3::text[], $4::text[]) WITH ORDINALITY AS new (address, state, place)";
    let Some(known) = locked(tx, mail).await?.filter(|known| !known.is_sending && known.has_text) else {
        return Ok(());
    };
    let Ok(recipients) = redirect.apply_to(&known.recipients) else { return Ok(()) };
    let before = known.recipients.len();
    let addresses: Vec<Cow<'_, str>> = recipients[before..].iter().map(|one| text(&one.address)).collect();
    let states: Vec<&str> = recipients[before..].iter().map(|one| one.state.as_str()).collect();
    let first = i64::try_from(before).unwrap_or(i64::MAX);
    execute(tx, ADD, &[&mail, &first, &addresses, &states]).await?;
    write_recipients(tx, &[(mail, recipients)], now).await?;
    let anew = "UPDATE mails SET is_paced = false, breaks = 0, asked_by = $2 WHERE id = $1";
    execute(tx, anew, &[&mail, &asked_by]).await.map(drop)
}

/// Gives a mail up for every recipient that has not got it, and notes who asked; a mail that is being sent goes on.
pub(super) async fn drop_mail(
    tx: &Transaction<'_>,
    mail: i64,
    asked_by: Option<&str>,
) -> Result<(), Failure> {
    let Some(known) = locked(tx, mail).await?.filter(|known| !known.is_sending) else { return Ok(()) };
    if known.recipients.iter().all(|one| one.dropped().is_none()) {
        return Ok(());
    }
    let given_up = |one: Recipient| one.dropped().unwrap_or(one);
    let recipients = known.recipients.into_iter().map(given_up).collect();
    write_recipients(tx, &[(mail, recipients)], Timestamp::UNIX_EPOCH).await?;
    execute(tx, "UPDATE mails SET asked_by = $2 WHERE id = $1", &[&mail, &asked_by]).await.map(drop)
}

/// Whether a mail is being sent; until the transaction ends nobody begins to.
pub(super) async fn is_sending(tx: &Transaction<'_>, mail: i64) -> Result<bool, Failure> {
    Ok(locked(tx, mail).await?.is_some_and(|known| known.is_sending))
}

async fn locked(tx: &Transaction<'_>, mail: i64) -> Result<Option<Decided>, Failure> {
    const LOCKED: &str = concat!(
        "SELECT mails.sending, EXISTS (SELECT 1 FROM texts WHERE texts.mail = mails.id), ",
        people!(),
        " FROM mails ",
        people_of!("mails.id"),
        " WHERE mails.id = $1"
    );
    rows(tx, LOCK_RUNS, &[&&[mail][..]]).await?;
    rows(tx, LOCK_MAILS, &[&&[mail][..]]).await?;
    let found = maybe_row(tx, LOCKED, &[&mail]).await?;
    let known = found.map(|row| {
        Ok(Decided {
            is_sending: row.try_get(0)?,
            has_text: row.try_get(1)?,
            recipients: people_at(&row, 2)?,
        })
    });
    known.transpose()
}

fn entry_of(row: &Row) -> Result<OutboxEntry, Failure> {
    Ok(OutboxEntry {
        message: MessageRecord {
            id: row.try_get(0)?,
            subject: row.try_get(1)?,
            message_id: row.try_get(2)?,
            connections: names_of(row.try_get(10)?),
            connection: row.try_get(12)?,
            size: row.try_get(3)?,
            tries: count(row.try_get(4)?),
            next_try: row.try_get::<_, Option<i64>>(5)?.map(from_db),
            is_deferred_by_rate: row.try_get(6)?,
            is_sending: row.try_get(11)?,
            recipients: people_at(row, 14)?,
            asked_by: row.try_get(13)?,
        },
        run: row.try_get(7)?,
        flow: row.try_get(8)?,
        created: from_db(row.try_get(9)?),
    })
}
