//! `outbox list` and `outbox show`, and the mails of `history show`.

use jiff::Timestamp;
use serde::Serialize;

use crate::outbox::Recipient;
use crate::store::{MessageRecord, OutboxEntry};

/// A mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct MailView {
    /// Its number.
    pub mail: i64,
    /// As rendered.
    pub subject: String,
    /// With angle brackets.
    pub message_id: String,
    /// Size; `None` once the bytes are deleted.
    pub bytes: Option<i64>,
    /// Mail connections in the order they are tried.
    pub connections: Vec<String>,
    /// The one that it was last handed to.
    pub connection: Option<String>,
    /// So far.
    pub tries: u32,
    /// `None` when nothing waits.
    pub next_try: Option<Timestamp>,
    /// It waits for nothing but `per_hour`.
    pub is_paced: bool,
    /// Who was the last to have it retried, dropped or sent elsewhere.
    pub asked_by: Option<String>,
    /// Every recipient.
    pub recipients: Vec<RecipientView>,
}

/// A recipient of a mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct RecipientView {
    /// The address alone.
    pub address: String,
    /// The word of its state.
    pub state: &'static str,
    /// How often the end of the message got no reply.
    pub uncertain: u32,
    /// The server's last reply, or why there was none.
    pub reply: Option<String>,
}

/// A mail and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct OutboxMailView {
    /// The mail.
    #[serde(flatten)]
    pub mail: MailView,
    /// The flow that made it; `None` for a mail about leadflow's own work.
    pub flow: Option<String>,
    /// The run that made it.
    pub run: Option<i64>,
    /// When it was made.
    pub created: Timestamp,
}

impl From<&MessageRecord> for MailView {
    fn from(mail: &MessageRecord) -> Self {
        Self {
            mail: mail.id,
            subject: mail.subject.clone(),
            message_id: mail.message_id.clone(),
            bytes: mail.size,
            connections: mail.connections.clone(),
            connection: mail.connection.clone(),
            tries: mail.tries,
            next_try: mail.next_try,
            is_paced: mail.is_deferred_by_rate,
            asked_by: mail.asked_by.clone(),
            recipients: mail.recipients.iter().map(RecipientView::from).collect(),
        }
    }
}

impl From<&Recipient> for RecipientView {
    fn from(recipient: &Recipient) -> Self {
        Self {
            address: recipient.address.clone(),
            state: recipient.state.as_str(),
            uncertain: recipient.uncertain,
            reply: recipient.reply.clone(),
        }
    }
}

impl From<&OutboxEntry> for OutboxMailView {
    fn from(listed: &OutboxEntry) -> Self {
        Self {
            mail: (&listed.message).into(),
            flow: listed.flow.clone(),
            run: listed.run,
            created: listed.created,
        }
    }
}
