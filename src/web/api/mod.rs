//! The same for programs: the JSON of `docs/json.md`, by tokens.

mod acts;
mod callers;
#[cfg(test)]
mod describe;
mod document;
mod reads;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, post};
use serde::Serialize;

use super::failure::Failure;
use super::site::Site;
use crate::text::foreign;
use crate::views::api::FailureView;

/// Before every path of it.
const ROOT: &str = "/api/v1/";
const HOW_TO_SIGN_IN: &str = "`leadflow page token` makes a token; send it as Authorization: Bearer TOKEN";

/// Whether a path is one of it.
pub(super) fn is_of(path: &str) -> bool {
    path.starts_with(ROOT)
}

/// Whether a path is answered for who has no token: the description of the others.
pub(super) fn is_for_all(path: &str) -> bool {
    path.strip_prefix(ROOT) == Some("openapi.json")
}

pub(super) fn routes() -> Router<Arc<Site>> {
    table().into_iter().fold(Router::new(), |router, (path, methods)| router.route(path, methods))
}

/// Every path and what answers it; the tests hold the description against it.
fn table() -> [(&'static str, MethodRouter<Arc<Site>>); 21] {
    [
        ("/openapi.json", get(document::openapi)),
        ("/flows", get(reads::flows)),
        ("/flows/{flow}", get(reads::flow)),
        ("/stats", get(reads::stats)),
        ("/runs", get(reads::runs)),
        ("/runs/{run}", get(reads::run)),
        ("/outbox", get(reads::outbox)),
        ("/mails/{mail}", get(reads::mail)),
        ("/leads/search", post(reads::search_leads)),
        ("/leads/proof", post(reads::prove_lead)),
        ("/health", get(reads::health)),
        ("/nodes", get(reads::nodes)),
        ("/check", get(reads::check)),
        ("/flows/{flow}/run", post(acts::run_flow)),
        ("/flows/{flow}/on", post(acts::turn_flow_on)),
        ("/flows/{flow}/off", post(acts::turn_flow_off)),
        ("/flows/{flow}/replay", post(acts::replay_flow)),
        ("/runs/{run}/resubmit", post(acts::resubmit_run)),
        ("/outbox/retry", post(acts::retry_mails)),
        ("/mails/{mail}/retry", post(acts::retry_mail)),
        ("/mails/{mail}/drop", post(acts::drop_mail)),
    ]
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
    let needs_token = failure.status == StatusCode::UNAUTHORIZED;
    let help = failure.help.clone().or_else(|| needs_token.then(|| HOW_TO_SIGN_IN.to_owned()));
    let view = FailureView { message: failure.message.clone(), help };
    let mut response = json_with(failure.status, &view);
    if needs_token {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(seconds) = failure.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}
