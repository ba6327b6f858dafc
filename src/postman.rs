//! Delivers what lies in the outbox: takes a mail, hands it over, records each recipient's reply.
//!
//! Mails with the same list of connections make a lane, in which they leave in their order. Lanes
//! go on beside each other, so that a server which hangs keeps up its own mails alone. Failures to
//! connect or to sign in are the connection's and never a mail's: it rests, and its mails with it,
//! unless the next connection of their list takes them.

mod connections;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use tracing::{error, info, warn};

use crate::clock::Clock;
use crate::crash_point::crash_point;
use crate::flow::{Config, MailConnection};
use crate::mail::{ConnectError, Handover, Letter, Session};
use crate::outbox::{self, Receipt, Recipient, State};
use crate::store::{OutboxMail, SharedStore, Store, StoreError};
use crate::telemetry::without_addresses;
use connections::{Connections, Rest};

/// The one who delivers; there is one in a process.
#[derive(Debug)]
pub struct Postman {
    store: SharedStore,
    clock: Clock,
    connections: Mutex<Connections>,
}

/// What a round through the outbox came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// When the next mail is to be tried; `None` while nothing waits.
    pub next_try: Option<Timestamp>,
    /// A try waits for nothing but its connection's `per_minute`.
    pub is_paced: bool,
}

/// A reply that is not recorded makes the mail uncertain, so it is worth some tries.
const RECORD_TRIES: u32 = 5;
/// Between two of them.
const RECORD_AGAIN: Duration = Duration::from_secs(1);

/// The span of `per_hour`.
const HOUR: SignedDuration = SignedDuration::from_hours(1);

impl Postman {
    /// A postman for this state.
    pub fn new(store: SharedStore, clock: Clock) -> Self {
        Self { store, clock, connections: Mutex::default() }
    }

    /// Forgets what has failed, and lets every mail be tried now: somebody has started leadflow or
    /// changed its file.
    ///
    /// # Errors
    /// When the state fails.
    pub async fn start_over(&self) -> Result<(), StoreError> {
        self.connections().start_over();
        let now = self.clock.now();
        self.store.call(move |store| store.hurry(now)).await
    }

    /// Doubts the mails whose replies could not be recorded; no lane may be under way.
    ///
    /// # Errors
    /// When the state fails.
    pub async fn settle(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mails = self.store.call(move |store| store.doubt_interrupted_mails(now)).await?;
        if mails > 0 {
            warn!(
                mails,
                "replies of mails could not be recorded: the mails are uncertain and are sent again"
            );
        }
        Ok(())
    }

    /// Delivers every mail whose time has come, over the connections of `config`. Between two
    /// mails it ends early once `stop` says so.
    ///
    /// # Errors
    /// When the state fails. A mail that was being sent is then found again at the next start.
    pub async fn deliver(&self, config: &Config, stop: impl Fn() -> bool) -> Result<Round, StoreError> {
        let mut is_paced = false;
        while !stop() {
            let lanes = self.lanes().await?;
            if lanes.is_empty() {
                break;
            }
            for paced in join_all(lanes.iter().map(|lane| self.deliver_lane(config, lane, &stop))).await {
                is_paced |= paced?;
            }
        }
        Ok(Round { next_try: self.next_try().await?, is_paced })
    }

    /// The lists of connections that have a mail whose time has come.
    ///
    /// # Errors
    /// When the state fails.
    pub async fn lanes(&self) -> Result<Vec<Vec<String>>, StoreError> {
        let now = self.clock.now();
        self.store.call(move |store| store.lanes(now)).await
    }

    /// When the next mail is to be tried; `None` while nothing waits.
    ///
    /// # Errors
    /// When the state fails.
    pub async fn next_try(&self) -> Result<Option<Timestamp>, StoreError> {
        self.store.call(|store| store.next_try()).await
    }

    /// Delivers the mails of one lane whose time has come; `true` when the next one waits for its
    /// connection's `per_minute`.
    ///
    /// # Errors
    /// As [`Postman::deliver`].
    pub async fn deliver_lane(
        &self,
        config: &Config,
        lane: &[String],
        stop: impl Fn() -> bool,
    ) -> Result<bool, StoreError> {
        let mut session: Option<(String, Session)> = None;
        let mut is_paced = false;
        while !stop() {
            let (now, of_lane) = (self.clock.now(), lane.to_vec());
            let Some(mail) = self.store.call(move |store| store.next_mail(&of_lane, now)).await? else {
                break;
            };
            if self.is_within_hour(config, &mail).await? {
                is_paced = self.deliver_one(config, mail, &mut session).await? == Delivered::Paced;
            }
        }
        if let Some((_, session)) = session {
            session.close().await;
        }
        Ok(is_paced)
    }

