//! Delivers what lies in the outbox: takes a message, hands it over, records each recipient's reply.
//!
//! Messages with the same list of connections make a lane, in which they leave in their order. Lanes
//! run side by side, so that a server which hangs delays its own messages alone. Failures to
//! connect or to sign in are the connection's and never a message's: backoff begins, and its messages wait,
//! unless the next connection of their list takes them. A session that breaks in the middle of a
//! message makes the message step aside: the others continue at once. Where one goes through, the message was
//! to blame, and it is held when that has come too often; where one breaks, too, the connection
//! is in backoff.

mod attempt;
mod connections;
mod hand_over;
mod task;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use tracing::{error, info, warn};

use super::{Meters, RunContext};
use crate::flow::Config;
use crate::outbox::{self, Recipient, RecipientState};
use crate::platform::clock::Clock;
use crate::platform::faults::crash_point;
use crate::platform::lease::Lease;
use crate::platform::telemetry::without_addresses;
use crate::services::Services;
use crate::services::mail::MailSession;
use crate::store::{AttemptRecord, DeferredFlow, QueuedMessage, SendLimits, Store, StoreError};
use attempt::{Attempt, AttemptEnd};
use connections::{Backoff, Connections};
pub(crate) use task::DeliveryTask;

/// Takes messages from the outbox and hands them over. There is one in a process.
#[derive(Debug)]
pub struct Delivery {
    store: Store,
    clock: Clock,
    lease: Lease,
    services: Arc<dyn Services>,
    meters: Meters,
    connections: Mutex<Connections>,
}

/// The session that is open, with the name of its connection.
type OpenSession = Option<(String, Box<dyn MailSession>)>;

/// What a round through the outbox led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// When the next message is to be tried; `None` while nothing waits.
    pub next_try: Option<Timestamp>,
    /// An attempt waits for nothing but its connection's `per_minute`.
    pub is_rate_limited: bool,
}

/// A reply that is not recorded makes the message uncertain, so it is worth some attempts.
const RECORD_TRIES: u32 = 5;
/// Between two of them.
const RECORD_AGAIN: Duration = Duration::from_secs(1);

impl Delivery {
    /// The delivery of the state and the mail servers of this context.
    pub fn new(ctx: &RunContext) -> Self {
        Self {
            store: ctx.store.clone(),
            clock: ctx.clock.clone(),
            lease: ctx.lease.clone(),
            services: Arc::clone(&ctx.services),
            meters: ctx.meters.clone(),
            connections: Mutex::default(),
        }
    }

    /// Forgets what has failed, and lets every message be tried now: somebody has started leadflow or
    /// changed its file.
    ///
    /// # Errors
    /// When the state fails.
    pub async fn retry_all_now(&self) -> Result<(), StoreError> {
        self.connections().reset();
        self.store.retry_all_now(self.clock.now()).await
    }

    /// Marks the messages uncertain whose replies could not be recorded; no lane may be under way.
    ///
    /// # Errors
    /// When the state fails.
    pub async fn mark_interrupted_uncertain(&self) -> Result<(), StoreError> {
        let mails = self.store.mark_interrupted_uncertain(self.clock.now()).await?;
        if mails > 0 {
            warn!(
                mails,
                "replies to mails could not be recorded: the mails are uncertain and are sent again"
            );
        }
        Ok(())
    }

    /// Delivers every message whose time has come, over the connections of `config`. Between two
    /// messages it ends early once `stop` says so.
    ///
    /// # Errors
    /// When the state fails. A message that was being sent is then found again at the next start.
    pub async fn deliver(&self, config: &Config, stop: impl Fn() -> bool) -> Result<Round, StoreError> {
        let mut is_rate_limited = false;
        while !stop() {
            let lanes = self.lanes().await?;
            if lanes.is_empty() {
                break;
            }
            for paced in join_all(lanes.iter().map(|lane| self.deliver_lane(config, lane, &stop))).await {
                is_rate_limited |= paced?;
            }
        }
        Ok(Round { next_try: self.next_try().await?, is_rate_limited })
    }

