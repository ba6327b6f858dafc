//! The frame around each page.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, html};

use super::form;
use crate::web::access::Way;
use crate::web::assets;
use crate::web::frame::Frame;

/// The sections that the navigation leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) enum Section {
    Flows,
    Runs,
    Outbox,
    Leads,
    Health,
    Check,
    /// None of them.
    Other,
}

const SECTIONS: [(Section, &str, &str, &str); 6] = [
    (Section::Flows, "/", "Flows", "흐름"),
    (Section::Runs, "/runs", "Runs", "실행"),
    (Section::Outbox, "/outbox", "Outbox", "보낼 메일"),
    (Section::Leads, "/leads", "Leads", "잠재 고객"),
    (Section::Health, "/health", "Health", "상태"),
    (Section::Check, "/check", "Check", "점검"),
];

/// A whole page.
pub(in crate::web) fn page(frame: &Frame, section: Section, title: &str, content: &Markup) -> Response {
    let status = StatusCode::OK;
    page_with(status, frame, section, title, content)
}

/// A whole page that is not what was asked for.
pub(in crate::web) fn page_with(
    status: StatusCode,
    frame: &Frame,
    section: Section,
    title: &str,
    content: &Markup,
) -> Response {
    let markup = html! {
        (DOCTYPE)
        html lang=(frame.language.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · leadflow" }
                link rel="icon" href=(assets::ICON.path) type="image/svg+xml";
                link rel="stylesheet" href=(assets::STYLE.path);
                script src=(assets::SCRIPT.path) defer {}
            }
            body {
                a.skip href="#content" { (frame.t("Skip to the content", "본문으로 건너뛰기")) }
                (head(frame, section))
                main #content tabindex="-1" { h1 { (title) } (content) }
                (foot(frame))
            }
        }
    };
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    (status, [(header::CONTENT_TYPE, html)], markup.into_string()).into_response()
}

fn head(frame: &Frame, section: Section) -> Markup {
    html! {
        header.top {
            a.name href="/" { "leadflow" }
            nav aria-label=(frame.t("Sections", "메뉴")) {
                ul {
                    @for (its, path, english, korean) in SECTIONS {
                        li { a href=(path) aria-current=[(its == section).then_some("page")] { (frame.t(english, korean)) } }
                    }
                }
            }
            (who(frame))
        }
    }
}

/// Who has signed in, and how to sign in or out.
fn who(frame: &Frame) -> Markup {
    let visitor = &frame.visitor;
    html! {
        div.who {
            @match &visitor.name {
                Some(name) => {
                    span.name { (name) }
                    @if visitor.way == Way::Session {
                        (form(frame, "/sign-out", &[], &html! {
                            button.quiet type="submit" { (frame.t("Sign out", "로그아웃")) }
                        }))
                    }
                }
                None if frame.has_sign_in => a href="/sign-in" { (frame.t("Sign in", "로그인")) },
                None => {}
            }
        }
    }
}

fn foot(frame: &Frame) -> Markup {
    let back = url::form_urlencoded::byte_serialize(frame.here.as_bytes()).collect::<String>();
    html! {
        footer {
            span { "leadflow " (env!("CARGO_PKG_VERSION")) }
            span { (frame.t("Times are in", "시간대:")) " " (frame.zone.iana_name().unwrap_or("UTC")) }
            span.languages {
                @for (tag, name) in [("en", "English"), ("ko", "한국어")] {
                    @if frame.language.tag() == tag { span lang=(tag) aria-current="true" { (name) } }
                    @else { a href={ "/language?to=" (tag) "&back=" (back) } lang=(tag) hreflang=(tag) { (name) } }
                }
            }
        }
    }
}
