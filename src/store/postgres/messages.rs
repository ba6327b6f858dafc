//! A mail in the hands of its owner: claimed, being sent, recorded.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::limits::{LOCK_HOUR, LOCK_MINUTE, TAKE_BACK_IF_USED_UP, an_hour_before};
use super::message_bytes::text_of;
use super::outbox::{
    DEFER_LANE, LOCK_RUNS, UPDATE_RUNS, count, due_at, is_due, json_of, names_of, people, people_at,
    people_of,
};
use super::together::{HOLD_LEASE, Statement};
use super::{Client, Failure, Values, from_db, text, to_db};
use crate::outbox::Recipient;
use crate::store::{AttemptRecord, Begin, ConnectionRest, QueuedMessage, SendLimits};

/// Who claims of a lane does so alone. A claim that the server loses when it breaks down costs nothing, for before the mail is
/// sent it is looked at again: no disk is waited for.
const LOCK_LANE: &str = "SELECT set_config('synchronous_commit', 'off', true), pg_advisory_xact_lock(hashtextextended($1, 0))::text";

/// Claims the next mail of the lane `$4` for the owner `$3`. `$1` and `$2` are [`due_at`]. Of many that are due, few are looked
/// at: those that go before others whenever they are due, and those that are due since the earliest moment. The last break
/// of a waiting mail of the same flow and lane is a number, since clocks are set.
const CLAIM: &str = concat!(
    "WITH broken AS (
        SELECT runs.flow, max(mails.broke) AS last FROM mails JOIN runs ON runs.id = mails.run
        WHERE mails.broke IS NOT NULL AND mails.connections = $4 GROUP BY runs.flow),
    earliest AS (
        SELECT next_try FROM mails WHERE connections = $4 AND next_try <= $1 AND NOT is_paced AND NOT sending
            AND EXISTS (SELECT 1 FROM texts WHERE texts.mail = mails.id)
        ORDER BY next_try LIMIT 1),
    near AS (
        SELECT id FROM mails WHERE connections = $4 AND is_paced
        UNION SELECT id FROM mails WHERE connections = $4 AND next_try > $2
        UNION SELECT id FROM mails WHERE connections = $4 AND next_try = (SELECT next_try FROM earliest)),
    next AS (
        SELECT mails.id FROM near JOIN mails ON mails.id = near.id
            LEFT JOIN runs ON runs.id = mails.run LEFT JOIN broken ON broken.flow = runs.flow
        WHERE ",
    is_due!(),
    " AND NOT EXISTS (SELECT 1 FROM mails AS theirs
            WHERE theirs.owner IS NOT NULL AND theirs.owner <> $3 AND theirs.connections = $4)
        ORDER BY CASE WHEN mails.is_paced OR mails.next_try > $1 THEN 0 ELSE mails.next_try END,
            broken.last NULLS FIRST, mails.broke NULLS FIRST, mails.id
        LIMIT 1 FOR NO KEY UPDATE OF mails)
    UPDATE mails SET owner = $3 FROM next WHERE mails.id = next.id"
);

/// The mail that this transaction has claimed of the lane `$1`, as it is since then: whoever decided over it before that may
/// have added recipients.
const CLAIMED: &str = concat!(
    "SELECT mails.id, mails.run, flows.name, mails.connections, mails.sender, mails.tries, mails.breaks, ",
    text_of!("mails.id"),
    ", ",
    people!(),
    " FROM mails LEFT JOIN runs ON runs.id = mails.run LEFT JOIN flows ON flows.id = runs.flow ",
    people_of!("mails.id"),
    " WHERE mails.owner = $2 AND mails.connections = $1 AND mails.xmin = pg_current_xact_id()::xid"
);

/// Those of the connections of a lane, `$1`, that rest.
const RESTING: &str =
    "SELECT name, rest_until FROM connections WHERE rest_until IS NOT NULL AND $1::text::jsonb ? name
    ORDER BY name";

