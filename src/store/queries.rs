//! What commands look at: runs, mails, flows, and what was done with a row.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Backend, Store, StoreError, on_backend};
use crate::alarm::{ConnectionState, FlowState, RaisedAlarm};
use crate::history::{Outcome, RecordedStep, Run};
use crate::outbox::Recipient;
use crate::planner::ScheduleState;
use crate::rows::row::RowId;
use crate::stats::Sample;

/// Which runs of the history are wanted; what is not said does not matter.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Of this flow.
    pub flow: Option<String>,
    /// With one of these outcomes; none named is any.
    pub outcomes: Vec<Outcome>,
    /// Begun at this moment or later.
    pub since: Option<Timestamp>,
    /// Begun before this moment.
    pub until: Option<Timestamp>,
    /// With a lower number.
    pub before: Option<i64>,
    /// With a higher number.
    pub after: Option<i64>,
    /// At most so many.
    pub limit: Option<u32>,
}

/// What the run history shows of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRecord {
    /// Number, rising.
    pub id: i64,
    /// Subject as rendered.
    pub subject: String,
    /// With angle brackets.
    pub message_id: String,
    /// Mail connections in the order they are tried.
    pub connections: Vec<String>,
    /// The connection that it was last handed to.
    pub connection: Option<String>,
    /// Bytes of the message; `None` once it is purged.
    pub size: Option<i64>,
    /// Attempts so far.
    pub tries: u32,
    /// When the next attempt is; `None` when nothing waits any more.
    pub next_try: Option<Timestamp>,
    /// It waits for nothing but its flow's `per_hour`.
    pub is_deferred_by_rate: bool,
    /// It is being sent.
    pub is_sending: bool,
    /// Every recipient.
    pub recipients: Vec<Recipient>,
    /// Who was the last to have it retried, dropped or sent elsewhere; `None` where nobody has.
    pub asked_by: Option<String>,
}

/// A message and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxEntry {
    /// The mail.
    pub message: MessageRecord,
    /// The run that made it; `None` for a mail about leadflow's own work.
    pub run: Option<i64>,
    /// The flow of that run.
    pub flow: Option<String>,
    /// When it was made.
    pub created: Timestamp,
}

/// Which mails are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboxFilter {
    /// Those that wait, are held, or may have arrived more than once.
    Open,
    /// The one of that number.
    One(i64),
}

/// A run that has handed a row on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provenance {
    /// The run.
    pub run: i64,
    /// The message that carries the row; `None` for one that was not mailed: it lay before the baseline, or was
    /// skipped.
    pub message: Option<i64>,
}

/// What `leadflow list` shows of a flow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FlowOverview {
    /// What the plan needs; `None` if the flow was never seen.
    pub schedule: Option<ScheduleState>,
    /// Since when `leadflow off` keeps it off.
    pub off_since: Option<Timestamp>,
    /// Who turned it off, where that is known.
    pub off_by: Option<String>,
    /// Its newest run.
    pub last_run: Option<Run>,
    /// Its mails that wait; one that is being sent waits, too.
    pub waiting_mails: i64,
}

/// How many mails of the outbox have a recipient in a state that is not the last one; one with recipients in several states
/// counts in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenMails {
    /// With a recipient that waits.
    pub waiting: u32,
    /// With one that is uncertain.
    pub uncertain: u32,
    /// With one that is held.
    pub held: u32,
}

/// What the alarms follow from, as far as the state knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AlarmFacts {
    /// The health of every flow that was ever seen.
    pub flows: BTreeMap<String, FlowState>,
    /// The mail connections whose last try failed.
    pub connections: BTreeMap<String, ConnectionState>,
    /// Since when what is due counts as late: a start, a reload, or the end of a downtime.
    pub on_time_since: Option<Timestamp>,
    /// The alarms that were raised and are not over.
    pub raised: Vec<RaisedAlarm>,
    /// The oldest mail about leadflow's own work that is held, and what a server said of such a one.
    pub held_alarm_mail: Option<(i64, String)>,
}

impl Store {
    /// The runs that are asked for, newest first.
    ///
    /// # Errors
    /// As every operation.
    pub async fn find_runs(&self, filter: RunFilter) -> Result<Vec<Run>, StoreError> {
        on_backend!(self, db => db.find_runs(&filter))
    }

