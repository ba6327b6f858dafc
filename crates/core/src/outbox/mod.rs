//! The outbox as pure transitions: what a reply means for a recipient, and when to try again.
//!
//! `waiting → sent | uncertain | held`, and `dropped` when a person gives up. An *uncertain* recipient may have got the mail: the end of
//! the message went out and no reply came. The mark stays for ever; the identical bytes are sent
//! again, and after [`MAX_UNCERTAIN_ATTEMPTS`] such ends the recipient is held. So it is after [`MAX_BREAKS`]
//! sessions that broke in the middle of the mail by its own fault.

mod redirect;

use jiff::{SignedDuration, Timestamp};

pub use redirect::{NotRedirected, Redirect};

/// The state of a message for one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecipientState {
    /// Not accepted yet; there is another attempt.
    Waiting,
    /// Accepted by the server.
    Sent,
    /// Perhaps accepted; there is another attempt.
    Uncertain,
    /// No more attempts until a person decides.
    Held,
    /// A person has decided that it is not sent.
    Dropped,
}

/// What became of a message for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt {
    /// The server has taken it: its reply.
    Accepted(String),
    /// The server will never take it (5xx): its reply.
    Refused(String),
    /// Not now (4xx, or the connection broke before the final dot): reply or reason.
    Later(String),
    /// The end of the message went out and no reply came.
    Unknown(String),
}

impl Receipt {
    /// The reply, or the reason why there was none.
    pub fn reply(&self) -> &str {
        let (Self::Accepted(reply) | Self::Refused(reply) | Self::Later(reply) | Self::Unknown(reply)) = self;
        reply
    }
}

/// One recipient of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The address alone.
    pub address: String,
    /// The state of the message for it.
    pub state: RecipientState,
    /// How often the end of the message got no reply; above 0 it may have more than one copy.
    pub uncertain: u32,
    /// The last reply of the server, or the reason why there was none.
    pub reply: Option<String>,
}

/// Ends of a message without a reply after which a recipient is held.
pub const MAX_UNCERTAIN_ATTEMPTS: u32 = 3;

/// Attempts of a message whose session broke in the middle of it, while others went through, after
/// which it is held: with their waits, some three hours.
pub const MAX_BREAKS: u32 = 10;

/// The first wait before another attempt; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(30);

/// The longest wait between two attempts.
pub const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(30);

impl Recipient {
    /// A recipient to whom nothing was sent yet.
    pub fn new(address: impl Into<String>) -> Self {
        Self { address: address.into(), state: RecipientState::Waiting, uncertain: 0, reply: None }
    }

    /// Whether the next attempt goes to it.
    pub fn is_due(&self) -> bool {
        matches!(self.state, RecipientState::Waiting | RecipientState::Uncertain)
    }

    /// Whether it waits, is held, or may have the mail more than once.
    pub fn is_open(&self) -> bool {
        self.uncertain > 0 || !matches!(self.state, RecipientState::Sent | RecipientState::Dropped)
    }

    /// What becomes of it when a person wants it tried again; `None` when there is nothing to try.
    pub fn retried(&self) -> Option<Self> {
        matches!(self.state, RecipientState::Held | RecipientState::Dropped)
            .then(|| Self { state: RecipientState::Waiting, ..self.clone() })
    }

    /// What becomes of it when a person drops it; `None` when it was sent or dropped before.
    pub fn dropped(&self) -> Option<Self> {
        (self.is_due() || self.state == RecipientState::Held)
            .then(|| Self { state: RecipientState::Dropped, ..self.clone() })
    }

    /// What the receipt makes of the recipient.
    #[must_use]
    pub fn after(&self, receipt: Receipt) -> Self {
        let mut next = self.clone();
        let (state, reply) = match receipt {
            Receipt::Accepted(reply) => (RecipientState::Sent, reply),
            Receipt::Refused(reply) => (RecipientState::Held, reply),
            Receipt::Later(reason) => (self.state, reason),
            Receipt::Unknown(reason) => {
                next.uncertain += 1;
                let worn_out = next.uncertain >= MAX_UNCERTAIN_ATTEMPTS;
                (if worn_out { RecipientState::Held } else { RecipientState::Uncertain }, reason)
            }
        };
        next.state = state;
        next.reply = Some(reply);
        next
    }
}

