//! Delivers what lies in the outbox: takes a mail, hands it over, records each recipient's reply.
//!
//! Failures to connect or to sign in are the connection's and never a mail's: every mail that
//! would take the same connections waits with it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tracing::{info, warn};

use crate::clock::Clock;
use crate::flow::{Config, MailConnection};
use crate::mail::{ConnectError, Letter, Session};
use crate::outbox::{self, Receipt, Recipient, State};
use crate::store::{OutboxMail, SharedStore, Store, StoreError};

/// The one who delivers; there is one in a process.
#[derive(Debug)]
pub struct Postman {
    store: SharedStore,
    clock: Clock,
    /// Failed connects in a row, by the list of connections that were tried.
    failures: HashMap<Vec<String>, u32>,
    pace: BTreeMap<String, VecDeque<Instant>>,
}

/// What a round through the outbox came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// When the next mail is to be tried; `None` while nothing waits.
    pub next_try: Option<Timestamp>,
    /// The next try waits for nothing but the connection's `per_minute`.
    pub is_paced: bool,
}

/// A reply that is not recorded makes the mail uncertain, so it is worth some tries.
const RECORD_TRIES: u32 = 5;
/// Between two of them.
const RECORD_AGAIN: Duration = Duration::from_secs(1);

/// The span of `per_minute`.
const MINUTE: Duration = Duration::from_mins(1);

impl Postman {
    /// A postman for this state.
    pub fn new(store: SharedStore, clock: Clock) -> Self {
        Self { store, clock, failures: HashMap::new(), pace: BTreeMap::new() }
    }

    /// Forgets what has failed, and lets every mail be tried now: somebody has started leadflow or
    /// changed its file.
    ///
    /// # Errors
    /// When the state fails.
    pub async fn start_over(&mut self) -> Result<(), StoreError> {
        self.failures.clear();
        let now = self.clock.now();
        self.store.call(move |store| store.hurry(now)).await
    }

    /// Delivers every mail whose time has come, over the connections of `config`. Between two
    /// mails it ends early once `stop` says so.
    ///
    /// # Errors
    /// When the state fails. A mail that was being sent is then found again at the next start.
    pub async fn deliver(&mut self, config: &Config, stop: impl Fn() -> bool) -> Result<Round, StoreError> {
        let mut session: Option<(String, Session)> = None;
        let mut is_paced = false;
        while !stop() {
            let now = self.clock.now();
            let Some(mail) = self.store.call(move |store| store.next_mail(now)).await? else { break };
            is_paced |= self.deliver_one(config, mail, &mut session).await? == Delivered::Paced;
        }
        if let Some((_, session)) = session {
            session.close().await;
        }
        let next_try = self.store.call(|store| store.next_try()).await?;
        Ok(Round { next_try, is_paced })
    }

    async fn deliver_one(
        &mut self,
        config: &Config,
        mail: OutboxMail,
        session: &mut Option<(String, Session)>,
    ) -> Result<Delivered, StoreError> {
        let mut reasons = Vec::new();
        let mut is_sending = false;
        for name in &mail.connections {
            let Some(connection) = config.mails.get(name) else {
                reasons.push(format!("flows.toml has no mail connection `{name}` any more"));
                continue;
            };
            if let Some(wait) = self.pacing(name, connection).filter(|_| !is_sending) {
                let (until, connections) = (self.clock.now() + wait, mail.connections.clone());
                self.store.call(move |store| store.pause(&connections, until)).await?;
                return Ok(Delivered::Paced);
            }
            let result = match ready(session, name, connection).await {
                Ok(session) => {
                    if !is_sending {
                        let id = mail.id;
                        self.store.call(move |store| store.begin_sending(id)).await?;
                        is_sending = true;
                    }
                    self.pace.entry(name.clone()).or_default().push_back(Instant::now());
                    hand_over(session, &mail).await.map(|receipts| (receipts, session.is_usable()))
                }
                Err(error) => Err(error),
            };
            match result {
                Ok((receipts, is_well)) => {
                    let pause = (!is_well).then(|| self.another_failure(&mail));
                    if is_well {
                        self.failures.remove(&mail.connections);
                    }
                    self.record(mail, receipts, pause).await?;
                    return Ok(Delivered::Tried);
                }
                Err(error) => {
                    let said = without_addresses(&error.to_string());
                    warn!(
                        connection = name,
                        mail = mail.id,
                        help = error.help,
                        "the mail connection fails: {said}"
                    );
                    reasons.push(error.to_string());
                }
            }
        }
        let pause = self.another_failure(&mail);
        let due = mail.recipients.iter().filter(|recipient| recipient.is_due()).count();
        let receipts = vec![Receipt::Later(reasons.join("; ")); due];
        self.record(mail, receipts, Some(pause)).await?;
        Ok(Delivered::Tried)
    }