    /// The lists of connections that have a message whose time has come.
    ///
    /// # Errors
    /// When the state fails.
    pub async fn lanes(&self) -> Result<Vec<Vec<String>>, StoreError> {
        self.store.due_lanes(self.clock.now()).await
    }

    /// When the next message is to be tried; `None` while nothing waits.
    ///
    /// # Errors
    /// When the state fails.
    pub async fn next_try(&self) -> Result<Option<Timestamp>, StoreError> {
        self.store.next_try().await
    }

    /// Delivers the messages of one lane whose time has come; `true` when the next one waits for its
    /// connection's `per_minute`.
    ///
    /// # Errors
    /// As [`Delivery::deliver`].
    pub async fn deliver_lane(
        &self,
        config: &Config,
        lane: &[String],
        stop: impl Fn() -> bool,
    ) -> Result<bool, StoreError> {
        let mut session: OpenSession = None;
        let mut is_rate_limited = false;
        while !stop() {
            let now = self.clock.now();
            let Some(message) = self.store.next_message(lane, now).await? else { break };
            self.connections().learn(&message.connections, &message.resting);
            if self.is_within_hour(config, &message, now).await? {
                is_rate_limited =
                    self.deliver_one(config, message, &mut session).await? == Delivered::RateLimited;
            }
        }
        if let Some((_, session)) = session {
            session.close().await;
        }
        Ok(is_rate_limited)
    }

    /// Whether the flow may send another message in this hour; if not, all its new messages are deferred. It is asked of
    /// the moment of the claim: an older message may come due since then, and goes first.
    async fn is_within_hour(
        &self,
        config: &Config,
        message: &QueuedMessage,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let flow =
            message.flow.as_ref().and_then(|name| config.flows.get(name)).filter(|_| message.tries == 0);
        let Some(flow) = flow else { return Ok(true) };
        let per_hour = flow.email.per_hour;
        let deferred = self.store.defer_flow_if_used_up(&flow.name, per_hour, now).await?;
        let Some(DeferredFlow { messages, until }) = deferred else { return Ok(true) };
        info!(flow = flow.name, mails = messages, %until, "per_hour = {per_hour} is reached: the other mails wait");
        Ok(false)
    }

    async fn deliver_one(
        &self,
        config: &Config,
        message: QueuedMessage,
        session: &mut OpenSession,
    ) -> Result<Delivered, StoreError> {
        let mut attempt = Attempt::new(&message, self.clock.steady());
        let flow = message.flow.as_ref().and_then(|name| config.flows.get(name));
        let per_hour = flow.map(|flow| flow.email.per_hour).filter(|_| message.tries == 0);
        for name in &message.connections {
            if attempt.is_judged() {
                break;
            }
            let Some(connection) = config.mails.get(name) else {
                attempt.fails(format!("flows.toml no longer has a mail connection `{name}`"), None);
                continue;
            };
            let backoff = self.connections().backoff(name, &message.connections, self.clock.now());
            match backoff {
                Some(Backoff::RateLimited(until)) if attempt.is_untried() => {
                    self.defer_lane(&message.connections, until).await?;
                    return Ok(Delivered::RateLimited);
                }
                Some(Backoff::RateLimited(until) | Backoff::Failed(until)) => attempt.is_in_backoff(until),
                None => {
                    let limits = SendLimits { per_minute: connection.per_minute(), per_hour };
                    let limited = self.try_over(name, connection, &mut attempt, limits, session).await?;
                    if let Some(until) = limited {
                        if attempt.is_untried() {
                            self.defer_lane(&message.connections, until).await?;
                            return Ok(Delivered::RateLimited);
                        }
                        attempt.is_in_backoff(until);
                    }
                }
            }
            if attempt.taken_back {
                info!(mail = message.id, "the mail was changed or deferred before it was sent");
                return Ok(Delivered::Attempted);
            }
        }
        match attempt.end(self.clock.now()) {
            AttemptEnd::AllInBackoff(until) => self.defer_lane(&message.connections, until).await?,
            AttemptEnd::NoneAvailable(until) => {
                let reasons = without_addresses(&attempt.reasons_text());
                error!(flow = message.flow, run = message.run, mail = message.id, %until, "no connection accepts mail: {reasons}");
                self.record(&attempt, Some(until)).await?;
            }
            AttemptEnd::Attempted => self.record(&attempt, None).await?,
        }
        Ok(Delivered::Attempted)
    }

