//! `preview`.

use jiff::Timestamp;
use mail_parser::{MessageParser, MimeHeaders as _};
use serde::Serialize;

use crate::flow::Flow;
use crate::flow::condition::Verdict;
use crate::tasks::preview::{Preview, Rows};

/// What a run would mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PreviewView {
    /// Which rows it is about.
    pub rows: &'static str,
    /// The flow has not read this table yet.
    pub is_first: bool,
    /// Rows since the past time that earlier runs have read.
    pub left_out: u64,
    /// Test leads that the flow does not mail.
    pub hidden_test_leads: u64,
    /// Test leads among the rows.
    pub test_leads: u64,
    /// The flow's name.
    pub flow: String,
    /// The rows were written after it.
    pub past_time: Timestamp,
    /// How many rows.
    pub length: u64,
    /// Of flows.toml.
    pub condition: String,
    /// The condition holds.
    pub result: bool,
    /// What a run would do with the rows.
    pub then: Verdict,
    /// What the mail leaves out or could not show.
    pub notes: Vec<String>,
    /// The mails.
    pub mails: Vec<MessageView>,
}

/// A mail as its reader has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MessageView {
    /// As rendered.
    pub subject: Option<String>,
    /// The body as text.
    pub text: Option<String>,
    /// The body as HTML.
    pub html: Option<String>,
    /// Its files.
    pub attachments: Vec<AttachmentView>,
}

/// A file of a mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttachmentView {
    /// The file's name.
    pub name: Option<String>,
    /// Its size.
    pub bytes: usize,
}

impl PreviewView {
    /// Of what was found, as yet without the mails.
    pub fn new(flow: &Flow, found: &Preview, rows: Rows) -> Self {
        let then = flow.condition.decide(found.length);
        Self {
            rows: match rows {
                Rows::New => "new",
                Rows::Since(_) => "since",
                Rows::All => "all",
                Rows::Last(_) => "last",
            },
            is_first: found.is_first,
            left_out: found.left_out,
            hidden_test_leads: found.hidden_tests,
            test_leads: found.tests,
            flow: flow.name.clone(),
            past_time: found.past_time,
            length: found.length,
            condition: flow.condition.to_string(),
            result: then == Verdict::Mail,
            then,
            notes: found.mails.notes().to_vec(),
            mails: Vec::new(),
        }
    }
}

impl MessageView {
    /// Reads a mail back; `None` where it is none.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let message = MessageParser::default().parse(bytes)?;
        let attachments = message.attachments().map(|part| AttachmentView {
            name: part.attachment_name().map(str::to_owned),
            bytes: part.contents().len(),
        });
        Some(Self {
            subject: message.subject().map(str::to_owned),
            text: message.body_text(0).map(Into::into),
            html: message.body_html(0).map(Into::into),
            attachments: attachments.collect(),
        })
    }
}
