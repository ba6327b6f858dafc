//! What the delivery asks of the state: which mails are due, claims, and what became of each try.

use jiff::Timestamp;

use super::{Backend, Store, StoreError, on_backend};
use crate::outbox::Recipient;
use crate::rows::row::RowMark;

/// A mail to be put into the outbox.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Mail connections in the order they are tried.
    pub connections: Vec<String>,
    /// Envelope sender.
    pub sender: String,
    /// Envelope recipients.
    pub recipients: Vec<String>,
    /// Subject, for lists.
    pub subject: String,
    /// `Message-ID`.
    pub message_id: String,
    /// RFC 5322 text.
    pub bytes: Vec<u8>,
    /// The rows it carries.
    pub rows: Vec<RowMark>,
}

/// A mail out of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedMessage {
    /// Number, rising.
    pub id: i64,
    /// The run that made it; `None` for a mail about leadflow's own work.
    pub run: Option<i64>,
    /// The flow of that run.
    pub flow: Option<String>,
    /// Mail connections in the order they are tried.
    pub connections: Vec<String>,
    /// Envelope sender.
    pub sender: String,
    /// Every recipient, those that need no letter any more included.
    pub recipients: Vec<Recipient>,
    /// RFC 5322 text.
    pub bytes: Vec<u8>,
    /// Tries so far.
    pub tries: u32,
    /// Tries whose session broke by the mail's own fault.
    pub breaks: u32,
    /// Those of its connections that rest since they failed.
    pub resting: Vec<ConnectionRest>,
}

/// What became of an attempt.
#[derive(Debug, Clone)]
pub struct AttemptRecord {
    /// The message.
    pub message: i64,
    /// Every recipient, as it is now.
    pub recipients: Vec<Recipient>,
    /// When the mail is tried next, if it waits.
    pub next_try: Timestamp,
    /// Where a session broke in the middle of the mail, or a connection refused it: the connections that are
    /// suspected together with the mail, none where the mail cannot be to blame, since it was not tried over every
    /// connection of its list. Such a mail goes after those that are due with it.
    pub broke_over: Option<Vec<String>>,
    /// No connection of this lane takes mail: all its mails wait until then.
    pub defer_lane: Option<(Vec<String>, Timestamp)>,
}

/// A mail connection that has failed at a mail.
#[derive(Debug, Clone)]
pub struct ConnectionFailure {
    /// The connection.
    pub connection: String,
    /// What happened, in a sentence.
    pub what: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Nobody tries it before, where that is so for every lane.
    pub rest_until: Option<Timestamp>,
}

/// A mail connection that nobody tries for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionRest {
    /// The connection.
    pub connection: String,
    /// Until when.
    pub until: Timestamp,
}

/// How much may be handed over, by all nodes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SendLimits {
    /// Of the connection.
    pub per_minute: Option<u32>,
    /// Of the flow; for a message that no server has seen yet.
    pub per_hour: Option<u32>,
}

/// Whether a message may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// It is being sent from now on.
    Begun,
    /// It is not this owner's any more: a person decided about it, or its flow's hour is used up.
    TakenBack,
    /// The connection has had what it may in a minute.
    NotBefore(Timestamp),
}

/// Messages that wait for nothing but their flow's `per_hour`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeferredFlow {
    /// How many.
    pub messages: usize,
    /// When they are tried.
    pub until: Timestamp,
}

impl Store {
    /// The lists of connections that have a mail whose time has come.
    ///
    /// # Errors
    /// As every operation.
    pub async fn due_lanes(&self, now: Timestamp) -> Result<Vec<Vec<String>>, StoreError> {
        on_backend!(self, db => db.due_lanes(now))
    }

    /// When the next mail is to be tried; `None` while nothing waits.
    ///
    /// # Errors
    /// As every operation.
    pub async fn next_try(&self) -> Result<Option<Timestamp>, StoreError> {
        on_backend!(self, db => db.next_try())
    }

