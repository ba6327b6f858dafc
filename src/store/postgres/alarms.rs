//! What the alarms look at, and which of them were raised.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use tokio_postgres::Row;

use super::breaks::BLAME_MAILS;
use super::new_messages::insert_mail;
use super::nodes::check_owner;
use super::outbox::count;
use super::{Client, Failure, Values, execute, from_db, text, to_db};
use crate::alarm::{AlarmKind, AlarmUpdate, ConnectionState, FlowState, HeldMails, RaisedAlarm};
use crate::store::{AlarmFacts, ConnectionFailure, NewMessage};

const FLOWS: &str =
    "SELECT flows.name, anchor, on_since, off_since IS NOT NULL, last_read, failures, failing_since,
        runs.id, runs.summary, runs.help, clock_problem, sources.watermark
    FROM flows LEFT JOIN runs ON runs.id = failed_run LEFT JOIN sources ON sources.id = source_id";

const HELD: &str = "SELECT flows.name, count(DISTINCT mails.id), min(mails.created), min(mails.id)
    FROM recipients JOIN mails ON mails.id = recipients.mail JOIN runs ON runs.id = mails.run
        JOIN flows ON flows.id = runs.flow
    WHERE recipients.state = 'held' GROUP BY flows.id";

/// What waits, and what a server said of the oldest of them.
const WAITING: &str = "WITH waiting AS (
        SELECT mails.id, mails.created, runs.flow FROM mails JOIN runs ON runs.id = mails.run
        WHERE mails.next_try IS NOT NULL AND NOT mails.is_paced),
    counted AS (SELECT flow, count(*) AS mails FROM waiting GROUP BY flow),
    oldest AS (SELECT DISTINCT ON (flow) flow, id, created FROM waiting ORDER BY flow, created, id)
    SELECT flows.name, counted.mails, oldest.created,
        (SELECT reply FROM recipients WHERE mail = oldest.id AND state IN ('waiting', 'uncertain')
            ORDER BY position LIMIT 1)
    FROM oldest JOIN counted ON counted.flow = oldest.flow JOIN flows ON flows.id = oldest.flow";

const CONNECTIONS: &str = "SELECT name, failures, failing_since, what, help FROM connections";

const ON_TIME_SINCE: &str = "SELECT value::bigint FROM meta WHERE name = 'planned'";

const ALARMS: &str = "SELECT kind, about, since, what, mailed,
        EXISTS (SELECT 1 FROM mails WHERE mails.id = alarms.mail AND next_try IS NOT NULL)
    FROM alarms ORDER BY since, kind, about";

/// The oldest mail about leadflow's own work that is held, and what a server said of such a one.
const HELD_ALARM_MAIL: &str = "SELECT min(mails.id), max(recipients.reply COLLATE \"C\")
    FROM recipients JOIN mails ON mails.id = recipients.mail
    WHERE recipients.state = 'held' AND mails.run IS NULL";

