//! The mail about leadflow's own work: what is wrong, what to do, and what is over.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use lettre::transport::smtp::extension::ClientId;
use serde_json::{Value, json};
use uuid::Uuid;

use super::message::{self, Address, Parts};
use crate::alarm::{Alarm, Raised};
use crate::flow::{Importance, Mailbox};
use crate::template::cell;
use crate::template::{Renderer, TemplateError};

/// What a notice tells, and whom.
#[derive(Debug, Clone, Copy)]
pub struct Notice<'a> {
    /// What is wrong.
    pub standing: &'a [Alarm],
    /// What is over.
    pub over: &'a [Raised],
    /// Sender.
    pub from: &'a Mailbox,
    /// Recipients.
    pub to: &'a [Mailbox],
    /// The zone of its dates.
    pub time_zone: &'a TimeZone,
    /// flows.toml, as the machine knows it.
    pub file: &'a str,
    /// Its `Date`.
    pub now: Timestamp,
}

/// A notice that is ready to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// Subject.
    pub subject: String,
    /// With angle brackets.
    pub message_id: String,
    /// RFC 5322 text.
    pub bytes: Vec<u8>,
}

/// Composes the mail.
///
/// # Errors
/// When the message cannot be built, in the words of the builder.
pub fn compose(notice: &Notice<'_>) -> Result<Composed, String> {
    let failed = |error: TemplateError| error.to_string();
    let data = cell::shown(data(notice));
    let html = Renderer::of_html(include_str!("alarm_mail.html.hbs")).map_err(failed)?;
    let text = Renderer::of_text(include_str!("alarm_mail.txt.hbs")).map_err(failed)?;
    let message_id = format!("<{}@{}>", Uuid::new_v4(), notice.from.domain());
    let subject = cell::subject(&subject(notice));
    let importance = (!notice.standing.is_empty()).then_some(Importance::High);
    let parts = Parts {
        address: Address { from: notice.from, to: notice.to, cc: &[], reply_to: None, importance },
        date: notice.now,
        message_id: &message_id,
        headers: vec![("X-Leadflow-Notice", "yes".to_owned())],
        rendered: crate::template::Rendered {
            subject: subject.clone(),
            html: Some(html.render(&data).map_err(failed)?),
            text: Some(text.render(&data).map_err(failed)?),
        },
        csv: None,
    };
    let bytes = message::build(parts)?.bytes;
    Ok(Composed { subject, message_id, bytes })
}

fn data(notice: &Notice<'_>) -> Value {
    let standing = notice.standing.iter().map(|alarm| {
        json!({
            "title": alarm.kind.title(&alarm.about), "since": alarm.since.to_string(), "times": alarm.times,
            "what": alarm.what, "help": alarm.help, "look": alarm.look,
        })
    });
    let over = notice.over.iter().map(|raised| {
        json!({
            "title": raised.kind.end(&raised.about), "since": raised.since.to_string(), "what": raised.what,
        })
    });
    json!({
        "standing": standing.collect::<Vec<_>>(), "over": over.collect::<Vec<_>>(),
        "host": ClientId::default().to_string(), "file": notice.file,
        "flow": { "time_zone": notice.time_zone.iana_name().unwrap_or("UTC") },
    })
}

fn subject(notice: &Notice<'_>) -> String {
    match (notice.standing, notice.over) {
        ([alarm], []) => format!("leadflow: {}: {}", alarm.kind.title(&alarm.about), alarm.what),
        ([], [raised]) => format!("leadflow: {}", raised.kind.end(&raised.about)),
        (standing, []) => format!("leadflow: {} problems", standing.len()),
        ([], over) => format!("leadflow: {} problems resolved", over.len()),
        (standing, over) => format!("leadflow: {} new, {} resolved", standing.len(), over.len()),
    }
}
