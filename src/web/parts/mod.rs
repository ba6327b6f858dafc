//! What pages are made of.

pub(super) mod chart;
pub(super) mod definition;
pub(super) mod layout;
pub(super) mod mail;
pub(super) mod run;
pub(super) mod words;

use maud::{Markup, html};

use super::frame::Frame;

/// Names and values.
pub(super) fn facts(facts: &[(&str, Markup)]) -> Markup {
    html! {
        dl.facts {
            @for (name, value) in facts {
                div { dt { (name) } dd { (value) } }
            }
        }
    }
}

/// What is shown where there is nothing.
pub(super) fn nothing(words: &str) -> Markup {
    html! { p.nothing { (words) } }
}

/// A table that a narrow screen can move sideways.
pub(super) fn table(label: &str, head: &Markup, rows: &Markup) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(label) {
            table { thead { tr { (head) } } tbody { (rows) } }
        }
    }
}

/// A form that asks the page to do something. What it does is confirmed on a page of its own.
pub(super) fn form(frame: &Frame, action: &str, hidden: &[(&str, &str)], content: &Markup) -> Markup {
    html! {
        form method="post" action=(action) {
            input type="hidden" name=(FORM_TOKEN) value=(frame.visitor.form_token);
            @for (name, value) in hidden { input type="hidden" name=(name) value=(value); }
            (content)
        }
    }
}

/// The field that no other site knows the value of.
pub(super) const FORM_TOKEN: &str = "form_token";

/// A path of this page, with what others have named encoded.
pub(super) fn path(pieces: &[&str]) -> String {
    let mut path = String::new();
    for piece in pieces {
        path.push('/');
        path.extend(
            url::form_urlencoded::byte_serialize(piece.as_bytes())
                .map(|it| if it == "+" { "%20" } else { it }),
        );
    }
    path
}
