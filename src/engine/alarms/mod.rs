//! Looks at what is wrong, and tells it by the log and a mail.

mod ends;
mod facts;
mod mail;

use std::sync::Arc;

use tracing::{error, info, warn};

use crate::alarm::{self, Alarm, Decision};
use crate::engine::RunContext;
use crate::flow::Config;
use crate::platform::telemetry::without_addresses;
use crate::store::StoreError;

pub(super) use ends::Ends;
pub(super) use facts::Seen;
pub use facts::current_alarms;

/// Looks, logs what is new and what is over, and puts the mail that tells it into the outbox.
/// Returns what stands.
///
/// # Errors
/// When the state fails.
pub(super) async fn look_and_tell(
    ctx: &RunContext,
    config: &Arc<Config>,
    seen: Seen,
) -> Result<Vec<Alarm>, StoreError> {
    let now = ctx.clock.now();
    let facts = ctx.store.alarm_facts().await?;
    let current = seen.current_alarms(&facts, config, now);
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
