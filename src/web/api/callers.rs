//! Who may call what. It is decided before the rest of the request is read.

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;

use crate::web::access::{Visitor, Way};
use crate::web::failure::Failure;
use crate::web::frame::Frame;

/// Somebody who has signed in, by a token or otherwise: personal data may be answered.
#[derive(Debug)]
pub(super) struct SignedIn;

/// A program with a token of the role `operate`. A cookie is not enough: another site could use it.
#[derive(Debug)]
pub(super) struct Operator(pub(super) Visitor);

impl<S: Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        Frame::from_request_parts(parts, state).await?.needs_sign_in().map(|()| Self)
    }
}

impl<S: Sync> FromRequestParts<S> for Operator {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let frame = Frame::from_request_parts(parts, state).await?;
        if frame.visitor.way != Way::Token {
            return Err(Failure::new(StatusCode::UNAUTHORIZED, "this needs a token"));
        }
        frame.needs_operator()?;
        Ok(Self(frame.visitor))
    }
}
