//! What is wrong with flows.toml and its templates: every problem with its place and remedy.

use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, Severity, SourceCode,
};

use super::masked::masked;
use crate::text::advice::Advice;
use crate::text::foreign;

/// Bytes of the longest line that is shown.
const LONGEST_LINE: usize = 2_000;

/// One problem, at its place.
#[derive(Debug, Clone)]
pub struct Problem {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// Only an error keeps the file from being used.
    pub level: Level,
    source: Arc<NamedSource<String>>,
    span: Option<Range<usize>>,
}

/// How much a problem weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The file is not used.
    Error,
    /// Legal, and it loses, repeats or floods.
    Warning,
    /// Legal, and it could be better.
    Note,
}

impl Level {
    /// Its word in `check --json`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// The problems of a file, in the order of their places.
#[derive(Debug, Clone)]
pub struct Report {
    /// At least one of them is an error.
    pub problems: Vec<Problem>,
    /// There is no file whose problems could be counted.
    pub is_unread: bool,
}

/// Where problems gather while a file is read.
#[derive(Debug)]
pub(super) struct Problems<'a> {
    name: &'a str,
    text: &'a str,
    /// Made with the first problem.
    source: OnceCell<Arc<NamedSource<String>>>,
    found: RefCell<Vec<Problem>>,
}

impl<'a> Problems<'a> {
    /// For a file of that name.
    pub(super) fn new(name: &'a str, text: &'a str) -> Self {
        Self { name, text, source: OnceCell::new(), found: RefCell::default() }
    }

    /// The file, with its secrets masked.
    fn source(&self) -> Arc<NamedSource<String>> {
        Arc::clone(self.source.get_or_init(|| {
            Arc::new(NamedSource::new(named(self.name), foreign::of_same_length(&masked(self.text))))
        }))
    }

    pub(super) fn error(&self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.add(span, message.into(), help.into(), Level::Error);
    }

    pub(super) fn warn(&self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.add(span, message.into(), help.into(), Level::Warning);
    }

    pub(super) fn note(&self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.add(span, message.into(), help.into(), Level::Note);
    }

    /// A note about what the file does not have.
    pub(super) fn note_of_all(&self, message: &str, help: String) {
        self.add_in(self.name, "", None, Advice::new(message).with_help(help), Level::Note);
    }

    pub(super) fn add(&self, span: Range<usize>, message: String, help: String, level: Level) {
        let help = (!help.is_empty()).then_some(help).map(shown);
        let message = shown(message);
        let source = self.source();
        self.found.borrow_mut().push(Problem { message, help, level, source, span: Some(span) });
    }

    /// A problem of another file: a template.
    pub(super) fn add_in(
        &self,
        name: &str,
        text: &str,
        at: Option<(usize, usize)>,
        advice: Advice,
        level: Level,
    ) {
        let span = at.map(|(line, column)| {
            let start = offset_of(text, line, column);
            start..start + text[start..].chars().next().map_or(0, char::len_utf8)
        });
        let source = Arc::new(NamedSource::new(named(name), foreign::of_same_length(text)));
        let message = shown(advice.message);
        let help = advice.help.map(shown);
        let problem = Problem { message, help, level, source, span };
        let mut found = self.found.borrow_mut();
        // A template that several flows use is wrong once.
        if !found.iter().any(|other| other.place() == problem.place() && other.message == problem.message) {
            found.push(problem);
        }
    }

    /// The warnings, or everything when there is an error.
    pub(super) fn finish(self) -> Result<Vec<Problem>, Report> {
        let mut problems = self.found.into_inner();
        problems.sort_by_key(|problem| problem.span.as_ref().map(|span| span.start));
        if problems.iter().all(|problem| problem.level != Level::Error) {
            return Ok(problems);
        }
        // Warnings and notes would only distract from the errors.
        problems.retain(|problem| problem.level != Level::Note);
        Err(Report { problems, is_unread: false })
    }
}

impl Problem {
    /// An error that has no place in a file.
    pub(super) fn without_place(name: &str, message: String, help: &str) -> Self {
        let source = Arc::new(NamedSource::new(named(name), String::new()));
        let help = (!help.is_empty()).then(|| shown(help.to_owned()));
        Self { message: shown(message), help, level: Level::Error, source, span: None }
    }

    /// A warning that has no place in a file.
    pub(super) fn warning_without_place(name: &str, message: String, help: &str) -> Self {
        Self { level: Level::Warning, ..Self::without_place(name, message, help) }
    }

