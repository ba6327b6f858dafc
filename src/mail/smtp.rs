//! The SMTP session, driven command by command.
//!
//! lettre's own transport has one timeout for the TCP connect only, gives up a whole mail for one
//! refused recipient and does not tell in which phase it failed. Here each step has its deadline,
//! each recipient is judged by its own reply, and what happened before the final dot is told apart
//! from what happened after it.

mod dots;
mod hello;
mod reply;
mod sign_in;
mod tls;
mod wire;

use std::fmt;
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::commands::{Data, Mail, Quit, Rcpt, Rset};
use secrecy::ExposeSecret as _;
use tokio::time::timeout;

use super::{ConnectError, Fault, Handover, Letter};
use crate::crash_point::crash_point;
use crate::entra::{Audience, Token};
use crate::flow::{Proof, Security, SmtpConnection};
use crate::outbox::Receipt;
use hello::Offers;
use reply::Reply;
use sign_in::Credentials;
use tls::Tls;
use wire::{Broken, Wire, lost, within};

/// For DNS, TCP, TLS and the greeting together.
const TO_CONNECT: Duration = Duration::from_mins(1);
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
    wire: Wire,
    usable: bool,
    /// It has taken a letter.
    has_taken: bool,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp").field("usable", &self.usable).finish_non_exhaustive()
    }
}

impl Smtp {
    /// Connects, protects the connection and signs in.
    ///
    /// # Errors
    /// Each with the step that failed and what to do.
    pub(super) async fn open(smtp: &SmtpConnection) -> Result<Self, ConnectError> {
        let place = format!("{}:{}", smtp.host, smtp.port);
        let wire = match smtp.login.as_ref().map(|login| (&login.username, &login.proof)) {
            None => connect(smtp, &place, None).await?.0,
            Some((user, Proof::Password(source))) => {
                let password = source.read().map_err(|error| {
                    ConnectError::new(format!("the password for {place} cannot be read: {error}"), None)
                })?;
                let credentials = Credentials { user, secret: password.expose_secret() };
                let (mut wire, offers) = connect(smtp, &place, Some(credentials)).await?;
                sign_in::by_password(&mut wire, &offers, credentials, (&place, &source.place())).await?;
                wire
            }
            Some((user, Proof::OAuth(entra))) => {
                let token = entra.token(Audience::Smtp).await?;
                let signed_in = by_token(smtp, &place, user, &token).await;
                // A token at hand may have been revoked; another connection for another one.
                if signed_in.is_err() && entra.put_away(&token).await {
                    by_token(smtp, &place, user, &entra.token(Audience::Smtp).await?).await?
                } else {
                    signed_in?
                }
            }
        };
        Ok(Self { wire, usable: true, has_taken: false })
    }

    pub(super) fn is_usable(&self) -> bool {
        self.usable
    }

    pub(super) async fn close(mut self) {
        if self.usable {
            let _ = timeout(TO_QUIT, self.wire.ask(Quit, 2)).await;
        }
    }

    /// Hands over one letter.
    pub(super) async fn send(&mut self, letter: Letter<'_>) -> Handover {
        let mut receipts: Vec<Option<Receipt>> = vec![None; letter.recipients.len()];
        let fault = self.hand_over(letter, &mut receipts).await.err();
        self.usable &= fault.is_none();
        self.has_taken |= receipts.iter().flatten().any(|receipt| matches!(receipt, Receipt::Accepted(_)));
        Handover { receipts, fault }
    }

    /// Fills in what the server says of each recipient.
    async fn hand_over(&mut self, letter: Letter<'_>, receipts: &mut [Option<Receipt>]) -> Result<(), Fault> {
        self.begin(letter.from).await?;
        for (at, address) in letter.recipients.iter().enumerate() {
            receipts[at] = self.name_recipient(address).await.map_err(|broken| broke(&broken, Some(at)))?;
        }
        if receipts.iter().all(Option::is_some) {
            self.usable &= self.command(Rset, 2).await.is_ok();
            return Ok(());
        }
        let result = match self.command(Data, 3).await {
            Ok(_) => self.transfer(letter.bytes).await,
            Err(broken) if broken.is_verdict() => {
                // The server may keep the recipients until it is told otherwise.
                self.usable = false;
                Ok(judged(&broken))
            }
            Err(broken) => Err((None, broken)),
        };
        let (receipt, broken) =
            result.map_or_else(|(receipt, broken)| (receipt, Some(broken)), |it| (Some(it), None));
        receipts.iter_mut().filter(|receipt| receipt.is_none()).for_each(|open| open.clone_from(&receipt));
        broken.map_or(Ok(()), |broken| Err(broke(&broken, None)))
    }

    /// Names the sender. A refusal is a matter of the connection's set-up and never condemns a mail.
    async fn begin(&mut self, from: &str) -> Result<(), Fault> {
        let refused = |message: String| {
            let help = "look at the mail server, and whether it takes mail from this sender";
            ConnectError::new(message, Some(help))
        };
        let sender = from.parse::<Address>().map_err(|error| {
            Fault::Connection(refused(format!("`{from}` is no address to send from: {error}")))
        })?;
        let begun = self.command(Mail::new(Some(sender), Vec::new()), 2).await;
        begun.map(drop).map_err(|broken| {
            let error = refused(format!("the server takes no mail from {from}: {broken}"));
            if self.has_taken && !broken.is_verdict() {
                Fault::Ended(error)
            } else {
                Fault::Connection(error)
            }
        })
    }

