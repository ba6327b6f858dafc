//! The pages.

mod act_on_flow;
mod act_on_mail;
mod check;
mod flow;
mod flows;
mod health;
mod lead;
mod leads;
mod outbox;
mod question;
mod replay;
mod run;
mod runs;
mod sign_in;
mod test_mail;

use axum::http::{StatusCode, header};
use axum::response::Response;
use maud::html;

use super::failure::Failure;
use super::frame::Frame;
use super::parts::layout::{Section, page_with};
use super::parts::words::marked;

pub(super) use act_on_flow::{act_on_flow, confirm_flow};
pub(super) use act_on_mail::{act_on_mail, act_retry_all, confirm_mail, confirm_retry_all};
pub(super) use check::check;
pub(super) use flow::flow;
pub(super) use flows::flows;
pub(super) use health::health;
pub(super) use lead::lead;
pub(super) use leads::{export, find as find_leads, leads, search};
pub(super) use outbox::{html_of_mail, mail, outbox};
pub(super) use replay::{act_resubmit, confirm_resubmit};
pub(super) use run::run;
pub(super) use runs::runs;
pub(super) use sign_in::{choose_language, sign_in, sign_in_form, sign_out};

/// Whether a path is answered for who has not signed in, wherever they are.
pub(super) fn is_for_all(path: &str) -> bool {
    matches!(path, "/sign-in" | "/language" | "/healthz" | "/readyz") || path.starts_with("/assets/")
}

/// Why a page is not shown, as a page.
pub(super) fn failure(failure: &Failure, frame: &Frame) -> Response {
    let title = match failure.status {
        StatusCode::NOT_FOUND => frame.t("Not found", "찾을 수 없음"),
        StatusCode::FORBIDDEN => frame.t("Not allowed", "권한 없음"),
        StatusCode::BAD_REQUEST => frame.t("Not understood", "이해할 수 없는 요청"),
        StatusCode::CONFLICT => frame.t("Not possible now", "지금은 할 수 없음"),
        other => other.canonical_reason().unwrap_or("Error"),
    };
    let content = html! {
        p.failure role="alert" lang="en" { (marked(&failure.message)) }
        @if let Some(help) = &failure.help { p lang="en" { (marked(help)) } }
        @if failure.status == StatusCode::UNAUTHORIZED && !frame.has_sign_in {
            p { (marked(frame.t(
                "Nobody can sign in yet. `leadflow page password` prints what to write into flows.toml.",
                "아직 로그인할 수 있는 사람이 없습니다. `leadflow page password`가 flows.toml에 쓸 내용을 출력합니다.",
            ))) }
        }
        p { a href="/" { (frame.t("Back to the flows", "흐름으로 돌아가기")) } }
    };
    let mut response = page_with(failure.status, frame, Section::Other, title, &content);
    if let Some(seconds) = failure.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}
