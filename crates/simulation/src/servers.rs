//! Messages that break their session at some mail servers, each time, before its end.

use fastrand::Rng;

use super::mail::{Offered, offered, recipient};
use super::services::server_of;
use super::state;
use super::world::World;
use leadflow::outbox::Recipient;
use leadflow::platform::clock::Clock;
use leadflow::platform::lease::Lease;
use leadflow::services::mail::OutgoingMail;
use leadflow::store::MessageRecord;

/// Mail servers of a story at most.
pub(super) const SERVERS: usize = 5;

/// What breaks the sessions, and at which servers.
#[derive(Debug, Clone)]
pub(super) struct Poison {
    servers: [bool; SERVERS],
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    /// A message with such a row, in its text.
    Row { of: usize, is: usize },
    /// Each message to this recipient, when it is named.
    Recipient(u8),
}

/// Where a session breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BreakPoint {
    Text,
    /// At the recipient of this number.
    Recipient(u8),
}

/// How many mail servers there are.
pub(super) fn count(dice: &mut Rng) -> usize {
    dice.choice([1, 1, 2, 2, 3, 4, SERVERS]).unwrap_or(1)
}

impl Poison {
    /// In every third story.
    pub(super) fn draw(dice: &mut Rng, servers: usize) -> Option<Self> {
        let is_everywhere = dice.bool();
        let of_server = |server| server < servers && (is_everywhere || dice.bool());
        let servers = std::array::from_fn(of_server);
        let of = dice.usize(2..6);
        let row = What::Row { of, is: dice.usize(0..of) };
        let what = if dice.u8(0..4) == 0 { What::Recipient(dice.u8(0..4)) } else { row };
        (dice.u8(0..3) == 0).then_some(Self { servers, what })
    }

    /// Where the session of this server breaks at a message with these rows, for these recipients.
    pub(super) fn break_point(&self, server: usize, rows: &[usize], to: &[u8]) -> Option<BreakPoint> {
        let place = match self.what {
            What::Row { of, is } => rows.iter().any(|row| row % of == is).then_some(BreakPoint::Text),
            What::Recipient(r) => to.contains(&r).then_some(BreakPoint::Recipient(r)),
        };
        place.filter(|_| self.servers[server])
    }

    /// No server of the list ever takes the message for this recipient.
    pub(super) fn is_hopeless(&self, connections: &[String], rows: &[usize], r: u8) -> bool {
        let breaks = |name: &String| {
            server_of(name).is_some_and(|server| self.break_point(server, rows, &[r]).is_some())
        };
        !connections.is_empty() && connections.iter().all(breaks)
    }
}

impl World {
    /// A message as leadflow keeps it, whether it was offered or not.
    pub(super) fn kept(&self, id: i64) -> Offered {
        let text = state::at_once(self.store.message_bytes(id)).ok().flatten().unwrap_or_default();
        let lease = Lease::endless(Clock::System);
        offered(self, OutgoingMail { id, from: "", recipients: &[], bytes: &text, lease: &lease })
    }

    /// The mail waits for a recipient for whom a server would take it.
    pub(super) fn has_hope(&self, mail: &MessageRecord) -> bool {
        let mut due = mail.recipients.iter().filter(|found| found.is_due()).peekable();
        let Some(poison) = self.story.poison.as_ref().filter(|_| due.peek().is_some()) else {
            return due.next().is_some();
        };
        let rows = self.kept(mail.id).rows;
        let is_hopeless = |found: &Recipient| {
            recipient(&found.address).is_some_and(|r| poison.is_hopeless(&mail.connections, &rows, r))
        };
        due.any(|found| !is_hopeless(found))
    }
}
