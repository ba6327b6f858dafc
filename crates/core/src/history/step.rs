//! The steps of a run, as the history has them.
//!
//! Inputs and outputs are stored as JSON, which `history show --json` prints as it is: a key that is there
//! stays, and one that is new must be left out where an earlier version did not have it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::flow::condition::Verdict;

/// A step and how long it took.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedStep {
    /// What was done.
    pub step: Step,
    /// How long it took.
    pub took: SignedDuration,
}

/// One step of a run: what went in and what came out.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// The run waited for its turn.
    Turn,
    /// How far back it reads.
    Window {
        /// What that follows from.
        inputs: WindowInputs,
        /// The past time.
        outputs: WindowOutputs,
    },
    /// The scan of the table.
    Query {
        /// What was asked.
        inputs: QueryInputs,
        /// What the service answered.
        outputs: QueryOutputs,
    },
    /// Which of the rows are new.
    NewRows {
        /// What was read.
        inputs: NewRowsInputs,
        /// What is new of it.
        outputs: NewRowsOutputs,
    },
    /// Whether the new rows make a mail.
    Condition {
        /// The condition and the number it is about.
        inputs: ConditionInputs,
        /// What it says.
        outputs: ConditionOutputs,
    },
    /// The mails are made.
    Render {
        /// What they are made of.
        inputs: RenderInputs,
        /// The mails.
        outputs: RenderOutputs,
    },
    /// Rows, mails and watermark are recorded.
    Commit {
        /// What was decided.
        inputs: CommitInputs,
        /// What was recorded.
        outputs: CommitOutputs,
    },
    /// One of another version, or with a text that was forgotten.
    Other {
        /// Its name.
        name: String,
        /// What went in.
        inputs: Value,
        /// What came out.
        outputs: Value,
    },
}

/// What the past time of a run follows from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "lowercase")]
pub enum WindowInputs {
    /// From the watermark, so that no row is lost.
    Covering(CoveringInputs),
    /// The server's time minus the window.
    Fixed {
        /// The window, in seconds.
        window_s: i64,
        /// Now, as the table service has it.
        server_time: Timestamp,
    },
    /// A range of the past that was asked for.
    #[serde(rename = "past")]
    Replay {
        /// Rows with a later `Timestamp` are read.
        from: Timestamp,
        /// The last `Timestamp`.
        to: Timestamp,
        /// Also mail rows that were already mailed.
        again: bool,
    },
}

/// What the past time of a covering flow follows from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CoveringInputs {
    /// In the flow's first run.
    First {
        /// The window, in seconds.
        window_s: i64,
        /// The table's address.
        table: String,
    },
    /// In every other run.
    Later {
        /// The window, in seconds.
        window_s: i64,
        /// How far it reads again before the watermark, in seconds.
        overlap_s: i64,
        /// Rows before it are not mailed.
        #[serde(rename = "begin")]
        baseline: Timestamp,
        /// How far the table was read; `None` before that is known.
        watermark: Option<Timestamp>,
    },
}

/// How far back a run reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowOutputs {
    /// Rows with a later `Timestamp` are read.
    pub past_time: Timestamp,
    /// Why that is so, in a sentence.
    pub reason: String,
    /// Of the flow's first run: rows from before the baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_before: Option<u64>,
}

/// What the table service was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryInputs {
    /// The table's address.
    pub table: String,
    /// As it was sent.
    pub filter: Option<String>,
    /// The columns; `None` for all.
    pub select: Option<Vec<String>>,
}

/// What the table service answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryOutputs {
    /// Pages of the table service.
    pub pages: u64,
    /// Rows of all pages.
    pub rows: u64,
    /// What the service took, in milliseconds.
    pub service_ms: u64,
    /// Why the scan did not come to its end, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewRowsInputs {
    /// Rows of the scan.
    pub rows: u64,
}

/// What is new of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewRowsOutputs {
    /// Rows that are new, and to be mailed.
    pub new: u64,
    /// Rows that were seen before.
    #[serde(rename = "known")]
    pub seen: u64,
    /// New test leads that the flow does not mail, `Some(None)` for none; `None` of an earlier version, which
    /// did not hide any.
    #[serde(default, deserialize_with = "present_or_null", skip_serializing_if = "Option::is_none")]
    pub hidden_test_leads: Option<Option<u64>>,
}

/// The condition and the number it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionInputs {
    /// As flows.toml has it.
    pub condition: String,
    /// New rows.
    pub length: u64,
}

/// What the condition says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionOutputs {
    /// It holds.
    pub result: bool,
    /// What is done with the rows.
    pub then: Verdict,
}

/// What mails are made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenderInputs {
    /// New rows.
    pub rows: u64,
    /// Rows in a body at most.
    pub max_rows: u64,
}

/// The mails of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RenderOutputs {
    /// As they were made.
    Made {
        /// In the order of their rows.
        mails: Vec<RenderedMail>,
        /// Size of all of them, in bytes.
        bytes: u64,
        /// What they leave out or could not show, each in a sentence.
        notes: Vec<String>,
    },
    /// Since one of them was erased.
    Forgotten {
        /// It is so.
        forgotten: bool,
    },
}

/// One mail of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenderedMail {
    /// As rendered.
    pub subject: String,
    /// Rows that it carries.
    pub rows: u64,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitInputs {
    /// What is done with the rows.
    pub verdict: Verdict,
}

/// What was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitOutputs {
    /// How far the table is read; `None` where that is not kept or not known.
    pub watermark: Option<Timestamp>,
    /// Mails in the outbox.
    pub mails: u64,
}

/// A key that is there, also where it says null.
#[expect(clippy::option_option, reason = "what it is there for")]
fn present_or_null<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::deserialize(value).map(Some)
}

impl Step {
    /// Its name in the state and in the history.
    pub fn name(&self) -> &str {
        match self {
            Self::Turn => "turn",
            Self::Window { .. } => "window",
            Self::Query { .. } => "query",
            Self::NewRows { .. } => "new rows",
            Self::Condition { .. } => "condition",
            Self::Render { .. } => "render",
            Self::Commit { .. } => "commit",
            Self::Other { name, .. } => name,
        }
    }
}
