//! The SMTP session, driven command by command.
//!
//! lettre's own transport has one timeout for the TCP connect only, gives up a whole mail for one
//! refused recipient and does not say in which phase it failed. Here each step has its deadline,
//! each recipient is judged by its own reply, and what happened before the final dot is kept apart
//! from what happened after it.

mod connect;
mod dots;
mod hello;
mod remedy;
mod reply;
mod sign_in;
mod tls;
mod transport;
mod verdict;

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::commands::{Data, Mail, Quit, Rcpt, Rset};
use tokio::time::timeout;

use super::{ConnectError, Fault, Handover, OutgoingMail};
use crate::flow::SmtpConnection;
use crate::outbox::Receipt;
use crate::platform::faults::crash_point;
use crate::services::entra::Tokens;
use reply::Reply;
use transport::{SmtpTransport, TransportError, within};
use verdict::{Blame, Step};

/// For the reply to one command (RFC 5321, 4.5.3.2 gives servers 5 minutes).
pub(super) const FOR_A_COMMAND: Duration = Duration::from_mins(5);
/// For the transfer of a message, which is at most some megabytes.
const TO_TRANSFER: Duration = Duration::from_mins(10);
/// For the reply to the final dot (RFC 5321, 4.5.3.2.6).
const AFTER_THE_DOT: Duration = Duration::from_mins(10);
/// For the goodbye.
const TO_QUIT: Duration = Duration::from_secs(5);
/// Bytes of a message that are written at a time.
const CHUNK: usize = 64 << 10;

/// A signed-in session with an SMTP server.
pub struct Smtp {
    transport: SmtpTransport,
    /// It has signed in.
    has_login: bool,
    usable: bool,
    /// It has taken a mail.
    has_taken: bool,
}

/// Recipients of a mail, by their places, on their way through a session.
struct Transaction {
    /// Still to be named.
    rest: VecDeque<usize>,
    /// The server has taken them.
    named: Vec<usize>,
    /// What the server said of those that were not judged, and whose fault it is.
    refusal: Option<(Blame, Reply)>,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp").field("usable", &self.usable).finish_non_exhaustive()
    }
}

impl Transaction {
    fn new(recipients: usize) -> Self {
        Self { rest: (0..recipients).collect(), named: Vec::new(), refusal: None }
    }

    fn is_over(&self) -> bool {
        self.rest.is_empty()
    }
}

impl Smtp {
    /// Connects, protects the connection and signs in.
    ///
    /// # Errors
    /// Each with the step that failed and what to do.
    pub(super) async fn open(smtp: &SmtpConnection, tokens: Option<Tokens>) -> Result<Self, ConnectError> {
        let transport = connect::signed_in(smtp, tokens).await?;
        Ok(Self { transport, has_login: smtp.login.is_some(), usable: true, has_taken: false })
    }

    pub(super) fn is_usable(&self) -> bool {
        self.usable
    }

    pub(super) async fn close(mut self) {
        if self.usable {
            let _ = timeout(TO_QUIT, self.transport.ask(Quit, 2)).await;
        }
    }

    /// Hands over one mail.
    pub(super) async fn send(&mut self, mail: OutgoingMail<'_>) -> Handover {
        let mut receipts: Vec<Option<Receipt>> = vec![None; mail.recipients.len()];
        let fault = self.hand_over(mail, &mut receipts).await.err();
        self.usable &= fault.is_none();
        Handover { receipts, fault }
    }

    /// Fills in what the server says of each recipient, in as many transactions as it wants.
    async fn hand_over(
        &mut self,
        mail: OutgoingMail<'_>,
        receipts: &mut [Option<Receipt>],
    ) -> Result<(), Fault> {
        let mut transaction = Transaction::new(receipts.len());
        while !transaction.is_over() {
            self.begin(mail.from).await?;
            self.name_recipients(mail, receipts, &mut transaction).await?;
            let named = std::mem::take(&mut transaction.named);
            if named.is_empty() {
                self.reset().await;
                break;
            }
            match self.judgement_of(mail).await {
                Ok(receipt) => {
                    let goes_on = matches!(receipt, Receipt::Accepted(_));
                    // What is said of the message holds for those, too, who were not named yet.
                    let unnamed = if goes_on { 0..0 } else { 0..transaction.rest.len() };
                    for at in named.into_iter().chain(transaction.rest.drain(unnamed)) {
                        receipts[at] = Some(receipt.clone());
                    }
                }
                Err((receipt, fault)) => {
                    for at in named {
                        receipts[at].clone_from(&receipt);
                    }
                    return Err(fault);
                }
            }
        }
        let has_taken = receipts.iter().flatten().any(|receipt| matches!(receipt, Receipt::Accepted(_)));
        match transaction.refusal {
            None => Ok(()),
            Some((blame, reply)) if has_taken => Err(self.declined_for_some(blame, &reply)),
            Some((blame, reply)) => Err(self.declined(blame, &reply, mail.from)),
        }
    }

