//! What the templates of a mail name, each with its place.

use std::collections::BTreeSet;

use handlebars::Template;

use super::names::{self, Named};
use super::{NamedColumn, TemplateError, TemplateLocation};
use crate::rows::lead;

/// What templates name of the rows.
#[derive(Default)]
pub(super) struct Names {
    pub(super) columns: Vec<NamedColumn>,
    pub(super) fields: BTreeSet<String>,
    /// Names that lead nowhere, and formats of other languages.
    pub(super) warnings: Vec<TemplateError>,
}

/// Looks up every name of the bodies, and of the partials that they come to.
pub(super) fn names(parsed: &[(String, Template, TemplateLocation)]) -> Names {
    let all: Vec<(&str, &Template)> =
        parsed.iter().map(|(name, template, _)| (name.as_str(), template)).collect();
    let bodies = all.iter().copied().filter(|(name, _)| !name.starts_with('_'));
    let mut names = Names::default();
    for (of, named) in names::of_mail(bodies, &all) {
        let place = || {
            let found = parsed.iter().find(|(name, ..)| name == of);
            found.map(|(.., place)| place.clone()).unwrap_or_default()
        };
        match named {
            Named::Column { name, at } => names.columns.push(NamedColumn { name, place: place(), at }),
            Named::Field(Some(field)) => drop(names.fields.insert(field)),
            Named::Field(None) => names.fields.extend(lead::FIELDS.map(str::to_owned)),
            Named::Questionable { at, message, help } => {
                names.warnings.push(TemplateError { place: place(), at, message, help: Some(help) });
            }
        }
    }
    names
}
