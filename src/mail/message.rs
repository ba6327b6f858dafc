//! The final bytes of a mail, built once: RFC 5322 with a fixed `Date` and `Message-ID`.

use std::time::SystemTime;

use jiff::Timestamp;
use lettre::Message;
use lettre::address::Envelope;
use lettre::message::header::{ContentType, Date, HeaderName, HeaderValue, MessageId};
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};

use super::templates::Rendered;
use crate::flow::{Email, Importance};

/// Whom a message goes to, as its headers tell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address<'a> {
    /// Sender.
    pub(super) from: &'a Mailbox,
    /// Recipients.
    pub(super) to: &'a [Mailbox],
    /// Copies.
    pub(super) cc: &'a [Mailbox],
    /// Where answers go.
    pub(super) reply_to: Option<&'a Mailbox>,
    /// The `Importance` header.
    pub(super) importance: Option<Importance>,
}

/// What a message is made of.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    /// Whom it goes to.
    pub(super) address: Address<'a>,
    /// `Date`.
    pub(super) date: Timestamp,
    /// With angle brackets.
    pub(super) message_id: &'a str,
    /// Headers of our own, `X-Leadflow-…`.
    pub(super) headers: Vec<(&'static str, String)>,
    /// Subject, HTML and text; the subject is clean.
    pub(super) rendered: Rendered,
    /// Name and bytes of the CSV file.
    pub(super) csv: Option<(String, Vec<u8>)>,
}

impl<'a> Address<'a> {
    /// That of a flow's mails.
    pub(super) fn of_flow(email: &'a Email, from: &'a Mailbox) -> Self {
        let reply_to = email.reply_to.as_ref();
        Self { from, to: &email.to, cc: &email.cc, reply_to, importance: email.importance }
    }
}

/// Builds the bytes.
///
/// # Errors
/// What the mail builder refuses, in its words.
pub(super) fn build(parts: Parts<'_>) -> Result<Vec<u8>, String> {
    let text = SinglePart::plain(parts.rendered.text.unwrap_or_default());
    let body = match (parts.rendered.html, parts.csv) {
        (None, None) => Body::Single(text),
        (None, Some(csv)) => Body::Multi(MultiPart::mixed().singlepart(text).singlepart(sheet(csv)?)),
        (Some(html), csv) => {
            let both = MultiPart::alternative().singlepart(text).singlepart(SinglePart::html(html));
            match csv {
                None => Body::Multi(both),
                Some(csv) => Body::Multi(MultiPart::mixed().multipart(both).singlepart(sheet(csv)?)),
            }
        }
    };
    let address = parts.address;
    let mut builder = Message::builder()
        .from(address.from.clone())
        .header(Date::new(SystemTime::from(parts.date)))
        .header(MessageId::from(parts.message_id.to_owned()))
        .subject(parts.rendered.subject)
        .raw_header(header("Auto-Submitted", "auto-generated")?)
        // The envelope is the outbox's; this one only keeps the builder from asking for recipients.
        .envelope(Envelope::new(None, vec![address.from.email.clone()]).map_err(|error| error.to_string())?);
    for (name, value) in parts.headers {
        builder = builder.raw_header(header(name, &value)?);
    }
    for to in address.to {
        builder = builder.to(to.clone());
    }
    if address.to.is_empty() && address.cc.is_empty() {
        builder = builder.raw_header(header("To", "undisclosed-recipients:;")?);
    }
    for cc in address.cc {
        builder = builder.cc(cc.clone());
    }
    if let Some(reply_to) = address.reply_to {
        builder = builder.reply_to(reply_to.clone());
    }
    for (name, value) in address.importance.into_iter().flat_map(importance) {
        builder = builder.raw_header(header(name, value)?);
    }
    let message = match body {
        Body::Single(part) => builder.singlepart(part),
        Body::Multi(parts) => builder.multipart(parts),
    };
    Ok(message.map_err(|error| error.to_string())?.formatted())
}

enum Body {
    Single(SinglePart),
    Multi(MultiPart),
}

fn sheet((name, bytes): (String, Vec<u8>)) -> Result<SinglePart, String> {
    let kind = ContentType::parse("text/csv; charset=utf-8").map_err(|error| error.to_string())?;
    Ok(Attachment::new(name).body(bytes, kind))
}

fn header(name: &str, value: &str) -> Result<HeaderValue, String> {
    let name = HeaderName::new_from_ascii(name.to_owned()).map_err(|error| error.to_string())?;
    Ok(HeaderValue::new(name, value.to_owned()))
}

/// Outlook reads `Importance`, others `X-Priority`.
fn importance(importance: Importance) -> [(&'static str, &'static str); 2] {
    match importance {
        Importance::High => [("Importance", "high"), ("X-Priority", "1")],
        Importance::Normal => [("Importance", "normal"), ("X-Priority", "3")],
        Importance::Low => [("Importance", "low"), ("X-Priority", "5")],
    }
}
