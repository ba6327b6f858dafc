//! The alarm mail, made where it may block.

use std::sync::Arc;

use jiff::Timestamp;
use tracing::error;

use crate::alarm::Decision;
use crate::compose::alarm_mail::{self, ComposedAlarmMail};
use crate::flow::Config;
use crate::platform::blocking::Runner;
use crate::store::NewMessage;

/// The mail about the alarms of the decision, if there are any to mail.
pub(super) async fn mail(
    runner: &Runner,
    config: &Arc<Config>,
    decision: &Decision,
    now: Timestamp,
) -> Option<NewMessage> {
    let is_quiet = decision.to_mail.is_empty() && decision.over_to_mail.is_empty();
    if is_quiet || config.settings.failures.is_none() {
        return None;
    }
    let config = Arc::clone(config);
    let decision = decision.clone();
    runner.run(move || composed(&config, &decision, now)).await.flatten()
}

fn composed(config: &Config, decision: &Decision, now: Timestamp) -> Option<NewMessage> {
    let failures = config.settings.failures.as_ref()?;
    let from = failures.connections.iter().find_map(|name| config.mails.get(name))?.from();
    let mail = alarm_mail::AlarmMail {
        raised: &decision.to_mail,
        over: &decision.over_to_mail,
        from,
        to: &failures.to,
        time_zone: &config.settings.time_zone,
        file: &config.path.display().to_string(),
        now,
    };
    match alarm_mail::compose(&mail) {
        Ok(ComposedAlarmMail { subject, message_id, bytes }) => Some(NewMessage {
            connections: failures.connections.clone(),
            sender: from.address.clone(),
            recipients: failures.to.iter().map(|to| to.address.clone()).collect(),
            subject,
            message_id,
            bytes,
            rows: Vec::new(),
        }),
        Err(error) => {
            error!("cannot compose the mail about a failure: {error}");
            None
        }
    }
}
