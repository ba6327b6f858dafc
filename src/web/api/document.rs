//! The description of the API, made from its types.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};

/// In the form of `OpenAPI` 3.1.
const DOCUMENT: &str = include_str!("openapi.json");

/// This description.
#[cfg_attr(test, utoipa::path(get, path = "/openapi.json", responses((status = 200, body = Object))))]
pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], DOCUMENT).into_response()
}