    /// Claims the next mail of these connections whose time has come. Those that have waited for their flow's
    /// `per_hour`, or since the clock was set back, go before those that were made meanwhile. One in the
    /// middle of which a session broke goes after those that are due with it, and mails of a flow of such
    /// ones after those of other flows.
    ///
    /// Nothing was said to a server of a mail that is only claimed: it is not uncertain when its owner is gone. Its owner
    /// gets it again, for a lane is gone through by one task at a time: the last one could not go on. While another node
    /// has a mail of the lane in hands there is none for this one.
    ///
    /// # Errors
    /// As every operation.
    pub async fn next_message(
        &self,
        lane: &[String],
        now: Timestamp,
    ) -> Result<Option<QueuedMessage>, StoreError> {
        let lane = lane.to_vec();
        on_backend!(self, db => db.next_message(&lane, now))
    }

    /// Where a flow has had the mails of its hour, puts off its mails that no server has seen yet, and gives back the
    /// claims on them.
    ///
    /// # Errors
    /// As every operation.
    pub async fn defer_flow_if_used_up(
        &self,
        flow: &str,
        per_hour: u32,
        now: Timestamp,
    ) -> Result<Option<DeferredFlow>, StoreError> {
        let flow = flow.to_owned();
        on_backend!(self, db => db.defer_flow_if_used_up(&flow, per_hour, now))
    }

    /// Puts off every mail that would take the same connections: none of them can be reached. The claims on them
    /// are given back. So it does those that are due since they lie later than any wait, or they would stay due.
    ///
    /// # Errors
    /// As every operation.
    pub async fn defer_lane(
        &self,
        lane: &[String],
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let lane = lane.to_vec();
        on_backend!(self, db => db.defer_lane(&lane, until, now))
    }

    /// Commits that the mail is being sent over this connection, before its first command goes out.
    /// The next connection of the list is the same try. What may be handed over within a minute and an hour is counted
    /// here.
    ///
    /// # Errors
    /// [`StoreError::TakenOver`], and as every operation.
    pub async fn begin_sending(
        &self,
        mail: i64,
        connection: &str,
        limits: SendLimits,
        now: Timestamp,
    ) -> Result<Begin, StoreError> {
        let connection = connection.to_owned();
        on_backend!(self, db => db.begin_sending(mail, &connection, limits, now))
    }

    /// Records what became of a try, and what that makes of the mail's run and of its lane.
    ///
    /// # Errors
    /// As every operation.
    pub async fn record_attempt(&self, attempt: AttemptRecord, now: Timestamp) -> Result<(), StoreError> {
        on_backend!(self, db => db.record_attempt(&attempt, now))
    }

    /// Notes that a mail connection has failed once more.
    ///
    /// # Errors
    /// As every operation.
    pub async fn record_connection_failure(
        &self,
        failure: ConnectionFailure,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        on_backend!(self, db => db.record_connection_failure(&failure, now))
    }

    /// Mails that broke at this connection before are not to blame: it has broken at another one, too.
    ///
    /// # Errors
    /// As every operation.
    pub async fn clear_suspicion(&self, connection: &str, but: i64) -> Result<(), StoreError> {
        let connection = connection.to_owned();
        on_backend!(self, db => db.clear_suspicion(&connection, but))
    }

    /// Notes that a mail connection works. Where it has taken a mail, others in the middle of which it broke are to
    /// blame for that themselves.
    ///
    /// # Errors
    /// As every operation.
    pub async fn record_connection_success(
        &self,
        connection: &str,
        taken: Option<i64>,
    ) -> Result<(), StoreError> {
        let connection = connection.to_owned();
        on_backend!(self, db => db.record_connection_success(&connection, taken))
    }

    /// Lets every waiting mail be tried at `now`: somebody has started leadflow or changed its file.
    ///
    /// # Errors
    /// As every operation.
    pub async fn retry_all_now(&self, now: Timestamp) -> Result<(), StoreError> {
        on_backend!(self, db => db.retry_all_now(now))
    }

    /// Mails that this owner was sending, and whose replies it could not record, are uncertain and wait again; its
    /// other claims are given back. No lane may be under way. Returns how many are uncertain.
    ///
    /// # Errors
    /// As every operation.
    pub async fn mark_interrupted_uncertain(&self, now: Timestamp) -> Result<usize, StoreError> {
        on_backend!(self, db => db.mark_interrupted_uncertain(now))
    }
}
