//! `health`.

use jiff::Timestamp;
use serde::Serialize;

use crate::alarm::Alarm;

/// Whether all is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct HealthView {
    /// Nothing is failing, late or held, and a daemon runs.
    pub ok: bool,
    /// Why not.
    pub reasons: Vec<String>,
    /// What `settings.failures` reports.
    pub alarms: Vec<AlarmView>,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct AlarmView {
    /// The word of its kind.
    pub kind: &'static str,
    /// The flow or connection; empty for the whole.
    pub about: String,
    /// When it began.
    pub since: Timestamp,
    /// How often in a row.
    pub times: u32,
    /// In a sentence.
    pub what: String,
    /// What to do.
    pub help: String,
    /// The command that shows more.
    pub look: String,
}

impl HealthView {
    /// Of these reasons, and of the alarms that are among them.
    pub fn new(reasons: Vec<String>, alarms: &[Alarm]) -> Self {
        Self { ok: reasons.is_empty(), reasons, alarms: alarms.iter().map(AlarmView::from).collect() }
    }
}

impl From<&Alarm> for AlarmView {
    fn from(alarm: &Alarm) -> Self {
        Self {
            kind: alarm.kind.as_str(),
            about: alarm.about.clone(),
            since: alarm.since,
            times: alarm.times,
            what: alarm.what.clone(),
            help: alarm.help.clone(),
            look: alarm.look.clone(),
        }
    }
}
