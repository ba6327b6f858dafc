//! The SMTP session, driven command by command.
//!
//! lettre's own transport has one timeout for the TCP connect only, gives up a whole mail for one
//! refused recipient and does not tell in which phase it failed. Here each step has its deadline,
//! each recipient is judged by its own reply, and what happened before the final dot is told apart
//! from what happened after it.

mod sign_in;

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::{Response, Severity};
use tokio::time::timeout;

use super::{ConnectError, Fault, Handover, Letter};
use crate::crash_point::crash_point;
use crate::entra::Audience;
use crate::flow::{Proof, Security, SmtpConnection};
use crate::outbox::Receipt;

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
/// Characters of a reply that are kept.
const LONGEST_REPLY: usize = 500;
/// Bytes of a message that are written at a time.
const CHUNK: usize = 64 << 10;

/// A signed-in session with an SMTP server.
pub struct Smtp {
    connection: AsyncSmtpConnection,
    usable: bool,
    /// It has taken a letter.
    has_taken: bool,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp").field("usable", &self.usable).finish_non_exhaustive()
    }
}

/// Why a step got no reply.
enum Broken {
    Timeout(Duration),
    Error(Error),
    /// What was heard is no answer to what was asked, so no later reply can be trusted either.
    OutOfTurn(String),
}

impl Smtp {
    /// Connects, protects the connection and signs in.
    ///
    /// # Errors
    /// Each with the step that failed and what to do.
    pub(super) async fn open(smtp: &SmtpConnection) -> Result<Self, ConnectError> {
        let place = format!("{}:{}", smtp.host, smtp.port);
        let connection = match smtp.login.as_ref().map(|login| (&login.username, &login.proof)) {
            None => Self::connect(smtp, &place).await?,
            Some((user, Proof::Password(source))) => {
                let mut connection = Self::connect(smtp, &place).await?;
                sign_in::by_password(&mut connection, user, source, &place).await?;
                connection
            }
            Some((user, Proof::OAuth(entra))) => {
                let mut token = entra.token(Audience::Smtp).await?;
                let mut connection = Self::connect(smtp, &place).await?;
                let signed_in = sign_in::by_token(&mut connection, user, &token, &place).await;
                // A token at hand may have been revoked; another connection for another one.
                if signed_in.is_err() && entra.put_away(&token).await {
                    token = entra.token(Audience::Smtp).await?;
                    connection = Self::connect(smtp, &place).await?;
                    sign_in::by_token(&mut connection, user, &token, &place).await
                } else {
                    signed_in
                }?;
                connection
            }
        };
        Ok(Self { connection, usable: true, has_taken: false })
    }

    async fn connect(smtp: &SmtpConnection, place: &str) -> Result<AsyncSmtpConnection, ConnectError> {
        let hello = ClientId::default();
        let tls = (smtp.security != Security::None).then(|| tls_parameters(smtp)).transpose()?;
        let from_the_start = tls.clone().filter(|_| smtp.security == Security::Tls);
        let address = (smtp.host.as_str(), smtp.port);
        let connect =
            AsyncSmtpConnection::connect_tokio1(address, Some(TO_CONNECT), &hello, from_the_start, None);
        let mut connection =
            within(TO_CONNECT, connect).await.map_err(|broken| no_connection(&broken, place, smtp))?;
        if let (Security::StartTls, Some(tls)) = (smtp.security, tls) {
            if !connection.can_starttls() {
                let help = "security = \"tls\" (port 465) may be what it wants; unprotected mail is sent on this machine only";
                return Err(ConnectError::new(format!("{place} offers no STARTTLS"), Some(help)));
            }
            within(TO_CONNECT, connection.starttls(tls, &hello))
                .await
                .map_err(|broken| no_connection(&broken, place, smtp))?;
        }
        Ok(connection)
    }

    pub(super) fn is_usable(&self) -> bool {
        self.usable && !self.connection.has_broken()
    }