    /// Names the sender. A refusal is a matter of the connection's set-up and never condemns a mail;
    /// a session that has taken a mail may have had enough, and a new one may not.
    async fn begin(&mut self, from: &str) -> Result<(), Fault> {
        let sender = from.parse::<Address>().map_err(|error| {
            let help = "check `from` of the connection";
            Fault::Connection(ConnectError::new(
                format!("cannot send from the address `{from}`: {error}"),
                Some(help),
            ))
        })?;
        let begun = self.command(Mail::new(Some(sender), Vec::new()), 2).await;
        begun.map(drop).map_err(|failure| {
            let error = self.takes_no_mail(from, &failure);
            let is_final = matches!(&failure, TransportError::Refused(reply) if reply.class() == 5);
            if self.has_taken && !is_final { Fault::Ended(error) } else { Fault::Connection(error) }
        })
    }

    /// Names recipients until the transaction has enough of them, or the server wants none.
    async fn name_recipients(
        &mut self,
        mail: OutgoingMail<'_>,
        receipts: &mut [Option<Receipt>],
        transaction: &mut Transaction,
    ) -> Result<(), Fault> {
        while let Some(at) = transaction.rest.pop_front() {
            let Ok(address) = mail.recipients[at].parse::<Address>() else {
                receipts[at] = Some(Receipt::Refused("this is not a valid mail address".to_owned()));
                continue;
            };
            let reply = match self.command(Rcpt::new(address, Vec::new()), 2).await {
                Ok(_) => {
                    transaction.named.push(at);
                    continue;
                }
                Err(TransportError::Refused(reply)) if reply.code != 421 => reply,
                Err(failure) => return Err(broke(&failure, Some(at))),
            };
            match verdict::classify(Step::Recipient, &reply) {
                Blame::TooMany if !transaction.named.is_empty() => {
                    transaction.rest.push_front(at);
                    return Ok(());
                }
                blame @ (Blame::Connection | Blame::Unclear) => {
                    if blame == Blame::Connection {
                        // Who was named gets the mail; the others may get it by another connection.
                        transaction.rest.clear();
                    }
                    if transaction.refusal.as_ref().is_none_or(|(before, _)| *before == Blame::Unclear) {
                        transaction.refusal = Some((blame, reply));
                    }
                }
                Blame::Recipient | Blame::Message | Blame::TooMany => receipts[at] = Some(judged(&reply)),
            }
        }
        Ok(())
    }

    /// What is said of the whole message; or whose fault it is that nothing was said, and what that
    /// makes of it.
    async fn judgement_of(&mut self, mail: OutgoingMail<'_>) -> Result<Receipt, (Option<Receipt>, Fault)> {
        let reply = match self.command(Data, 3).await {
            Ok(_) => match self.transfer(mail).await {
                Ok(reply) => {
                    self.has_taken = true;
                    return Ok(Receipt::Accepted(reply.to_string()));
                }
                Err((_, TransportError::Refused(reply))) if reply.code != 421 => reply,
                Err((_, TransportError::Refused(reply))) => {
                    self.usable = false;
                    return Ok(judged(&reply));
                }
                Err((_, TransportError::Withheld)) => {
                    return Err((None, Fault::Withheld(ConnectError::withheld())));
                }
                Err((receipt, failure)) => return Err((receipt, broke(&failure, None))),
            },
            Err(TransportError::Refused(reply)) if reply.code != 421 => {
                // The server may keep the recipients until RSET.
                self.reset().await;
                reply
            }
            Err(failure) => return Err((None, broke(&failure, None))),
        };
        match verdict::classify(Step::Message, &reply) {
            blame @ (Blame::Connection | Blame::Unclear) => {
                Err((None, self.declined(blame, &reply, mail.from)))
            }
            Blame::Recipient | Blame::Message | Blame::TooMany => Ok(judged(&reply)),
        }
    }

