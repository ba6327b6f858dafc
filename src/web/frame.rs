//! What every page needs to know of its request.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::access::Visitor;
use super::failure::Failure;
use super::language::Language;

/// Who asks, in which language, and when.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) language: Language,
    pub(super) visitor: Visitor,
    /// Path and query, to come back to.
    pub(super) here: String,
    pub(super) now: Timestamp,
    /// In which moments are shown.
    pub(super) zone: TimeZone,
    /// Somebody can sign in with a password.
    pub(super) has_sign_in: bool,
}

impl Frame {
    /// A text in the language of who asks.
    pub(super) fn t(&self, english: &'static str, korean: &'static str) -> &'static str {
        self.language.of(english, korean)
    }

    /// A moment as people of the zone read it.
    pub(super) fn moment(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// # Errors
    /// When nobody has signed in.
    pub(super) fn needs_sign_in(&self) -> Result<(), Failure> {
        if self.visitor.has_signed_in() { Ok(()) } else { Err(Failure::signed_out()) }
    }

    /// # Errors
    /// When who asks may only look.
    pub(super) fn needs_operator(&self) -> Result<(), Failure> {
        self.needs_sign_in()?;
        if self.visitor.may_operate() { Ok(()) } else { Err(Failure::forbidden()) }
    }
}

/// [`super::guard`] has made it.
impl<S: Sync> FromRequestParts<S> for Frame {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Failure::no_state)
    }
}