    pub(super) async fn close(mut self) {
        if self.is_usable() {
            let _ = timeout(TO_QUIT, self.connection.quit()).await;
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
            self.usable &= self.command(Rset, Severity::PositiveCompletion).await.is_ok();
            return Ok(());
        }
        let result = match self.command(Data, Severity::PositiveIntermediate).await {
            Ok(_) => {
                self.expect_silence().map_err(|broken| broke(&broken, None))?;
                let result = self.transfer(letter.bytes).await;
                // What comes on top ends the session; what was said of this letter stands.
                let _ = self.expect_silence();
                result
            }
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
        let begun = self.command(Mail::new(Some(sender), Vec::new()), Severity::PositiveCompletion).await;
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
        match self.command(Rcpt::new(parsed, Vec::new()), Severity::PositiveCompletion).await {
            Ok(_) => Ok(None),
            Err(broken) if broken.is_verdict() => Ok(Some(judged(&broken))),
            Err(broken) => Err(broken),
        }
    }

    async fn command(&mut self, command: impl fmt::Display, expected: Severity) -> Result<Response, Broken> {
        self.expect_silence()?;
        let result = match within(FOR_A_COMMAND, self.connection.command(command)).await {
            Ok(response) if response.code().severity != expected => {
                Err(Broken::OutOfTurn(words_of(&response)))
            }
            result => result,
        };
        if let Err(broken) = &result {
            self.usable &= broken.is_verdict();
        }
        result
    }

    /// What has come before anything was asked would be taken for the reply to the next command,
    /// and each reply after it for that of another one.
    fn expect_silence(&mut self) -> Result<(), Broken> {
        let heard = match self.connection.read_response().now_or_never() {
            None => return Ok(()),
            Some(Ok(response)) => words_of(&response),
            Some(Err(error)) => reply_of(&error),
        };
        self.usable = false;
        Err(Broken::OutOfTurn(heard))
    }

    /// What is said of the whole message; or why nothing was said, and what that makes of it.
    async fn transfer(&mut self, bytes: &[u8]) -> Result<Receipt, (Option<Receipt>, Broken)> {
        let all_written = AtomicBool::new(false);
        let mut chunks = bytes.chunks(CHUNK);
        let watched = std::iter::from_fn(|| {
            let chunk = chunks.next();
            if chunk.is_none() {
                crash_point("before-dot");
                all_written.store(true, Ordering::Relaxed);
            }
            chunk
        });
        let sending = self.connection.message_iter(watched);
        tokio::pin!(sending);
        let mut result = timeout(TO_TRANSFER, &mut sending).await;
        if result.is_err() && all_written.load(Ordering::Relaxed) {
            result = timeout(AFTER_THE_DOT, &mut sending).await;
        }
        crash_point("dot-answered");
        let broken = match result {
            Ok(Ok(response)) if response.code().severity == Severity::PositiveCompletion => {
                return Ok(Receipt::Accepted(words_of(&response)));
            }
            Ok(Ok(response)) => {
                self.usable = false;
                return Ok(Receipt::Unknown(words_of(&response)));
            }
            Ok(Err(error)) => Broken::Error(error),
            Err(_) => Broken::Timeout(TO_TRANSFER),
        };
        self.usable &= broken.is_verdict();
        if broken.is_reply() {
            return Ok(judged(&broken));
        }
        let is_in_doubt = all_written.load(Ordering::Relaxed);
        let doubt = || Receipt::Unknown(format!("no reply to the end of the message: {broken}"));
        Err((is_in_doubt.then(doubt), broken))
    }
}

impl Broken {
    /// Whether the server has answered, with a refusal.
    fn is_reply(&self) -> bool {
        matches!(self, Self::Error(error) if error.status().is_some())
    }

    /// Whether the refusal is about what was asked; 421 says that the server closes the session.
    fn is_verdict(&self) -> bool {
        matches!(self, Self::Error(error) if error.status().is_some_and(|code| code.to_string() != "421"))
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(after) => write!(f, "no answer within {} s", after.as_secs()),
            Self::Error(error) => f.write_str(&reply_of(error)),
            Self::OutOfTurn(heard) => write!(f, "the server spoke out of turn: {heard}"),
        }
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
        Broken::Error(error) if error.is_permanent() => Receipt::Refused(broken.to_string()),
        _ => Receipt::Later(broken.to_string()),
    }
}

async fn within<T>(limit: Duration, step: impl Future<Output = Result<T, Error>>) -> Result<T, Broken> {
    match timeout(limit, step).await {
        Ok(result) => result.map_err(Broken::Error),
        Err(_) => Err(Broken::Timeout(limit)),
    }
}

/// `550 5.1.1 no such user`, or the innermost reason where there was no reply.
fn reply_of(error: &Error) -> String {
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        reason = inner.to_string();
        source = inner.source();
    }
    let reason = cleaned(&reason);
    error.status().map_or(reason.clone(), |code| format!("{code} {reason}"))
}

fn words_of(response: &Response) -> String {
    let lines: Vec<_> = response.message().collect();
    cleaned(&format!("{} {}", response.code(), lines.join(" ")))
}

/// One line that does nothing to a terminal, and not a long one.
fn cleaned(reply: &str) -> String {
    let shown = reply.chars().map(|c| if c.is_control() { ' ' } else { c });
    shown.take(LONGEST_REPLY).collect::<String>().trim_end().to_owned()
}

fn tls_parameters(smtp: &SmtpConnection) -> Result<TlsParameters, ConnectError> {
    let mut builder = TlsParameters::builder(smtp.host.clone());
    if let Some(path) = &smtp.ca_file {
        let wrong = |reason: String| {
            let help = "it must hold the authority's certificate in PEM form";
            ConnectError::new(format!("cannot use ca_file {}: {reason}", path.display()), Some(help))
        };
        let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let certificate = Certificate::from_pem(&pem).map_err(|error| wrong(error.to_string()))?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(certificate);
    }
    builder.build().map_err(|error| {
        let help = "install the system's certificates (package ca-certificates), or set ca_file";
        ConnectError::new(format!("cannot prepare TLS for {}: {}", smtp.host, reply_of(&error)), Some(help))
    })
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
