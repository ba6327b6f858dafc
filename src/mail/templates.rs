//! Handlebars templates: subject, HTML and text, compiled once and checked before anything is sent.

#[cfg(test)]
mod hostile;

use std::fmt;
use std::path::PathBuf;

use handlebars::{Handlebars, RenderError, Template, TemplateError as SyntaxError};
use serde_json::{Map, Value, json};

use super::helpers;
use super::template_check::{self, Finding, Uses};
use crate::lead;

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
        let of_text = register(&mut text, texts, false, &mut errors);
        let of_html = register(&mut html, htmls.collect(), true, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        let html = html_place.map(|place| (html, place));
        let mut columns = of_text;
        columns.extend(of_html);
        let trial = trial_data(&columns);
        let compiled = Self {
            html,
            text,
            subject_place: Place::Subject,
            text_place,
            columns,
            sources: written,
            digest: None,
        };
        match compiled.render(&trial) {
            Ok(_) => Ok(compiled),
            Err(error) => Err(vec![error]),
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

    /// Renders the three parts.
    ///
    /// # Errors
    /// The first part that fails.
    pub fn render(&self, data: &Value) -> Result<Rendered, TemplateError> {
        let part = |registry: &Handlebars<'_>, name, place: &Place| {
            registry.render(name, data).map_err(|error| of_rendering(&error, place))
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
pub(super) struct Renderer(Handlebars<'static>);

impl Renderer {
    pub(super) fn of_html(text: &str) -> Result<Self, TemplateError> {
        Self::compile(registry(true), text)
    }

    pub(super) fn of_text(text: &str) -> Result<Self, TemplateError> {
        Self::compile(registry(false), text)
    }

    fn compile(mut registry: Handlebars<'static>, text: &str) -> Result<Self, TemplateError> {
        let source = Source { place: Place::Body, text: text.to_owned() };
        registry.register_template(BODY, parse(BODY, &source)?);
        Ok(Self(registry))
    }

    pub(super) fn render(&self, data: &Value) -> Result<String, TemplateError> {
        self.0.render(BODY, data).map_err(|error| of_rendering(&error, &Place::Body))
    }
}

fn registry(html: bool) -> Handlebars<'static> {
    let mut registry = Handlebars::new();
    registry.set_strict_mode(true);
    if !html {
        registry.register_escape_fn(handlebars::no_escape);
    }
    helpers::register(&mut registry);
    registry
}

/// Registers the templates and returns the columns that they name.
fn register(
    registry: &mut Handlebars<'static>,
    sources: Vec<(String, Source)>,
    html: bool,
    errors: &mut Vec<TemplateError>,
) -> Vec<NamedColumn> {
    let mut parsed = Vec::new();
    for (name, source) in sources {
        match parse(&name, &source) {
            Ok(template) => parsed.push((name, template, source.place)),
            Err(error) => errors.push(error),
        }
    }
    let partials: Vec<String> = parsed.iter().map(|(name, ..)| name.clone()).collect();
    let (mut columns, mut uses) = (Vec::new(), Vec::new());
    for (name, template, place) in &parsed {
        let mut own = Uses::default();
        for finding in template_check::walk(template, &partials, html) {
            match finding {
                Finding::Column { name, at } => {
                    columns.push(NamedColumn { name, place: place.clone(), at });
                }
                Finding::Partial(partial, loops) => own.partials.push((partial, loops)),
                Finding::Loops(loops) => own.loops = own.loops.max(loops),
                Finding::Wrong { at, message, help } => {
                    errors.push(TemplateError { place: place.clone(), at, message, help });
                }
            }
        }
        uses.push((name.clone(), own));
    }
    let cycles = template_check::cycles(&uses);
    let endless = if cycles.is_empty() { template_check::endless(&uses) } else { Vec::new() };
    for (name, template, place) in parsed {
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
    columns
}

fn parse(name: &str, source: &Source) -> Result<Template, TemplateError> {
    if let Err((at, message)) = template_check::check_size(&source.text) {
        let message = message.to_owned();
        let help = Some("put the inner part into a partial".to_owned());
        return Err(TemplateError { place: source.place.clone(), at: Some(at), message, help });
    }
    let parsed = Template::compile_with_name(&source.text, name.to_owned());
    parsed.map_err(|error| of_syntax(&error, source.place.clone()))
}

/// A run of one made-up lead that also has every column which the templates name.
fn trial_data(columns: &[NamedColumn]) -> Value {
    let others = columns.iter().map(|column| column.name.clone());
    let names = lead::COLUMNS.iter().map(|name| (*name).to_owned()).chain(others);
    let mut row: Map<String, Value> = names.map(|name| (name, "x".into())).collect();
    row.insert("lead".to_owned(), super::compose::lead_of(&row).into());
    let lead = row["lead"].clone();
    let moment = "2026-01-05T08:00:00Z";
    json!({
        "length": 1, "shown": 1, "hidden": 0, "part": 1, "parts": 1, "attached": false,
        "hidden_tests": 0,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn html(text: &str) -> Sources {
        Sources {
            subject: Source { place: Place::Subject, text: "{{length}} rows".to_owned() },
            html: Some(Source { place: Place::File("leads.html.hbs".into()), text: text.to_owned() }),
            ..Sources::default()
        }
    }

    #[test]
    fn html_is_escaped_and_text_is_not() {
        let mut sources = html("<p>{{rows.0.Company}}</p>");
        sources.text = Some(Source { place: Place::Body, text: "{{rows.0.Company}}".to_owned() });
        let templates = Templates::compile(sources).unwrap();
        let rendered = templates.render(&json!({ "length": 1, "rows": [{ "Company": "A & <b>" }] })).unwrap();
        assert_eq!(rendered.html.unwrap(), "<p>A &amp; &lt;b&gt;</p>");
        assert_eq!((rendered.text.unwrap().as_str(), rendered.subject.as_str()), ("A & <b>", "1 rows"));
    }

    #[test]
    fn says_all_that_is_wrong_and_where() {
        for (text, at, message) in [
            ("<p>\n{{#if length}}", Some((2, 15)), "invalid handlebars syntax"),
            ("a\n {{shout length}}", Some((2, 2)), "there is no helper `shout`"),
            (
                "{{#if length}}{{else}}{{#each rows}}{{> footer}}{{/each}}{{/if}}",
                Some((1, 37)),
                "there is no partial `footer`",
            ),
            ("{{{rows.0.Company}}}", Some((1, 1)), "puts a value into the HTML unescaped"),
            ("{{lenght}}", Some((1, 1)), "there is no value `lenght`"),
            (
                "{{#each rows}}{{lead.frist_name}}{{/each}}",
                Some((1, 15)),
                "there is no value `lead.frist_name`",
            ),
            ("{{#each rows}}{{length}}{{/each}}", Some((1, 15)), "there is no value `length`"),
            ("{{date rows}}{{truncate length}}", None, "`truncate` needs one more argument"),
        ] {
            let errors = Templates::compile(html(text)).unwrap_err();
            assert!(errors[0].message.contains(message), "{text}: {errors:?}");
            if at.is_some() {
                assert_eq!(errors[0].at, at, "{text}");
            }
        }
        let raw = "{{#*inline \"x\"}}{{{length}}}{{/inline}}";
        for (text, message) in [
            (raw, "`{{*…}}` and `{{#*…}}` are not supported"),
            ("{{#> _a}}{{{length}}}{{/_a}}", "puts a value into the HTML unescaped"),
            (&"{{#if length}}".repeat(600), "the template is nested too deeply"),
            (&format!("{{{{default {}1}}}}", "(not ".repeat(600)), "the template is nested too deeply"),
            ("{{> _a}}", "the template uses itself"),
        ] {
            let mut sources = html(text);
            let partial =
                |text: &str| Source { place: Place::File("_x.html.hbs".into()), text: text.to_owned() };
            sources.html_partials =
                vec![("_a".to_owned(), partial("{{> _b}}")), ("_b".to_owned(), partial("{{> _a}}"))];
            let errors = Templates::compile(sources).unwrap_err();
            assert!(errors.iter().any(|error| error.message.contains(message)), "{text}: {errors:?}");
        }
        let errors = Templates::compile(html("{{a b}}{{> c}}")).unwrap_err();
        assert_eq!(errors.len(), 2);
    }

    #[test]
    fn dates_numbers_and_addresses() {
        for (template, expected) in [
            ("{{date rows.0.at '%d.%m.%Y %H:%M'}}", "05.01.2026 17:00"),
            ("{{date rows.0.at '%H:%M' 'Europe/Paris'}}", "09:00"),
            ("{{date rows.0.net '%Y-%m-%d %H:%M'}}", "2026-01-05 17:00"),
            ("{{date rows.0.word}}", "soon"),
            ("{{default rows.0.none '–'}}", "–"),
            ("{{truncate rows.0.word 2}}", "so…"),
            ("{{safe_url rows.0.bad}}", "#"),
            ("{{json rows.0.none}}", "null"),
        ] {
            let templates = Templates::compile(html(template)).unwrap();
            let row = json!({
                "at": "2026-01-05T08:00:00.1234567Z", "net": "1/5/2026 8:00:00 AM", "word": "soon", "none": null,
                "bad": "javascript:alert(1)",
            });
            let data = json!({ "length": 1, "rows": [row], "flow": { "time_zone": "Asia/Seoul" } });
            assert_eq!(templates.render(&data).unwrap().html.unwrap(), expected, "{template}");
        }
    }
}
