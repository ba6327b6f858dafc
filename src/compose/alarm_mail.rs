//! The mail about leadflow's own work: what is wrong, what to do, and what is over.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use lettre::transport::smtp::extension::ClientId;
use serde_json::{Value, json};
use uuid::Uuid;

use super::message::{self, Address, Parts};
use crate::alarm::{Alarm, RaisedAlarm};
use crate::flow::{Importance, Mailbox};
use crate::template::cell;
use crate::template::{Renderer, TemplateError};

/// What an alarm mail says, and to whom.
#[derive(Debug, Clone, Copy)]
pub struct AlarmMail<'a> {
    /// What is wrong.
    pub raised: &'a [Alarm],
    /// What is over.
    pub over: &'a [RaisedAlarm],
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

/// An alarm mail that is ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComposedAlarmMail {
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
pub fn compose(mail: &AlarmMail<'_>) -> Result<ComposedAlarmMail, String> {
    let failed = |error: TemplateError| error.to_string();
    let data = cell::shown(data(mail));
    let html = Renderer::of_html(include_str!("alarm_mail.html.hbs")).map_err(failed)?;
    let text = Renderer::of_text(include_str!("alarm_mail.txt.hbs")).map_err(failed)?;
    let message_id = format!("<{}@{}>", Uuid::new_v4(), mail.from.domain());
    let subject = cell::subject(&subject(mail));
    let importance = (!mail.raised.is_empty()).then_some(Importance::High);
    let parts = Parts {
        address: Address { from: mail.from, to: mail.to, cc: &[], reply_to: None, importance },
        date: mail.now,
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
    Ok(ComposedAlarmMail { subject, message_id, bytes })
}

fn data(mail: &AlarmMail<'_>) -> Value {
    let raised = mail.raised.iter().map(|alarm| {
        json!({
            "title": alarm.kind.title(&alarm.about), "since": alarm.since.to_string(), "times": alarm.times,
            "what": alarm.what, "help": alarm.help, "look": alarm.look,
        })
    });
    let over = mail.over.iter().map(|raised| {
        json!({
            "title": raised.kind.end(&raised.about), "since": raised.since.to_string(), "what": raised.what,
        })
    });
    json!({
        "standing": raised.collect::<Vec<_>>(), "over": over.collect::<Vec<_>>(),
        "host": ClientId::default().to_string(), "file": mail.file,
        "flow": { "time_zone": mail.time_zone.iana_name().unwrap_or("UTC") },
    })
}

fn subject(mail: &AlarmMail<'_>) -> String {
    match (mail.raised, mail.over) {
        ([alarm], []) => format!("leadflow: {}: {}", alarm.kind.title(&alarm.about), alarm.what),
        ([], [raised]) => format!("leadflow: {}", raised.kind.end(&raised.about)),
        (raised, []) => format!("leadflow: {} problems", raised.len()),
        ([], over) => format!("leadflow: {} problems resolved", over.len()),
        (raised, over) => format!("leadflow: {} new, {} resolved", raised.len(), over.len()),
    }
}
