//! What a person is asked before something is done: what it is, what will be mailed, and to whom.

use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};

use crate::web::actions::Performed;
use crate::web::frame::Frame;
use crate::web::parts::layout::{Section, page};
use crate::web::parts::{form, path};

/// What a person decides about.
pub(super) struct Question {
    pub(super) title: String,
    button: &'static str,
    content: Markup,
    pub(super) hidden: Vec<(&'static str, String)>,
    pub(super) again: Option<&'static str>,
    field: Option<(&'static str, &'static str)>,
}

impl Question {
    /// It is asked so.
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            button: "OK",
            content: html! {},
            hidden: Vec::new(),
            again: None,
            field: None,
        }
    }

    /// With the words of the button that does it.
    pub(super) fn button(self, button: &'static str) -> Self {
        Self { button, ..self }
    }

    /// In a sentence.
    pub(super) fn says(self, words: &str) -> Self {
        self.tells(html! { p { (words) } })
    }

    /// In these words.
    pub(super) fn tells(self, content: Markup) -> Self {
        Self { content, ..self }
    }

    /// With a line to write in, by its name and its words.
    pub(super) fn with_field(self, name: &'static str, words: &'static str) -> Self {
        Self { field: Some((name, words)), ..self }
    }

    /// As a page whose form leads to the action.
    pub(super) fn page(self, frame: &Frame, section: Section, action: &str) -> Response {
        let hidden: Vec<_> = self.hidden.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let content = html! {
            div.card {
                (self.content)
                (form(frame, action, &hidden, &html! {
                    @if let Some(again) = self.again {
                        label.box { input type="checkbox" name="again"; " " (again) }
                    }
                    @if let Some((name, words)) = self.field {
                        label { (words) input type="email" name=(name) autocomplete="email"; }
                    }
                    p.actions { button type="submit" { (self.button) } " " a.button.quiet href=(parent(action)) { (frame.t("Cancel", "취소")) } }
                }))
            }
        };
        page(frame, section, &self.title, &content)
    }
}

/// Where an action is begun.
fn parent(action: &str) -> &str {
    action.rsplit_once('/').map_or("/", |(parent, _)| if parent.is_empty() { "/" } else { parent })
}

/// Leads to where the result is seen.
pub(super) fn after(frame: &Frame, performed: Performed, place: &str) -> Response {
    match performed {
        Performed::Done => Redirect::to(place).into_response(),
        Performed::Run(run) => Redirect::to(&path(&["runs", &run.to_string()])).into_response(),
        Performed::Pending => {
            let content = html! {
                p.notice { (frame.t(
                    "The daemon has not picked up the request yet; it remains queued.",
                    "데몬이 아직 요청을 받지 않았습니다. 요청은 대기열에 남아 있습니다.",
                )) }
                p { a href=(place) { (frame.t("Back", "돌아가기")) } }
            };
            page(frame, Section::Other, frame.t("Requested", "요청함"), &content)
        }
    }
}
