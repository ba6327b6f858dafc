//! What the alarms look at, and which of them were raised.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Row as DbRow, params};

use super::breaks::blame_mails;
use super::identity::on_time_since;
use super::nodes::check_owner;
use super::outbox::insert_mail;
use super::{Database, Failure, from_db, to_db};
use crate::alarm::{AlarmKind, AlarmUpdate, ConnectionState, FlowState, HeldMails, RaisedAlarm};
use crate::store::{AlarmFacts, ConnectionFailure, NewMessage};

impl Database {
    /// What the alarms follow from.
    pub(crate) fn alarm_facts(&self) -> Result<AlarmFacts, Failure> {
        Ok(AlarmFacts {
            flows: self.flow_states()?,
            connections: self.failing_connections()?,
            on_time_since: on_time_since(&self.db)?,
            raised: self.alarms()?,
            held_alarm_mail: self.held_alarm_mail()?,
        })
    }

    /// The health of every flow that was ever seen.
    pub(crate) fn flow_states(&self) -> Result<BTreeMap<String, FlowState>, Failure> {
        let mut ask = self.db.prepare_cached(
            "SELECT flows.name, anchor, on_since, off_since IS NOT NULL, last_read, failures, failing_since,
                 runs.id, runs.summary, runs.help, clock_problem, sources.watermark
             FROM flows LEFT JOIN runs ON runs.id = failed_run LEFT JOIN sources ON sources.id = source_id",
        )?;
        let mut states: BTreeMap<String, FlowState> =
            ask.query_map([], flow_state)?.collect::<Result<_, _>>()?;
        self.add_mails(&mut states)?;
        Ok(states)
    }

    fn add_mails(&self, states: &mut BTreeMap<String, FlowState>) -> Result<(), Failure> {
        let mut held = self.db.prepare_cached(
            "SELECT flows.name, count(DISTINCT mails.id), min(mails.created), min(mails.id)
             FROM recipients JOIN mails ON mails.id = recipients.mail JOIN runs ON runs.id = mails.run
                 JOIN flows ON flows.id = runs.flow
             WHERE recipients.state = 'held' GROUP BY flows.id",
        )?;
        for found in held.query_map([], |row| Ok((counted(row)?, row.get(3)?)))? {
            let ((flow, count, since), oldest) = found?;
            if let Some(state) = states.get_mut(&flow) {
                state.held = Some(HeldMails { count, since, oldest });
            }
        }
        let mut waiting = self.db.prepare_cached(
            "SELECT flows.name, count(*), min(mails.created),
                 (SELECT reply FROM recipients WHERE mail = mails.id AND state IN ('waiting', 'uncertain') LIMIT 1)
             FROM mails JOIN runs ON runs.id = mails.run JOIN flows ON flows.id = runs.flow
             WHERE mails.next_try IS NOT NULL AND mails.is_paced = 0 GROUP BY flows.id",
        )?;
        let found = waiting.query_map([], |row| Ok((counted(row)?, row.get::<_, Option<String>>(3)?)))?;
        for found in found {
            let ((flow, count, oldest), reply) = found?;
            if let Some(state) = states.get_mut(&flow) {
                (state.waiting, state.waiting_reply) = (Some((count, oldest)), reply);
            }
        }
        Ok(())
    }

