//! `leadflow health`.

use std::process::ExitCode;

use jiff::{SignedDuration, Timestamp};
use leadflow::clock::Clock;
use leadflow::config::Loaded;
use leadflow::flow::Flow;
use leadflow::store::{FlowHealth, Lock, Store, StoreError};
use serde_json::json;

use super::output;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// For scripts
    #[arg(long)]
    json: bool,
}

/// Mail that waits longer than this is late.
const LATE_MAIL: SignedDuration = SignedDuration::from_hours(1);
/// Periods of its recurrence without a run that read the table.
const PERIODS: i32 = 3;
/// A flow of seconds is not late after three of them.
const AT_LEAST: SignedDuration = SignedDuration::from_mins(5);

/// Exit status 1 with the reason when anything is failing, late or held.
pub(super) fn health(loaded: &Loaded, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut reasons = Vec::new();
    match super::state_of(loaded)? {
        None => reasons.push("there is no state yet: leadflow was never run".to_owned()),
        Some(store) => {
            let now = Clock::System.now();
            if is_free(loaded)? {
                reasons.push("no daemon is running; start it: systemctl start leadflow".to_owned());
            }
            for flow in loaded.config.flows.values() {
                reasons.extend(reasons_of(flow, &store, now)?);
            }
        }
    }
    if arguments.json {
        output::print_json(&json!({ "ok": reasons.is_empty(), "reasons": reasons }))?;
    } else if reasons.is_empty() {
        output::print("all is well")?;
    } else {
        output::print(&reasons.join("\n"))?;
    }
    Ok(if reasons.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether nobody works on the state.
fn is_free(loaded: &Loaded) -> anyhow::Result<bool> {
    match Lock::take(&loaded.config.settings.state) {
        Ok(_) => Ok(true),
        Err(StoreError::Busy(_)) => Ok(false),
        Err(other) => Err(other.into()),
    }
}

fn reasons_of(flow: &Flow, store: &Store, now: Timestamp) -> anyhow::Result<Vec<String>> {
    let name = &flow.name;
    let Some(FlowHealth { failures, last_failure, last_read, held, waiting_since }) =
        store.health_of(name)?
    else {
        return Ok(vec![format!("{name}: it was never run")]);
    };
    let mut reasons = Vec::new();
    if let Some(failure) = last_failure {
        let times =
            if failures == 1 { "the last run".to_owned() } else { format!("the last {failures} runs") };
        reasons.push(format!("{name}: {times} failed: {failure}"));
    }
    let is_on = flow.enabled && store.off_since(name)?.is_none();
    let patience = flow.recurrence.length().checked_mul(PERIODS).unwrap_or(SignedDuration::MAX).max(AT_LEAST);
    let since = last_read.or(store.seen(name)?).unwrap_or(now);
    if is_on && now.duration_since(since) > patience {
        reasons.push(format!(
            "{name}: no run has read the table to its end since {since} ({})",
            flow.recurrence
        ));
    }
    if held > 0 {
        let noun = if held == 1 { "mail is" } else { "mails are" };
        reasons.push(format!("{name}: {held} {noun} held; `leadflow history {name}` shows the runs"));
    }
    if let Some(since) = waiting_since.filter(|since| now.duration_since(*since) > LATE_MAIL) {
        reasons.push(format!("{name}: mail waits since {since}; `leadflow history {name}` shows the run"));
    }
    Ok(reasons)
}
