//! `list`.

use jiff::Timestamp;
use serde::Serialize;

use super::runs::RunView;
use crate::store::FlowOverview;
use crate::tasks::flow_list::ListedFlow;

/// A flow of flows.toml and its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
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
    /// Who turned it off, where that is known.
    pub off_by: Option<String>,
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

impl FlowView {
    /// Of a flow and what the state knows of it; `is_running` says whether a daemon is there, where that is known.
    pub fn new(flow: &ListedFlow, known: &FlowOverview, is_running: Option<bool>, now: Timestamp) -> Self {
        Self {
            flow: flow.name().to_owned(),
            description: flow.description().cloned(),
            on: flow.is_on() && known.off_since.is_none(),
            enabled_in_file: flow.is_on(),
            off_by_command_since: known.off_since,
            // An earlier version that shares the state turns a flow on and leaves the name.
            off_by: known.off_since.and(known.off_by.clone()),
            recurrence: flow.recurrence(),
            last_run: known.last_run.as_ref().map(RunView::from),
            daemon_is_running: is_running,
            next_run: flow.next_run(known, now),
            waiting_mails: known.waiting_mails,
        }
    }
}