    /// The mail connections whose last try failed.
    fn failing_connections(&self) -> Result<BTreeMap<String, ConnectionState>, Failure> {
        let mut ask =
            self.db.prepare_cached("SELECT name, failures, failing_since, what, help FROM connections")?;
        let found = ask.query_map([], |row| {
            let state = ConnectionState {
                failures: row.get(1)?,
                failing_since: from_db(row.get(2)?),
                what: row.get(3)?,
                help: row.get(4)?,
            };
            Ok((row.get(0)?, state))
        })?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// Notes that a mail connection has failed once more.
    pub(crate) fn record_connection_failure(
        &mut self,
        failure: &ConnectionFailure,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let ConnectionFailure { connection, what, help, rest_until } = failure;
        self.db.execute(
            "INSERT INTO connections (name, failures, failing_since, what, help, rest_until) VALUES (?1, 1, ?2, ?3, ?4, ?5)
             ON CONFLICT (name) DO UPDATE SET failures = failures + 1, what = excluded.what, help = excluded.help,
                 rest_until = coalesce(excluded.rest_until, rest_until)",
            params![connection, to_db(now), what, help, rest_until.map(to_db)],
        )?;
        Ok(())
    }

    /// Notes that a mail connection works, and who is to blame where it broke before.
    pub(crate) fn record_connection_success(
        &mut self,
        connection: &str,
        taken: Option<i64>,
    ) -> Result<(), Failure> {
        let tx = self.db.transaction()?;
        tx.execute("DELETE FROM connections WHERE name = ?1", [connection])?;
        if let Some(mail) = taken {
            blame_mails(&tx, connection, mail)?;
        }
        tx.commit()?;
        Ok(())
    }

    /// The oldest mail about leadflow's own work that is held, and what a server said of such a one.
    fn held_alarm_mail(&self) -> Result<Option<(i64, String)>, Failure> {
        let (mail, reply): (Option<i64>, Option<String>) = self.db.query_row(
            "SELECT min(mails.id), max(reply) FROM recipients JOIN mails ON mails.id = recipients.mail
             WHERE recipients.state = 'held' AND mails.run IS NULL",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        Ok(mail.map(|mail| (mail, reply.unwrap_or_default())))
    }

    /// The alarms that were raised and are not over.
    pub(crate) fn alarms(&self) -> Result<Vec<RaisedAlarm>, Failure> {
        let mut ask = self.db.prepare_cached(
            "SELECT kind, about, since, what, mailed, EXISTS (SELECT 1 FROM mails WHERE mails.id = alarms.mail
                 AND next_try IS NOT NULL) FROM alarms ORDER BY since, kind, about",
        )?;
        let rows = ask.query_map([], |row| {
            let raised = |kind| {
                Ok(RaisedAlarm {
                    kind,
                    about: row.get(1)?,
                    since: from_db(row.get(2)?),
                    what: row.get(3)?,
                    mailed: row.get::<_, Option<i64>>(4)?.map(from_db),
                    is_mail_waiting: row.get(5)?,
                })
            };
            AlarmKind::parse(&row.get::<_, String>(0)?).map(raised).transpose()
        })?;
        Ok(rows.filter_map(Result::transpose).collect::<Result<_, _>>()?)
    }

    /// Commits which alarms are raised and which are over, with the mail about them.
    pub(crate) fn commit_alarms(
        &mut self,
        update: &AlarmUpdate,
        mail: Option<&NewMessage>,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let clock = self.lease_now();
        let tx = self.db.transaction()?;
        check_owner(&tx, &self.owner, clock)?;
        for alarm in &update.raised {
            tx.execute(
                "INSERT INTO alarms (kind, about, since, what) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (kind, about) DO UPDATE SET what = excluded.what",
                params![alarm.kind.as_str(), alarm.about, to_db(alarm.since), alarm.what],
            )?;
        }
        if let Some(mail) = mail {
            let id = insert_mail(&tx, None, mail, now)?;
            for (kind, about) in &update.mailed {
                tx.execute(
                    "UPDATE alarms SET mailed = ?3, mail = ?4 WHERE kind = ?1 AND about = ?2",
                    params![kind.as_str(), about, to_db(now), id],
                )?;
            }
        }
        for (kind, about) in &update.over {
            tx.execute("DELETE FROM alarms WHERE kind = ?1 AND about = ?2", params![kind.as_str(), about])?;
        }
        tx.commit()?;
        Ok(())
    }
}

fn flow_state(row: &DbRow<'_>) -> rusqlite::Result<(String, FlowState)> {
    let moment = |index| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(index)?.map(from_db));
    let last_failure = match row.get::<_, Option<i64>>(7)? {
        Some(run) => Some((run, row.get(8)?, row.get(9)?)),
        None => None,
    };
    let state = FlowState {
        anchor: from_db(row.get(1)?),
        on_since: moment(2)?,
        is_off: row.get(3)?,
        last_read: moment(4)?,
        watermark: moment(11)?,
        failures: row.get(5)?,
        failing_since: moment(6)?,
        last_failure,
        clock_problem: row.get(10)?,
        held: None,
        waiting: None,
        waiting_reply: None,
    };
    Ok((row.get(0)?, state))
}

fn counted(row: &DbRow<'_>) -> rusqlite::Result<(String, u32, Timestamp)> {
    Ok((row.get(0)?, row.get(1)?, from_db(row.get(2)?)))
}
