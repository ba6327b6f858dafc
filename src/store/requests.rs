//! What commands leave for the daemon, which looks at each tick.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Backend, Store, StoreError, on_backend};
use crate::history::{Cause, RowRange};
use crate::outbox::Redirect;

/// Something that a command asks of the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `leadflow off FLOW`.
    Off(String),
    /// `leadflow on FLOW`.
    On(String),
    /// `leadflow trigger`, `resubmit` and `replay`.
    Run {
        /// The flow's name.
        flow: String,
        /// Which of the three.
        cause: Cause,
        /// Which rows.
        range: RowRange,
    },
    /// `leadflow outbox retry`: one mail, or all that wait or are held.
    Retry(Option<i64>),
    /// `leadflow outbox drop`.
    Drop(i64),
    /// `leadflow outbox send`.
    Send(i64, Redirect),
}

/// A request that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedRequest {
    /// Its number.
    pub id: i64,
    /// What is asked for.
    pub request: Request,
    /// Who asks; `None` of an earlier version, which did not note it.
    pub asked_by: Option<String>,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The daemon has not picked up the request yet.
    Pending,
    /// It began this run.
    Run(i64),
    /// It was refused, in a sentence.
    Refused(String),
    /// It is done.
    Done,
}

impl Request {
    /// Its word in the state.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Off(_) => "off",
            Self::On(_) => "on",
            Self::Run { .. } => "run",
            Self::Retry(_) => "retry",
            Self::Drop(_) => "drop",
            Self::Send(..) => "send",
        }
    }

    /// The flow that it is about; empty where it is about mails.
    pub fn flow(&self) -> &str {
        match self {
            Self::Off(flow) | Self::On(flow) | Self::Run { flow, .. } => flow,
            Self::Retry(_) | Self::Drop(_) | Self::Send(..) => "",
        }
    }

    /// The mail that it is about.
    pub fn mail(&self) -> Option<i64> {
        match self {
            Self::Retry(mail) => *mail,
            Self::Drop(mail) | Self::Send(mail, _) => Some(*mail),
            Self::Off(_) | Self::On(_) | Self::Run { .. } => None,
        }
    }

    pub(super) fn arguments(&self) -> Value {
        match self {
            Self::Off(_) | Self::On(_) => json!({}),
            Self::Retry(mail) => json!({ "mail": mail }),
            Self::Drop(mail) => json!({ "mail": mail }),
            Self::Send(mail, Redirect { to, instead_of }) => {
                json!({ "mail": mail, "to": to, "instead_of": instead_of })
            }
            Self::Run { cause, range: RowRange::New, .. } => json!({ "cause": cause.as_str() }),
            Self::Run { cause, range: RowRange::Replay { from, to, again }, .. } => {
                json!({ "cause": cause.as_str(), "from": from.as_microsecond(), "to": to.as_microsecond(), "again": again })
            }
        }
    }

    /// `None` for a kind that this version does not know.
    pub(super) fn from_parts(kind: &str, flow: String, arguments: &Value) -> Option<Self> {
        let moment = |name: &str| Timestamp::from_microsecond(arguments[name].as_i64()?).ok();
        Some(match kind {
            "off" => Self::Off(flow),
            "on" => Self::On(flow),
            "retry" => Self::Retry(arguments["mail"].as_i64()),
            "drop" => Self::Drop(arguments["mail"].as_i64()?),
            "send" => {
                let to =
                    arguments["to"].as_array()?.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                let instead_of = arguments["instead_of"].as_str().map(str::to_owned);
                Self::Send(arguments["mail"].as_i64()?, Redirect { to, instead_of })
            }
            "run" => {
                let cause = Cause::parse(arguments["cause"].as_str()?)?;
                let range = match (moment("from"), moment("to")) {
                    (Some(from), Some(to)) => {
                        RowRange::Replay { from, to, again: arguments["again"] == true }
                    }
                    _ => RowRange::New,
                };
                Self::Run { flow, cause, range }
            }
            _ => return None,
        })
    }
}

impl Store {
    /// Leaves a request for the daemon and returns its number. `asked_by` is the name of who asks, clean of what others
    /// may have put into it.
    ///
    /// # Errors
    /// As every operation.
    pub async fn add_request(
        &self,
        request: Request,
        asked_by: &str,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let asked_by = asked_by.to_owned();
        on_backend!(self, db => db.add_request(&request, &asked_by, now))
    }

    /// Takes the requests that wait, in their order. What needs no run is done and taken away, and who asked is noted
    /// with it; a request for a run waits until the run is claimed. Those of a kind that this version does not know are
    /// left alone.
    ///
    /// # Errors
    /// As every operation.
    pub async fn take_requests(&self, now: Timestamp) -> Result<Vec<QueuedRequest>, StoreError> {
        on_backend!(self, db => db.take_requests(now))
    }

    /// Refuses a request, in a sentence.
    ///
    /// # Errors
    /// As every operation.
    pub async fn refuse_request(&self, id: i64, answer: String) -> Result<(), StoreError> {
        on_backend!(self, db => db.refuse_request(id, &answer))
    }

    /// What became of a request.
    ///
    /// # Errors
    /// As every operation.
    pub async fn answer(&self, id: i64) -> Result<Answer, StoreError> {
        on_backend!(self, db => db.answer(id))
    }
}
