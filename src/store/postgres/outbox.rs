//! The outbox: mails with their final bytes, and each recipient's state.

use std::borrow::Cow;

use deadpool_postgres::Transaction;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::nodes::check_owner;
use super::{Client, Db, Failure, Values, execute, from_db, row, rows, text, to_db};
use crate::outbox::{LONGEST_WAIT, Receipt, Recipient, RecipientState};

/// Of a row of `mails`: its time has come; or it lies later than any wait, since the clock was set back. `$1` and `$2` are
/// [`due_at`].
macro_rules! is_due {
    () => {
        "mails.next_try IS NOT NULL AND (mails.next_try <= $1 OR mails.next_try > $2) AND NOT mails.sending
        AND EXISTS (SELECT 1 FROM texts WHERE texts.mail = mails.id)"
    };
}
pub(super) use is_due;

/// The recipients of the mail that `$mail` names, as arrays beside each other; [`people_at`] reads them.
macro_rules! people_of {
    ($mail:literal) => {
        concat!(
            "LEFT JOIN LATERAL (SELECT array_agg(address ORDER BY position) AS address,
                array_agg(state ORDER BY position) AS state, array_agg(uncertain ORDER BY position) AS uncertain,
                array_agg(reply ORDER BY position) AS reply
            FROM recipients WHERE recipients.mail = ",
            $mail,
            ") AS people ON true"
        )
    };
}
pub(super) use people_of;

/// The columns that [`people_at`] reads.
macro_rules! people {
    () => {
        "people.address, people.state, people.uncertain, people.reply"
    };
}
pub(super) use people;

/// Puts off the mails of a lane, `$1`, until `$2`; those that are due since they lie later than any wait, `$3`, too. The claims
/// of the owner `$4` on them are given back.
pub(super) const DEFER_LANE: &str = "WITH late AS (
        SELECT id FROM mails WHERE connections = $1 AND NOT sending
            AND (next_try < $2 OR next_try > $3 OR owner = $4)
        ORDER BY id FOR NO KEY UPDATE)
    UPDATE mails SET owner = nullif(owner, $4),
        next_try = CASE WHEN next_try < $2 OR next_try > $3 THEN $2 ELSE next_try END
    FROM late WHERE mails.id = late.id";

/// The outcome of the runs of these mails follows from the recipients of all mails of each run. Whoever asks for it has
/// the runs locked since before it looked at a mail of them.
pub(super) const UPDATE_RUNS: &str = "UPDATE runs SET outcome = CASE
        WHEN EXISTS (SELECT 1 FROM mails JOIN recipients ON recipients.mail = mails.id
            WHERE mails.run = runs.id AND mails.next_try IS NOT NULL AND recipients.state IN ('waiting', 'uncertain'))
        THEN 'waiting'
        WHEN NOT EXISTS (SELECT 1 FROM mails JOIN recipients ON recipients.mail = mails.id
            WHERE mails.run = runs.id AND recipients.state IN ('held', 'dropped'))
        THEN 'sent'
        WHEN EXISTS (SELECT 1 FROM mails JOIN recipients ON recipients.mail = mails.id
            WHERE mails.run = runs.id AND recipients.state = 'sent')
        THEN 'partly-sent' ELSE 'held' END
    WHERE id IN (SELECT run FROM mails WHERE id = ANY($1))";

/// Two that change mails of one run, each another, must not both go by how the other's was before. The runs come before
/// the mails, so that nobody waits in a circle.
pub(super) const LOCK_RUNS: &str = "SELECT 1 FROM runs WHERE id IN (SELECT run FROM mails WHERE id = ANY($1))
    ORDER BY id FOR NO KEY UPDATE";

/// What is read of these mails afterwards nobody changes until the transaction ends.
pub(super) const LOCK_MAILS: &str = "SELECT 1 FROM mails WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE";

/// Writes what became of the recipients of mails: `$1` to `$5` are arrays beside each other. `$6` are the mails, `$7` when each
/// is tried next.
const WRITE_RECIPIENTS: &str = "WITH judged AS (
        UPDATE recipients SET state = heard.state, uncertain = heard.uncertain, reply = heard.reply
        FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::text[])
            AS heard (mail, position, state, uncertain, reply)
        WHERE recipients.mail = heard.mail AND recipients.position = heard.position)
    UPDATE mails SET sending = false, owner = NULL, next_try = next.moment, broke_over = NULL,
        broke = CASE WHEN next.moment IS NULL THEN NULL ELSE broke END
    FROM unnest($6::bigint[], $7::bigint[]) AS next (mail, moment) WHERE mails.id = next.mail";