    /// The run of that number.
    ///
    /// # Errors
    /// As every operation.
    pub async fn run(&self, id: i64) -> Result<Option<Run>, StoreError> {
        on_backend!(self, db => db.run(id))
    }

    /// The steps of a run, in their order.
    ///
    /// # Errors
    /// As every operation.
    pub async fn steps(&self, run: i64) -> Result<Vec<RecordedStep>, StoreError> {
        on_backend!(self, db => db.steps(run))
    }

    /// The mails of a run, with what became of them.
    ///
    /// # Errors
    /// As every operation.
    pub async fn mails_of(&self, run: i64) -> Result<Vec<MessageRecord>, StoreError> {
        on_backend!(self, db => db.mails_of(run))
    }

    /// The names of every flow that was ever seen.
    ///
    /// # Errors
    /// As every operation.
    pub async fn flow_names(&self) -> Result<Vec<String>, StoreError> {
        on_backend!(self, db => db.flow_names())
    }

    /// What `leadflow list` shows of these flows, in their order.
    ///
    /// # Errors
    /// As every operation.
    pub async fn overview(&self, flows: Vec<String>) -> Result<Vec<FlowOverview>, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => {
                sqlite.call(move |db| flows.iter().map(|flow| db.overview(flow)).collect()).await
            }
            Backend::Postgres(postgres) => postgres.call(async move |db| db.overview(&flows).await).await,
        }
    }

    /// When the flow was first seen; `None` if it never was.
    ///
    /// # Errors
    /// As every operation.
    pub async fn seen(&self, flow: &str) -> Result<Option<Timestamp>, StoreError> {
        let flow = flow.to_owned();
        on_backend!(self, db => db.seen(&flow))
    }

    /// What the statistics need of each run of a flow that began at `since` or later.
    ///
    /// # Errors
    /// As every operation.
    pub async fn samples(&self, flow: &str, since: Timestamp) -> Result<Vec<Sample>, StoreError> {
        let flow = flow.to_owned();
        on_backend!(self, db => db.samples(&flow, since))
    }

    /// The runs of all flows that began at `since` or later and have made a mail, each with its flow.
    ///
    /// # Errors
    /// As every operation.
    pub async fn mailed_samples(&self, since: Timestamp) -> Result<Vec<(String, Sample)>, StoreError> {
        on_backend!(self, db => db.mailed_samples(since))
    }

    /// How many mails of a flow still wait; one that is being sent waits, too.
    ///
    /// # Errors
    /// As every operation.
    pub async fn waiting_mails(&self, flow: &str) -> Result<i64, StoreError> {
        let flow = flow.to_owned();
        on_backend!(self, db => db.waiting_mails(&flow))
    }

    /// How many mails of all flows are open, those about leadflow's own work included.
    ///
    /// # Errors
    /// As every operation.
    pub async fn open_mails(&self) -> Result<OpenMails, StoreError> {
        on_backend!(self, db => db.open_mails())
    }

    /// Mails of the outbox, oldest first.
    ///
    /// # Errors
    /// As every operation.
    pub async fn outbox(&self, filter: OutboxFilter) -> Result<Vec<OutboxEntry>, StoreError> {
        on_backend!(self, db => db.outbox(filter))
    }

    /// The RFC 5322 text of a mail, where it is still kept.
    ///
    /// # Errors
    /// As every operation.
    pub async fn message_bytes(&self, mail: i64) -> Result<Option<Vec<u8>>, StoreError> {
        on_backend!(self, db => db.message_bytes(mail))
    }

    /// What was last done with each of these rows, in their order; `None` for one that is not known.
    ///
    /// # Errors
    /// As every operation.
    pub async fn last_provenance(
        &self,
        flow: &str,
        ids: Vec<RowId>,
    ) -> Result<Vec<Option<Provenance>>, StoreError> {
        let flow = flow.to_owned();
        on_backend!(self, db => db.last_provenance(&flow, &ids))
    }

    /// Everything that was done with a row, oldest first.
    ///
    /// # Errors
    /// As every operation.
    pub async fn provenance(&self, flow: &str, id: RowId) -> Result<Vec<Provenance>, StoreError> {
        let flow = flow.to_owned();
        on_backend!(self, db => db.provenance(&flow, id))
    }

    /// What the alarms follow from.
    ///
    /// # Errors
    /// As every operation.
    pub async fn alarm_facts(&self) -> Result<AlarmFacts, StoreError> {
        on_backend!(self, db => db.alarm_facts())
    }
}
