//! One attempt of a message over the connections of its list: what was heard of each recipient so far,
//! and what became of the connections.

use std::time::Duration;

use jiff::Timestamp;

use crate::outbox::{self, MAX_BREAKS, Receipt, Recipient};
use crate::platform::lease::Lease;
use crate::services::mail::{ConnectError, OutgoingMail};
use crate::store::QueuedMessage;

/// An attempt under way.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    pub(super) message: &'a QueuedMessage,
    /// By the clock that nobody sets.
    pub(super) began: Duration,
    /// Of each recipient of the message; those that need no attempt are never asked for.
    heard: Vec<Option<Receipt>>,
    /// The connection that judged a recipient last.
    pub(super) over: Option<String>,
    /// Why connections took nothing, or not everything.
    reasons: Vec<String>,
    /// When those in backoff may be tried again.
    retry_at: Vec<Timestamp>,
    /// Connections whose session broke in the middle of the message, or that refused it as if the fault were theirs.
    broken: Vec<String>,
    /// One of them broke, or took the message and said nothing.
    has_broken: bool,
    /// Others of its lane go before it.
    is_aside: bool,
    /// It is not this owner's any more, and no server has heard of it.
    pub(super) taken_back: bool,
    /// A connection took it for some and declines it for the rest; whether each that did so
    /// declines it for good.
    declined: Option<bool>,
}