/// The worst state of all recipients, with the mark of uncertainty.
pub fn worst_state(recipients: &[Recipient]) -> String {
    let order = [
        RecipientState::Held,
        RecipientState::Uncertain,
        RecipientState::Waiting,
        RecipientState::Dropped,
        RecipientState::Sent,
    ];
    let worst = order.into_iter().find(|state| recipients.iter().any(|recipient| recipient.state == *state));
    let word = worst.map_or("sent", RecipientState::as_str);
    let is_marked = worst != Some(RecipientState::Uncertain)
        && recipients.iter().any(|recipient| recipient.uncertain > 0);
    if is_marked { format!("{word}, uncertain") } else { word.to_owned() }
}

impl RecipientState {
    /// The word of the state in the database, the history and the commands.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sent => "sent",
            Self::Uncertain => "uncertain",
            Self::Held => "held",
            Self::Dropped => "dropped",
        }
    }

    /// Every state.
    pub fn all() -> [Self; 5] {
        [Self::Waiting, Self::Sent, Self::Uncertain, Self::Held, Self::Dropped]
    }

    /// The state of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::all().into_iter().find(|state| state.as_str() == word)
    }
}

/// The wait before the next attempt of a message after `tries` of them (at least once).
///
/// 30 s, 1 min, 2 min … at most 30 min; `jitter`, from 0 to 1, shortens it by up to a fifth, so that
/// mails which failed together do not come back together.
pub fn retry_delay(tries: u32, jitter: f64) -> SignedDuration {
    let doublings = tries.saturating_sub(1).min(10);
    let full = FIRST_WAIT.checked_mul(1 << doublings).unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
    truncate_to_micros(full.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 5.0))
}

/// In the state's own precision, so that what waits until a moment is not due a moment before.
pub fn truncate_to_micros(wait: SignedDuration) -> SignedDuration {
    i64::try_from(wait.as_micros()).map_or(wait, SignedDuration::from_micros)
}

/// Whether the time of an attempt has come; one that lies later than any wait was set by a clock that
/// has gone back since.
pub fn is_due(next_try: Timestamp, now: Timestamp) -> bool {
    next_try <= now || next_try.duration_since(now) > LONGEST_WAIT * 2
}