    /// `None` when the server takes the recipient.
    async fn name_recipient(&mut self, address: &str) -> Result<Option<Receipt>, Broken> {
        let Ok(parsed) = address.parse::<Address>() else {
            return Ok(Some(Receipt::Refused("this is no mail address".to_owned())));
        };
        match self.command(Rcpt::new(parsed, Vec::new()), 2).await {
            Ok(_) => Ok(None),
            Err(broken) if broken.is_verdict() => Ok(Some(judged(&broken))),
            Err(broken) => Err(broken),
        }
    }

    async fn command(&mut self, command: impl fmt::Display, class: u16) -> Result<Reply, Broken> {
        let result = within(FOR_A_COMMAND, self.wire.ask(command, class)).await;
        if let Err(broken) = &result {
            self.usable &= broken.is_verdict();
        }
        result
    }

    /// What is said of the whole message; or why nothing was said, and what that makes of it.
    async fn transfer(&mut self, message: &[u8]) -> Result<Receipt, (Option<Receipt>, Broken)> {
        within(TO_TRANSFER, self.write(message)).await.map_err(|broken| (None, broken))?;
        crash_point("before-dot");
        let end = async {
            self.wire.write(dots::end(message)).await?;
            self.wire.hear(2).await
        };
        let result = within(AFTER_THE_DOT, end).await;
        crash_point("dot-answered");
        // What comes on top ends the session; what was said of this letter stands.
        self.usable &= self.wire.expect_silence().is_ok();
        match result {
            Ok(reply) => Ok(Receipt::Accepted(reply.words())),
            Err(broken @ Broken::Refused(_)) => {
                self.usable &= broken.is_verdict();
                Ok(judged(&broken))
            }
            Err(broken) => {
                let doubt = Receipt::Unknown(format!("no reply to the end of the message: {broken}"));
                Err((Some(doubt), broken))
            }
        }
    }

    /// All but the end of the message. What comes before it is no answer to it.
    async fn write(&mut self, message: &[u8]) -> Result<(), Broken> {
        self.wire.expect_silence()?;
        for from in (0..message.len()).step_by(CHUNK) {
            self.wire.write(&dots::stuffed(message, from..(from + CHUNK).min(message.len()))).await?;
        }
        self.wire.expect_silence()
    }
}

/// The session broke while a letter was being handed over.
fn broke(broken: &Broken, at: Option<usize>) -> Fault {
    let place = if at.is_some() { "at a recipient" } else { "in the message" };
    let help =
        "look at the mail server, and at what stands between: it ends sessions in the middle of a mail";
    Fault::Broke { error: ConnectError::new(format!("the session broke {place}: {broken}"), Some(help)), at }
}

/// 5xx is final, everything else is for later.
fn judged(broken: &Broken) -> Receipt {
    match broken {
        Broken::Refused(reply) if reply.class() == 5 => Receipt::Refused(broken.to_string()),
        _ => Receipt::Later(broken.to_string()),
    }
}

async fn by_token(
    smtp: &SmtpConnection,
    place: &str,
    user: &str,
    token: &Token,
) -> Result<Wire, ConnectError> {
    let credentials = Credentials { user, secret: token.secret.expose_secret() };
    let (mut wire, _) = connect(smtp, place, Some(credentials)).await?;
    sign_in::by_token(&mut wire, credentials, place).await?;
    Ok(wire)
}

/// Connects and protects the connection.
async fn connect(
    smtp: &SmtpConnection,
    place: &str,
    credentials: Option<Credentials<'_>>,
) -> Result<(Wire, Offers), ConnectError> {
    let secrets = credentials.map(|credentials| credentials.secrets()).unwrap_or_default();
    let tls = (smtp.security != Security::None).then(|| Tls::of(smtp)).transpose()?;
    let begin = async {
        let stream = Wire::connect(&smtp.host, smtp.port, TO_CONNECT).await.map_err(|error| lost(&error))?;
        let mut wire = Wire::new(Box::new(stream), secrets);
        if let (Security::Tls, Some(tls)) = (smtp.security, &tls) {
            wire = wire.protect(tls).await?;
        }
        let offers = hello::greet(&mut wire).await?;
        Ok((wire, offers))
    };
    let (wire, offers) =
        within(TO_CONNECT, begin).await.map_err(|broken| no_connection(&broken, place, smtp))?;
    let (Security::StartTls, Some(tls)) = (smtp.security, &tls) else { return Ok((wire, offers)) };
    if !offers.starttls {
        let help = "security = \"tls\" (port 465) may be what it wants; unprotected mail is sent on this machine only";
        return Err(ConnectError::new(format!("{place} offers no STARTTLS"), Some(help)));
    }
    within(TO_CONNECT, hello::protect(wire, tls)).await.map_err(|broken| no_connection(&broken, place, smtp))
}

fn no_connection(broken: &Broken, place: &str, smtp: &SmtpConnection) -> ConnectError {
    let reason = broken.to_string();
    let certificate = reason.contains("certificate") || reason.contains("UnknownIssuer");
    let help = if certificate && reason.contains("expired") {
        "the server's certificate must be renewed; look at this machine's clock, too"
    } else if certificate && smtp.ca_file.is_some() {
        "the server's certificate is not from the authority in ca_file, or not for this host name"
    } else if certificate {
        "if the server's certificate comes from an authority of your own, name it in ca_file"
    } else {
        "look at host, port and security; `tls` is usually port 465 and `starttls` port 587"
    };
    ConnectError::new(format!("cannot connect to {place}: {reason}"), Some(help))
}
