//! Handlebars templates: subject, HTML and text, compiled once and checked before anything is sent.

pub mod cell;
mod check;
mod date_format;
mod helpers;
#[cfg(test)]
mod hostile;
mod link_check;
mod links;
mod named_columns;
mod names;
mod syntax;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use handlebars::{Context, Handlebars, RenderError, Template, TemplateError as SyntaxError};
use serde_json::{Map, Value, json};

use crate::rows::lead;
use check::{Finding, Uses};
use named_columns::{Names, names};
use syntax::Mistake;

/// The sources of a flow's templates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Sources {
    /// Subject, one line of handlebars.
    pub subject: Source,
    /// The HTML body.
    pub html: Option<Source>,
    /// The text body; made from the rows where absent.
    pub text: Option<Source>,
    /// Partials of HTML templates, by name.
    pub html_partials: Vec<(String, Source)>,
    /// Partials of text templates and subjects, by name.
    pub text_partials: Vec<(String, Source)>,
}

/// One template's text and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Source {
    /// Where it stands.
    pub place: Place,
    /// Handlebars.
    pub text: String,
}

/// Which template it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Place {
    /// `subject` in flows.toml.
    #[default]
    Subject,
    /// `body` in flows.toml.
    Body,
    /// A file of the templates folder.
    File(PathBuf),
    /// A template that comes with the program, by its name.
    Shipped(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject => f.write_str("the subject"),
            Self::Body => f.write_str("the body"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Shipped(name) => write!(f, "the built-in template {name}"),
        }
    }
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// Which one.
    pub place: Place,
    /// Line and column, from 1.
    pub at: Option<(usize, usize)>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

