//! The templates of a flow: its subject, and a file of the templates folder, a text in the file
//! itself, or one that comes with the program.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use toml::Spanned;

use super::reader::Section;
use super::report::{Level, Problems};
use crate::flow::{Each, FlowTable, KEYS};
use crate::platform::ownership;
use crate::rows::lead;
use crate::template::{NamedColumn, Source, Sources, TemplateError, TemplateLocation, Templates};
use crate::text::advice::Advice;
use crate::text::near::did_you_mean;

/// The templates that come with the program: name, HTML, text.
const SHIPPED: [(&str, &str, &str); 5] = [
    (
        "marketplace-leads",
        include_str!("../../templates/marketplace-leads.html.hbs"),
        include_str!("../../templates/marketplace-leads.txt.hbs"),
    ),
    (
        "marketplace-leads.ko",
        include_str!("../../templates/marketplace-leads.ko.html.hbs"),
        include_str!("../../templates/marketplace-leads.ko.txt.hbs"),
    ),
    (
        "marketplace-lead",
        include_str!("../../templates/marketplace-lead.html.hbs"),
        include_str!("../../templates/marketplace-lead.txt.hbs"),
    ),
    (
        "marketplace-lead.ko",
        include_str!("../../templates/marketplace-lead.ko.html.hbs"),
        include_str!("../../templates/marketplace-lead.ko.txt.hbs"),
    ),
    ("rows", include_str!("../../templates/rows.html.hbs"), include_str!("../../templates/rows.txt.hbs")),
];
/// What a flow with `each = "row"` sends when its rows are too many for single mails.
const DIGESTS: [(&str, &str); 2] =
    [("marketplace-lead", "marketplace-leads"), ("marketplace-lead.ko", "marketplace-leads.ko")];
/// What a flow without a template gets: it shows every column of any table.
const DEFAULT: &str = "rows";
const DEFAULT_SUBJECT: &str = "{{flow.name}}: {{length}} new {{#if (eq length 1)}}row{{else}}rows{{/if}}";

const HTML: &str = ".html.hbs";
const TEXT: &str = ".txt.hbs";
/// The endings of files that somebody may have meant as templates, in any case.
const ALMOST: [&str; 5] = [".hbs", ".handlebars", ".mustache", ".html", ".htm"];

/// The templates folder, read once.
pub(super) struct TemplateFolder {
    folder: PathBuf,
    files: BTreeMap<String, Result<String, String>>,
    /// Files that look like templates, and do not have the name of one.
    misnamed: Vec<String>,
    /// Why the folder cannot be read.
    failure: Option<String>,
    /// The templates of flows.
    used: RefCell<BTreeSet<String>>,
    /// Flows mostly share their templates, which take more room than all else of them.
    compiled: RefCell<BTreeMap<Wanted, Arc<Templates>>>,
}

/// The templates of a flow, and those of the digest that may stand in for them.
type Wanted = (Sources, Option<Sources>);

impl TemplateFolder {
    /// Reads every template of the folder; there may be none.
    pub(super) fn open(folder: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut misnamed = Vec::new();
        let failure = names_in(folder).map(|names| {
            for name in names {
                if name.ends_with(HTML) || name.ends_with(TEXT) {
                    let text = super::read(&folder.join(&name), super::LARGEST_TEMPLATE);
                    files.insert(name, text.map_err(|found| format!("{}; {}", found.message, found.help)));
                } else if ALMOST.iter().any(|ending| name.to_lowercase().ends_with(ending)) {
                    misnamed.push(name);
                }
            }
        });
        let failure = failure.err().map(|error| {
            format!("cannot read the templates folder: {}", ownership::explained(folder, &error))
        });
        misnamed.sort();
        let compiled = RefCell::default();
        let used = RefCell::default();
        Self { folder: folder.to_owned(), files, misnamed, failure, used, compiled }
    }

