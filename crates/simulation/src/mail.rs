//! The simulated mail servers: what they take, refuse, defer or lose, message by message.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fastrand::Rng;

use super::nodes;
use super::seat::Seat;
use super::servers::BreakPoint;
use super::story::{MINUTE, Mood, SECOND};
use super::world::{State, World};
use super::{Break, Kind, Violation};
use leadflow::outbox::Receipt;
use leadflow::platform::blocking::Interruption as _;
use leadflow::services::mail::{ConnectError, Fault, Handover, MailSession, OutgoingMail};

/// A session with a simulated mail server.
#[derive(Debug)]
pub(super) struct SimulatedSession {
    seat: Arc<Seat>,
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
    /// The host of the process that made it.
    pub(super) host: usize,
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
pub(super) async fn open(seat: &Arc<Seat>, server: usize) -> Result<SimulatedSession, ConnectError> {
    seat.point().await;
    let is_down = {
        let mut state = seat.world.lock();
        let mood = state.moods[server];
        let is_down = mood.is_down || (mood.failures > 0 && state.dice.u8(0..200) < mood.failures);
        state.was_disturbed |= is_down;
        is_down
    };
    seat.pass(if is_down { MINUTE } else { SECOND }).await;
    seat.point().await;
    if is_down {
        return Err(connect_error("no connection"));
    }
    Ok(SimulatedSession { seat: Arc::clone(seat), server, is_usable: true, has_taken: false })
}

#[async_trait]
impl MailSession for SimulatedSession {
    /// As `services::mail::smtp` does.
    async fn send(&mut self, message: OutgoingMail<'_>) -> Handover {
        self.seat.point().await;
        let begun = self.begin(message);
        let took = self.transfer_time();
        self.seat.pass(took).await;
        let (attempt, failure) = match begun {
            Ok(begun) => begun,
            Err(fault) => return Handover::nothing(message.recipients.len(), fault),
        };
        self.seat.point().await;
        let stalls = self.stalls();
        if !message.lease.is_held() {
            self.is_usable = false;
            let fault = Fault::Withheld(connect_error("the lease has ended"));
            return Handover::nothing(message.recipients.len(), fault);
        }
        if !self.seat.world.is_alone() {
            // Between the look at the lease and the dot the machine may stand still.
            self.seat.point().await;
        }
        let took = self.end_message(attempt, failure, stalls);
        self.seat.pass(took).await;
        self.seat.point().await;
        let handover = self.reply(attempt, failure);
        self.seat.point().await;
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
        let world = &self.seat.world;
        let mut state = world.lock();
        let mood = state.moods[self.server];
        let offered = offered(world, message);
        let to: Vec<u8> = message.recipients.iter().filter_map(|address| recipient(address)).collect();
        let known = state.messages.entry(message.id).or_insert(offered);
        if known.bytes != message.bytes {
            known.bytes.clear();
        }
        let break_point =
            world.story.poison.as_ref().and_then(|it| it.break_point(self.server, &known.rows, &to));
        let rows = known.rows.clone();
        let mut failure = failure(&mut state.dice, mood, break_point, &to);
        let refused = &world.story.refused;
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
        let is_out_of_reach = state.hosts[self.seat.host].cut_until > state.now;
        let was_cut = state.busy > 0 || state.disk.is_some() || is_out_of_reach;
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
        let host = self.seat.host;
        state.attempts.push(Attempt { message: message.id, has_broken, fates, was_cut, was_healthy, host });
        if is_broken {
            self.is_usable = false;
            let error = connect_error("the sender is refused, or the connection is gone");
            let is_ended = self.has_taken && !mood.refuses_sender;
            return Err(if is_ended { Fault::Ended(error) } else { Fault::Connection(error) });
        }
        Ok((state.attempts.len() - 1, failure))
    }

    /// How long it takes to hand over all but the end of a message. It matters only where a lease can end meanwhile.
    fn transfer_time(&self) -> i64 {
        let mut state = self.seat.world.lock();
        let host = self.seat.host;
        let cut = state.hosts[host].cut_at_send.take();
        if let Some(length) = cut {
            state.cut_off(host, length);
        }
        let is_slow = !self.seat.world.is_alone() && (state.dice.u8(0..8) == 0 || cut.is_some());
        if is_slow { state.dice.i64(SECOND..20 * SECOND) } else { SECOND / 10 }
    }

    /// How often the machine stood still.
    fn stalls(&self) -> u32 {
        self.seat.world.lock().hosts[self.seat.host].stalls
    }

    /// The final dot, and how long the server takes for its reply. Without the lease it goes out only where the machine
    /// stood still just before.
    fn end_message(&mut self, attempt: usize, failure: Failure, stalls: u32) -> i64 {
        let host = self.seat.host;
        // It may have renewed its lease at this moment.
        nodes::take_in(&self.seat.world, host);
        let mut state = self.seat.world.lock();
        let is_dot = !matches!(failure, Failure::DropAtRecipient(_) | Failure::DropBeforeTheDot);
        let may_send = self.seat.world.is_alone()
            || !is_dot
            || state.record.has_lease(host, state.now)
            || state.hosts[host].stalls != stalls;
        if !may_send {
            let message = format!("node {host} sends a message after its lease has ended");
            state.violation.get_or_insert(Violation::new(Kind::Broken, message));
        }
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
        let silence = if self.seat.world.is_alone() { 10 * MINUTE } else { MINUTE };
        let took = if matches!(fate, Fate::TakenInSilence | Fate::LostInSilence) { silence } else { SECOND };
        state.dice.i64(0..took)
    }

    fn reply(&mut self, attempt: usize, failure: Failure) -> Handover {
        let state = self.seat.world.lock();
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
        let is_blind = self.seat.world.break_it == Some(Break::NoStepAside);
        let fault =
            fault.map(|fault| if is_blind { Fault::Connection(fault.error().clone()) } else { fault });
        Handover { receipts, fault }
    }
}

impl State {
    /// A host cannot reach the state for so long.
    pub(super) fn cut_off(&mut self, host: usize, length: i64) {
        self.hosts[host].cut_until = self.now + length;
        self.cut_attempts(host);
        self.counts.cuts += 1;
        self.was_disturbed = true;
        self.log_now(|| format!("node {host} cannot reach the state for {} s", length / SECOND));
    }

    /// The process on a host is killed: what was handed over last, of each flow, may not be recorded.
    pub(super) fn cut_attempts(&mut self, host: usize) {
        let first_attempt = self.hosts[host].first_attempt;
        let Self { attempts, messages, .. } = self;
        let mut cut = Vec::new();
        for attempt in attempts[first_attempt..].iter_mut().rev().filter(|attempt| attempt.host == host) {
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
