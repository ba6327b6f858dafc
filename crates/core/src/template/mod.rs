//! Handlebars templates: subject, HTML and text, compiled once and checked before anything is sent.

pub mod cell;
mod check;
mod date_format;
mod error;
mod helpers;
#[cfg(test)]
mod hostile;
mod link_check;
mod links;
mod named_columns;
mod names;
mod register;
mod size;
mod source;
mod syntax;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use handlebars::{Context, Handlebars};
use serde_json::{Map, Value, json};

use crate::rows::lead;
use error::of_rendering;
use named_columns::Names;
use register::{parse, register, registry};

pub use error::TemplateError;
pub use source::{Source, Sources, TemplateLocation};

/// Compiled templates of a flow.
#[derive(Debug)]
pub struct Templates {
    html: Option<(Handlebars<'static>, TemplateLocation)>,
    text: Handlebars<'static>,
    subject_place: TemplateLocation,
    text_place: Option<TemplateLocation>,
    columns: Vec<NamedColumn>,
    fields: BTreeSet<String>,
    risks: Vec<TemplateError>,
    sources: Sources,
    digest: Option<Box<Templates>>,
}

/// A column that a template names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedColumn {
    /// Its name.
    pub name: String,
    /// Which template.
    pub place: TemplateLocation,
    /// Line and column, from 1.
    pub at: Option<(usize, usize)>,
}

/// What a mail shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The subject, not yet cleaned of controls.
    pub subject: String,
    /// The HTML body.
    pub html: Option<String>,
    /// The text body; `None` when there is no text template.
    pub text: Option<String>,
}

const SUBJECT: &str = "subject";
const BODY: &str = "body";

impl Templates {
    /// Compiles the templates, looks for unknown helpers, missing partials and raw HTML, and tries
    /// them on a made-up row.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn compile(sources: Sources) -> Result<Self, Vec<TemplateError>> {
        let mut errors = Vec::new();
        let written = sources.clone();
        let mut text = registry(false);
        let mut html = registry(true);
        let mut texts = vec![(SUBJECT.to_owned(), sources.subject)];
        let text_place = sources.text.as_ref().map(|source| source.place.clone());
        let html_place = sources.html.as_ref().map(|source| source.place.clone());
        texts.extend(sources.text.map(|source| (BODY.to_owned(), source)));
        texts.extend(sources.text_partials);
        let htmls =
            sources.html.map(|source| (BODY.to_owned(), source)).into_iter().chain(sources.html_partials);
        let mut risks = Vec::new();
        let of_text = register(&mut text, texts, false, &mut errors, &mut risks);
        let of_html = register(&mut html, htmls.collect(), true, &mut errors, &mut risks);
        if !errors.is_empty() {
            return Err(errors);
        }
        let html = html_place.map(|place| (html, place));
        let mut names = of_text;
        names.columns.extend(of_html.columns);
        names.fields.extend(of_html.fields);
        names.warnings.extend(of_html.warnings);
        let Names { columns, fields, warnings } = names;
        let trial = trial_data(&columns);
        let mut compiled = Self {
            html,
            text,
            subject_place: TemplateLocation::Subject,
            text_place,
            columns,
            fields,
            risks,
            sources: written,
            digest: None,
        };
        match compiled.render(&trial) {
            Ok(_) => {
                compiled.risks.extend(warnings);
                Ok(compiled)
            }
            // A warning at the same place knows more of it.
            Err(error) => {
                let is_same =
                    |warning: &TemplateError| warning.place == error.place && warning.at == error.at;
                Err(vec![warnings.into_iter().find(is_same).unwrap_or(error)])
            }
        }
    }

    /// With what renders many rows where these render one.
    #[must_use]
    pub fn with_digest(self, digest: Option<Self>) -> Self {
        Self { digest: digest.map(Box::new), ..self }
    }

    /// What renders many rows where these render one.
    pub fn digest(&self) -> Option<&Self> {
        self.digest.as_deref()
    }

    /// What they were compiled from.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The columns that the templates name.
    pub fn columns(&self) -> &[NamedColumn] {
        &self.columns
    }

    /// The fields of a lead that the templates name.
    pub fn fields(&self) -> &BTreeSet<String> {
        &self.fields
    }

    /// What will not do what it looks like: names that lead nowhere, formats of other languages, and values
    /// where HTML escaping is not enough to keep them harmless.
    pub fn risks(&self) -> &[TemplateError] {
        &self.risks
    }

    /// Renders the three parts.
    ///
    /// # Errors
    /// The first part that fails.
    pub fn render(&self, data: &Value) -> Result<Rendered, TemplateError> {
        let mut own = Context::null();
        *own.data_mut() = data.clone();
        self.render_in(&own)
    }

    /// As [`Templates::render`], without a copy of what is shown.
    ///
    /// # Errors
    /// As [`Templates::render`].
    pub fn render_in(&self, data: &Context) -> Result<Rendered, TemplateError> {
        let part = |registry: &Handlebars<'_>, name, place: &TemplateLocation| {
            registry.render_with_context(name, data).map_err(|error| of_rendering(&error, place))
        };
        Ok(Rendered {
            subject: part(&self.text, SUBJECT, &self.subject_place)?,
            html: self.html.as_ref().map(|(html, place)| part(html, BODY, place)).transpose()?,
            text: self.text_place.as_ref().map(|place| part(&self.text, BODY, place)).transpose()?,
        })
    }
}