    /// The names and texts of those that can be read, in their order.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter_map(|(name, text)| Some((name.as_str(), text.as_deref().ok()?)))
    }

    /// Checks what no flow has asked for: somebody is at work on it, or has its name wrong.
    pub(super) fn check_rest(&self, problems: &Problems<'_>) {
        let name = |file: &str| self.folder.join(file).display().to_string();
        if let Some(failure) = &self.failure {
            let folder = self.folder.display().to_string();
            let help = "let leadflow's user read it, or remove it".to_owned();
            problems.add_in(&folder, "", None, Advice::new(failure).with_help(help), Level::Error);
        }
        for file in &self.misnamed {
            let message = format!("{} is ignored: its name is not a template name", name(file));
            let help = format!("name it NAME{HTML} or NAME{TEXT}");
            let advice = Advice::new(message).with_help(help);
            problems.add_in(&name(file), "", None, advice, Level::Warning);
        }
        let used = self.used.borrow();
        let names = self.files.keys().filter(|file| !file.starts_with('_'));
        let names = names.filter_map(|file| file.strip_suffix(HTML).or(file.strip_suffix(TEXT)));
        let unused: BTreeSet<&str> = names.filter(|name| !used.contains(*name)).collect();
        for stem in unused {
            let [html, text] = [HTML, TEXT].map(|ending| self.source(&format!("{stem}{ending}")));
            for problem in [&html, &text].into_iter().flatten().filter_map(|source| source.as_ref().err()) {
                problems.add_in(&name(stem), "", None, Advice::new(problem), Level::Warning);
            }
            let [html, text] = [html, text].map(|source| source.and_then(Result::ok));
            // The package puts them there for those who want to change them.
            if !is_as_shipped(stem, html.as_ref(), text.as_ref()) {
                self.try_out(html, text, problems);
            }
        }
        if used.is_empty() {
            self.try_out(None, None, problems);
        }
    }

    /// Compiles a template that no flow has asked for. Partials are checked with the templates of flows, or
    /// here where there is none.
    fn try_out(&self, html: Option<Source>, text: Option<Source>, problems: &Problems<'_>) {
        let own: Vec<TemplateLocation> =
            html.iter().chain(&text).map(|source| source.place.clone()).collect();
        let subject = Source { place: TemplateLocation::Subject, text: DEFAULT_SUBJECT.to_owned() };
        let html_partials = self.partials(HTML);
        let text_partials = self.partials(TEXT);
        let sources = Sources { subject, html, text, html_partials, text_partials };
        let reporter =
            TemplateReporter { problems, section: None, sources: sources.clone(), subject: None, body: None };
        let found = Templates::compile(sources);
        let found = found.as_ref().map_or_else(Vec::as_slice, Templates::risks);
        for TemplateError { place, at, message, help } in found {
            let is_own = own.contains(place);
            if is_own || own.is_empty() {
                let message = if is_own {
                    format!("no flow uses this template yet: {message}")
                } else {
                    message.clone()
                };
                reporter.report(place, *at, Advice { message, help: help.clone() }, Level::Warning);
            }
        }
    }

    /// Compiles what no other flow has asked for yet.
    fn compiled(&self, wanted: Wanted) -> Result<Arc<Templates>, Vec<TemplateError>> {
        let mut compiled = self.compiled.borrow_mut();
        if let Some(known) = compiled.get(&wanted) {
            return Ok(Arc::clone(known));
        }
        let digest = wanted.1.clone().and_then(|digest| Templates::compile(digest).ok());
        let templates = Arc::new(Templates::compile(wanted.0.clone())?.with_digest(digest));
        compiled.insert(wanted, Arc::clone(&templates));
        Ok(templates)
    }

    fn source(&self, file: &str) -> Option<Result<Source, String>> {
        let text = self.files.get(file)?.clone();
        Some(text.map(|text| Source { place: TemplateLocation::File(self.folder.join(file)), text }))
    }

    /// The files that begin with `_`, named without their ending.
    fn partials(&self, ending: &str) -> Vec<(String, Source)> {
        let names = self.files.keys().filter(|file| file.starts_with('_') && file.ends_with(ending));
        let found =
            names.filter_map(|file| Some((file.strip_suffix(ending)?.to_owned(), self.source(file)?.ok()?)));
        found.collect()
    }

    /// What keeps partials from being read.
    fn unreadable_partials(&self) -> impl Iterator<Item = &str> {
        let partials = self.files.iter().filter(|(file, _)| file.starts_with('_'));
        partials.filter_map(|(_, text)| text.as_ref().err().map(String::as_str))
    }

    /// The names that `template = "…"` may have.
    fn names(&self) -> Vec<&str> {
        let of_folder = self.files.keys().filter(|file| !file.starts_with('_'));
        let of_folder = of_folder.filter_map(|file| file.strip_suffix(HTML).or(file.strip_suffix(TEXT)));
        let mut names: Vec<_> = of_folder.chain(SHIPPED.iter().map(|(name, ..)| *name)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// Compiles the templates that `subject`, `template` and `body` ask for.
/// `table` is what the flow reads.
pub(super) fn read(
    section: &Section<'_>,
    templates: &TemplateFolder,
    table: Option<&FlowTable>,
    each: Each,
) -> Option<Arc<Templates>> {
    let subject = section.text("subject");
    let template = section.text("template");
    let body = section.text("body");
    let subject_text = subject.as_ref().map_or(DEFAULT_SUBJECT, |text| text.get_ref());
    for problem in templates.unreadable_partials() {
        section.problems.add_in(problem, "", None, Advice::new(problem), Level::Error);
    }
    let mut sources = Sources {
        subject: Source { place: TemplateLocation::Subject, text: subject_text.to_owned() },
        html_partials: templates.partials(HTML),
        text_partials: templates.partials(TEXT),
        ..Sources::default()
    };
    match (&template, &body) {
        (Some(_), Some(body)) => {
            section.problems.error(
                body.span(),
                "`body` cannot be combined with `template`",
                "remove one of them",
            );
            return None;
        }
        (None, Some(body)) => {
            let source = Source { place: TemplateLocation::Body, text: body.get_ref().clone() };
            let is_html = source.text.trim_start().starts_with('<');
            (sources.html, sources.text) = if is_html { (Some(source), None) } else { (None, Some(source)) };
        }
        (Some(name), None) => named(section, templates, name, &mut sources)?,
        (None, None) => (sources.html, sources.text) = shipped(DEFAULT)?,
    }
    let digest = (each == Each::Row).then(|| digest(template.as_ref(), &sources)).flatten();
    let problems = section.problems;
    let reporter =
        TemplateReporter { problems, section: Some(section), sources: sources.clone(), subject, body };
    match templates.compiled((sources, digest)) {
        Ok(templates) => {
            for TemplateError { place, at, message, help } in templates.risks() {
                let advice = Advice { message: message.clone(), help: help.clone() };
                reporter.report(place, *at, advice, Level::Warning);
            }
            if let Some(table) = table {
                reporter.check_columns(&templates, table);
            }
            Some(templates)
        }
        Err(errors) => {
            for TemplateError { place, at, message, help } in errors {
                reporter.report(&place, at, Advice { message, help }, Level::Error);
            }
            None
        }
    }
}

/// The digest that stands in for a template of single rows: the shipped one of its language, or the
/// plain one of all columns.
fn digest(template: Option<&Spanned<String>>, single: &Sources) -> Option<Sources> {
    let name = template.and_then(|name| DIGESTS.iter().find(|(of, _)| of == name.get_ref()));
    let (html, text) = shipped(name.map_or(DEFAULT, |(_, digest)| digest))?;
    Some(Sources { html, text, subject: single.subject.clone(), ..single.clone() })
}

fn named(
    section: &Section<'_>,
    templates: &TemplateFolder,
    name: &Spanned<String>,
    sources: &mut Sources,
) -> Option<()> {
    templates.used.borrow_mut().insert(name.get_ref().clone());
    let files = [HTML, TEXT].map(|ending| templates.source(&format!("{}{ending}", name.get_ref())));
    let mut read = files.map(std::option::Option::transpose);
    for problem in read.iter_mut().filter_map(|file| file.as_mut().err()) {
        section.problems.error(name.span(), std::mem::take(problem), "");
    }
    if read.iter().any(Result::is_err) {
        return None;
    }
    let [html, text] = read.map(|file| file.ok().flatten());
    if html.is_some() || text.is_some() {
        (sources.html, sources.text) = (html, text);
    } else if let Some((html, text)) = shipped(name.get_ref()) {
        (sources.html, sources.text) = (html, text);
    } else {
        let names = templates.names();
        let help = format!(
            "{}there is {}; or put {}{HTML} into {}",
            did_you_mean(name.get_ref(), &names),
            names.join(", "),
            name.get_ref(),
            templates.folder.display()
        );
        section.problems.error(name.span(), format!("there is no template `{}`", name.get_ref()), help);
        return None;
    }
    Some(())
}

fn is_as_shipped(name: &str, html: Option<&Source>, text: Option<&Source>) -> bool {
    let same = |(_, shipped_html, shipped_text): &(&str, &str, &str)| {
        html.is_none_or(|source| source.text == *shipped_html)
            && text.is_none_or(|source| source.text == *shipped_text)
    };
    SHIPPED.iter().filter(|(shipped, ..)| *shipped == name).any(same)
}

fn shipped(name: &str) -> Option<(Option<Source>, Option<Source>)> {
    let (_, html, text) = SHIPPED.into_iter().find(|(shipped, ..)| *shipped == name)?;
    let source = |text: &str, ending: &str| {
        Some(Source { place: TemplateLocation::Shipped(format!("{name}{ending}")), text: text.to_owned() })
    };
    Some((source(html, HTML), source(text, TEXT)))
}

/// Reports problems of a flow's templates where they are: in flows.toml or in their own files.
struct TemplateReporter<'a> {
    problems: &'a Problems<'a>,
    /// `None` of templates that no flow has asked for.
    section: Option<&'a Section<'a>>,
    sources: Sources,
    subject: Option<Spanned<String>>,
    body: Option<Spanned<String>>,
}

impl TemplateReporter<'_> {
    /// Points into the template's own file, or at the value in flows.toml.
    fn report(&self, place: &TemplateLocation, at: Option<(usize, usize)>, advice: Advice, level: Level) {
        let words = at.map_or_else(String::new, |(line, column)| format!(" (line {line}, column {column})"));
        let here = |value: Option<&Spanned<String>>, Advice { message, help }: Advice| {
            let of_section = || self.section.map_or(0..0, Section::span);
            let span = value.map_or_else(of_section, Spanned::span);
            let message = format!("{place}: {message}{words}");
            self.problems.add(span, message, help.unwrap_or_default(), level);
        };
        match place {
            TemplateLocation::Subject => here(self.subject.as_ref(), advice),
            TemplateLocation::Body => here(self.body.as_ref(), advice),
            TemplateLocation::Shipped(_) => here(None, advice),
            TemplateLocation::File(path) => {
                let Sources { html, text, html_partials, text_partials, .. } = &self.sources;
                let partials = html_partials.iter().chain(text_partials).map(|(_, source)| source);
                let text = html.iter().chain(text).chain(partials).find(|source| source.place == *place);
                let text = text.map(|source| source.text.as_str()).unwrap_or_default();
                let name = path.display().to_string();
                self.problems.add_in(&name, text, at, advice, level);
            }
        }
    }

    /// What the templates name and no row of this flow is known to have.
    fn check_columns(&self, templates: &Templates, table: &FlowTable) {
        let of_table: &[String] = table.select.as_deref().unwrap_or(&table.columns);
        let of_lead = lead::COLUMNS.into_iter().filter(|_| table.select.is_none());
        let known: Vec<&str> =
            KEYS.into_iter().chain(of_table.iter().map(String::as_str)).chain(of_lead).collect();
        let mut reported = BTreeSet::new();
        for NamedColumn { name, place, at } in templates.columns() {
            if table.declares(name) || !reported.insert(name) {
                continue;
            }
            let nearest = did_you_mean(name, &known);
            if table.select.is_some() {
                let help = format!("{nearest}add it to `select`, or remove it from the template");
                let message = format!("rows have no column `{name}`, because `select` does not include it");
                self.report(place, *at, Advice::new(message).with_help(help), Level::Error);
                continue;
            }
            let message = format!(
                "`{name}` is not a known column: if a run's rows lack it, they are mailed as a plain listing"
            );
            let help = format!(
                "{nearest}if the table has this column, write columns = [\"{name}\"] in the flow's table section; it \
                 is then empty where rows lack it"
            );
            self.report(place, *at, Advice::new(message).with_help(help), Level::Warning);
        }
    }
}

/// The names of the files in a folder; none where there is no folder. A link that leads nowhere is not a folder.
fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(folder).is_err() => {
            return Ok(Vec::new());
        }
        entries => entries?,
    };
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}
