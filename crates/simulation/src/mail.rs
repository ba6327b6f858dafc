//! The simulated mail servers: what they take, refuse, defer or lose, message by message.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fastrand::Rng;

use super::Break;
use super::servers::BreakPoint;
use super::story::{MINUTE, Mood, SECOND};
use super::world::{State, World};
use leadflow::outbox::Receipt;
use leadflow::platform::blocking::Interruption as _;
use leadflow::services::mail::{ConnectError, Fault, Handover, MailSession, OutgoingMail};

/// A session with a simulated mail server.
#[derive(Debug)]
pub(super) struct SimulatedSession {
    world: Arc<World>,
    server: usize,
    is_usable: bool,
    has_taken: bool,
}

/// What the servers know of the messages that were offered to them, by leadflow's number.
pub(super) type Messages = BTreeMap<i64, Offered>;

/// A message that was offered at least once.
#[derive(Debug)]
pub(super) struct Offered {
    pub(super) flow: usize,
    pub(super) bytes: Vec<u8>,
    /// Versions of rows.
    pub(super) rows: Vec<usize>,
    pub(super) to: Vec<u8>,
}

/// One try to hand a message over.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) message: i64,
    /// The session broke in the middle of it.
    pub(super) has_broken: bool,
    pub(super) fates: Vec<(u8, Fate)>,
    /// The process was killed, or the state failed, before the reply was recorded for sure.
    pub(super) was_cut: bool,
    /// Nothing had ever gone wrong with mail when it was made.
    pub(super) was_healthy: bool,
}

/// What became of it for a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Still under way, or the connection broke before it was judged.
    Open,
    Taken,
    /// Taken, and the reply was lost.
    TakenInSilence,
    /// Not taken, and the reply to the end of the message was lost.
    LostInSilence,
    Refused,
    Later,
}

/// How a message ends that meets a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    None,
    /// The connection breaks before any recipient is judged.
    DropAtOnce,
    /// It breaks while this recipient is named.
    DropAtRecipient(usize),
    Recipients,
    DataLater,
    DataRefused,
    DropBeforeTheDot,
    LaterAfterTheDot,
    RefusedAfterTheDot,
    TakenInSilence,
    LostInSilence,
}

/// Connects, if the server is there.
pub(super) async fn open(world: &Arc<World>, server: usize) -> Result<SimulatedSession, ConnectError> {
    world.point().await;
    let is_down = {
        let mut state = world.lock();
        let mood = state.moods[server];
        let is_down = mood.is_down || (mood.failures > 0 && state.dice.u8(0..200) < mood.failures);
        let took = if is_down { MINUTE } else { SECOND };
        state.advance(took);
        state.was_disturbed |= is_down;
        is_down
    };
    world.point().await;
    if is_down {
        return Err(connect_error("no connection"));
    }
    Ok(SimulatedSession { world: Arc::clone(world), server, is_usable: true, has_taken: false })
}

#[async_trait]
impl MailSession for SimulatedSession {
    /// As `services::mail::smtp` does.
    async fn send(&mut self, message: OutgoingMail<'_>) -> Handover {
        self.world.point().await;
        let (attempt, failure) = match self.begin(message) {
            Ok(begun) => begun,
            Err(fault) => return Handover::nothing(message.recipients.len(), fault),
        };
        self.world.point().await;
        self.end_message(attempt, failure);
        self.world.point().await;
        let handover = self.reply(attempt, failure);
        self.world.point().await;
        handover
    }

    fn is_usable(&self) -> bool {
        self.is_usable
    }

    fn take_wait(&mut self) -> Option<Duration> {
        None
    }

    async fn close(self: Box<Self>) {}
}

