//! `history` and `history show`.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::outbox::MailView;
use crate::history::{RecordedStep, Run, StoredStep};
use crate::store::MessageRecord;

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct RunView<M = u64> {
    /// Its number.
    pub run: i64,
    /// The flow's name.
    pub flow: String,
    /// Why it happened.
    pub cause: String,
    /// Who asked for it; `None` where nobody did.
    pub asked_by: Option<String>,
    /// The slot that it took.
    pub due: Option<Timestamp>,
    /// When it was claimed.
    pub started: Timestamp,
    /// When it had committed.
    pub ended: Option<Timestamp>,
    /// The word of the outcome.
    pub outcome: &'static str,
    /// The outcome in a sentence.
    pub summary: String,
    /// New rows.
    pub rows: u64,
    /// How many mails, or the mails.
    pub mails: M,
    /// What to do, where it failed.
    pub help: Option<String>,
}

/// A run with its steps and its mails.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct RunDetailView {
    /// The run.
    #[serde(flatten)]
    pub run: RunView<Vec<MailView>>,
    /// What it did, in order.
    pub steps: Vec<StepView>,
}

/// A step of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct StepView {
    /// Its name.
    pub step: String,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// What went in, as it is stored.
    pub inputs: Value,
    /// What came out, as it is stored.
    pub outputs: Value,
}

impl<M> RunView<M> {
    fn with_mails(run: &Run, mails: M) -> Self {
        Self {
            run: run.id,
            flow: run.flow.clone(),
            cause: run.cause.clone(),
            asked_by: run.asked_by.clone(),
            due: run.due,
            started: run.started,
            ended: run.ended,
            outcome: run.outcome.as_str(),
            summary: run.summary.clone(),
            rows: run.rows,
            mails,
            help: run.help.clone(),
        }
    }
}

impl From<&Run> for RunView {
    fn from(run: &Run) -> Self {
        Self::with_mails(run, run.mails)
    }
}

impl RunDetailView {
    /// Of a run and what belongs to it.
    pub fn new(run: &Run, steps: &[RecordedStep], mails: &[MessageRecord]) -> Self {
        let mails = mails.iter().map(MailView::from).collect();
        Self { run: RunView::with_mails(run, mails), steps: steps.iter().map(StepView::from).collect() }
    }
}

impl From<&RecordedStep> for StepView {
    fn from(recorded: &RecordedStep) -> Self {
        let StoredStep { name, inputs, outputs } = (&recorded.step).into();
        let json = |text: &str| serde_json::from_str(text).unwrap_or_default();
        Self {
            step: name,
            took_us: u64::try_from(recorded.took.as_micros()).unwrap_or_default(),
            inputs: json(&inputs),
            outputs: json(&outputs),
        }
    }
}
