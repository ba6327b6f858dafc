//! Why a request is not answered as it was asked.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::store::StoreError;
use crate::tasks::leads::{LeadError, NoProof};

/// A refusal or an error, in words.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    /// What happened.
    pub(super) message: String,
    /// What to do.
    pub(super) help: Option<String>,
    /// After how many seconds to ask again.
    pub(super) retry_after: Option<u64>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), help: None, retry_after: None }
    }

    pub(super) fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// Nothing is there.
    pub(super) fn not_found(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, what)
    }

    /// What was sent cannot be understood.
    pub(super) fn bad_request(what: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, what)
    }

    /// A part of the request is not what it is to be.
    pub(super) fn unread(part: &str, status: StatusCode, why: &str) -> Self {
        Self::new(status, format!("the {part} of the request cannot be read: {why}"))
    }

    /// It cannot be done now, or not any more.
    pub(super) fn conflict(what: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, what)
    }

    /// Nobody has signed in.
    pub(super) fn signed_out() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "this needs somebody who has signed in")
    }

    /// Who has signed in may not do it.
    pub(super) fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "this needs the role `operate`")
            .with_help("an administrator gives it in settings.page of flows.toml")
    }

    /// The daemon has not made its state yet.
    pub(super) fn no_state() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon has not made its state yet")
            .with_help("try again in a moment")
    }

    fn server(status: StatusCode, error: &impl ToString, help: Option<String>) -> Self {
        Self { help, ..Self::new(status, error.to_string()) }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::server(StatusCode::SERVICE_UNAVAILABLE, &error, None)
    }
}

impl From<LeadError> for Failure {
    fn from(error: LeadError) -> Self {
        match error {
            LeadError::Store(error) => error.into(),
            LeadError::Table(error) => {
                let help = error.advice.help.clone();
                Self::server(StatusCode::BAD_GATEWAY, &error, help)
            }
            LeadError::NoConnection(error) => Self::server(StatusCode::CONFLICT, &error, None),
        }
    }
}

impl From<NoProof> for Failure {
    fn from(error: NoProof) -> Self {
        match error {
            NoProof::Store(error) => error.into(),
            NoProof::Table(error) => LeadError::Table(error).into(),
            other @ NoProof::Several(_) => Self::server(StatusCode::CONFLICT, &other, None),
            other @ (NoProof::NoRow(_) | NoProof::Unknown { .. }) => Self::not_found(other.to_string()),
        }
    }
}

/// [`super::guard`] puts it into words for who has asked.
impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
