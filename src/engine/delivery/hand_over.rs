//! Handing a message over by one connection, and what that says of the connection.

use jiff::Timestamp;
use tracing::warn;

use super::attempt::Attempt;
use super::connections::MAX_BREAK_BACKOFF;
use super::{Delivery, OpenSession, jitter};
use crate::flow::MailConnection;
use crate::outbox::{self, Receipt};
use crate::platform::faults::crash_point;
use crate::platform::telemetry::without_addresses;
use crate::services::mail::{ConnectError, Fault, Handover, MailSession};
use crate::store::{Begin, ConnectionFailure, SendLimits, StoreError};

/// Recipients of an attempt at whom sessions break, and that are set aside for the others' sake.
const MOST_ASIDE: usize = 3;

impl Delivery {
    /// Hands the message over by one connection, for all recipients that are still to be judged. One at
    /// whom the session breaks is set aside, so that the others get the message. Where the connection has had what it may
    /// in a minute, returns until when.
    pub(super) async fn try_over(
        &self,
        name: &str,
        connection: &MailConnection,
        attempt: &mut Attempt<'_>,
        limits: SendLimits,
        session: &mut OpenSession,
    ) -> Result<Option<Timestamp>, StoreError> {
        let mut aside = Vec::new();
        let mut broken_at_one = None;
        let mut is_renewed = false;
        loop {
            self.check_lease()?;
            let open = match self.ready(session, name, connection).await {
                Ok(open) => open,
                Err(error) => {
                    self.takes_nothing(name, &error, attempt).await;
                    return Ok(None);
                }
            };
            match self.begin(name, limits, attempt).await? {
                Begin::Begun => {}
                Begin::NotBefore(until) => return Ok(Some(until)),
                Begin::TakenBack => {
                    attempt.is_taken_back();
                    return Ok(None);
                }
            }
            let pending = attempt.pending_recipients(&aside);
            let handover = open.send(pending.outgoing(attempt.message, &self.lease)).await;
            attempt.hears(name, &pending, &handover.receipts);
            self.judge(name, &handover, open, attempt).await;
            match handover.fault {
                None => break,
                Some(Fault::Withheld(_)) => return Err(StoreError::LeaseEnded),
                Some(Fault::Ended(_)) if !is_renewed => is_renewed = true,
                Some(Fault::Refused(error)) => {
                    self.is_refused(name, &error, attempt).await;
                    return Ok(None);
                }
                Some(Fault::Declined { error, is_final }) => {
                    attempt.is_declined(&error, is_final);
                    break;
                }
                Some(Fault::Connection(error) | Fault::Ended(error)) => {
                    self.takes_nothing(name, &error, attempt).await;
                    return Ok(None);
                }
                Some(Fault::Broke { error, at }) => match at.and_then(|at| pending.index(at)) {
                    Some(index) if pending.len() > 1 && aside.len() < MOST_ASIDE => {
                        aside.push(index);
                        broken_at_one = Some(error);
                    }
                    _ => {
                        // A message that broke at one recipient and then in its text is not to blame for sure.
                        attempt.breaks(name, &error, at.is_some() || aside.is_empty());
                        self.suspects(name, &error, attempt).await;
                        return Ok(None);
                    }
                },
            }
        }
        // The others were judged: the session breaks at this recipient and works without it.
        if let Some(error) = broken_at_one {
            attempt.breaks(name, &error, true);
        }
        Ok(None)
    }

    /// A connection refuses the message as if the fault were its own.
    async fn is_refused(&self, name: &str, error: &ConnectError, attempt: &mut Attempt<'_>) {
        if attempt.is_known() {
            // What is said of this message alone, while others go through, is no fault of the connection's.
            attempt.breaks(name, error, true);
            self.suspects(name, error, attempt).await;
        } else {
            attempt.steps_aside(name);
            self.refuses(name, error, attempt).await;
        }
    }

    /// No session is opened and nothing is said to a server without it.
    fn check_lease(&self) -> Result<(), StoreError> {
        if self.lease.is_held() { Ok(()) } else { Err(StoreError::LeaseEnded) }
    }

    /// Whether the message may be sent: not where a person decided about it meanwhile, or it would be too many.
    async fn begin(
        &self,
        name: &str,
        limits: SendLimits,
        attempt: &Attempt<'_>,
    ) -> Result<Begin, StoreError> {
        crash_point("session-opened");
        self.check_lease()?;
        let begin = self.store.begin_sending(attempt.message.id, name, limits, self.clock.now()).await?;
        crash_point("sending-recorded");
        Ok(begin)
    }