impl SimulatedSession {
    /// Sender and recipients.
    fn begin(&mut self, message: OutgoingMail<'_>) -> Result<(usize, Failure), Fault> {
        let mut state = self.world.lock();
        let mood = state.moods[self.server];
        let offered = offered(&self.world, message);
        let to: Vec<u8> = message.recipients.iter().filter_map(|address| recipient(address)).collect();
        let known = state.messages.entry(message.id).or_insert(offered);
        if known.bytes != message.bytes {
            known.bytes.clear();
        }
        let break_point =
            self.world.story.poison.as_ref().and_then(|it| it.break_point(self.server, &known.rows, &to));
        let rows = known.rows.clone();
        let mut failure = failure(&mut state.dice, mood, break_point, &to);
        let refused = &self.world.story.refused;
        let fate = |r: &u8| (*r, if refused.contains(r) { Fate::Refused } else { Fate::Open });
        let mut fates: Vec<_> = to.iter().map(fate).collect();
        state.was_disturbed |= failure != Failure::None || fates.iter().any(|(_, fate)| *fate != Fate::Open);
        if failure == Failure::Recipients {
            for (_, fate) in fates.iter_mut().filter(|(_, fate)| *fate == Fate::Open) {
                *fate = state
                    .dice
                    .choice([Fate::Open, Fate::Later, Fate::Later, Fate::Refused])
                    .unwrap_or(Fate::Later);
            }
        }
        // What the state cannot record now is offered again.
        let was_cut = state.busy > 0 || state.disk.is_some();
        state.was_disturbed |= was_cut;
        if let Failure::DropAtRecipient(at) = failure {
            fates[at..].iter_mut().for_each(|(_, fate)| *fate = Fate::Open);
        } else if failure != Failure::DropAtOnce && fates.iter().all(|(_, fate)| *fate != Fate::Open) {
            failure = Failure::Recipients;
        }
        let was_healthy = !state.was_disturbed;
        let is_broken = mood.refuses_sender || failure == Failure::DropAtOnce;
        state.was_disturbed |= is_broken;
        if is_broken {
            fates.clear();
        }
        state.log_now(|| {
            let server = self.server;
            format!(
                "message {} (versions {rows:?}) is offered to server {server}: {failure:?} {fates:?}",
                message.id
            )
        });
        let has_broken = matches!(failure, Failure::DropAtRecipient(_) | Failure::DropBeforeTheDot);
        state.attempts.push(Attempt { message: message.id, has_broken, fates, was_cut, was_healthy });
        state.advance(SECOND / 10);
        if is_broken {
            self.is_usable = false;
            let error = connect_error("the sender is refused, or the connection is gone");
            let is_ended = self.has_taken && !mood.refuses_sender;
            return Err(if is_ended { Fault::Ended(error) } else { Fault::Connection(error) });
        }
        Ok((state.attempts.len() - 1, failure))
    }

    /// The message and its final dot.
    fn end_message(&mut self, attempt: usize, failure: Failure) {
        let mut state = self.world.lock();
        let fate = match failure {
            Failure::None | Failure::Recipients => Fate::Taken,
            Failure::TakenInSilence => Fate::TakenInSilence,
            Failure::LostInSilence => Fate::LostInSilence,
            Failure::DataRefused | Failure::RefusedAfterTheDot => Fate::Refused,
            Failure::DataLater | Failure::LaterAfterTheDot => Fate::Later,
            Failure::DropAtOnce | Failure::DropAtRecipient(_) | Failure::DropBeforeTheDot => Fate::Open,
        };
        let open = state.attempts[attempt].fates.iter_mut().filter(|(_, fate)| *fate == Fate::Open);
        open.for_each(|(_, open)| *open = fate);
        let took =
            if matches!(fate, Fate::TakenInSilence | Fate::LostInSilence) { 10 * MINUTE } else { SECOND };
        let took = state.dice.i64(0..took);
        state.advance(took);
    }

