//! Checks what is wrong, and reports it by the log and a mail.

mod facts;
mod mail;
mod nodes;
mod signature_ends;

use std::sync::Arc;

use tracing::{error, info, warn};

use crate::alarm::{self, Alarm, Decision};
use crate::engine::RunContext;
use crate::flow::Config;
use crate::platform::telemetry::without_addresses;
use crate::store::StoreError;

pub(super) use facts::Observations;
pub use facts::current_alarms;
pub(super) use nodes::NodeDifferences;
pub(super) use signature_ends::SignatureEndReader;

/// Checks what is wrong, logs what is new and what is over, and puts the mail about it into the outbox.
/// Returns the alarms that are raised now.
///
/// # Errors
/// When the state fails.
pub(super) async fn check_alarms(
    ctx: &RunContext,
    config: &Arc<Config>,
    observations: Observations,
) -> Result<Vec<Alarm>, StoreError> {
    let now = ctx.clock.now();
    let facts = ctx.store.alarm_facts().await?;
    let current = observations.current_alarms(&facts, config, now);
    if current.is_empty() && facts.raised.is_empty() {
        return Ok(current);
    }
    let decision = alarm::decide(current, facts.raised, config.settings.failures.as_ref(), now);
    let mail = mail::mail(&ctx.runner, config, &decision, now).await;
    ctx.store.commit_alarms(decision.update.clone(), mail, now).await?;
    log(&decision);
    Ok(decision.update.raised)
}

fn log(decision: &Decision) {
    for alarm in &decision.new {
        let title = alarm.kind.title(&alarm.about);
        let kind = alarm.kind.as_str();
        error!(
            alarm = kind,
            about = alarm.about,
            help = alarm.help,
            "{title}: {}",
            without_addresses(&alarm.what)
        );
    }
    for raised in &decision.over {
        let kind = raised.kind.as_str();
        info!(alarm = kind, about = raised.about, "{}", raised.kind.end(&raised.about));
    }
    if !decision.to_mail.is_empty() {
        warn!(problems = decision.to_mail.len(), "reporting to settings.failures.to by mail");
    }
}
