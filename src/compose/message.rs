//! The final bytes of a mail, built once: RFC 5322 with a fixed `Date` and `Message-ID`.

use std::time::SystemTime;

use jiff::Timestamp;
use lettre::Message;
use lettre::address::Envelope;
use lettre::message::header::{
    ContentTransferEncoding, ContentType, Date, HeaderName, HeaderValue, Headers, MessageId, To,
};
use lettre::message::{self, Attachment, Mailboxes, MultiPart, SinglePart};

use crate::flow::{Email, Importance, Mailbox};
use crate::template::Rendered;

/// Whom a message goes to, as its headers say.
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
    /// Name of the CSV file, whose bytes are put in later.
    pub(super) csv: Option<String>,
}

/// A message, and where in it the base64 of its CSV goes.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) bytes: Vec<u8>,
    pub(super) sheet_at: Option<usize>,
}

/// Stands for the CSV while the message is built; no encoded part has such a byte.
const SHEET: &[u8] = b"\0sheet\0";

impl<'a> Address<'a> {
    /// That of a flow's mails.
    pub(super) fn from_flow(email: &'a Email, from: &'a Mailbox) -> Self {
        let reply_to = email.reply_to.as_ref();
        Self { from, to: &email.to, cc: &email.cc, reply_to, importance: email.importance }
    }
}

/// Builds the bytes.
///
/// # Errors
/// What the mail builder refuses, in its words.
pub(super) fn build(parts: Parts<'_>) -> Result<Built, String> {
    let has_sheet = parts.csv.is_some();
    let text = SinglePart::plain(with_crlf(&parts.rendered.text.unwrap_or_default()));
    let body = match (parts.rendered.html, parts.csv) {
        (None, None) => Body::Single(text),
        (None, Some(csv)) => Body::Multi(MultiPart::mixed().singlepart(text).singlepart(sheet(csv)?)),
        (Some(html), csv) => {
            let both =
                MultiPart::alternative().singlepart(text).singlepart(SinglePart::html(with_crlf(&html)));
            match csv {
                None => Body::Multi(both),
                Some(csv) => Body::Multi(MultiPart::mixed().multipart(both).singlepart(sheet(csv)?)),
            }
        }
    };
    let address = parts.address;
    let from = header_mailbox(address.from)?;
    let envelope = Envelope::new(None, vec![from.email.clone()]).map_err(|error| error.to_string())?;
    let mut builder = Message::builder()
        .from(from)
        .header(Date::new(SystemTime::from(parts.date)))
        .header(MessageId::from(parts.message_id.to_owned()))
        .subject(parts.rendered.subject)
        .raw_header(header("Auto-Submitted", "auto-generated")?)
        // The envelope is the outbox's; this one only keeps the builder from asking for recipients.
        .envelope(envelope);
    for (name, value) in parts.headers {
        builder = builder.raw_header(header(name, &value)?);
    }
    if address.to.is_empty() && address.cc.is_empty() {
        builder = builder.raw_header(header("To", "undisclosed-recipients:;")?);
    }
    for (name, people) in [("To", address.to), ("Cc", address.cc)].into_iter().filter(|(_, p)| !p.is_empty())
    {
        builder = builder.raw_header(people_header(name, people)?);
    }
    if let Some(reply_to) = address.reply_to {
        builder = builder.reply_to(header_mailbox(reply_to)?);
    }
    for (name, value) in address.importance.into_iter().flat_map(importance) {
        builder = builder.raw_header(header(name, value)?);
    }
    let message = match body {
        Body::Single(part) => builder.singlepart(part),
        Body::Multi(parts) => builder.multipart(parts),
    };
    let mut bytes = message.map_err(|error| error.to_string())?.formatted();
    // The CSV is the last part.
    let sheet_at = if has_sheet { memchr::memmem::rfind(&bytes, SHEET) } else { None };
    if let Some(at) = sheet_at {
        bytes.drain(at..at + SHEET.len());
    }
    Ok(Built { bytes, sheet_at })
}

/// The line ends of a message, whatever ends the lines of the text: a message has no other CR and no
/// NUL (RFC 5322, 2.3 and 3.5), and servers refuse it or break its lines where it has. The builder
/// makes them of line feeds alone, at a cost that grows with the square of the length.
fn with_crlf(text: &str) -> String {
    let lines = text.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "");
    lines.replace('\n', "\r\n")
}

/// A line for each of them. The builder folds within names alone, and a line has at most 998 bytes
/// (RFC 5322, 2.1.1).
fn people_header(name: &str, people: &[Mailbox]) -> Result<HeaderValue, String> {
    let mut headers = Headers::new();
    let encoded = people.iter().map(|person| {
        headers.set(To::from(Mailboxes::from(header_mailbox(person)?)));
        Ok(headers.to_string().trim_start_matches("To: ").trim_end().to_owned())
    });
    let encoded = encoded.collect::<Result<Vec<_>, String>>()?.join(",\r\n ");
    let name = HeaderName::new_from_ascii(name.to_owned()).map_err(|error| error.to_string())?;
    Ok(HeaderValue::dangerous_new_pre_encoded(name, String::new(), encoded))
}

/// As the mail builder wants it.
fn header_mailbox(mailbox: &Mailbox) -> Result<message::Mailbox, String> {
    let address = mailbox.address.parse().map_err(|error| format!("{}: {error}", mailbox.address))?;
    Ok(message::Mailbox::new(mailbox.name.clone(), address))
}

enum Body {
    Single(SinglePart),
    Multi(MultiPart),
}

fn sheet(name: String) -> Result<SinglePart, String> {
    let kind = ContentType::parse("text/csv; charset=utf-8").map_err(|error| error.to_string())?;
    let body = message::Body::dangerous_pre_encoded(SHEET.to_vec(), ContentTransferEncoding::Base64);
    Ok(Attachment::new(name).body(body, kind))
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
