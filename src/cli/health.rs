//! `leadflow health`.

use std::process::ExitCode;

use leadflow::alarm::{Alarm, Kind};
use leadflow::clock::Clock;
use leadflow::config::Loaded;
use leadflow::notice;
use leadflow::store::{Lock, StoreError};
use serde_json::{Value, json};

use super::output;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// For scripts
    #[arg(long)]
    json: bool,
}

/// Exit status 1 with the reason when anything is failing, late or held.
pub(super) fn health(loaded: &Loaded, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (mut reasons, mut alarms) = (Vec::new(), Vec::new());
    match super::state_of(loaded)? {
        None => reasons.push("there is no state yet: leadflow was never run".to_owned()),
        Some(store) => {
            let is_running = !is_free(loaded)?;
            if !is_running {
                reasons.push("no daemon is running; start it: systemctl start leadflow".to_owned());
            }
            let never = loaded.config.flows.keys().filter_map(|name| match store.seen(name) {
                Ok(None) => Some(Ok(format!("{name}: it was never run"))),
                Ok(Some(_)) => None,
                Err(error) => Some(Err(error)),
            });
            reasons.extend(never.collect::<Result<Vec<_>, _>>()?);
            alarms = notice::standing(&store, &loaded.config, is_running, Clock::System.now())?;
            let raised = store.alarms()?;
            reasons.extend(
                raised
                    .iter()
                    .filter(|raised| raised.kind == Kind::File)
                    .map(|raised| output::line(&raised.what)),
            );
            reasons.extend(alarms.iter().map(reason));
            let (held, reply) = store.held_notices()?;
            if held > 0 {
                let reply = output::line(&reply.unwrap_or_default());
                reasons.push(format!(
                    "a mail to settings.failures.to is held, so nobody hears of failures: {reply}"
                ));
            }
        }
    }
    if arguments.json {
        let alarms: Vec<_> = alarms.iter().map(json_of).collect();
        output::print_json(&json!({ "ok": reasons.is_empty(), "reasons": reasons, "alarms": alarms }))?;
    } else if reasons.is_empty() {
        output::print("all is well")?;
    } else {
        let lines = reasons.iter().flat_map(|reason| reason.lines());
        let lines: Vec<_> = lines.map(|line| output::wrapped(line, "  ")).collect();
        output::print(&lines.join("\n"))?;
    }
    Ok(if reasons.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn reason(alarm: &Alarm) -> String {
    let times = if alarm.times > 1 { format!(" ({} times in a row)", alarm.times) } else { String::new() };
    let Alarm { look, .. } = alarm;
    let (what, help) = (output::line(&alarm.what), output::line(&alarm.help));
    format!("{}{times}: {what}\n  {help}; `{look}` tells more", alarm.kind.title(&alarm.about))
}

fn json_of(alarm: &Alarm) -> Value {
    json!({
        "kind": alarm.kind.word(), "about": alarm.about, "since": alarm.since.to_string(), "times": alarm.times,
        "what": alarm.what, "help": alarm.help, "look": alarm.look,
    })
}

/// Whether nobody works on the state.
fn is_free(loaded: &Loaded) -> anyhow::Result<bool> {
    match Lock::take(&loaded.config.settings.state) {
        Ok(_) => Ok(true),
        Err(StoreError::Busy(_)) => Ok(false),
        Err(other) => Err(other.into()),
    }
}