/// Compiled templates of a flow.
#[derive(Debug)]
pub struct Templates {
    html: Option<(Handlebars<'static>, Place)>,
    text: Handlebars<'static>,
    subject_place: Place,
    text_place: Option<Place>,
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
    pub place: Place,
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
        let of_text = register(&mut text, texts, false, (&mut errors, &mut risks));
        let of_html = register(&mut html, htmls.collect(), true, (&mut errors, &mut risks));
        if !errors.is_empty() {
            return Err(errors);
        }
        let html = html_place.map(|place| (html, place));
        let mut names = of_text;
        names.columns.extend(of_html.columns);
        names.fields.extend(of_html.fields);
        names.doubts.extend(of_html.doubts);
        let Names { columns, fields, doubts } = names;
        let trial = trial_data(&columns);
        let mut compiled = Self {
            html,
            text,
            subject_place: Place::Subject,
            text_place,
            columns,
            fields,
            risks,
            sources: written,
            digest: None,
        };
        match compiled.render(&trial) {
            Ok(_) => {
                compiled.risks.extend(doubts);
                Ok(compiled)
            }
            // A doubt at the same place knows more of it.
            Err(error) => {
                let is_same = |doubt: &TemplateError| doubt.place == error.place && doubt.at == error.at;
                Err(vec![doubts.into_iter().find(is_same).unwrap_or(error)])
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
        let part = |registry: &Handlebars<'_>, name, place: &Place| {
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

    /// Compiles text: values stand as they are, with their lines indented.
    ///
    /// # Errors
    /// When it is no template.
    pub fn of_text(text: &str) -> Result<Self, TemplateError> {
        Self::compile(registry(false), text)
    }

    fn compile(mut registry: Handlebars<'static>, text: &str) -> Result<Self, TemplateError> {
        let source = Source { place: Place::Body, text: text.to_owned() };
        registry.register_template(BODY, parse(BODY, &source)?);
        Ok(Self(registry))
    }

    /// The text that it makes of the data.
    ///
    /// # Errors
    /// When it does not go with the data.
    pub fn render(&self, data: &Value) -> Result<String, TemplateError> {
        self.0.render(BODY, data).map_err(|error| of_rendering(&error, &Place::Body))
    }
}

fn registry(html: bool) -> Handlebars<'static> {
    let mut registry = Handlebars::new();
    registry.set_strict_mode(true);
    if !html {
        registry.register_escape_fn(cell::indented);
    }
    helpers::register(&mut registry);
    registry
}

/// Registers the templates and returns what they name.
fn register(
    registry: &mut Handlebars<'static>,
    sources: Vec<(String, Source)>,
    html: bool,
    (errors, risks): (&mut Vec<TemplateError>, &mut Vec<TemplateError>),
) -> Names {
    let mut parsed = Vec::new();
    for (name, source) in sources {
        match parse(&name, &source) {
            Ok(template) => parsed.push((name, template, source.place)),
            Err(error) => errors.push(error),
        }
    }
    let partials: Vec<String> = parsed.iter().map(|(name, ..)| name.clone()).collect();
    let names = names(&parsed);
    let mut uses = Vec::new();
    for (name, template, place) in &parsed {
        let mut own = Uses::default();
        for finding in check::walk(template, &partials, html) {
            match finding {
                Finding::Partial(partial, loops) => own.partials.push((partial, loops)),
                Finding::Loops(loops) => own.loops = own.loops.max(loops),
                Finding::Wrong { at, message, help } => {
                    errors.push(TemplateError { place: place.clone(), at, message, help });
                }
                Finding::Risky { at, message, help } => {
                    let (message, help) = (message.to_owned(), Some(help.to_owned()));
                    risks.push(TemplateError { place: place.clone(), at, message, help });
                }
            }
        }
        uses.push((name.clone(), own));
    }
    let cycles = check::cycles(&uses);
    let endless = if cycles.is_empty() { check::endless(&uses) } else { Vec::new() };
    for (name, mut template, place) in parsed {
        if !html {
            check::escape_all(&mut template);
        }
        let wrong = if cycles.contains(&name) {
            Some(("the template uses itself, directly or by its partials", "take one of the {{> …}} out"))
        } else if endless.contains(&name) {
            Some((
                "the template repeats without end: more than two `each` within each other, or a thousand partials",
                "one `each` over the rows and one over the columns of a row are enough",
            ))
        } else {
            None
        };
        if let Some((message, help)) = wrong {
            let (message, help) = (message.to_owned(), Some(help.to_owned()));
            errors.push(TemplateError { place, at: None, message, help });
        }
        registry.register_template(&name, template);
    }
    names
}

fn parse(name: &str, source: &Source) -> Result<Template, TemplateError> {
    if let Err((at, message)) = check::check_size(&source.text) {
        let message = message.to_owned();
        let help = Some("put the inner part into a partial".to_owned());
        return Err(TemplateError { place: source.place.clone(), at: Some(at), message, help });
    }
    let wrong = |Mistake { at, message, help }: Mistake| TemplateError {
        place: source.place.clone(),
        at: Some(at),
        message,
        help: Some(help),
    };
    if let Some(mistake) = syntax::curly_quotes(&source.text) {
        return Err(wrong(mistake));
    }
    let parsed = Template::compile_with_name(&source.text, name.to_owned());
    parsed.map_err(|error| match syntax::mistake(&source.text) {
        Some(mistake) => wrong(mistake),
        None => of_syntax(&error, source.place.clone()),
    })
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

fn of_syntax(error: &SyntaxError, place: Place) -> TemplateError {
    let at = error.pos();
    let message = error.reason().to_string();
    let help = Some("see https://handlebarsjs.com/guide/ for the language".to_owned());
    TemplateError { place, at, message: first_line(&message), help }
}

fn of_rendering(error: &RenderError, place: &Place) -> TemplateError {
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
        Reason::MissingVariable(None) => ("a value that it names is not there".to_owned(), None),
        reason => (first_line(&reason.to_string()), None),
    };
    TemplateError { place: place.clone(), at, message, help }
}

fn first_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

/// The column under which templates see a row's lead.
pub const LEAD: &str = "lead";
/// How many leads of the same offer a lead is the first of; 0 where it is not the first.
pub const FIRST_OF_OFFER: &str = "first_of_offer";

/// The lead of a row as templates see it.
pub fn lead_of(columns: &Map<String, Value>) -> Map<String, Value> {
    let mut lead = lead::of_columns(columns);
    lead.insert(FIRST_OF_OFFER.to_owned(), 0.into());
    lead
}
