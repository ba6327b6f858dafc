//! The run history: what a run was, what it did, and what came of it.

mod step;
mod stored_step;

use jiff::Timestamp;

pub use step::{
    CommitInputs, CommitOutputs, ConditionInputs, ConditionOutputs, CoveringInputs, NewRowsInputs,
    NewRowsOutputs, QueryInputs, QueryOutputs, RecordedStep, RenderInputs, RenderOutputs, RenderedMail, Step,
    WindowInputs, WindowOutputs,
};
pub use stored_step::StoredStep;

/// What came of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Under way.
    Running,
    /// No new rows.
    NothingNew,
    /// New rows that the condition does not let through.
    ConditionFalse,
    /// Mail in the outbox.
    Waiting,
    /// Every recipient's server has accepted every mail.
    Sent,
    /// Some recipients were refused.
    PartlySent,
    /// Every recipient was refused, or the mail is held.
    Held,
    /// The scan or the composing failed: nothing was moved.
    Failed,
    /// The process ended during the run.
    Interrupted,
}

const OUTCOMES: [(Outcome, &str); 9] = [
    (Outcome::Running, "running"),
    (Outcome::NothingNew, "nothing-new"),
    (Outcome::ConditionFalse, "condition-false"),
    (Outcome::Waiting, "waiting"),
    (Outcome::Sent, "sent"),
    (Outcome::PartlySent, "partly-sent"),
    (Outcome::Held, "held"),
    (Outcome::Failed, "failed"),
    (Outcome::Interrupted, "interrupted"),
];

impl Outcome {
    /// The word of the outcome in the database, the history and the commands.
    pub fn as_str(self) -> &'static str {
        OUTCOMES.iter().find(|(outcome, _)| *outcome == self).map_or("", |(_, word)| word)
    }

    /// Every outcome.
    pub fn all() -> [Self; 9] {
        OUTCOMES.map(|(outcome, _)| outcome)
    }

    /// Whether nothing is left to do: its mails are sent, or there were none to send.
    pub fn is_well(self) -> bool {
        matches!(self, Self::Sent | Self::NothingNew | Self::ConditionFalse)
    }

    /// The outcome of that word.
    pub fn parse(word: &str) -> Option<Self> {
        OUTCOMES.iter().find(|(_, w)| *w == word).map(|(outcome, _)| *outcome)
    }
}

/// Why a run happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Its slot came.
    Schedule,
    /// The run before it failed, and the next slot is far.
    Retry,
    /// `run --once`.
    Once,
    /// `trigger`.
    Trigger,
    /// `resubmit`: the window of an earlier run.
    Resubmit,
    /// `replay`: a range of the past.
    Replay,
}

const CAUSES: [(Cause, &str); 6] = [
    (Cause::Schedule, "schedule"),
    (Cause::Retry, "retry"),
    (Cause::Once, "once"),
    (Cause::Trigger, "trigger"),
    (Cause::Resubmit, "resubmit"),
    (Cause::Replay, "replay"),
];

impl Cause {
    /// The word of the cause in the database, the history and the commands.
    pub fn as_str(self) -> &'static str {
        CAUSES.iter().find(|(cause, _)| *cause == self).map_or("", |(_, word)| word)
    }

    /// Every cause.
    pub fn all() -> [Self; 6] {
        CAUSES.map(|(cause, _)| cause)
    }

    /// The cause of that word.
    pub fn parse(word: &str) -> Option<Self> {
        CAUSES.iter().find(|(_, known)| *known == word).map(|(cause, _)| *cause)
    }
}

/// Which rows a run is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowRange {
    /// New rows: the watermark moves.
    New,
    /// Those that were written later than `from` and not later than `to`: the watermark stays.
    Replay {
        /// The `Timestamp` after which rows are read.
        from: Timestamp,
        /// The last `Timestamp`.
        to: Timestamp,
        /// Also those that were mailed.
        again: bool,
    },
}

/// What a run is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOrder {
    /// Why it happens.
    pub cause: Cause,
    /// The slot that it takes.
    pub due: Option<Timestamp>,
    /// The first slot that has passed since the last one that was taken, where that is known.
    pub since: Option<Timestamp>,
    /// Which rows it is about.
    pub range: RowRange,
    /// The request that asks for it.
    pub request: Option<i64>,
    /// Who asks for it; `None` where nobody does.
    pub asked_by: Option<String>,
    /// The failed run that it tries again, where that is known: one node does so.
    pub retry_of: Option<i64>,
}

impl RunOrder {
    /// A run of the new rows.
    pub fn new(cause: Cause, due: Option<Timestamp>) -> Self {
        Self { since: due, due, ..Self::without_slot(cause, RowRange::New) }
    }

    /// A run that takes no slot.
    pub fn without_slot(cause: Cause, range: RowRange) -> Self {
        Self { cause, due: None, since: None, range, request: None, asked_by: None, retry_of: None }
    }
}

/// One run of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Number, rising over all flows.
    pub id: i64,
    /// The flow's name.
    pub flow: String,
    /// The word of the [`Cause`].
    pub cause: String,
    /// The slot it was made for.
    pub due: Option<Timestamp>,
    /// When it was claimed; it begins when its turn comes, mostly at once.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// What came of it.
    pub outcome: Outcome,
    /// The outcome in a sentence.
    pub summary: String,
    /// New rows.
    pub rows: u64,
    /// Mails.
    pub mails: u64,
    /// What to do about it, where it failed.
    pub help: Option<String>,
    /// Who asked for it; `None` where nobody did, or an earlier version did not note it.
    pub asked_by: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_own_word() {
        for (outcome, word) in OUTCOMES {
            assert_eq!(outcome.as_str(), word);
            assert_eq!(Outcome::parse(word), Some(outcome));
        }
        assert_eq!(Outcome::parse("lost"), None);
        assert_eq!(
            Outcome::all().map(Outcome::as_str).map(Outcome::parse),
            OUTCOMES.map(|(outcome, _)| Some(outcome))
        );
    }

    #[test]
    fn what_is_sent_or_has_nothing_to_send_went_well() {
        let well = OUTCOMES.iter().filter(|(outcome, _)| outcome.is_well()).map(|(_, word)| *word);
        assert_eq!(well.collect::<Vec<_>>(), ["nothing-new", "condition-false", "sent"]);
    }

    #[test]
    fn every_cause_has_its_own_word() {
        for (cause, word) in CAUSES {
            assert_eq!((cause.as_str(), Cause::parse(word)), (word, Some(cause)));
        }
        assert_eq!(Cause::parse("chance"), None);
    }
}