    /// What the server said of the message says of the connection: a verdict shows that it works.
    async fn judge(
        &self,
        name: &str,
        handover: &Handover,
        session: &mut dyn MailSession,
        attempt: &mut Attempt<'_>,
    ) {
        if let Some(wait) = session.take_wait() {
            self.connections().waits(name, self.clock.now(), wait);
        }
        if !matches!(handover.fault, None | Some(Fault::Declined { .. })) {
            return;
        }
        let heard = || handover.receipts.iter().flatten();
        let has_taken = heard().any(|receipt| matches!(receipt, Receipt::Accepted(_)));
        let is_verdict = has_taken || heard().any(|receipt| matches!(receipt, Receipt::Refused(_)));
        if !is_verdict && !session.is_usable() {
            let reason = heard().next().map_or("the session is gone", Receipt::reply);
            let error = ConnectError::new(reason, None);
            attempt.breaks(name, &error, false);
            self.suspects(name, &error, attempt).await;
        } else if is_verdict && self.connections().works(name, has_taken) {
            let taken = has_taken.then_some(attempt.message.id);
            log_if_not_recorded(self.store.record_connection_success(name, taken).await);
        }
    }

    /// A session ended in the middle of a message: message and connection are suspected together. Where
    /// other messages have broken there, too, it is the connection that fails, and it is in backoff.
    async fn suspects(&self, name: &str, error: &ConnectError, attempt: &Attempt<'_>) {
        let message = attempt.message;
        let is_known = attempt.is_known();
        let id = message.id;
        let now = self.clock.now();
        let said = without_addresses(&error.to_string());
        let broken = (id, is_known);
        // Where the end of the message went out each attempt may be another copy.
        let longest = if attempt.is_judged() { outbox::LONGEST_WAIT } else { MAX_BREAK_BACKOFF };
        let at = (now, jitter(id, now));
        let until = self.connections().breaks(name, &message.connections, broken, longest, at);
        let help = error.advice.help.as_deref().map(without_addresses);
        if until.is_some() {
            warn!(connection = name, mail = id, help, "the mail connection fails: {said}");
        } else {
            warn!(connection = name, mail = id, help, "the mail is not accepted: {said}");
        }
        if until.is_some() || !is_known {
            self.record_failure(name, error, None).await;
        }
        if !is_known {
            self.clear_others(name, id).await;
        }
    }

    /// A connection refuses a message for its own sake, as it says; where it refuses others, too, they are not to
    /// blame.
    async fn refuses(&self, name: &str, error: &ConnectError, attempt: &mut Attempt<'_>) {
        let until = self.fails(name, error, (attempt.message.id, true)).await;
        attempt.fails(error.to_string(), Some(until));
        self.clear_others(name, attempt.message.id).await;
    }

    async fn clear_others(&self, name: &str, but: i64) {
        log_if_not_recorded(self.store.clear_suspicion(name, but).await);
    }

    /// A connection takes nothing of a message, whatever the message.
    async fn takes_nothing(&self, name: &str, error: &ConnectError, attempt: &mut Attempt<'_>) {
        let until = self.fails(name, error, (attempt.message.id, false)).await;
        attempt.fails(error.to_string(), Some(until));
    }

    /// Records and logs that a connection has failed, perhaps at this message alone; returns until when it is in backoff.
    async fn fails(&self, name: &str, error: &ConnectError, (message, is_refused): (i64, bool)) -> Timestamp {
        let said = without_addresses(&error.to_string());
        let remedy = error.advice.help.as_deref().map(without_addresses);
        warn!(connection = name, mail = message, help = remedy, "the mail connection fails: {said}");
        let now = self.clock.now();
        let at = (now, jitter(message, now));
        let until = self.connections().failed(name, is_refused.then_some(message), at, error.retry_after);
        self.record_failure(name, error, Some(until)).await;
        until
    }

    /// It rests until then for every lane, where that is said.
    async fn record_failure(&self, name: &str, error: &ConnectError, rest_until: Option<Timestamp>) {
        self.meters.connection_failed(name);
        self.connections().failure_is_recorded(name);
        let failure = ConnectionFailure {
            connection: name.to_owned(),
            what: without_addresses(&error.to_string()),
            help: error.advice.help.clone(),
            rest_until,
        };
        let recorded = self.store.record_connection_failure(failure, self.clock.now()).await;
        if recorded.is_ok() && rest_until.is_some() {
            self.connections().rests_for_all(name);
        }
        log_if_not_recorded(recorded);
    }

    /// The session of the connection: the open one if it is that and can be used, or a new one.
    async fn ready<'a>(
        &self,
        session: &'a mut OpenSession,
        name: &str,
        connection: &MailConnection,
    ) -> Result<&'a mut dyn MailSession, ConnectError> {
        match session.take() {
            Some((open, usable)) if open == name && usable.is_usable() => *session = Some((open, usable)),
            other => {
                if let Some((_, old)) = other {
                    old.close().await;
                }
                *session = Some((name.to_owned(), self.services.mail(name, connection).await?));
            }
        }
        let gone = || ConnectError::new("the session is gone", None);
        session.as_mut().map(|(_, session)| &mut **session as &mut dyn MailSession).ok_or_else(gone)
    }
}

/// The health of a connection is worth less than the replies that are still to be recorded: that it could not
/// be recorded is only logged.
fn log_if_not_recorded(result: Result<(), StoreError>) {
    if let Err(error) = result {
        warn!("cannot record the health of the mail connection: {error}");
    }
}
