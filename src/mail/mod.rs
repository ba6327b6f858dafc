//! Mail: composing the final bytes, and handing them to a server or a folder.

mod cell;
pub mod compose;
mod folder;
mod helpers;
mod listing;
mod message;
pub mod notice;
pub mod sheet;
pub mod smtp;
mod template_check;
pub mod templates;

use crate::flow::MailConnection;
use crate::outbox::Receipt;

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

/// Why a connection does not work; says nothing about any mail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConnectError {
    /// What happened, with host, port and the server's reply; no password.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// A session with a mail server, ready for letters.
#[derive(Debug)]
pub enum Session {
    /// SMTP, signed in.
    Smtp(Box<smtp::Smtp>),
    /// A folder.
    Folder(folder::Folder),
}

impl Session {
    /// Connects and signs in.
    ///
    /// # Errors
    /// Anything from DNS to AUTH, a missing secret included.
    pub async fn open(connection: &MailConnection) -> Result<Self, ConnectError> {
        Ok(match connection {
            MailConnection::Smtp(smtp) => Self::Smtp(Box::new(smtp::Smtp::open(smtp).await?)),
            MailConnection::Folder(folder) => Self::Folder(folder::Folder::open(folder)?),
        })
    }

    /// Hands over one letter. One receipt for each recipient, in their order.
    ///
    /// # Errors
    /// When the connection fails before the letter itself could be judged: nothing was accepted.
    pub async fn send(&mut self, letter: Letter<'_>) -> Result<Vec<Receipt>, ConnectError> {
        match self {
            Self::Smtp(smtp) => smtp.send(letter).await,
            Self::Folder(folder) => Ok(folder.send(&letter).await),
        }
    }

    /// Whether another letter can go over this session.
    pub fn is_usable(&self) -> bool {
        match self {
            Self::Smtp(smtp) => smtp.is_usable(),
            Self::Folder(_) => true,
        }
    }

    /// Says goodbye; failures do not matter any more.
    pub async fn close(self) {
        if let Self::Smtp(smtp) = self {
            smtp.close().await;
        }
    }
}