    /// File, line and column, the latter two from 1.
    pub fn place(&self) -> (String, Option<(usize, usize)>) {
        let at = self.span.as_ref().map(|span| {
            let before = &self.source.inner()[..span.start.min(self.source.inner().len())];
            let line = before.matches('\n').count() + 1;
            (line, before.rsplit('\n').next().unwrap_or_default().chars().count() + 1)
        });
        (self.source.name().to_owned(), at)
    }

    /// On one line, for the log and for mails.
    pub fn in_one_line(&self) -> String {
        let (file, at) = self.place();
        let at = at.map_or_else(String::new, |(line, column)| format!(":{line}:{column}"));
        let help = self.help.as_ref().map_or_else(String::new, |help| format!("; {help}"));
        format!("{file}{at}: {}{help}", self.message)
    }

    /// Lines that are longer than a screen show nothing, and the report's printer panics on them.
    fn can_be_shown_in_its_line(&self) -> bool {
        let Some(span) = &self.span else { return true };
        let text = self.source.inner();
        let start = text[..span.start.min(text.len())].rfind('\n').map_or(0, |at| at + 1);
        let lines = text[start..].split('\n').take(text[span.clone()].matches('\n').count() + 2);
        lines.map(str::len).max().unwrap_or(0) <= LONGEST_LINE
    }

    fn without_its_line(&self) -> String {
        let (file, at) = self.place();
        let at = at.map_or_else(String::new, |(line, column)| format!(":{line}:{column}"));
        let sign = match self.level {
            Level::Error => '×',
            Level::Warning => '⚠',
            Level::Note => '☞',
        };
        let help = self.help.as_ref().map_or_else(String::new, |help| format!("  help: {help}\n"));
        format!("  {sign} {}\n   at {file}{at}\n{help}", self.message)
    }

    /// With the lines of the file around it; `color` for terminals, in lines of at most `width` where
    /// that can be.
    pub fn shown(&self, color: bool, width: usize) -> String {
        if !self.can_be_shown_in_its_line() {
            return self.without_its_line();
        }
        let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(width).with_links(false);
        // Commands and paths are copied from here.
        let handler = handler
            .with_word_separator(textwrap::WordSeparator::AsciiSpace)
            .with_word_splitter(textwrap::WordSplitter::NoHyphenation)
            .with_break_words(false);
        let mut text = String::new();
        if handler.render_report(&mut text, self).is_err() {
            text.clone_from(&self.message);
        }
        text
    }
}

impl Report {
    /// The first error on one line, and how many there are beside it.
    pub fn in_short(&self) -> String {
        let mut errors = self.problems.iter().filter(|problem| problem.level == Level::Error);
        let first =
            errors.next().map_or_else(|| "flows.toml cannot be used".to_owned(), Problem::in_one_line);
        match errors.count() {
            0 => first,
            more => format!("{first} (and {more} more)"),
        }
    }

    /// Every problem as [`Problem::shown`] has it, and how many there are.
    pub fn shown(&self, color: bool, width: usize) -> String {
        let all: String = self.problems.iter().map(|problem| problem.shown(color, width)).collect();
        match self.summary() {
            Some(summary) => format!("{all}{summary}"),
            None => all.trim_end().to_owned(),
        }
    }

    /// How many problems the file has, if it could be read.
    pub fn summary(&self) -> Option<String> {
        (!self.is_unread).then(|| self.to_string())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.iter().filter(|problem| problem.level == Level::Error).count();
        let file = self.problems.first().map_or_else(String::new, |problem| problem.place().0);
        let noun = if count == 1 { "problem" } else { "problems" };
        write!(f, "{file}: {count} {noun} to fix")
    }
}

impl std::error::Error for Report {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn severity(&self) -> Option<Severity> {
        Some(match self.level {
            Level::Error => Severity::Error,
            Level::Warning => Severity::Warning,
            Level::Note => Severity::Advice,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.span.as_ref().map(|_| &*self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.span.clone()?;
        Some(Box::new(std::iter::once(LabeledSpan::new_primary_with_span(None, span))))
    }
}

/// A file's name, which may be anybody's, as it is shown.
fn named(name: &str) -> String {
    foreign::line(name, usize::MAX)
}

/// Words that may hold a piece of the file: a template's error has several lines.
fn shown(words: String) -> String {
    let cleaned = foreign::lines(&words);
    if cleaned == words { words } else { cleaned }
}

fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = &text[start..];
    start + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(offset, _)| offset)
}