    async fn defer_lane(&self, connections: &[String], until: Timestamp) -> Result<(), StoreError> {
        self.store.defer_lane(connections, until, self.clock.now()).await
    }

    /// Records how the attempt ended; `pause` defers all messages of the same lane until then.
    async fn record(&self, attempt: &Attempt<'_>, pause: Option<Timestamp>) -> Result<(), StoreError> {
        let message = attempt.message;
        let recipients = attempt.recipients();
        let took = self.clock.steady().saturating_sub(attempt.began);
        let now = self.clock.now();
        let suspects = attempt.suspects();
        let own_time = now + outbox::retry_delay(message.tries + 1, jitter(message.id, now));
        let next_try = match pause {
            // The whole lane at the same moment, so that its messages keep their order.
            Some(until) if suspects.is_none() => until,
            Some(until) => until.max(own_time),
            None => own_time,
        };
        let record = AttemptRecord {
            message: message.id,
            recipients: recipients.clone(),
            next_try,
            broke_over: suspects.clone(),
            defer_lane: pause.map(|until| (message.connections.clone(), until)),
        };
        for tries_left in (0..RECORD_TRIES).rev() {
            match self.store.record_attempt(record.clone(), now).await {
                Err(error) if tries_left > 0 && error.is_passing() => {
                    warn!(mail = message.id, "cannot record the replies: {error}; trying again");
                    tokio::time::sleep(RECORD_AGAIN).await;
                }
                result => {
                    result?;
                    break;
                }
            }
        }
        for name in suspects.iter().flatten() {
            self.connections().is_suspected(name);
        }
        self.meters.attempt_ended(&message.recipients, &recipients, took);
        crash_point("reply-recorded");
        log_attempt(message, attempt.over.as_deref(), &recipients, next_try);
        Ok(())
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(PartialEq, Eq)]
enum Delivered {
    Attempted,
    RateLimited,
}

/// One line a message, without addresses.
fn log_attempt(
    message: &QueuedMessage,
    connection: Option<&str>,
    recipients: &[Recipient],
    next_try: Timestamp,
) {
    let count = |state| recipients.iter().filter(|recipient| recipient.state == state).count();
    let sent = count(RecipientState::Sent);
    let held = count(RecipientState::Held);
    let uncertain = count(RecipientState::Uncertain);
    let waiting = count(RecipientState::Waiting) + uncertain;
    let flow = &message.flow;
    let run = message.run;
    let tries = message.tries + 1;
    if waiting + held == 0 {
        info!(flow, run, mail = message.id, connection, recipients = sent, tries, "the mail is sent");
        return;
    }
    let of_state = |recipient: &&Recipient| recipient.state != RecipientState::Sent;
    let reply =
        recipients.iter().find(of_state).and_then(|recipient| recipient.reply.clone()).unwrap_or_default();
    let next_try = (waiting > 0).then(|| next_try.to_string());
    warn!(
        flow,
        run,
        mail = message.id,
        connection,
        recipients = recipients.len(),
        sent,
        waiting,
        uncertain,
        held,
        tries,
        next_try,
        "the mail is not sent to every recipient: {}",
        without_addresses(&reply)
    );
}

/// A number from 0 to 1 that differs from message to message and from attempt to attempt.
fn jitter(message: i64, now: Timestamp) -> f64 {
    let mut hasher = DefaultHasher::new();
    (message, now.as_microsecond()).hash(&mut hasher);
    let hash = hasher.finish();
    f64::from(u32::try_from(hash >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}
