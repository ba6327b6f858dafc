//! The templates of a flow: its subject, and a file of the templates folder, a text in the file
//! itself, or one that comes with the program.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::reader::{Section, did_you_mean};
use crate::mail::templates::{Place, Source, Sources, TemplateError, Templates};

/// The templates that come with the program: name, HTML, text.
const SHIPPED: [(&str, &str, &str); 2] = [
    (
        "marketplace-leads",
        include_str!("../../templates/marketplace-leads.html.hbs"),
        include_str!("../../templates/marketplace-leads.txt.hbs"),
    ),
    ("rows", include_str!("../../templates/rows.html.hbs"), include_str!("../../templates/rows.txt.hbs")),
];
/// What a flow without a template gets: it shows every column of any table.
const DEFAULT: &str = "rows";
const DEFAULT_SUBJECT: &str = "{{flow.name}}: {{length}} new {{#if (eq length 1)}}row{{else}}rows{{/if}}";

const HTML: &str = ".html.hbs";
const TEXT: &str = ".txt.hbs";

/// The templates folder, read once.
pub(super) struct Shelf {
    folder: PathBuf,
    files: BTreeMap<String, Result<String, String>>,
}

impl Shelf {
    /// Reads every template of the folder; there may be none.
    pub(super) fn open(folder: &Path) -> Self {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.path().extension().is_some_and(|ending| ending == "hbs") {
                files.insert(name, super::read(&entry.path()));
            }
        }
        Self { folder: folder.to_owned(), files }
    }

    fn source(&self, file: &str) -> Option<Result<Source, String>> {
        let text = self.files.get(file)?.clone();
        Some(text.map(|text| Source { place: Place::File(self.folder.join(file)), text }))
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
pub(super) fn read(section: &Section<'_>, shelf: &Shelf) -> Option<Templates> {
    let (subject, template, body) = (section.text("subject"), section.text("template"), section.text("body"));
    let subject_text = subject.as_ref().map_or(DEFAULT_SUBJECT, |text| text.get_ref());
    for problem in shelf.unreadable_partials() {
        section.problems.error_in(problem, "", None, problem, None);
    }
    let mut sources = Sources {
        subject: Source { place: Place::Subject, text: subject_text.to_owned() },
        html_partials: shelf.partials(HTML),
        text_partials: shelf.partials(TEXT),
        ..Sources::default()
    };
    match (&template, &body) {
        (Some(_), Some(body)) => {
            section.problems.error(body.span(), "body does not go with template", "leave one of them out");
            return None;
        }
        (None, Some(body)) => {
            let source = Source { place: Place::Body, text: body.get_ref().clone() };
            let is_html = source.text.trim_start().starts_with('<');
            (sources.html, sources.text) = if is_html { (Some(source), None) } else { (None, Some(source)) };
        }
        (Some(name), None) => named(section, shelf, name, &mut sources)?,
        (None, None) => (sources.html, sources.text) = shipped(DEFAULT)?,
    }
    let texts = sources.clone();
    Templates::compile(sources)
        .map_err(|errors| {
            for error in errors {
                report(section, &texts, [subject.as_ref(), body.as_ref()], &error);
            }
        })
        .ok()
}

fn named(section: &Section<'_>, shelf: &Shelf, name: &Spanned<String>, sources: &mut Sources) -> Option<()> {
    let files = [HTML, TEXT].map(|ending| shelf.source(&format!("{}{ending}", name.get_ref())));
    let mut read = files.map(std::option::Option::transpose);
    for problem in read.iter_mut().filter_map(|file| file.as_mut().err()) {
        section.problems.error(name.span(), std::mem::take(problem), "");
    }
    let [html, text] = read.map(|file| file.ok().flatten());
    if html.is_some() || text.is_some() {
        (sources.html, sources.text) = (html, text);
    } else if let Some((html, text)) = shipped(name.get_ref()) {
        (sources.html, sources.text) = (html, text);
    } else {
        let names = shelf.names();
        let help = format!(
            "{}there is {}; or put {}{HTML} into {}",
            did_you_mean(name.get_ref(), &names),
            names.join(", "),
            name.get_ref(),
            shelf.folder.display()
        );
        section.problems.error(name.span(), format!("there is no template `{}`", name.get_ref()), help);
        return None;
    }
    Some(())
}

fn shipped(name: &str) -> Option<(Option<Source>, Option<Source>)> {
    let (_, html, text) = SHIPPED.into_iter().find(|(shipped, ..)| *shipped == name)?;
    let source = |text: &str, ending: &str| {
        Some(Source { place: Place::Shipped(format!("{name}{ending}")), text: text.to_owned() })
    };
    Some((source(html, HTML), source(text, TEXT)))
}

/// Points into the template's own file, or at the value in flows.toml.
fn report(
    section: &Section<'_>,
    sources: &Sources,
    values: [Option<&Spanned<String>>; 2],
    error: &TemplateError,
) {
    let [subject, body] = values;
    let place =
        error.at.map_or_else(String::new, |(line, column)| format!(" (line {line}, column {column})"));
    let in_file = |value: Option<&Spanned<String>>| {
        let span = value.map_or_else(|| section.span(), Spanned::span);
        let help = error.help.clone().unwrap_or_default();
        section.problems.error(span, format!("{}: {}{place}", error.place, error.message), help);
    };
    match &error.place {
        Place::Subject => in_file(subject),
        Place::Body => in_file(body),
        Place::Shipped(_) => in_file(None),
        Place::File(path) => {
            let partials =
                sources.html_partials.iter().chain(&sources.text_partials).map(|(_, source)| source);
            let all = sources.html.iter().chain(&sources.text).chain(partials);
            let text =
                all.filter(|source| source.place == error.place).map(|source| source.text.as_str()).next();
            let name = path.display().to_string();
            section.problems.error_in(
                &name,
                text.unwrap_or_default(),
                error.at,
                &error.message,
                error.help.clone(),
            );
        }
    }
}
