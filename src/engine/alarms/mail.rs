//! The mail that tells alarms, made where it may block.

use std::sync::Arc;

use jiff::Timestamp;
use tracing::error;

use crate::alarm::Decision;
use crate::compose::alarm_mail::{self, Composed};
use crate::flow::Config;
use crate::platform::blocking::Runner;
use crate::store::NewMessage;

/// The mail that tells what is to be told, if there is anything.
pub(super) async fn mail(
    runner: &Runner,
    config: &Arc<Config>,
    decision: &Decision,
    now: Timestamp,
) -> Option<NewMessage> {
    let is_quiet = decision.tell.is_empty() && decision.tell_over.is_empty();
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
    let notice = alarm_mail::Notice {
        standing: &decision.tell,
        over: &decision.tell_over,
        from,
        to: &failures.to,
        time_zone: &config.settings.time_zone,
        file: &config.path.display().to_string(),
        now,
    };
    match alarm_mail::compose(&notice) {
        Ok(Composed { subject, message_id, bytes }) => Some(NewMessage {
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
