//! The result of handing over a mail: what was said of each recipient, and how the session ended
//! if it did not end well.

use super::ConnectError;
use crate::outbox::Receipt;

/// The result of handing over a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    /// One for each recipient of the mail, in their order: what was heard before the session
    /// ended. Without a fault there is one for every recipient; `None` was not judged at all.
    pub receipts: Vec<Option<Receipt>>,
    /// Why the session ended in the middle of the mail.
    pub fault: Option<Fault>,
}

/// Whose fault it is that a mail was not judged to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The connection's alone: it cannot be reached, or refuses the session, the login, the sender
    /// or all mail by its policy. It rests, and the next of the list takes the mail.
    Connection(ConnectError),
    /// The connection's, too, though it was said of the mail: of a recipient, or after the message.
    /// It rests, and other mails go before this one: what is refused may be some recipients' alone.
    Refused(ConnectError),
    /// The server has taken the mail for some recipients, and does not want it for those that were
    /// not judged. It works, and the next of the list may take the mail for them.
    Declined {
        /// What the server said.
        error: ConnectError,
        /// Where no other connection takes the mail either, it is held.
        is_final: bool,
    },
    /// The session broke while the mail was being handed over. It can be the connection's fault
    /// or the mail's; what becomes of other mails shows which. So it is where the server declines
    /// the mail and does not say for whose sake.
    Broke {
        /// What happened.
        error: ConnectError,
        /// The recipient that was being named, as an index of the mail's recipients; `None` where
        /// it broke later, in the message or after it.
        at: Option<usize>,
    },
    /// The server has ended a session that had taken other mails, before it judged anything of
    /// this one: a new session takes it at once, and nobody is to blame.
    Ended(ConnectError),
    /// Nobody's: the lease ended before the mail did, and it was not handed over.
    Withheld(ConnectError),
}

impl Handover {
    /// Every recipient was judged.
    pub fn judged(receipts: Vec<Receipt>) -> Self {
        Self { receipts: receipts.into_iter().map(Some).collect(), fault: None }
    }

    /// The connection took nothing of a mail to this number of recipients.
    pub fn nothing(recipients: usize, fault: Fault) -> Self {
        Self { receipts: vec![None; recipients], fault: Some(fault) }
    }

    /// The receipts, with the reason of the fault where a recipient was not judged; the fault
    /// itself where none was.
    ///
    /// # Errors
    /// When nothing was heard of any recipient.
    pub fn into_result(self) -> Result<Vec<Receipt>, ConnectError> {
        let Some(fault) = self.fault else { return Ok(self.receipts.into_iter().flatten().collect()) };
        if self.receipts.iter().all(Option::is_none) {
            return Err(fault.error().clone());
        }
        let later = || Receipt::Later(fault.error().to_string());
        Ok(self.receipts.into_iter().map(|receipt| receipt.unwrap_or_else(later)).collect())
    }
}

impl Fault {
    /// What happened.
    pub fn error(&self) -> &ConnectError {
        match self {
            Self::Connection(error)
            | Self::Refused(error)
            | Self::Ended(error)
            | Self::Withheld(error)
            | Self::Declined { error, .. }
            | Self::Broke { error, .. } => error,
        }
    }
}