impl Client {
    /// What the alarms follow from.
    pub(in crate::store) async fn alarm_facts(&self) -> Result<AlarmFacts, Failure> {
        let asked = [FLOWS, HELD, WAITING, CONNECTIONS, ON_TIME_SINCE, ALARMS, HELD_ALARM_MAIL];
        let found = self.read_together(&asked.map(|ask| (ask, &[] as Values<'_>))).await?;
        let [flows, held, waiting, connections, on_time_since, alarms, held_alarm_mail] = &found[..] else {
            return Ok(AlarmFacts::default());
        };
        let moment = |row: &Row| Ok::<_, Failure>(from_db(row.try_get(0)?));
        let raised = alarms.iter().filter_map(|row| raised_alarm(row).transpose());
        Ok(AlarmFacts {
            flows: flow_states(flows, held, waiting)?,
            connections: connections.iter().map(connection_state).collect::<Result<_, _>>()?,
            on_time_since: on_time_since.first().map(moment).transpose()?,
            raised: raised.collect::<Result<_, _>>()?,
            held_alarm_mail: held_alarm_mail
                .first()
                .and_then(|row| held_mail(row).transpose())
                .transpose()?,
        })
    }

    /// Notes that a mail connection has failed once more.
    pub(in crate::store) async fn record_connection_failure(
        &self,
        failure: &ConnectionFailure,
        now: Timestamp,
    ) -> Result<(), Failure> {
        const NOTE: &str = "INSERT INTO connections (name, failures, failing_since, what, help, rest_until)
            VALUES ($1, 1, $2, $3, $4, $5) ON CONFLICT (name) DO UPDATE
            SET failures = connections.failures + 1, what = excluded.what, help = excluded.help,
                rest_until = coalesce(excluded.rest_until, connections.rest_until)";
        let ConnectionFailure { connection, what, help, rest_until } = failure;
        let values: Values<'_> = &[
            &text(connection),
            &to_db(now),
            &text(what),
            &help.as_deref().map(text),
            &rest_until.map(to_db),
        ];
        execute(self, NOTE, values).await.map(drop)
    }

    /// Notes that a mail connection works, and who is to blame where it broke before.
    pub(in crate::store) async fn record_connection_success(
        &self,
        connection: &str,
        taken: Option<i64>,
    ) -> Result<(), Failure> {
        const WORKS: &str = "DELETE FROM connections WHERE name = $1";
        let name = text(connection);
        let Some(mail) = taken else { return execute(self, WORKS, &[&name]).await.map(drop) };
        self.together(&[(WORKS, &[&name]), (BLAME_MAILS, &[&name, &mail])]).await.map(drop)
    }

    /// Commits which alarms are raised and which are over, with the mail about them.
    pub(in crate::store) async fn commit_alarms(
        &mut self,
        update: &AlarmUpdate,
        mail: Option<&NewMessage>,
        now: Timestamp,
    ) -> Result<(), Failure> {
        const RAISE: &str = "INSERT INTO alarms (kind, about, since, what)
            SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[])
            ON CONFLICT (kind, about) DO UPDATE SET what = excluded.what";
        const TOLD: &str = "UPDATE alarms SET mailed = $3, mail = $4
            FROM unnest($1::text[], $2::text[]) AS told (kind, about)
            WHERE alarms.kind = told.kind AND alarms.about = told.about";
        const OVER: &str = "DELETE FROM alarms USING unnest($1::text[], $2::text[]) AS ended (kind, about)
            WHERE alarms.kind = ended.kind AND alarms.about = ended.about";
        let owner = self.owner().to_owned();
        let tx = self.transaction().await?;
        check_owner(&tx, &owner).await?;
        let kinds: Vec<&str> = update.raised.iter().map(|alarm| alarm.kind.as_str()).collect();
        let about: Vec<Cow<'_, str>> = update.raised.iter().map(|alarm| text(&alarm.about)).collect();
        let since: Vec<i64> = update.raised.iter().map(|alarm| to_db(alarm.since)).collect();
        let what: Vec<Cow<'_, str>> = update.raised.iter().map(|alarm| text(&alarm.what)).collect();
        execute(&tx, RAISE, &[&kinds, &about, &since, &what]).await?;
        if let Some(mail) = mail {
            let id = insert_mail(&tx, None, mail, now).await?;
            let (kinds, about) = names_of(&update.mailed);
            execute(&tx, TOLD, &[&kinds, &about, &to_db(now), &id]).await?;
        }
        let (kinds, about) = names_of(&update.over);
        execute(&tx, OVER, &[&kinds, &about]).await?;
        Ok(tx.commit().await?)
    }
}

fn names_of(alarms: &[(AlarmKind, String)]) -> (Vec<&'static str>, Vec<Cow<'_, str>>) {
    alarms.iter().map(|(kind, about)| (kind.as_str(), text(about))).unzip()
}

/// The health of every flow that was ever seen.
fn flow_states(flows: &[Row], held: &[Row], waiting: &[Row]) -> Result<BTreeMap<String, FlowState>, Failure> {
    let mut states: BTreeMap<String, FlowState> = flows.iter().map(flow_state).collect::<Result<_, _>>()?;
    for row in held {
        if let Some(state) = states.get_mut(row.try_get::<_, &str>(0)?) {
            let since = from_db(row.try_get(2)?);
            state.held = Some(HeldMails { count: count(row.try_get(1)?), since, oldest: row.try_get(3)? });
        }
    }
    for row in waiting {
        if let Some(state) = states.get_mut(row.try_get::<_, &str>(0)?) {
            state.waiting = Some((count(row.try_get(1)?), from_db(row.try_get(2)?)));
            state.waiting_reply = row.try_get(3)?;
        }
    }
    Ok(states)
}

fn flow_state(row: &Row) -> Result<(String, FlowState), Failure> {
    let moment = |index| Ok::<_, Failure>(row.try_get::<_, Option<i64>>(index)?.map(from_db));
    let last_failure = match row.try_get::<_, Option<i64>>(7)? {
        Some(run) => Some((run, row.try_get(8)?, row.try_get(9)?)),
        None => None,
    };
    let state = FlowState {
        anchor: from_db(row.try_get(1)?),
        on_since: moment(2)?,
        is_off: row.try_get(3)?,
        last_read: moment(4)?,
        watermark: moment(11)?,
        failures: count(row.try_get(5)?),
        failing_since: moment(6)?,
        last_failure,
        clock_problem: row.try_get(10)?,
        held: None,
        waiting: None,
        waiting_reply: None,
    };
    Ok((row.try_get(0)?, state))
}

/// A mail connection whose last try failed.
fn connection_state(row: &Row) -> Result<(String, ConnectionState), Failure> {
    let state = ConnectionState {
        failures: count(row.try_get(1)?),
        failing_since: from_db(row.try_get(2)?),
        what: row.try_get(3)?,
        help: row.try_get(4)?,
    };
    Ok((row.try_get(0)?, state))
}

/// An alarm that was raised and is not over; `None` for a kind that this version does not know.
fn raised_alarm(row: &Row) -> Result<Option<RaisedAlarm>, Failure> {
    let Some(kind) = AlarmKind::parse(row.try_get(0)?) else { return Ok(None) };
    Ok(Some(RaisedAlarm {
        kind,
        about: row.try_get(1)?,
        since: from_db(row.try_get(2)?),
        what: row.try_get(3)?,
        mailed: row.try_get::<_, Option<i64>>(4)?.map(from_db),
        is_mail_waiting: row.try_get(5)?,
    }))
}

fn held_mail(row: &Row) -> Result<Option<(i64, String)>, Failure> {
    let Some(mail) = row.try_get(0)? else { return Ok(None) };
    Ok(Some((mail, row.try_get::<_, Option<String>>(1)?.unwrap_or_default())))
}