/// Recipients that one handing over is for, by their indexes among all of the message.
#[derive(Debug)]
pub(super) struct PendingRecipients {
    indexes: Vec<usize>,
    addresses: Vec<String>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AttemptEnd {
    /// Every connection is in backoff, and the message was not attempted.
    AllInBackoff(Timestamp),
    /// No connection took it, by no fault of the message: all of its lane is deferred until then.
    NoneAvailable(Timestamp),
    /// It was judged, or a session broke: it waits by itself if it waits.
    Attempted,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(message: &'a QueuedMessage, began: Duration) -> Self {
        Self {
            message,
            began,
            heard: vec![None; message.recipients.len()],
            over: None,
            reasons: Vec::new(),
            retry_at: Vec::new(),
            broken: Vec::new(),
            has_broken: false,
            is_aside: false,
            taken_back: false,
            declined: None,
        }
    }

    /// A person decided about the message meanwhile.
    pub(super) fn is_taken_back(&mut self) {
        self.taken_back = true;
    }

    /// Recipients that are still to be judged, but for those.
    pub(super) fn pending_recipients(&self, but: &[usize]) -> PendingRecipients {
        let is_open = |index: &usize| {
            self.message.recipients[*index].is_due() && self.heard[*index].is_none() && !but.contains(index)
        };
        let indexes: Vec<usize> = (0..self.heard.len()).filter(is_open).collect();
        let addresses = indexes.iter().map(|index| self.message.recipients[*index].address.clone()).collect();
        PendingRecipients { indexes, addresses }
    }

    /// Every recipient is judged.
    pub(super) fn is_judged(&self) -> bool {
        self.pending_recipients(&[]).indexes.is_empty()
    }

    /// No connection was tried yet.
    pub(super) fn is_untried(&self) -> bool {
        self.reasons.is_empty() && self.over.is_none()
    }

    pub(super) fn hears(&mut self, connection: &str, of: &PendingRecipients, receipts: &[Option<Receipt>]) {
        for (index, receipt) in of.indexes.iter().zip(receipts) {
            if receipt.is_some() {
                self.heard[*index].clone_from(receipt);
                self.over = Some(connection.to_owned());
            }
        }
    }

    /// A connection takes nothing, and is in backoff until then if it is known when.
    pub(super) fn fails(&mut self, reason: String, until: Option<Timestamp>) {
        self.reasons.push(reason);
        self.retry_at.extend(until);
    }

    /// A connection is in backoff.
    pub(super) fn is_in_backoff(&mut self, until: Timestamp) {
        self.retry_at.push(until);
    }

    /// The session broke in the middle of the message, perhaps by the message's own fault.
    pub(super) fn breaks(&mut self, connection: &str, error: &ConnectError, can_be_its_fault: bool) {
        self.has_broken = true;
        if !self.is_judged() {
            self.reasons.push(error.to_string());
            if can_be_its_fault {
                self.broken.push(connection.to_owned());
            }
        }
    }

    /// A connection fails by what it says of the message, which is the message's fault where others go through.
    pub(super) fn steps_aside(&mut self, connection: &str) {
        self.is_aside = true;
        self.broken.push(connection.to_owned());
    }

    /// Others went through while this one did not, so it is known for breaking sessions.
    pub(super) fn is_known(&self) -> bool {
        self.message.breaks > 0
    }

    /// A connection has taken the message for some, and declines it for those that are not judged.
    pub(super) fn is_declined(&mut self, error: &ConnectError, is_final: bool) {
        self.declined = Some(self.declined.unwrap_or(true) && is_final);
        self.reasons.push(error.to_string());
    }

    /// Every connection was tried, and those that take the message do not take it for everybody.
    fn is_declined_for_good(&self) -> bool {
        self.declined == Some(true) && self.retry_at.is_empty() && !self.has_broken
    }

    pub(super) fn reasons_text(&self) -> String {
        self.reasons.join("; ")
    }

    pub(super) fn end(&self, now: Timestamp) -> AttemptEnd {
        let until = self.retry_at.iter().min().copied().unwrap_or(now + outbox::LONGEST_WAIT);
        if self.is_untried() {
            AttemptEnd::AllInBackoff(until)
        } else if self.has_broken || self.declined.is_some() || self.is_judged() {
            AttemptEnd::Attempted
        } else {
            AttemptEnd::NoneAvailable(until)
        }
    }

    /// A session broke in the middle of it, though not by the fault of one connection for sure: the
    /// connections that are suspected with it. A connection that could not be tried might have
    /// taken it, so then the message is not.
    pub(super) fn suspects(&self) -> Option<Vec<String>> {
        let is_whole = self.broken.len() == self.message.connections.len();
        (self.has_broken || self.is_aside).then(|| if is_whole { self.broken.clone() } else { Vec::new() })
    }

    /// The recipients after the attempt. A message that has broken every connection too often is
    /// held for those whom none has judged.
    pub(super) fn recipients(&self) -> Vec<Recipient> {
        let is_worn_out =
            self.message.breaks + 1 >= MAX_BREAKS && self.suspects().is_some_and(|over| !over.is_empty());
        let reasons = self.reasons_text();
        let unheard = || {
            if is_worn_out {
                let words =
                    format!("this mail failed {MAX_BREAKS} times while others were sent; last: {reasons}");
                Receipt::Refused(words)
            } else if self.is_declined_for_good() {
                Receipt::Refused(reasons.clone())
            } else {
                Receipt::Later(reasons.clone())
            }
        };
        let after = |(recipient, heard): (&Recipient, &Option<Receipt>)| {
            if recipient.is_due() {
                recipient.after(heard.clone().unwrap_or_else(unheard))
            } else {
                recipient.clone()
            }
        };
        self.message.recipients.iter().zip(&self.heard).map(after).collect()
    }
}

impl PendingRecipients {
    pub(super) fn len(&self) -> usize {
        self.indexes.len()
    }

    /// The index of the handed over recipient of this number among those of the message.
    pub(super) fn index(&self, at: usize) -> Option<usize> {
        self.indexes.get(at).copied()
    }

    pub(super) fn outgoing<'a>(&'a self, message: &'a QueuedMessage, lease: &'a Lease) -> OutgoingMail<'a> {
        OutgoingMail {
            id: message.id,
            from: &message.sender,
            recipients: &self.addresses,
            bytes: &message.bytes,
            lease,
        }
    }
}
