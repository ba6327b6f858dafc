//! Mail servers and folders: mail is handed over.

mod folder;
mod graph;
mod handover;
pub mod smtp;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::flow::{GraphConnection, MailConnection};
use crate::outbox::Receipt;
use crate::platform::blocking::blocking;
use crate::platform::lease::Lease;
use crate::services::entra::{EntraError, Tokens};
use crate::text::advice::Advice;
pub use handover::{Fault, Handover};

/// A mail that is ready to go: the bytes never change again.
#[derive(Debug, Clone, Copy)]
pub struct OutgoingMail<'a> {
    /// Number in the outbox, for file names and logs.
    pub id: i64,
    /// Envelope sender, an address alone.
    pub from: &'a str,
    /// Envelope recipients that still wait, addresses alone.
    pub recipients: &'a [String],
    /// RFC 5322 text with CRLF line ends.
    pub bytes: &'a [u8],
    /// While it does not hold no server may take the mail any more.
    pub lease: &'a Lease,
}

/// Why a connection does not work; says nothing about any mail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{advice}")]
pub struct ConnectError {
    /// What happened, with host, port and the server's reply, and what to do about it; no password.
    pub advice: Advice,
    /// The server asked to be left alone that long.
    pub retry_after: Option<Duration>,
}

impl ConnectError {
    /// What happened, and what to do about it.
    pub fn new(message: impl Into<String>, help: Option<&str>) -> Self {
        Self { advice: Advice { message: message.into(), help: help.map(str::to_owned) }, retry_after: None }
    }

    /// Nothing is wrong with the connection: the lease has ended.
    pub fn withheld() -> Self {
        Self::new("the mail was not handed over, since the lease of this node has ended", None)
    }
}

impl From<Advice> for ConnectError {
    fn from(advice: Advice) -> Self {
        Self { advice, retry_after: None }
    }
}

impl From<EntraError> for ConnectError {
    fn from(error: EntraError) -> Self {
        let EntraError { advice, retry_after, .. } = error;
        Self { advice, retry_after }
    }
}

/// A session with a mail server, ready for mails.
#[derive(Debug)]
pub enum Session {
    /// SMTP, signed in.
    Smtp(Box<smtp::Smtp>),
    /// Microsoft Graph, with a token.
    Graph(Box<graph::Graph>),
    /// A folder.
    Folder(folder::Folder),
}

/// What a delivery needs of a session with a mail server, which is ready for mails.
#[async_trait]
pub trait MailSession: fmt::Debug + Send {
    /// Hands over one mail: what was heard of each recipient, and the fault that ended the session.
    async fn send(&mut self, mail: OutgoingMail<'_>) -> Handover;

    /// Whether another mail can go over this session.
    fn is_usable(&self) -> bool;

    /// How long the server, which has taken a mail, wants to be left alone before the next one.
    fn take_wait(&mut self) -> Option<Duration>;

    /// Says goodbye; failures do not matter any more.
    async fn close(self: Box<Self>);
}

impl Session {
    /// Connects and signs in, with a token of its own where it takes one.
    ///
    /// # Errors
    /// Anything from DNS to AUTH, a missing secret included.
    pub async fn open(connection: &MailConnection) -> Result<Self, ConnectError> {
        Self::open_with(connection, None).await
    }

    /// As [`Session::open`]; with the tokens of others, where they are given.
    pub(crate) async fn open_with(
        connection: &MailConnection,
        tokens: Option<Tokens>,
    ) -> Result<Self, ConnectError> {
        Ok(match connection {
            MailConnection::Smtp(smtp) => Self::Smtp(Box::new(smtp::Smtp::open(smtp, tokens).await?)),
            MailConnection::Graph(graph) => {
                let tokens = tokens.unwrap_or_else(|| Tokens::new(graph.entra.clone()));
                Self::Graph(Box::new(graph::Graph::open(graph, tokens).await?))
            }
            MailConnection::Folder(folder) => {
                let folder = folder.clone();
                let opened = blocking(move || folder::Folder::open(&folder)).await;
                Self::Folder(opened.map_err(|_| ConnectError::new("the mail folder was not opened", None))??)
            }
        })
    }

    /// Says goodbye; failures do not matter any more.
    pub async fn close(self) {
        if let Self::Smtp(smtp) = self {
            smtp.close().await;
        }
    }
}

#[async_trait]
impl MailSession for Session {
    async fn send(&mut self, mail: OutgoingMail<'_>) -> Handover {
        match self {
            Self::Smtp(smtp) => smtp.send(mail).await,
            Self::Graph(graph) => graph.send(mail).await,
            Self::Folder(_) if !mail.lease.is_held() => {
                Handover::nothing(mail.recipients.len(), Fault::Withheld(ConnectError::withheld()))
            }
            Self::Folder(folder) => Handover::judged(folder.send(&mail).await),
        }
    }

    fn is_usable(&self) -> bool {
        match self {
            Self::Smtp(smtp) => smtp.is_usable(),
            Self::Graph(graph) => graph.is_usable(),
            Self::Folder(_) => true,
        }
    }

    fn take_wait(&mut self) -> Option<Duration> {
        match self {
            Self::Graph(graph) => graph.take_wait(),
            Self::Smtp(_) | Self::Folder(_) => None,
        }
    }

    async fn close(self: Box<Self>) {
        Session::close(*self).await;
    }
}

/// Asks whether the mailbox of a Graph connection takes mail of whom signs in; nothing is sent.
///
/// # Errors
/// As sending a mail: what is missing, and how to fix it.
pub(crate) async fn try_mailbox(connection: &GraphConnection, tokens: Tokens) -> Result<(), ConnectError> {
    graph::Graph::open(connection, tokens).await?.try_mailbox().await
}