    fn reply(&mut self, attempt: usize, failure: Failure) -> Handover {
        let state = self.world.lock();
        // A recipient that was judged by its own reply leaves the session as it was.
        self.is_usable = matches!(failure, Failure::None | Failure::Recipients);
        let words = || "as the server says".to_owned();
        let receipt = |(_, fate): &(u8, Fate)| match fate {
            Fate::Taken => Some(Receipt::Accepted(words())),
            Fate::Refused => Some(Receipt::Refused(words())),
            Fate::Later => Some(Receipt::Later(words())),
            Fate::TakenInSilence | Fate::LostInSilence => Some(Receipt::Unknown(words())),
            Fate::Open => None,
        };
        let fates = &state.attempts[attempt].fates;
        self.has_taken |= fates.iter().any(|(_, fate)| *fate == Fate::Taken);
        let receipts = fates.iter().map(receipt).collect();
        let error = || connect_error("the session broke");
        let fault = match failure {
            Failure::DropAtRecipient(at) => Some(Fault::Broke { error: error(), at: Some(at) }),
            Failure::DropBeforeTheDot | Failure::TakenInSilence | Failure::LostInSilence => {
                Some(Fault::Broke { error: error(), at: None })
            }
            _ => None,
        };
        let is_blind = self.world.break_it == Some(Break::NoStepAside);
        let fault =
            fault.map(|fault| if is_blind { Fault::Connection(fault.error().clone()) } else { fault });
        Handover { receipts, fault }
    }
}

impl State {
    /// The process is killed: what was handed over last, of each flow, may not be recorded.
    pub(super) fn cut_attempts(&mut self) {
        let Self { attempts, messages, first_attempt, .. } = self;
        let mut cut = Vec::new();
        for attempt in attempts[*first_attempt..].iter_mut().rev() {
            let flow = messages.get(&attempt.message).map(|message| message.flow);
            if !cut.contains(&flow) {
                cut.push(flow);
                attempt.was_cut = true;
            }
        }
    }
}

fn failure(dice: &mut Rng, mood: Mood, poison: Option<BreakPoint>, to: &[u8]) -> Failure {
    let at = |r: u8| to.iter().position(|to| *to == r).unwrap_or_default();
    if dice.u8(0..100) >= mood.failures {
        return match poison {
            Some(BreakPoint::Text) => Failure::DropBeforeTheDot,
            Some(BreakPoint::Recipient(r)) => Failure::DropAtRecipient(at(r)),
            None => Failure::None,
        };
    }
    let failures = [
        Failure::DropAtOnce,
        Failure::DropAtRecipient(dice.usize(0..to.len().max(1))),
        Failure::Recipients,
        Failure::Recipients,
        Failure::DataLater,
        Failure::DataRefused,
        Failure::DropBeforeTheDot,
        Failure::LaterAfterTheDot,
        Failure::RefusedAfterTheDot,
        Failure::TakenInSilence,
        Failure::TakenInSilence,
        Failure::LostInSilence,
        Failure::LostInSilence,
    ];
    dice.choice(failures).unwrap_or(Failure::DropAtOnce)
}

/// Reads the message as its reader would: whose it is, for whom, and which rows it shows.
pub(super) fn offered(world: &World, message: OutgoingMail<'_>) -> Offered {
    let text = String::from_utf8_lossy(message.bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let name = head.lines().find_map(|line| line.strip_prefix("X-Leadflow-Flow: ")).unwrap_or_default();
    let flow = world.story.plans.iter().position(|plan| plan.name == name).unwrap_or(usize::MAX);
    let to: Vec<u8> = head.split(|c: char| c.is_whitespace() || c == ',').filter_map(recipient).collect();
    let number = |part: &str| part.split(';').next()?.parse().ok();
    let rows = body.split("v=").skip(1).filter_map(number).collect();
    Offered { flow, bytes: message.bytes.to_vec(), rows, to }
}

/// The number in `r3@sim.example`.
pub(super) fn recipient(address: &str) -> Option<u8> {
    address.trim_matches(['<', '>']).strip_prefix('r')?.strip_suffix("@sim.example")?.parse().ok()
}

fn connect_error(message: &str) -> ConnectError {
    ConnectError::new(message, None)
}
