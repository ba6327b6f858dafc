//! The fields of a form that this page has made.

use std::collections::BTreeMap;

use axum::extract::{Form, FromRequest, Request};
use axum::http::StatusCode;

use super::failure::Failure;
use super::frame::Frame;
use super::parts::FORM_TOKEN;

/// The fields of a form, which bears the token of who sends it.
#[derive(Debug)]
pub(super) struct Fields(BTreeMap<String, String>);

impl Fields {
    /// The text of a field; empty where it is not there.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }

    /// Whether a box is ticked.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let frame = request.extensions().get::<Frame>().cloned().ok_or_else(Failure::no_state)?;
        let form = Form::<BTreeMap<String, String>>::from_request(request, state).await;
        let Form(fields) =
            form.map_err(|rejection| Failure::unread("form", rejection.status(), &rejection.body_text()))?;
        let token = fields.get(FORM_TOKEN).map(String::as_str).unwrap_or_default();
        // Who has not signed in has no token, and may do nothing that needs one.
        if token != frame.visitor.form_token {
            let failure = Failure::new(StatusCode::FORBIDDEN, "this form is of another session");
            return Err(failure.with_help("go back, load the page again, and repeat it"));
        }
        Ok(Self(fields))
    }
}
