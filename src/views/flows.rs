//! `list`.

use jiff::Timestamp;
use serde::Serialize;

use super::runs::RunView;

/// A flow of flows.toml and its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FlowView {
    /// Its name.
    pub flow: String,
    /// Of flows.toml.
    pub description: Option<String>,
    /// On in the file and by command.
    pub on: bool,
    /// `enabled` of flows.toml.
    pub enabled_in_file: bool,
    /// `leadflow off`.
    pub off_by_command_since: Option<Timestamp>,
    /// In words.
    pub recurrence: String,
    /// The newest run.
    pub last_run: Option<RunView>,
    /// Somebody works on the state; `None` where that cannot be read.
    pub daemon_is_running: Option<bool>,
    /// The next slot.
    pub next_run: Option<Timestamp>,
    /// Mails that still have to leave.
    pub waiting_mails: i64,
}