    /// How long all mails of the same connections rest.
    fn another_failure(&mut self, mail: &OutboxMail) -> SignedDuration {
        let failures = self.failures.entry(mail.connections.clone()).or_default();
        *failures += 1;
        outbox::wait(*failures, jitter(mail.id, self.clock.now()))
    }

    /// Writes the receipts down; `pause` puts off all mails of the same connections.
    async fn record(
        &self,
        mail: OutboxMail,
        receipts: Vec<Receipt>,
        pause: Option<SignedDuration>,
    ) -> Result<(), StoreError> {
        let mut receipts = receipts.into_iter();
        let after = |recipient: &Recipient| match recipient.is_due().then(|| receipts.next()).flatten() {
            Some(receipt) => recipient.after(receipt),
            None => recipient.clone(),
        };
        let recipients: Vec<Recipient> = mail.recipients.iter().map(after).collect();
        let own_wait = outbox::wait(mail.tries + 1, jitter(mail.id, self.clock.now()));
        let next_try = self.clock.now() + own_wait.max(pause.unwrap_or_default());
        let until = pause.map(|pause| self.clock.now() + pause);
        for tries_left in (0..RECORD_TRIES).rev() {
            let (id, connections, recipients) = (mail.id, mail.connections.clone(), recipients.clone());
            let work = move |store: &mut Store| {
                store.record_replies(id, &recipients, next_try)?;
                until.map_or(Ok(()), |until| store.pause(&connections, until))
            };
            match self.store.call(work).await {
                Err(error) if tries_left > 0 => {
                    warn!(mail = mail.id, "the replies cannot be recorded: {error}; trying again");
                    tokio::time::sleep(RECORD_AGAIN).await;
                }
                result => {
                    result?;
                    break;
                }
            }
        }
        tell(&mail, &recipients, next_try);
        Ok(())
    }

    /// How long the connection has to rest before another mail.
    fn pacing(&mut self, name: &str, connection: &MailConnection) -> Option<SignedDuration> {
        let MailConnection::Smtp(smtp) = connection else { return None };
        let sent = self.pace.entry(name.to_owned()).or_default();
        while sent.front().is_some_and(|at| at.elapsed() >= MINUTE) {
            sent.pop_front();
        }
        let most = usize::try_from(smtp.per_minute).unwrap_or(usize::MAX);
        let oldest = sent.front().filter(|_| sent.len() >= most)?;
        SignedDuration::try_from(MINUTE.saturating_sub(oldest.elapsed())).ok()
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
    let gone = || ConnectError { message: "the session is gone".to_owned(), help: None };
    session.as_mut().map(|(_, session)| session).ok_or_else(gone)
}

async fn hand_over(session: &mut Session, mail: &OutboxMail) -> Result<Vec<Receipt>, ConnectError> {
    let due = mail.recipients.iter().filter(|recipient| recipient.is_due());
    let recipients: Vec<String> = due.map(|recipient| recipient.address.clone()).collect();
    let letter = Letter { id: mail.id, from: &mail.sender, recipients: &recipients, bytes: &mail.bytes };
    session.send(letter).await
}

/// One line a mail, without addresses.
fn tell(mail: &OutboxMail, recipients: &[Recipient], next_try: Timestamp) {
    let count = |state| recipients.iter().filter(|recipient| recipient.state == state).count();
    let (sent, held, uncertain) = (count(State::Sent), count(State::Held), count(State::Uncertain));
    let waiting = count(State::Waiting) + uncertain;
    if waiting + held == 0 {
        info!(run = mail.run, mail = mail.id, recipients = sent, "the mail is sent");
        return;
    }
    let of_state = |recipient: &&Recipient| recipient.state != State::Sent;
    let reply =
        recipients.iter().find(of_state).and_then(|recipient| recipient.reply.clone()).unwrap_or_default();
    let next_try = (waiting > 0).then(|| next_try.to_string());
    warn!(
        run = mail.run,
        mail = mail.id,
        sent,
        waiting,
        uncertain,
        held,
        next_try,
        "the mail is not sent to every recipient: {}",
        without_addresses(&reply)
    );
}

/// Servers repeat the address in their refusals; the log has no personal data.
fn without_addresses(reply: &str) -> String {
    let words = reply.split(' ').map(|word| if word.contains('@') { "<…>" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// A number from 0 to 1 that differs from mail to mail and from try to try.
fn jitter(mail: i64, now: Timestamp) -> f64 {
    let mut hasher = DefaultHasher::new();
    (mail, now.as_microsecond()).hash(&mut hasher);
    let hash = hasher.finish();
    f64::from(u32::try_from(hash >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}