    /// Whether the flow may send another mail in this hour; if not, all its new mails are put off.
    async fn is_within_hour(&self, config: &Config, mail: &OutboxMail) -> Result<bool, StoreError> {
        let flow = mail.flow.as_ref().and_then(|name| config.flows.get(name)).filter(|_| mail.tries == 0);
        let Some(flow) = flow else { return Ok(true) };
        let (name, per_hour, now) = (flow.name.clone(), flow.email.per_hour, self.clock.now());
        let look = move |store: &mut Store| {
            let (count, oldest) = store.begun_within(&name, now.checked_sub(HOUR).unwrap_or(now), now)?;
            let Some(until) = oldest.filter(|_| count >= per_hour).map(|oldest| oldest + HOUR) else {
                return Ok::<_, StoreError>(None);
            };
            Ok(Some((store.pace(&name, until, now)?, until)))
        };
        let Some((mails, until)) = self.store.call(look).await? else { return Ok(true) };
        info!(flow = flow.name, mails, %until, "per_hour = {per_hour} is used up: the other mails wait");
        Ok(false)
    }

    async fn deliver_one(
        &self,
        config: &Config,
        mail: OutboxMail,
        session: &mut Option<(String, Session)>,
    ) -> Result<Delivered, StoreError> {
        let (mut reasons, mut rests) = (Vec::new(), Vec::new());
        for name in &mail.connections {
            let Some(connection) = config.mails.get(name) else {
                reasons.push(format!("flows.toml has no mail connection `{name}` any more"));
                continue;
            };
            let rest = self.connections().rest(name, connection, self.clock.now());
            match rest {
                Some(Rest::Paced(until)) if reasons.is_empty() => {
                    self.pause(&mail.connections, until).await?;
                    return Ok(Delivered::Paced);
                }
                Some(Rest::Paced(until) | Rest::Failed(until)) => rests.push(until),
                None => match self.try_over(name, connection, &mail, session).await? {
                    Ok((receipts, pause)) => {
                        self.record(&mail, Some(name), receipts, pause).await?;
                        return Ok(Delivered::Tried);
                    }
                    Err((reason, until)) => {
                        rests.push(until);
                        reasons.push(reason);
                    }
                },
            }
        }
        let until = rests.into_iter().min().unwrap_or_else(|| self.clock.now() + outbox::LONGEST_WAIT);
        if reasons.is_empty() {
            self.pause(&mail.connections, until).await?;
            return Ok(Delivered::Tried);
        }
        let told = without_addresses(&reasons.join("; "));
        error!(flow = mail.flow, run = mail.run, mail = mail.id, %until, "no connection takes mail: {told}");
        let due = mail.recipients.iter().filter(|recipient| recipient.is_due()).count();
        let receipts = vec![Receipt::Later(reasons.join("; ")); due];
        self.record(&mail, None, receipts, Some(until)).await?;
        Ok(Delivered::Tried)
    }

    /// Hands the mail over by one connection: the receipts, and until when the connection rests if
    /// it broke; or why it took nothing, and until when it rests.
    async fn try_over(
        &self,
        name: &str,
        connection: &MailConnection,
        mail: &OutboxMail,
        session: &mut Option<(String, Session)>,
    ) -> Result<Result<(Vec<Receipt>, Option<Timestamp>), (String, Timestamp)>, StoreError> {
        let result = match ready(session, name, connection).await {
            Ok(session) => {
                crash_point("session-opened");
                let (id, over, now) = (mail.id, name.to_owned(), self.clock.now());
                self.store.call(move |store| store.begin_sending(id, &over, now)).await?;
                crash_point("sending-recorded");
                self.connections().sends(name);
                hand_over(session, mail)
                    .await
                    .into_result()
                    .map(|receipts| (receipts, session.is_usable(), session.take_wait()))
            }
            Err(error) => Err(error),
        };
        Ok(match result {
            Ok((receipts, is_usable, wait)) => {
                let pause = self.judge(name, &receipts, is_usable, mail.id).await;
                if let Some(wait) = wait {
                    self.connections().waits(name, self.clock.now(), wait);
                }
                Ok((receipts, pause))
            }
            Err(error) => Err((error.to_string(), self.fails(name, &error, mail.id).await)),
        })
    }

    /// What the receipts say of the connection: a verdict about a recipient or the message shows
    /// that it works, a session that broke without one that it does not. Returns until when it rests.
    async fn judge(&self, name: &str, receipts: &[Receipt], is_usable: bool, mail: i64) -> Option<Timestamp> {
        let is_verdict = |receipt: &Receipt| matches!(receipt, Receipt::Accepted(_) | Receipt::Refused(_));
        let broken = receipts.iter().find_map(|receipt| match receipt {
            Receipt::Later(reason) | Receipt::Unknown(reason) => Some(reason.clone()),
            Receipt::Accepted(_) | Receipt::Refused(_) => None,
        });
        if !is_usable && !receipts.iter().any(is_verdict) {
            let message = broken.unwrap_or_default();
            return Some(self.fails(name, &ConnectError::new(message, None), mail).await);
        }
        if self.connections().works(name) {
            let name = name.to_owned();
            self.note(move |store| store.connection_works(&name)).await;
        }
        None
    }