/// The mail `$1` of the owner `$4` is being sent over the connection `$3` from `$2` on, where that has had less than `$5` within
/// the last minute; else how long that takes. What the clock of another server, that was in this one's place, has counted a
/// little ahead counts.
const BEGIN: &str = "WITH clock AS (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now),
    minute AS (
        SELECT count(*) AS sent, (array_agg(at ORDER BY at DESC))[$5::bigint] AS last FROM sends, clock
        WHERE connection = $3 AND at BETWEEN now - 59999999 AND now + 60000000),
    begun AS (
        UPDATE mails SET tries = tries + CASE WHEN sending THEN 0 ELSE 1 END, sending = true,
            began = coalesce(began, $2), is_paced = false, connection = $3
        FROM minute WHERE id = $1 AND owner = $4 AND ($5 IS NULL OR sent < $5) RETURNING id),
    counted AS (INSERT INTO sends (connection, at) SELECT $3, now FROM begun, clock WHERE $5 IS NOT NULL),
    old AS (DELETE FROM sends USING clock WHERE connection = $3 AND at NOT BETWEEN now - 59999999 AND now + 60000000)
    SELECT EXISTS (SELECT 1 FROM begun), (SELECT last + 60000000 - now FROM minute, clock WHERE sent >= $5)";

/// What became of the mail `$1` of the owner `$2`: `$3` to `$5` are arrays of its recipients, `$6` when it is tried next, `$7`
/// whether it broke, `$8` where. A mail that broke goes after those that are due with it.
const RECORD: &str = "WITH claimed AS (SELECT id FROM mails WHERE id = $1 AND owner = $2 FOR NO KEY UPDATE),
    judged AS (
        UPDATE recipients SET state = heard.state, uncertain = heard.uncertain, reply = heard.reply
        FROM claimed, unnest($3::text[], $4::bigint[], $5::text[]) WITH ORDINALITY
            AS heard (state, uncertain, reply, place)
        WHERE recipients.mail = claimed.id AND recipients.position = heard.place - 1)
    UPDATE mails SET sending = false, owner = NULL, next_try = $6::bigint,
        broke_over = CASE WHEN $6 IS NOT NULL THEN $8::text END,
        broke = CASE WHEN $6 IS NULL THEN NULL WHEN NOT $7 THEN broke
            ELSE (SELECT coalesce(max(others.broke), 0) + 1 FROM mails AS others WHERE others.broke IS NOT NULL) END
    FROM claimed WHERE mails.id = claimed.id";

impl Client {
    /// Claims the next mail of a lane.
    pub(in crate::store) async fn next_message(
        &self,
        lane: &[String],
        now: Timestamp,
    ) -> Result<Option<QueuedMessage>, Failure> {
        let ([now, too_late], lane, owner) = (due_at(now), json_of(lane), self.owner());
        let claim: [Statement<'_>; 5] = [
            (LOCK_LANE, &[&lane]),
            (HOLD_LEASE, &[&owner]),
            (CLAIM, &[&now, &too_late, &owner, &lane]),
            (CLAIMED, &[&lane, &owner]),
            (RESTING, &[&lane]),
        ];
        let done = self.together(&claim).await?;
        let [.., claimed, resting] = &done[..] else { return Ok(None) };
        let Some(claimed) = claimed.first() else { return Ok(None) };
        let rest =
            |row: &Row| Ok(ConnectionRest { connection: row.try_get(0)?, until: from_db(row.try_get(1)?) });
        let resting = resting.iter().map(rest).collect::<Result<_, Failure>>()?;
        Ok(Some(QueuedMessage { resting, ..message_of(claimed)? }))
    }

