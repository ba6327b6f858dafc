//! What is wrong, and who must hear of it. Pure: facts and `now` come in, decisions go out.

mod facts;
mod held_up;
mod nodes;
#[cfg(test)]
mod tests;

use jiff::Timestamp;

use crate::flow::Failures;

pub use facts::{
    ConnectionState, EXPIRES_SOON, Facts, FlowState, HeldMails, NotedAlarms, clears_held, current_alarms,
};
pub use held_up::HeldUp;

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlarmKind {
    /// flows.toml or a template was edited into something invalid.
    File,
    /// A mail connection fails.
    Connection,
    /// This machine's clock and the table service's cannot both be right.
    Clock,
    /// A flow's runs fail.
    Failing,
    /// Flows wait for a turn on their table connection longer than their recurrence.
    HeldUp,
    /// A flow has not completed a run for three of its slots.
    Late,
    /// Mails of a flow are held.
    Held,
    /// Mails of a flow wait too long.
    Waiting,
    /// What a table connection signs in with ends soon.
    Expiring,
    /// A machine that shares the state is gone.
    NodeGone,
    /// A machine that shares the state has other files or another version.
    NodeDiffers,
}

/// Something that is wrong now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// What kind of thing.
    pub kind: AlarmKind,
    /// The flow, the connection or the node; empty for the whole.
    pub about: String,
    /// Since when.
    pub since: Timestamp,
    /// How often in a row; 1 where that says nothing.
    pub times: u32,
    /// What happened, in a sentence.
    pub what: String,
    /// What to do about it.
    pub help: String,
    /// The command to look closer.
    pub look: String,
}

/// An alarm that was raised and is not over, as the state keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RaisedAlarm {
    /// What kind of thing.
    pub kind: AlarmKind,
    /// The flow or the connection; empty for the whole.
    pub about: String,
    /// Since when.
    pub since: Timestamp,
    /// What happened, as it was last.
    pub what: String,
    /// When the last mail about it was made.
    pub mailed: Option<Timestamp>,
    /// That mail still waits.
    pub is_mail_waiting: bool,
}

impl RaisedAlarm {
    /// Whether it is about the same.
    pub fn is_of(&self, alarm: &Alarm) -> bool {
        (self.kind, &self.about) == (alarm.kind, &alarm.about)
    }
}

/// What is to be recorded of the alarms, together with the mail about them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AlarmUpdate {
    /// Alarms that are raised now.
    pub raised: Vec<Alarm>,
    /// Those of them that the mail is about.
    pub mailed: Vec<(AlarmKind, String)>,
    /// Alarms that are over.
    pub over: Vec<(AlarmKind, String)>,
}

/// What is to be done about the alarms.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// Alarms that nobody knew of: each is an ERROR line of the log.
    pub new: Vec<Alarm>,
    /// Alarms that are to be mailed, for the first time or again.
    pub to_mail: Vec<Alarm>,
    /// Alarms that are over.
    pub over: Vec<RaisedAlarm>,
    /// Those of them that were mailed, so that their end is mailed, too.
    pub over_to_mail: Vec<RaisedAlarm>,
    /// What is to be recorded.
    pub update: AlarmUpdate,
}

const WORDS: [(AlarmKind, &str); 11] = [
    (AlarmKind::File, "file"),
    (AlarmKind::Connection, "connection"),
    (AlarmKind::Clock, "clock"),
    (AlarmKind::Failing, "failing"),
    (AlarmKind::HeldUp, "held-up"),
    (AlarmKind::Late, "late"),
    (AlarmKind::Held, "held"),
    (AlarmKind::Waiting, "waiting"),
    (AlarmKind::Expiring, "expiring"),
    (AlarmKind::NodeGone, "node-gone"),
    (AlarmKind::NodeDiffers, "node-differs"),
];

