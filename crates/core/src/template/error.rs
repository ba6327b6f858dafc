//! What is wrong with a template, and where.

use handlebars::{RenderError, TemplateError as SyntaxError};

use super::source::TemplateLocation;

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// Which one.
    pub place: TemplateLocation,
    /// Line and column, from 1.
    pub at: Option<(usize, usize)>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

pub(super) fn of_syntax(error: &SyntaxError, place: TemplateLocation) -> TemplateError {
    let at = error.pos();
    let message = error.reason().to_string();
    let help = Some("see https://handlebarsjs.com/guide/ for the language".to_owned());
    TemplateError { place, at, message: first_line(&message), help }
}

pub(super) fn of_rendering(error: &RenderError, place: &TemplateLocation) -> TemplateError {
    use handlebars::RenderErrorReason as Reason;
    let at = error.line_no.zip(error.column_no);
    let (message, help) = match error.reason() {
        Reason::MissingVariable(Some(name)) => (
            format!("there is no value `{name}`"),
            Some(
                "values are length, rows, lead, flow, run, past_time, now; in a row its columns and `lead`"
                    .to_owned(),
            ),
        ),
        Reason::MissingVariable(None) => ("a value that it uses does not exist".to_owned(), None),
        reason => (first_line(&reason.to_string()), None),
    };
    TemplateError { place: place.clone(), at, message, help }
}

fn first_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}
