//! What requests carry, read by axum and refused in our words where it cannot be read.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::failure::Failure;

/// The pieces of a path that have names.
#[derive(Debug)]
pub(super) struct Path<T>(pub(super) T);

/// What stands behind the question mark.
#[derive(Debug)]
pub(super) struct Query<T>(pub(super) T);

/// A body that is a JSON object.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        let axum::extract::Path(value) =
            path.map_err(|rejection| Failure::unread("path", rejection.status(), &rejection.body_text()))?;
        Ok(Self(value))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let query = axum::extract::Query::from_request_parts(parts, state).await;
        let axum::extract::Query(value) = query
            .map_err(|rejection| Failure::unread("query", rejection.status(), &rejection.body_text()))?;
        Ok(Self(value))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        // serde would read a struct from an array, too.
        let object = axum::Json::<Map<String, Value>>::from_request(request, state).await;
        let axum::Json(object) = object
            .map_err(|rejection| Failure::unread("body", rejection.status(), &rejection.body_text()))?;
        let value = serde_json::from_value(Value::Object(object));
        let value = value
            .map_err(|error| Failure::unread("body", StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()))?;
        Ok(Self(value))
    }
}