/// What the states of all recipients of a run's mails say about the run.
pub fn outcome_of<'a>(recipients: impl IntoIterator<Item = &'a Recipient>) -> crate::history::Outcome {
    use crate::history::Outcome;
    let mut sent = 0_u32;
    let mut held = 0_u32;
    let mut due = 0_u32;
    for recipient in recipients {
        match recipient.state {
            RecipientState::Sent => sent += 1,
            RecipientState::Held | RecipientState::Dropped => held += 1,
            RecipientState::Waiting | RecipientState::Uncertain => due += 1,
        }
    }
    match (sent, held, due) {
        (_, _, 1..) => Outcome::Waiting,
        (0, 1.., 0) => Outcome::Held,
        (1.., 1.., 0) => Outcome::PartlySent,
        (_, 0, 0) => Outcome::Sent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Outcome;

    #[test]
    fn each_receipt_moves_its_recipient() {
        let fresh = Recipient::new("sales@contoso.example");
        for (receipt, state, uncertain) in [
            (Receipt::Accepted("250 ok".into()), RecipientState::Sent, 0),
            (Receipt::Refused("550 no".into()), RecipientState::Held, 0),
            (Receipt::Later("451 later".into()), RecipientState::Waiting, 0),
            (Receipt::Unknown("no reply".into()), RecipientState::Uncertain, 1),
        ] {
            let next = fresh.after(receipt.clone());
            assert_eq!((next.state, next.uncertain), (state, uncertain), "{receipt:?}");
            assert_eq!(next.reply.as_deref(), Some(receipt.reply()), "{receipt:?}");
        }
    }

    #[test]
    fn the_worst_state_is_shown_with_the_mark_and_an_open_recipient_is_known() {
        use RecipientState::{Dropped, Held, Sent, Uncertain, Waiting};
        let of = |state, uncertain| Recipient { state, uncertain, ..Recipient::new("a@contoso.example") };
        for (recipients, word) in [
            (vec![], "sent"),
            (vec![of(Sent, 0), of(Held, 0), of(Uncertain, 1)], "held, uncertain"),
            (vec![of(Waiting, 0), of(Uncertain, 1)], "uncertain"),
            (vec![of(Dropped, 0), of(Waiting, 0), of(Sent, 0)], "waiting"),
            (vec![of(Sent, 1), of(Dropped, 0)], "dropped, uncertain"),
            (vec![of(Sent, 0)], "sent"),
        ] {
            assert_eq!(worst_state(&recipients), word);
        }
        let open = [of(Held, 0), of(Waiting, 0), of(Uncertain, 1), of(Sent, 1)];
        assert!(open.iter().all(Recipient::is_open));
        assert!(![of(Sent, 0), of(Dropped, 0)].iter().any(Recipient::is_open));
    }

    #[test]
    fn every_state_has_its_own_word() {
        use RecipientState::{Dropped, Held, Sent, Uncertain, Waiting};
        let words = [Waiting, Sent, Uncertain, Held, Dropped].map(|state| (state, state.as_str()));
        assert!(words.iter().all(|(state, word)| RecipientState::parse(word) == Some(*state)));
        assert_eq!(words.map(|(_, word)| word), ["waiting", "sent", "uncertain", "held", "dropped"]);
        assert_eq!(RecipientState::parse("lost"), None);
    }

    #[test]
    fn an_attempt_is_due_from_its_moment_on_and_when_it_lies_further_ahead_than_any_wait() {
        let now = Timestamp::UNIX_EPOCH;
        for (seconds, expected) in [(-1, true), (0, true), (1, false), (3_600, false), (3_601, true)] {
            assert_eq!(is_due(now + SignedDuration::from_secs(seconds), now), expected, "{seconds} s ahead");
        }
    }

    #[test]
    fn the_mark_of_uncertainty_stays_and_three_are_enough() {
        let once = Recipient::new("a@b.example").after(Receipt::Unknown("eof".into()));
        assert!(once.is_due());
        assert_eq!(once.after(Receipt::Later("421".into())).state, RecipientState::Uncertain);
        let sent = once.after(Receipt::Accepted("250".into()));
        assert_eq!((sent.state, sent.uncertain), (RecipientState::Sent, 1));
        let held = once.after(Receipt::Unknown("eof".into())).after(Receipt::Unknown("eof".into()));
        assert_eq!((held.state, held.uncertain), (RecipientState::Held, 3));
        assert!(!held.is_due());
    }

    #[test]
    fn a_person_may_retry_or_drop() {
        use RecipientState::{Dropped, Held, Sent, Uncertain, Waiting};
        for (state, retried, dropped) in [
            (Waiting, None, Some(Dropped)),
            (Uncertain, None, Some(Dropped)),
            (Held, Some(Waiting), Some(Dropped)),
            (Dropped, Some(Waiting), None),
            (Sent, None, None),
        ] {
            let recipient = Recipient { state, uncertain: 2, ..Recipient::new("a@b.example") };
            let after = |next: Option<Recipient>| next.map(|next| (next.state, next.uncertain));
            assert_eq!(after(recipient.retried()), retried.map(|state| (state, 2)), "{state:?}");
            assert_eq!(after(recipient.dropped()), dropped.map(|state| (state, 2)), "{state:?}");
        }
    }

    #[test]
    fn waits_double_up_to_half_an_hour() {
        let seconds: Vec<_> = (1..=9).map(|tries| retry_delay(tries, 0.0).as_secs()).collect();
        assert_eq!(seconds, [30, 60, 120, 240, 480, 960, 1800, 1800, 1800]);
        assert_eq!(retry_delay(u32::MAX, 1.0).as_secs(), 1440);
    }

    #[test]
    fn a_run_is_as_good_as_its_worst_recipient() {
        use RecipientState::{Held, Sent, Uncertain, Waiting};
        let recipient = |state| Recipient { state, ..Recipient::new("a@b.example") };
        for (states, outcome) in [
            (vec![], Outcome::Sent),
            (vec![Sent, Sent], Outcome::Sent),
            (vec![Sent, Waiting], Outcome::Waiting),
            (vec![Held, Uncertain], Outcome::Waiting),
            (vec![Sent, Held], Outcome::PartlySent),
            (vec![Held], Outcome::Held),
        ] {
            let all: Vec<_> = states.iter().copied().map(recipient).collect();
            assert_eq!(outcome_of(&all), outcome, "{states:?}");
        }
    }
}
