//! Mail: composing the final bytes, and handing them to a server or a folder.

pub mod compose;
pub mod render;

use crate::flow::MailConnection;

/// A mail that is ready to go: the bytes never change again.
#[derive(Debug, Clone, Copy)]
pub struct Letter<'a> {
    /// Number in the outbox, for file names and logs.
    pub id: i64,
    /// Envelope sender, an address alone.
    pub from: &'a str,
    /// Envelope recipients that still wait, addresses alone.
    pub recipients: &'a [String],
    /// RFC 5322 text with CRLF line ends.
    pub bytes: &'a [u8],
}

/// What became of a letter for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt {
    /// The server has taken it.
    Accepted(String),
    /// The server will never take it (5xx): its reply.
    Refused(String),
    /// Not now (4xx, or the connection broke before the final dot): reply or reason.
    Later(String),
    /// The end of the message went out and no reply came: it may have been taken.
    Unknown(String),
}

/// Why a connection could not be made ready; says nothing about any mail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConnectError {
    /// What happened, with host, port and the server's reply; no password.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// A signed-in session with a mail server, for a batch of letters.
#[derive(Debug)]
pub enum Session {}

impl Session {
    /// Connects and signs in.
    ///
    /// # Errors
    /// Anything from DNS to AUTH, a missing secret included.
    pub async fn open(connection: &MailConnection) -> Result<Self, ConnectError> {
        let _ = connection;
        Err(ConnectError { message: String::new(), help: None })
    }

    /// Hands over one letter. One receipt for each recipient, in their order.
    pub async fn send(&mut self, letter: Letter<'_>) -> Vec<Receipt> {
        let _ = letter;
        match *self {}
    }

    /// Whether another letter can go over this session.
    pub fn is_usable(&self) -> bool {
        match *self {}
    }

    /// Says goodbye; failures do not matter any more.
    pub async fn close(self) {
        match self {}
    }
}
