//! How many mails of a flow leave within an hour, and how many a connection is handed within a minute: by all nodes together.

use jiff::{SignedDuration, Timestamp};

use super::outbox::due_at;
use super::{Client, Failure, Values, from_db, maybe_row, text, to_db};
use crate::store::DeferredFlow;

/// Who counts what goes over a connection does so alone.
pub(super) const LOCK_MINUTE: &str =
    "SELECT pg_advisory_xact_lock(hashtextextended('minute ' || $1, 0))::text";

/// Who counts what leaves of the flow of a mail, `$1`, does so alone.
pub(super) const LOCK_HOUR: &str =
    "SELECT pg_advisory_xact_lock(hashtextextended('hour ' || runs.flow, 0))::text
    FROM mails JOIN runs ON runs.id = mails.run WHERE mails.id = $1";

/// Gives back the claim of the owner `$2` on the mail `$1`, which no server has seen yet, where its flow has had as many as it
/// may, `$3`, between `$4` and `$5`.
pub(super) const TAKE_BACK_IF_USED_UP: &str = "UPDATE mails SET owner = NULL
    WHERE id = $1 AND owner = $2 AND began IS NULL AND $3::bigint <= (
        SELECT count(*) FROM mails AS others JOIN runs ON runs.id = others.run
        WHERE others.began > $4 AND others.began <= $5
            AND runs.flow = (SELECT its.flow FROM mails AS this JOIN runs AS its ON its.id = this.run WHERE this.id = $1))
    RETURNING id";

/// The span of `per_hour`.
const HOUR: SignedDuration = SignedDuration::from_hours(1);

impl Client {
    /// Puts off the mails of a flow that no server has seen yet, where its hour has had as many as it may. They are put
    /// off as a lane is.
    pub(in crate::store) async fn defer_flow_if_used_up(
        &self,
        flow: &str,
        per_hour: u32,
        now: Timestamp,
    ) -> Result<Option<DeferredFlow>, Failure> {
        const DEFER: &str = "WITH of_flow AS (SELECT id FROM flows WHERE name = $1),
            hour AS (
                SELECT count(*) AS begun, min(mails.began) + $5::bigint AS until
                FROM mails JOIN runs ON runs.id = mails.run JOIN of_flow ON of_flow.id = runs.flow
                WHERE mails.began > $2::bigint AND mails.began <= $3::bigint),
            full_hour AS (SELECT until FROM hour WHERE until IS NOT NULL AND begun >= $4::bigint),
            theirs AS (
                SELECT mails.id, full_hour.until,
                    mails.began IS NULL AND (mails.next_try < full_hour.until OR mails.next_try > $6) AS is_new
                FROM mails JOIN runs ON runs.id = mails.run JOIN of_flow ON of_flow.id = runs.flow, full_hour
                WHERE NOT mails.sending AND mails.next_try IS NOT NULL
                ORDER BY mails.id FOR NO KEY UPDATE OF mails),
            put_off AS (
                UPDATE mails SET owner = NULL, is_paced = mails.is_paced OR theirs.is_new,
                    next_try = CASE WHEN theirs.is_new THEN theirs.until ELSE mails.next_try END
                FROM theirs WHERE mails.id = theirs.id AND (theirs.is_new OR mails.owner IS NOT NULL))
            SELECT until, (SELECT count(*) FROM theirs WHERE is_new) FROM full_hour";
        let [_, too_late] = due_at(now);
        let [after, until] = an_hour_before(now);
        let values: Values<'_> = &[
            &text(flow),
            &after,
            &until,
            &i64::from(per_hour),
            &i64::try_from(HOUR.as_micros()).unwrap_or(i64::MAX),
            &too_late,
        ];
        let found = maybe_row(self, DEFER, values).await?;
        let deferred = found.map(|row| {
            let messages = usize::try_from(row.try_get::<_, i64>(1)?).unwrap_or_default();
            Ok(DeferredFlow { messages, until: from_db(row.try_get(0)?) })
        });
        deferred.transpose()
    }
}

/// When the hour began that ends now, and now.
pub(super) fn an_hour_before(now: Timestamp) -> [i64; 2] {
    [now.checked_sub(HOUR).unwrap_or(now), now].map(to_db)
}