/// One compiled template that comes with the program.
#[derive(Debug)]
pub struct Renderer(Handlebars<'static>);

impl Renderer {
    /// Compiles HTML: values are escaped.
    ///
    /// # Errors
    /// When it is no template.
    pub fn of_html(text: &str) -> Result<Self, TemplateError> {
        Self::compile(registry(true), text)
    }

    /// Compiles text: values are unchanged, with their lines indented.
    ///
    /// # Errors
    /// When it is no template.
    pub fn of_text(text: &str) -> Result<Self, TemplateError> {
        Self::compile(registry(false), text)
    }

    fn compile(mut registry: Handlebars<'static>, text: &str) -> Result<Self, TemplateError> {
        let source = Source { place: TemplateLocation::Body, text: text.to_owned() };
        registry.register_template(BODY, parse(BODY, &source)?);
        Ok(Self(registry))
    }

    /// The text that it makes of the data.
    ///
    /// # Errors
    /// When it does not go with the data.
    pub fn render(&self, data: &Value) -> Result<String, TemplateError> {
        self.0.render(BODY, data).map_err(|error| of_rendering(&error, &TemplateLocation::Body))
    }
}

/// A run of one made-up lead that also has every column which the templates name.
fn trial_data(columns: &[NamedColumn]) -> Value {
    let others = columns.iter().map(|column| column.name.clone());
    let names = lead::COLUMNS.iter().map(|name| (*name).to_owned()).chain(others);
    let mut row: Map<String, Value> = names.map(|name| (name, "x".into())).collect();
    row.insert("lead".to_owned(), lead_of(&row).into());
    let lead = row["lead"].clone();
    let moment = "2026-01-05T08:00:00Z";
    json!({
        "length": 1, "shown": 1, "hidden": 0, "part": 1, "parts": 1, "attached": false,
        "hidden_tests": 0, "more_columns": false, "cut_rows": 0,
        "rows": [row], "columns": lead::COLUMNS, "is_lead": true, "lead": lead,
        "flow": { "name": "x", "description": "x", "time_zone": "UTC", "table": "x" },
        "run": { "id": 1 }, "past_time": moment, "now": moment,
    })
}

/// The column under which templates see a row's lead.
pub const LEAD: &str = "lead";
/// How many leads of the same offer a lead is the first of; 0 where it is not the first.
pub const FIRST_OF_OFFER: &str = "first_of_offer";

/// The lead of a row as templates see it.
pub fn lead_of(columns: &Map<String, Value>) -> Map<String, Value> {
    let mut lead = lead::from_columns(columns);
    lead.insert(FIRST_OF_OFFER.to_owned(), 0.into());
    lead
}