impl Client {
    /// The lists of connections that have a mail whose time has come, but for those of which another owner has a
    /// mail in hands.
    pub(in crate::store) async fn due_lanes(&self, now: Timestamp) -> Result<Vec<Vec<String>>, Failure> {
        const LANES: &str = concat!(
            "SELECT lane FROM (SELECT DISTINCT connections AS lane FROM mails WHERE ",
            is_due!(),
            ") AS due WHERE NOT EXISTS (
                SELECT 1 FROM mails WHERE owner IS NOT NULL AND owner <> $3 AND connections = due.lane)
            ORDER BY lane COLLATE \"C\""
        );
        let [now, too_late] = due_at(now);
        let found = rows(self, LANES, &[&now, &too_late, &self.owner()]).await?;
        found.iter().map(|row| Ok(names_of(row.try_get(0)?))).collect()
    }

    /// Mails whose replies this owner could not record are uncertain. Returns how many.
    pub(in crate::store) async fn mark_interrupted_uncertain(
        &mut self,
        now: Timestamp,
    ) -> Result<usize, Failure> {
        let owners = [self.owner().to_owned()];
        let tx = self.transaction().await?;
        check_owner(&tx, &owners[0]).await?;
        let mails = mark_uncertain(&tx, &owners, now).await?;
        give_back(&tx, &owners).await?;
        tx.commit().await?;
        Ok(mails)
    }

    /// Puts off every mail of a lane.
    pub(in crate::store) async fn defer_lane(
        &mut self,
        lane: &[String],
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let [_, too_late] = due_at(now);
        let owner = self.owner().to_owned();
        let tx = self.transaction().await?;
        check_owner(&tx, &owner).await?;
        execute(&tx, DEFER_LANE, &[&json_of(lane), &to_db(until), &too_late, &owner]).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Lets every waiting mail be tried at `now`: somebody has started leadflow or changed its file.
    pub(in crate::store) async fn retry_all_now(&self, now: Timestamp) -> Result<(), Failure> {
        const RETRY: &str = "WITH late AS (
                SELECT id FROM mails WHERE next_try > $1 AND NOT sending ORDER BY id FOR NO KEY UPDATE)
            UPDATE mails SET next_try = $1, is_paced = false FROM late WHERE mails.id = late.id";
        const TRY_CONNECTIONS: &str = "UPDATE connections SET rest_until = NULL WHERE rest_until IS NOT NULL";
        let now = to_db(now);
        self.together(&[(RETRY, &[&now]), (TRY_CONNECTIONS, &[])]).await.map(drop)
    }

    /// When the next mail is to be tried; `None` while nothing waits.
    pub(in crate::store) async fn next_try(&self) -> Result<Option<Timestamp>, Failure> {
        const NEXT: &str = "SELECT min(next_try) FROM mails WHERE next_try IS NOT NULL AND NOT sending";
        Ok(row(self, NEXT, &[]).await?.try_get::<_, Option<i64>>(0)?.map(from_db))
    }
}

/// Mails that these owners were sending may have arrived. Their recipients that still waited are uncertain now, and the
/// mails wait again. Returns how many.
pub(super) async fn mark_uncertain(
    tx: &Transaction<'_>,
    owners: &[String],
    now: Timestamp,
) -> Result<usize, Failure> {
    const WHICH: &str = "SELECT id FROM mails WHERE owner = ANY($1) AND sending";
    const SENDING: &str = concat!(
        "SELECT mails.id, ",
        people!(),
        " FROM mails ",
        people_of!("mails.id"),
        " WHERE mails.id = ANY($1) AND mails.owner = ANY($2) AND mails.sending ORDER BY mails.id"
    );
    let mails = ids_of(&rows(tx, WHICH, &[&owners]).await?)?;
    if mails.is_empty() {
        return Ok(0);
    }
    rows(tx, LOCK_RUNS, &[&mails]).await?;
    rows(tx, LOCK_MAILS, &[&mails]).await?;
    let doubt = || Receipt::Unknown("the process ended while the mail was being sent".to_owned());
    let after = |one: Recipient| if one.is_due() { one.after(doubt()) } else { one };
    let doubted = changed(&rows(tx, SENDING, &[&mails, &owners]).await?, after)?;
    write_recipients(tx, &doubted, now).await?;
    Ok(doubted.len())
}