    /// Notes and tells that a connection has failed; returns until when it rests.
    async fn fails(&self, name: &str, error: &ConnectError, mail: i64) -> Timestamp {
        let said = without_addresses(&error.to_string());
        let remedy = error.help.as_deref().map(without_addresses);
        warn!(connection = name, mail, help = remedy, "the mail connection fails: {said}");
        let now = self.clock.now();
        let until = self.connections().failed(name, now, jitter(mail, now), error.retry_after);
        let (name, help) = (name.to_owned(), error.help.clone());
        let note = move |store: &mut Store| store.connection_failed(&name, (&said, help.as_deref()), now);
        self.note(note).await;
        until
    }

    /// Notes how a connection is, which is worth less than the replies that are still to be recorded.
    async fn note(&self, note: impl FnOnce(&mut Store) -> Result<(), StoreError> + Send + 'static) {
        if let Err(error) = self.store.call(note).await {
            warn!("how the mail connection is cannot be noted: {error}");
        }
    }

    async fn pause(&self, connections: &[String], until: Timestamp) -> Result<(), StoreError> {
        let (connections, now) = (connections.to_vec(), self.clock.now());
        self.store.call(move |store| store.pause(&connections, until, now)).await
    }

    /// Writes the receipts down; `pause` puts off all mails of the same lane until then.
    async fn record(
        &self,
        mail: &OutboxMail,
        connection: Option<&str>,
        receipts: Vec<Receipt>,
        pause: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let mut receipts = receipts.into_iter();
        let after = |recipient: &Recipient| match recipient.is_due().then(|| receipts.next()).flatten() {
            Some(receipt) => recipient.after(receipt),
            None => recipient.clone(),
        };
        let recipients: Vec<Recipient> = mail.recipients.iter().map(after).collect();
        // The whole lane at the same moment, so that its mails keep their order.
        let own_wait = outbox::wait(mail.tries + 1, jitter(mail.id, self.clock.now()));
        let next_try = pause.unwrap_or_else(|| self.clock.now() + own_wait);
        let now = self.clock.now();
        for tries_left in (0..RECORD_TRIES).rev() {
            let (id, connections, recipients) = (mail.id, mail.connections.clone(), recipients.clone());
            let work = move |store: &mut Store| {
                store.record_replies(id, &recipients, next_try)?;
                pause.map_or(Ok(()), |until| store.pause(&connections, until, now))
            };
            match self.store.call(work).await {
                Err(error) if tries_left > 0 && error.is_passing() => {
                    warn!(mail = mail.id, "the replies cannot be recorded: {error}; trying again");
                    tokio::time::sleep(RECORD_AGAIN).await;
                }
                result => {
                    result?;
                    break;
                }
            }
        }
        crash_point("reply-recorded");
        tell(mail, connection, &recipients, next_try);
        Ok(())
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(PartialEq, Eq)]
enum Delivered {
    Tried,
    Paced,
}

/// The session of the connection: the open one if it is that and can be used, or a new one.
async fn ready<'a>(
    session: &'a mut Option<(String, Session)>,
    name: &str,
    connection: &MailConnection,
) -> Result<&'a mut Session, ConnectError> {
    match session.take() {
        Some((open, usable)) if open == name && usable.is_usable() => *session = Some((open, usable)),
        other => {
            if let Some((_, old)) = other {
                old.close().await;
            }
            *session = Some((name.to_owned(), Session::open(connection).await?));
        }
    }
    let gone = || ConnectError::new("the session is gone", None);
    session.as_mut().map(|(_, session)| session).ok_or_else(gone)
}

async fn hand_over(session: &mut Session, mail: &OutboxMail) -> Handover {
    let due = mail.recipients.iter().filter(|recipient| recipient.is_due());
    let recipients: Vec<String> = due.map(|recipient| recipient.address.clone()).collect();
    let letter = Letter { id: mail.id, from: &mail.sender, recipients: &recipients, bytes: &mail.bytes };
    session.send(letter).await
}

/// One line a mail, without addresses.
fn tell(mail: &OutboxMail, connection: Option<&str>, recipients: &[Recipient], next_try: Timestamp) {
    let count = |state| recipients.iter().filter(|recipient| recipient.state == state).count();
    let (sent, held, uncertain) = (count(State::Sent), count(State::Held), count(State::Uncertain));
    let waiting = count(State::Waiting) + uncertain;
    let (flow, run, tries) = (&mail.flow, mail.run, mail.tries + 1);
    if waiting + held == 0 {
        info!(flow, run, mail = mail.id, connection, recipients = sent, tries, "the mail is sent");
        return;
    }
    let of_state = |recipient: &&Recipient| recipient.state != State::Sent;
    let reply =
        recipients.iter().find(of_state).and_then(|recipient| recipient.reply.clone()).unwrap_or_default();
    let next_try = (waiting > 0).then(|| next_try.to_string());
    warn!(
        flow,
        run,
        mail = mail.id,
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

/// A number from 0 to 1 that differs from mail to mail and from try to try.
fn jitter(mail: i64, now: Timestamp) -> f64 {
    let mut hasher = DefaultHasher::new();
    (mail, now.as_microsecond()).hash(&mut hasher);
    let hash = hasher.finish();
    f64::from(u32::try_from(hash >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}