    /// Commits that the mail is being sent, where this owner still has it and it would not be too many.
    pub(in crate::store) async fn begin_sending(
        &self,
        mail: i64,
        connection: &str,
        limits: SendLimits,
        now: Timestamp,
    ) -> Result<Begin, Failure> {
        let (owner, connection, moment) = (self.owner(), text(connection), to_db(now));
        let [per_minute, per_hour] = [limits.per_minute, limits.per_hour].map(|most| most.map(i64::from));
        let [after, until] = an_hour_before(now);
        let hour: Values<'_> = &[&mail];
        let minute: Values<'_> = &[&connection];
        let me: Values<'_> = &[&owner];
        let take_back: Values<'_> = &[&mail, &owner, &per_hour, &after, &until];
        let begin: Values<'_> = &[&mail, &moment, &connection, &owner, &per_minute];
        let mut all: Vec<Statement<'_>> = Vec::new();
        all.extend(per_hour.map(|_| (LOCK_HOUR, hour)));
        all.extend(per_minute.map(|_| (LOCK_MINUTE, minute)));
        all.extend([(HOLD_LEASE, me), (TAKE_BACK_IF_USED_UP, take_back), (BEGIN, begin)]);
        let done = self.together(&all).await?;
        let [.., given_back, sent] = &done[..] else { return Ok(Begin::TakenBack) };
        let Some(sent) = sent.first().filter(|_| given_back.is_empty()) else {
            return Ok(Begin::TakenBack);
        };
        Ok(match (sent.try_get(0)?, sent.try_get::<_, Option<i64>>(1)?) {
            (true, _) => Begin::Begun,
            (false, Some(wait)) => Begin::NotBefore(now + SignedDuration::from_micros(wait)),
            (false, None) => Begin::TakenBack,
        })
    }

    /// Records what became of a try, and what that makes of the mail's run and of its lane.
    pub(in crate::store) async fn record_attempt(
        &self,
        attempt: &AttemptRecord,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let AttemptRecord { message: mail, recipients, next_try, broke_over, defer_lane } = attempt;
        let owner = self.owner();
        let states: Vec<&str> = recipients.iter().map(|one| one.state.as_str()).collect();
        let uncertain: Vec<i64> = recipients.iter().map(|one| i64::from(one.uncertain)).collect();
        let replies: Vec<Option<Cow<'_, str>>> =
            recipients.iter().map(|one| one.reply.as_deref().map(text)).collect();
        let next_try = recipients.iter().any(Recipient::is_due).then(|| to_db(*next_try));
        let is_broken = broke_over.is_some();
        let over = broke_over.as_deref().filter(|over| !over.is_empty()).map(json_of);
        let record: Values<'_> = &[mail, &owner, &states, &uncertain, &replies, &next_try, &is_broken, &over];
        let mail = [*mail];
        let (me, mails): (Values<'_>, Values<'_>) = (&[&owner], &[&&mail[..]]);
        let mut all: Vec<Statement<'_>> =
            vec![(HOLD_LEASE, me), (LOCK_RUNS, mails), (RECORD, record), (UPDATE_RUNS, mails)];
        let [_, too_late] = due_at(now);
        let lane = defer_lane.as_ref().map(|(lane, until)| (json_of(lane), to_db(*until)));
        let defer: Option<[&(dyn ToSql + Sync); 4]> =
            lane.as_ref().map(|(lane, until)| [lane as _, until as _, &too_late as _, &owner as _]);
        all.extend(defer.as_ref().map(|values| (DEFER_LANE, &values[..])));
        self.together(&all).await.map(drop)
    }
}

fn message_of(row: &Row) -> Result<QueuedMessage, Failure> {
    Ok(QueuedMessage {
        id: row.try_get(0)?,
        run: row.try_get(1)?,
        flow: row.try_get(2)?,
        connections: names_of(row.try_get(3)?),
        sender: row.try_get(4)?,
        recipients: people_at(row, 8)?,
        bytes: row.try_get::<_, Option<Vec<u8>>>(7)?.unwrap_or_default(),
        tries: count(row.try_get(5)?),
        breaks: count(row.try_get(6)?),
        resting: Vec::new(),
    })
}