/// These owners have no mail in hands any more that no server has heard of.
pub(super) async fn give_back(db: &impl Db, owners: &[String]) -> Result<(), Failure> {
    let give_back = "UPDATE mails SET owner = NULL WHERE owner = ANY($1) AND NOT sending";
    execute(db, give_back, &[&owners]).await.map(drop)
}

/// The numbers in the first column of these rows.
pub(super) fn ids_of(rows: &[Row]) -> Result<Vec<i64>, Failure> {
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Mails, which stand in rows before their recipients, with what becomes of each recipient.
pub(super) fn changed(
    rows: &[Row],
    change: impl Fn(Recipient) -> Recipient,
) -> Result<Vec<(i64, Vec<Recipient>)>, Failure> {
    let mail = |row: &Row| Ok((row.try_get(0)?, people_at(row, 1)?.into_iter().map(&change).collect()));
    rows.iter().map(mail).collect()
}

/// Writes what became of the recipients of these mails, which nobody has in hands from then on, and what that makes of
/// their runs.
pub(super) async fn write_recipients(
    db: &impl Db,
    mails: &[(i64, Vec<Recipient>)],
    next_try: Timestamp,
) -> Result<(), Failure> {
    if mails.is_empty() {
        return Ok(());
    }
    let all = || {
        mails.iter().flat_map(|(mail, people)| (0_i64..).zip(people).map(move |(at, one)| (mail, at, one)))
    };
    let of: Vec<i64> = all().map(|(mail, ..)| *mail).collect();
    let positions: Vec<i64> = all().map(|(_, position, _)| position).collect();
    let states: Vec<&str> = all().map(|(.., one)| one.state.as_str()).collect();
    let uncertain: Vec<i64> = all().map(|(.., one)| i64::from(one.uncertain)).collect();
    let replies: Vec<Option<Cow<'_, str>>> = all().map(|(.., one)| one.reply.as_deref().map(text)).collect();
    let ids: Vec<i64> = mails.iter().map(|(mail, _)| *mail).collect();
    let next = |people: &[Recipient]| people.iter().any(Recipient::is_due).then(|| to_db(next_try));
    let moments: Vec<Option<i64>> = mails.iter().map(|(_, people)| next(people)).collect();
    let values: Values<'_> = &[&of, &positions, &states, &uncertain, &replies, &ids, &moments];
    execute(db, WRITE_RECIPIENTS, values).await?;
    execute(db, UPDATE_RUNS, &[&ids]).await.map(drop)
}

/// The recipients that stand in a row, in the columns from this one on.
pub(super) fn people_at(row: &Row, first: usize) -> Result<Vec<Recipient>, Failure> {
    let Some(addresses) = row.try_get::<_, Option<Vec<String>>>(first)? else { return Ok(Vec::new()) };
    let states: Vec<&str> = row.try_get(first + 1)?;
    let uncertain: Vec<i64> = row.try_get(first + 2)?;
    let replies: Vec<Option<String>> = row.try_get(first + 3)?;
    let beside = addresses.into_iter().zip(states).zip(uncertain).zip(replies);
    let person = |(((address, word), uncertain), reply)| Recipient {
        address,
        state: RecipientState::parse(word).unwrap_or(RecipientState::Held),
        uncertain: count(uncertain),
        reply,
    };
    Ok(beside.map(person).collect())
}

/// A count out of the database.
pub(super) fn count(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}

pub(super) fn due_at(now: Timestamp) -> [i64; 2] {
    [now, now.checked_add(LONGEST_WAIT * 2).unwrap_or(Timestamp::MAX)].map(to_db)
}

pub(super) fn json_of(connections: &[String]) -> String {
    serde_json::json!(connections).to_string()
}

pub(super) fn names_of(connections: &str) -> Vec<String> {
    serde_json::from_str(connections).unwrap_or_default()
}