    async fn reset(&mut self) {
        self.usable &= self.command(Rset, 2).await.is_ok();
    }

    async fn command(&mut self, command: impl fmt::Display, class: u16) -> Result<Reply, TransportError> {
        let result = within(FOR_A_COMMAND, self.transport.ask(command, class)).await;
        if let Err(failure) = &result {
            self.usable &= failure.is_verdict();
        }
        result
    }

    /// The reply to the whole message; or why there is none, and what that means for the recipients.
    async fn transfer(&mut self, mail: OutgoingMail<'_>) -> Result<Reply, (Option<Receipt>, TransportError)> {
        let message = mail.bytes;
        within(TO_TRANSFER, self.write(message)).await.map_err(|failure| (None, failure))?;
        crash_point("before-dot");
        if !mail.lease.is_held() {
            self.usable = false;
            return Err((None, TransportError::Withheld));
        }
        let end = async {
            self.transport.write(dots::end(message)).await?;
            self.transport.hear(2).await
        };
        let result = within(AFTER_THE_DOT, end).await;
        crash_point("dot-answered");
        // Anything more ends the session; what was said of this mail counts.
        self.usable &= self.transport.expect_silence().is_ok();
        result.map_err(|failure| {
            self.usable &= failure.is_verdict();
            let doubt = Receipt::Unknown(format!("no reply to the end of the message: {failure}"));
            (Some(doubt), failure)
        })
    }

    /// All but the end of the message. What arrives before it does not answer it.
    async fn write(&mut self, message: &[u8]) -> Result<(), TransportError> {
        self.transport.expect_silence()?;
        for from in (0..message.len()).step_by(CHUNK) {
            self.transport.write(&dots::stuffed(message, from..(from + CHUNK).min(message.len()))).await?;
        }
        self.transport.expect_silence()
    }

    /// The server does not want the mail at all: for the sender's sake, or it does not say for whose.
    fn declined(&self, blame: Blame, reply: &Reply, from: &str) -> Fault {
        if blame == Blame::Connection {
            return Fault::Refused(self.takes_no_mail(from, &TransportError::Refused(reply.clone())));
        }
        let general = "its policy may be meant for the sender, for a recipient or for this mail: whether other mails \
                       go through shows which";
        let help = remedy::help_for_policy(reply, self.has_login).unwrap_or(general);
        let words = format!("the server declines the mail: {reply}");
        Fault::Broke { error: ConnectError::new(words, Some(help)), at: None }
    }

    /// The server has taken the mail for others.
    fn declined_for_some(&self, blame: Blame, reply: &Reply) -> Fault {
        let words = format!("the server declines the mail for some recipients: {reply}");
        let error = ConnectError::new(words, Some(remedy::help_for_refusal(reply, self.has_login)));
        Fault::Declined { error, is_final: blame == Blame::Unclear }
    }

    fn takes_no_mail(&self, from: &str, failure: &TransportError) -> ConnectError {
        let help = match failure {
            TransportError::Refused(reply) => remedy::help_for_refusal(reply, self.has_login),
            _ => "check the mail server, and whether it accepts mail from this sender",
        };
        ConnectError::new(format!("the server accepts no mail from {from}: {failure}"), Some(help))
    }
}

/// The session broke while a mail was being handed over.
fn broke(failure: &TransportError, at: Option<usize>) -> Fault {
    let place = if at.is_some() { "at a recipient" } else { "in the message" };
    let help = "check the mail server, and anything in between: it ends sessions in the middle of a mail";
    Fault::Broke { error: ConnectError::new(format!("the session ended {place}: {failure}"), Some(help)), at }
}

/// 5xx is final, everything else is for later.
fn judged(reply: &Reply) -> Receipt {
    if reply.class() == 5 { Receipt::Refused(reply.to_string()) } else { Receipt::Later(reply.to_string()) }
}
