//! Signing in and out, and the language.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::html;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use tracing::{info, warn};

use crate::flow::{PageUser, PasswordHash};
use crate::platform::{passwords, secrets};
use crate::web::access::{COOKIE_LASTS, SESSION_COOKIE, asking_peer, cookie, set_cookie};
use crate::web::extract::Query;
use crate::web::failure::Failure;
use crate::web::fields::Fields;
use crate::web::frame::Frame;
use crate::web::language::{self, Language};
use crate::web::parts::layout::{Section, page_with};
use crate::web::server::Peer;
use crate::web::site::Site;

/// Of a password that nobody has, with the costs of `leadflow page password`.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bGVhZGZsb3cgbm9ib2R5$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// How long a chosen language is remembered.
const A_YEAR: Duration = Duration::from_hours(365 * 24);

/// Where to go afterwards.
#[derive(Debug, Deserialize)]
pub(in crate::web) struct Next {
    #[serde(default)]
    next: String,
}

/// What somebody signs in with.
#[derive(Deserialize)]
pub(in crate::web) struct Credentials {
    #[serde(default)]
    user: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    next: String,
}

pub(in crate::web) async fn sign_in_form(frame: Frame, Query(Next { next }): Query<Next>) -> Response {
    form(&frame, StatusCode::OK, &next, None)
}

fn form(frame: &Frame, status: StatusCode, next: &str, problem: Option<&str>) -> Response {
    let content = html! {
        @if let Some(problem) = problem { p.failure role="alert" { (problem) } }
        form.card.narrow method="post" action="/sign-in" {
            input type="hidden" name="next" value=(own_path(next));
            label { (frame.t("Name", "이름")) input name="user" autocomplete="username" required autocapitalize="none" spellcheck="false"; }
            label { (frame.t("Password", "비밀번호")) input type="password" name="password" autocomplete="current-password" required; }
            p.actions { button type="submit" { (frame.t("Sign in", "로그인")) } }
        }
    };
    page_with(status, frame, Section::Other, frame.t("Sign in", "로그인"), &content)
}

/// Takes the password, a few at a time: each comparison takes memory and a while.
pub(in crate::web) async fn sign_in(
    State(site): State<Arc<Site>>,
    frame: Frame,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Form(asked): Form<Credentials>,
) -> Result<Response, Failure> {
    let page = site.page().ok_or_else(Failure::no_state)?;
    let peer = asking_peer(&page, &headers, peer);
    let now = site.clock.steady();
    let Credentials { user: name, password, next } = asked;
    if name.len() > 64 || password.len() > 1_024 {
        return Err(Failure::bad_request("the name or the password is too long"));
    }
    if let Err(wait) = site.tries.begin(peer, &name, now) {
        warn!(%peer, "too many failed sign-ins");
        let failure = Failure::new(StatusCode::TOO_MANY_REQUESTS, "too many failed sign-ins");
        return Err(Failure {
            retry_after: Some(wait.as_secs().max(1)),
            ..failure.with_help("wait a quarter of an hour")
        });
    }
    let known = page.users.get(&name).filter(|user| user.password.is_some());
    let place = site.tries.room.acquire().await.map_err(|_| Failure::no_state())?;
    let is_right = compared(known.cloned(), password).await;
    drop(place);
    let (Some(user), true) = (known, is_right) else {
        // What was typed as the name may be a password.
        let user = if known.is_some() { name.as_str() } else { "(unknown)" };
        warn!(user, %peer, "a sign-in was refused");
        let words = frame.t("The name or the password is wrong.", "이름이나 비밀번호가 틀립니다.");
        return Ok(form(&frame, StatusCode::UNAUTHORIZED, &next, Some(words)));
    };
    site.tries.succeed(peer, &name);
    if let Some(before) = cookie(&headers, SESSION_COOKIE) {
        site.sessions.end(before);
    }
    let session = site.sessions.begin(&name, user, now).map_err(|_| Failure::no_state())?;
    info!(user = name, %peer, "signed in");
    let cookie = set_cookie(SESSION_COOKIE, &session, COOKIE_LASTS, page.is_secure());
    Ok(with_cookie(Redirect::to(own_path(&next)).into_response(), cookie))
}

/// Whether it is the password; of somebody unknown as much work is done.
async fn compared(user: Option<PageUser>, password: String) -> bool {
    let compare = move || {
        let hash = match user.and_then(|user| user.password) {
            Some(PasswordHash::Here(hash)) => Some(hash),
            Some(PasswordHash::At(secret)) => {
                secrets::read(&secret).ok().map(|text| text.expose_secret().trim().to_owned())
            }
            None => None,
        };
        let is_right = passwords::verify(&password, hash.as_deref().unwrap_or(NOBODYS));
        is_right && hash.is_some()
    };
    tokio::task::spawn_blocking(compare).await.unwrap_or(false)
}

pub(in crate::web) async fn sign_out(
    State(site): State<Arc<Site>>,
    frame: Frame,
    headers: HeaderMap,
    _: Fields,
) -> Response {
    if let Some(name) = cookie(&headers, SESSION_COOKIE) {
        site.sessions.end(name);
    }
    if let Some(user) = &frame.visitor.name {
        info!(user, "signed out");
    }
    let is_secure = site.page().is_some_and(|page| page.is_secure());
    let gone = set_cookie(SESSION_COOKIE, "", Duration::ZERO, is_secure);
    with_cookie(Redirect::to("/").into_response(), gone)
}

/// A language, and where it was chosen.
#[derive(Debug, Deserialize)]
pub(in crate::web) struct Choice {
    #[serde(default)]
    to: String,
    #[serde(default)]
    back: String,
}

pub(in crate::web) async fn choose_language(
    State(site): State<Arc<Site>>,
    Query(Choice { to, back }): Query<Choice>,
) -> Result<Response, Failure> {
    let chosen =
        Language::parse(&to).ok_or_else(|| Failure::bad_request("the page does not speak this language"))?;
    let is_secure = site.page().is_some_and(|page| page.is_secure());
    let cookie = set_cookie(language::COOKIE, chosen.tag(), A_YEAR, is_secure);
    Ok(with_cookie(Redirect::to(own_path(&back)).into_response(), cookie))
}

fn with_cookie(mut response: Response, cookie: Option<header::HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// A path of this page; one that leads elsewhere is the first page.
fn own_path(path: &str) -> &str {
    let is_own = path.starts_with('/')
        && !path.starts_with("//")
        && path.chars().all(|c| c.is_ascii_graphic() && c != '\\')
        && !path.starts_with("/sign-in");
    if is_own { path } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::own_path;

    #[test]
    fn nobody_is_led_elsewhere() {
        for (path, expected) in [
            ("/runs?flow=a", "/runs?flow=a"),
            ("/", "/"),
            ("", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("javascript:alert(1)", "/"),
            ("/a\r\nb", "/"),
            ("/sign-in?next=/", "/"),
        ] {
            assert_eq!(own_path(path), expected, "{path:?}");
        }
    }
}
