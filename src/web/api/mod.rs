//! The same for programs: the JSON of `docs/json.md`, by tokens.

mod acts;
mod document;
mod reads;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde::Serialize;

use super::failure::Failure;
use super::site::Site;
use crate::text::foreign;
use crate::views::api::FailureView;

/// Before every path of it.
const ROOT: &str = "/api/v1/";

/// Whether a path is one of it.
pub(super) fn is_of(path: &str) -> bool {
    path.starts_with(ROOT)
}

/// Whether a path is answered for who has no token: the description of the others.
pub(super) fn is_for_all(path: &str) -> bool {
    path.strip_prefix(ROOT) == Some("openapi.json")
}

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/openapi.json", get(document::openapi))
        .route("/flows", get(reads::flows))
        .route("/flows/{flow}", get(reads::flow))
        .route("/stats", get(reads::stats))
        .route("/runs", get(reads::runs))
        .route("/runs/{run}", get(reads::run))
        .route("/outbox", get(reads::outbox))
        .route("/mails/{mail}", get(reads::mail))
        .route("/leads/search", post(reads::leads))
        .route("/leads/proof", post(reads::lead))
        .route("/health", get(reads::health))
        .route("/nodes", get(reads::nodes))
        .route("/check", get(reads::check))
        .route("/flows/{flow}/run", post(acts::run))
        .route("/flows/{flow}/on", post(acts::on))
        .route("/flows/{flow}/off", post(acts::off))
        .route("/flows/{flow}/replay", post(acts::replay))
        .route("/runs/{run}/resubmit", post(acts::resubmit))
        .route("/outbox/retry", post(acts::retry_all))
        .route("/mails/{mail}/retry", post(acts::retry))
        .route("/mails/{mail}/drop", post(acts::drop_mail))
}

/// A value as JSON. Whatever others have written into it has no secret and nothing that moves a cursor.
fn json(value: &impl Serialize) -> Response {
    json_with(StatusCode::OK, value)
}

fn json_with(status: StatusCode, value: &impl Serialize) -> Response {
    let Ok(value) = serde_json::to_value(value) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let kind = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, kind)], foreign::json(value, false)).into_response()
}

/// Why a request is not answered as it was asked.
pub(super) fn failure(failure: &Failure) -> Response {
    let view = FailureView { message: failure.message.clone(), help: failure.help.clone() };
    let mut response = json_with(failure.status, &view);
    if failure.status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(seconds) = failure.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}