impl AlarmKind {
    /// The word of the kind in the database and in `leadflow health --json`.
    pub fn as_str(self) -> &'static str {
        WORDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| word)
    }

    /// Every kind there is.
    pub fn all() -> impl Iterator<Item = Self> {
        WORDS.iter().map(|(kind, _)| *kind)
    }

    /// The kind of that word.
    pub fn parse(word: &str) -> Option<Self> {
        WORDS.iter().find(|(_, known)| *known == word).map(|(kind, _)| *kind)
    }

    /// Nothing stands still for it, but a person must act in time: it does not stop the heartbeat.
    pub fn is_warning(self) -> bool {
        matches!(self, Self::Expiring | Self::NodeGone | Self::NodeDiffers)
    }

    /// The alarm in a few words.
    pub fn title(self, about: &str) -> String {
        match self {
            Self::File => "flows.toml has a problem".to_owned(),
            Self::Connection => format!("the mail connection {about} fails"),
            Self::Clock => format!("{about}: the clocks differ"),
            Self::Failing => format!("{about} fails"),
            Self::HeldUp => format!("the table connection {about} delays its flows"),
            Self::Late => format!("{about} is stalled"),
            Self::Held => format!("mails of {about} are held"),
            Self::Waiting => format!("mails of {about} wait"),
            Self::Expiring => format!("the access of {about} expires soon"),
            Self::NodeGone => format!("the node {about} is gone"),
            Self::NodeDiffers => format!("the node {about} differs from the others"),
        }
    }

    /// Its end in a few words.
    pub fn end(self, about: &str) -> String {
        match self {
            Self::File => "flows.toml is valid again".to_owned(),
            Self::Connection => format!("the mail connection {about} works again"),
            Self::Clock => format!("{about}: the clocks agree again"),
            Self::HeldUp => format!("the table connection {about} no longer delays its flows"),
            Self::Failing | Self::Late => format!("{about} runs normally again"),
            Self::Held => format!("no mails of {about} are held any longer"),
            Self::Waiting => format!("the waiting mails of {about} have been sent"),
            Self::Expiring => format!("the access of {about} is renewed"),
            Self::NodeGone => format!("the node {about} is no longer gone"),
            Self::NodeDiffers => format!("the node {about} no longer differs from the others"),
        }
    }
}

/// Compares what is wrong now with what was raised, and decides what is mailed and recorded.
///
/// An alarm is mailed once, and again when `repeat` has passed and the mail before has left.
/// Without `[settings.failures]` nothing is mailed.
pub fn decide(
    current: Vec<Alarm>,
    raised: Vec<RaisedAlarm>,
    failures: Option<&Failures>,
    now: Timestamp,
) -> Decision {
    let mut decision = Decision::default();
    for alarm in &current {
        let known = raised.iter().find(|raised| raised.is_of(alarm));
        if known.is_none() {
            decision.new.push(alarm.clone());
        }
        if failures.is_some_and(|failures| is_to_be_mailed(alarm, known, failures, now)) {
            decision.update.mailed.push((alarm.kind, alarm.about.clone()));
            decision.to_mail.push(alarm.clone());
        }
    }
    let is_current = |raised: &RaisedAlarm| current.iter().any(|alarm| raised.is_of(alarm));
    for raised in raised.into_iter().filter(|raised| !is_current(raised)) {
        decision.update.over.push((raised.kind, raised.about.clone()));
        if failures.is_some() && raised.mailed.is_some() {
            decision.over_to_mail.push(raised.clone());
        }
        decision.over.push(raised);
    }
    decision.update.raised = current;
    decision
}

fn is_to_be_mailed(alarm: &Alarm, known: Option<&RaisedAlarm>, failures: &Failures, now: Timestamp) -> bool {
    match known.and_then(|known| Some((known.mailed?, known.is_mail_waiting))) {
        None => alarm.kind != AlarmKind::Failing || alarm.times >= failures.after,
        // The absolute value: a clock that was set back must not silence it.
        Some((mailed, is_waiting)) => !is_waiting && now.duration_since(mailed).abs() >= failures.repeat,
    }
}
