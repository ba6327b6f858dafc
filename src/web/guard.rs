//! What every request passes: whose it is, and what every answer bears.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use url::form_urlencoded;

use super::access::{Visitor, admitted, cookie};
use super::failure::Failure;
use super::frame::Frame;
use super::language::{self, Language};
use super::site::Site;
use super::{api, metrics, pages};
use crate::flow::PageSettings;

/// Nothing from outside, nothing that is not in a file of the page.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; frame-src 'self'; \
                      connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
];
const A_YEAR: &str = "max-age=31536000";

/// Lets a request through to its page, or says why not.
pub(super) async fn guard(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let Some(page) = site.page() else { return StatusCode::NOT_FOUND.into_response() };
    let (mut parts, body) = request.into_parts();
    let is_program = is_program(&parts);
    let mut frame = frame(&site, &page, &parts);
    let mut response = match check(&site, &page, &parts) {
        Ok(visitor) => {
            frame.visitor = visitor;
            parts.extensions.insert(frame.clone());
            next.run(Request::from_parts(parts, body)).await
        }
        Err(failure) => failure.into_response(),
    };
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        response = shown(&failure, &frame, is_program);
    }
    bear_headers(&mut response, &page);
    response
}

/// Whose request it is. Whoever has not signed in sees what is nobody's personal data, on this machine.
fn check(site: &Site, page: &PageSettings, parts: &Parts) -> Result<Visitor, Failure> {
    let visitor = admitted(site, page, parts)?;
    let is_for_all = pages::is_for_all(parts.uri.path()) || api::is_for_all(parts.uri.path());
    if visitor.has_signed_in() || page.is_local() || is_for_all {
        return Ok(visitor);
    }
    Err(Failure::signed_out())
}

fn frame(site: &Site, page: &PageSettings, parts: &Parts) -> Frame {
    let chosen = cookie(&parts.headers, language::COOKIE);
    Frame {
        language: Language::asked(&parts.headers, chosen),
        visitor: Visitor::guest(),
        here: parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
        now: site.clock.now(),
        zone: site.config().settings.time_zone.clone(),
        has_sign_in: page.users.values().any(|user| user.password.is_some()),
    }
}

/// Programs read no page and follow no way to a form.
fn is_program(parts: &Parts) -> bool {
    let path = parts.uri.path();
    api::is_of(path) || path == metrics::PATH || parts.headers.contains_key(header::AUTHORIZATION)
}

fn shown(failure: &Failure, frame: &Frame, is_program: bool) -> Response {
    if is_program {
        return api::failure(failure);
    }
    if failure.status == StatusCode::UNAUTHORIZED && frame.has_sign_in {
        let next = form_urlencoded::byte_serialize(frame.here.as_bytes()).collect::<String>();
        return Redirect::to(&format!("/sign-in?next={next}")).into_response();
    }
    pages::failure(failure, frame)
}

fn bear_headers(response: &mut Response, page: &PageSettings) {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    if page.is_secure() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(A_YEAR));
    }
}
