//! What is failing, late or held.

use jiff::Timestamp;

use crate::alarm::{Alarm, AlarmKind, RaisedAlarm, clears_held};
use crate::config::Loaded;
use crate::engine::alarms;
use crate::store::{AlarmFacts, NodeRecord, Store, StoreError};
use crate::text::foreign;

/// What was found of a state that can be used.
#[derive(Debug)]
pub struct Health {
    /// What is wrong, each in lines of its own: what it is, then what to do.
    pub reasons: Vec<String>,
    /// What `settings.failures` reports.
    pub alarms: Vec<Alarm>,
    /// What they follow from.
    pub facts: AlarmFacts,
    /// Those that share the state; empty where nobody does.
    pub nodes: Vec<NodeRecord>,
}

impl Health {
    /// Of a file and its state; `is_running` says whether a daemon is there.
    ///
    /// # Errors
    /// When the state fails.
    pub async fn collect(
        loaded: &Loaded,
        store: &Store,
        is_running: bool,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let config = &loaded.config;
        let facts = store.alarm_facts().await?;
        let never = config.flows.keys().filter(|name| !facts.flows.contains_key(*name));
        let mut reasons: Vec<String> =
            never.map(|name| format!("{name} has never run; run it now: leadflow trigger {name}")).collect();
        let nodes = if config.settings.postgres.is_some() { store.nodes().await? } else { Vec::new() };
        let alarms = alarms::current_alarms(&facts, &nodes, config, is_running, now);
        // Of the file that it continues with, where the present one is another.
        let raised: &[RaisedAlarm] = if is_running { &facts.raised } else { &[] };
        let is_shown = |raised: &RaisedAlarm| match raised.kind {
            AlarmKind::File => loaded.invalid.is_none(),
            _ => loaded.invalid.is_some() && !alarms.iter().any(|alarm| raised.is_of(alarm)),
        };
        reasons.extend(raised.iter().filter(|raised| is_shown(raised)).map(raised_text));
        reasons.extend(alarms.iter().map(reason));
        if let Some((mail, reply)) = &facts.held_alarm_mail {
            let reply = one_line(reply);
            let ways = clears_held(*mail);
            reasons.push(format!(
                "mail {mail} to settings.failures.to is held, so nobody is notified of failures: {reply}\n  \
                 {ways}"
            ));
        }
        Ok(Self { reasons, alarms, facts, nodes })
    }
}

fn raised_text(raised: &RaisedAlarm) -> String {
    let what = one_line(&raised.what);
    if raised.kind == AlarmKind::File {
        what
    } else {
        format!("{}: {what}", raised.kind.title(&raised.about))
    }
}

fn reason(alarm: &Alarm) -> String {
    let times = if alarm.times > 1 { format!(" ({} times in a row)", alarm.times) } else { String::new() };
    let Alarm { look, .. } = alarm;
    let what = one_line(&alarm.what);
    let help = one_line(&alarm.help);
    format!("{}{times}: {what}\n  {help}; for details: {look}", alarm.kind.title(&alarm.about))
}

fn one_line(text: &str) -> String {
    foreign::line(text, usize::MAX)
}
