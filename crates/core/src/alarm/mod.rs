//! What is wrong, and who must hear of it. Pure: facts and `now` come in, decisions go out.

mod facts;
mod held_up;
#[cfg(test)]
mod tests;

use jiff::Timestamp;

use crate::flow::Failures;

pub use facts::{ConnectionState, EXPIRES_SOON, Facts, FlowState, HeldMails, Noted, clears_held, standing};
pub use held_up::HeldUp;

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
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
}

/// Something that is wrong now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// What kind of thing.
    pub kind: Kind,
    /// The flow or the connection; empty for the whole.
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
pub struct Raised {
    /// What kind of thing.
    pub kind: Kind,
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

impl Raised {
    /// Whether it is about the same.
    pub fn is_of(&self, alarm: &Alarm) -> bool {
        (self.kind, &self.about) == (alarm.kind, &alarm.about)
    }
}

/// What is to be recorded, together with the mail that tells it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notice {
    /// Alarms that stand.
    pub stand: Vec<Alarm>,
    /// Those of them that the mail tells.
    pub told: Vec<(Kind, String)>,
    /// Alarms that are over.
    pub over: Vec<(Kind, String)>,
}

/// What a look at the alarms comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// Alarms that nobody knew of: each is an ERROR line of the log.
    pub new: Vec<Alarm>,
    /// Alarms that a mail is to tell, for the first time or again.
    pub tell: Vec<Alarm>,
    /// Alarms that are over.
    pub over: Vec<Raised>,
    /// Those of them that a mail had told, so that another one is to tell their end.
    pub tell_over: Vec<Raised>,
    /// What is to be recorded.
    pub notice: Notice,
}

const WORDS: [(Kind, &str); 9] = [
    (Kind::File, "file"),
    (Kind::Connection, "connection"),
    (Kind::Clock, "clock"),
    (Kind::Failing, "failing"),
    (Kind::HeldUp, "held-up"),
    (Kind::Late, "late"),
    (Kind::Held, "held"),
    (Kind::Waiting, "waiting"),
    (Kind::Expiring, "expiring"),
];

impl Kind {
    /// The word of the kind in the database and in `leadflow health --json`.
    pub fn word(self) -> &'static str {
        WORDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| word)
    }

    /// The kind of that word.
    pub fn of_word(word: &str) -> Option<Self> {
        WORDS.iter().find(|(_, known)| *known == word).map(|(kind, _)| *kind)
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
        }
    }
}

/// Compares what stands with what was raised, and says what is to be told and recorded.
///
/// A mail tells an alarm once, and again when `repeat` has passed and the mail before has left.
/// Without `[settings.failures]` nothing is told by mail.
pub fn decide(
    standing: Vec<Alarm>,
    raised: Vec<Raised>,
    failures: Option<&Failures>,
    now: Timestamp,
) -> Decision {
    let mut decision = Decision::default();
    for alarm in &standing {
        let known = raised.iter().find(|raised| raised.is_of(alarm));
        if known.is_none() {
            decision.new.push(alarm.clone());
        }
        if failures.is_some_and(|failures| is_to_be_told(alarm, known, failures, now)) {
            decision.notice.told.push((alarm.kind, alarm.about.clone()));
            decision.tell.push(alarm.clone());
        }
    }
    let stands = |raised: &Raised| standing.iter().any(|alarm| raised.is_of(alarm));
    for raised in raised.into_iter().filter(|raised| !stands(raised)) {
        decision.notice.over.push((raised.kind, raised.about.clone()));
        if failures.is_some() && raised.mailed.is_some() {
            decision.tell_over.push(raised.clone());
        }
        decision.over.push(raised);
    }
    decision.notice.stand = standing;
    decision
}

fn is_to_be_told(alarm: &Alarm, known: Option<&Raised>, failures: &Failures, now: Timestamp) -> bool {
    match known.and_then(|known| Some((known.mailed?, known.is_mail_waiting))) {
        None => alarm.kind != Kind::Failing || alarm.times >= failures.after,
        // The absolute value: a clock that was set back must not silence it.
        Some((mailed, is_waiting)) => !is_waiting && now.duration_since(mailed).abs() >= failures.repeat,
    }
}
