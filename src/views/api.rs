//! What only the API of the page answers.

use serde::Serialize;

/// Why a request is not answered as it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct FailureView {
    /// What happened.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// What became of something that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct PerformedView {
    /// `done`, `begun` of a run, or `queued`: the daemon has not picked it up yet.
    pub state: &'static str,
    /// The run that was begun.
    pub run: Option<i64>,
}
