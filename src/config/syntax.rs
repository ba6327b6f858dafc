//! What a mistake in TOML most likely is, and what to write instead. No value of the file is ever in it.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

/// A mistake, in words for somebody who has not met TOML before.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) help: String,
}

/// Mistakes that are shown; the others mostly follow from them.
const MOST: usize = 20;

/// The first mistake of each line; what follows from another one is left out.
pub(super) fn mistakes(text: &str, parsed: &DeTable<'_>, errors: &[Error]) -> Vec<Mistake> {
    let span_of = |error: &Error| within(text, error.span().unwrap_or(0..0));
    let mut spans: Vec<_> = errors.iter().map(|error| (span_of(error), error)).collect();
    spans.sort_by_key(|(span, _)| span.start);
    let mut found = Vec::new();
    let mut twice: Vec<String> = Vec::new();
    // Up to here the text is read as a part of what has no end.
    let mut read_on = 0;
    for (span, error) in spans {
        if found.len() == MOST {
            break;
        }
        if span.start < read_on {
            continue;
        }
        read_on = end_of(text, &span, error.message());
        let mistake = if error.message() == "duplicate key" {
            let path = path_at(text, &span);
            if twice.iter().any(|known| path.starts_with(&format!("{known}."))) {
                continue;
            }
            let mistake = given_twice(text, parsed, span, &path);
            twice.push(path);
            mistake
        } else {
            explained(text, span, error.message())
        };
        found.push(mistake);
    }
    found
}

/// Where the line ends, and what is read as a part of it.
fn end_of(text: &str, span: &Range<usize>, message: &str) -> usize {
    let line_after = |at: usize| text[at..].find('\n').map_or(text.len(), |end| at + end + 1);
    if message.contains("array elements") {
        return text.len() + 1;
    }
    let next = line_after(span.start);
    let is_text = message.starts_with("invalid basic string") || message.starts_with("invalid literal");
    if is_text { line_after(next) } else { next }
}

fn within(text: &str, span: Range<usize>) -> Range<usize> {
    let start = (0..=span.start.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let end = (span.end.max(start)..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    start..end
}

/// The line around a place: from its start up to the place, and from there to its end.
fn line_at(text: &str, at: usize) -> (&str, &str) {
    let start = text[..at].rfind('\n').map_or(0, |before| before + 1);
    let end = text[at..].find('\n').map_or(text.len(), |after| at + after);
    (&text[start..at], &text[at..end])
}

fn explained(text: &str, span: Range<usize>, message: &str) -> Mistake {
    let (before, after) = line_at(text, span.start);
    let (message, help) = of_sign(before, after, message)
        .or_else(|| of_value(before, after, message))
        .or_else(|| of_line(before, after, message))
        .unwrap_or_else(|| {
            let help = "a line is `key = value`, with strings in quotes, or a [table]; see https://toml.io";
            (message.to_owned(), help.to_owned())
        });
    Mistake { span, message, help }
}

/// Keys whose value is a secret.
const SECRETS: [&str; 5] = ["connection_string", "shared_key", "sas", "password", "client_secret"];

type Words = (String, String);

#[expect(clippy::unnecessary_wraps, reason = "the answer of those that look for a mistake")]
fn words(message: &str, help: &str) -> Option<Words> {
    Some((message.to_owned(), help.to_owned()))
}

/// The key that the line gives a value to, for an example.
fn key_of(before: &str) -> &str {
    let before = before.rsplit_once('=').map_or(before, |(before, _)| before).trim_end();
    let is_other = |c: char| !c.is_ascii_alphanumeric() && !"_-.".contains(c);
    let key = before.rsplit(is_other).next().unwrap_or_default();
    if key.is_empty() { "key" } else { key }
}

/// Signs that look like those of TOML and are others.
fn of_sign(before: &str, after: &str, message: &str) -> Option<Words> {
    let first = after.chars().next();
    let is_open_text =
        message.starts_with("invalid basic string") || message.starts_with("invalid literal string");
    let quotes = ['“', '”', '„', '‟', '‘', '’', '‚', '«', '»', '＂', '＇', '´', '`'];
    if first.is_some_and(|c| quotes.contains(&c)) || (is_open_text && before.ends_with(&quotes[..])) {
        let help = format!(
            "write straight quotes: {} = \"…\"; word processors and chat programs change them",
            key_of(before)
        );
        return Some(("the quotes are curly".to_owned(), help));
    }
    let named = match first? {
        '\u{a0}' => "a no-break space",
        '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => "an invisible character",
        '\u{3000}' => "a full-width space",
        '\u{ff01}'..='\u{ff5e}' => "a full-width character",
        '–' | '—' | '−' => "a dash that is not a hyphen",
        '\0' => "a NUL character",
        c if c.is_control() => "a control character",
        _ => return None,
    };
    Some((
        format!("there is {named} here"),
        "type it again on the keyboard, as a plain space, `=`, quotes or hyphen".to_owned(),
    ))
}

fn of_value(before: &str, after: &str, message: &str) -> Option<Words> {
    let key = key_of(before);
    let is_escape = message.contains("escaped value") || message.contains("unicode");
    if is_escape {
        let help = format!(
            "in a path write / or \\\\, or put the string in single quotes: {key} = 'C:\\folder\\file'"
        );
        return Some(("in double quotes a backslash starts an escape sequence".to_owned(), help));
    }
    if message.contains("basic string") || message.contains("literal string, expected") {
        return words("the quoted string is not closed on its line", "close it with the same quote");
    }
    if message.contains("leading zero") {
        return words("a number cannot start with 0", "write 8, not 08");
    }
    if !message.contains("string values must be quoted") && !message.contains("invalid boolean") {
        return None;
    }
    let value = after.split(['#', ',', '}', ']']).next().unwrap_or_default().trim();
    if value.is_empty() {
        return Some(("the value is missing".to_owned(), format!("write {key} = …, or remove the line")));
    }
    let switch = match value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some("true"),
        "false" | "no" | "off" => Some("false"),
        _ => None,
    };
    Some(match switch {
        Some(switch) => (format!("`{value}` is not a value"), format!("write {key} = {switch}")),
        None if SECRETS.contains(&key) => {
            let help = format!(
                "a secret must not be in this file: write {key} = {{ env = \"NAME\" }} or {{ file = \
                 \"/path\" }}"
            );
            ("the value is not in quotes".to_owned(), help)
        }
        None => ("the value is not in quotes".to_owned(), format!("put it in quotes: {key} = \"…\"")),
    })
}

fn of_line(before: &str, after: &str, message: &str) -> Option<Words> {
    if after.starts_with('{') && before.trim().is_empty() {
        return words(
            "this is JSON",
            "flows.toml is TOML; see docs/flows.md, or start from the flows.toml that comes with leadflow",
        );
    }
    if after.starts_with(':') {
        let help = format!("write {} = \"…\"", key_of(before));
        return Some(("`:` is used where `=` belongs".to_owned(), help));
    }
    if message.contains("unquoted key") && after.chars().next().is_some_and(char::is_alphanumeric) {
        return words(
            "a name contains characters other than a to z",
            "put the name in quotes; names of flows and connections use a to z, digits, - and _",
        );
    }
    if message.contains("unquoted key") {
        return words(
            "a line cannot start like this",
            "a line is `key = value` or [table]; a comment starts with #",
        );
    }
    if message.contains("key with no value") {
        return words("the line has no `=`", "write key = value; a comment starts with #");
    }
    if message.contains("array elements") {
        return words(
            "the list before this is not closed, or a comma is missing",
            "close it with ], and write commas between its items",
        );
    }
    if message.contains("unclosed array") {
        return words("the list is not closed", "close it with ]");
    }
    if message.contains("unclosed inline table") {
        return words("the table in braces is not closed", "close it with }");
    }
    if message.contains("unclosed table") {
        return words("the name of the table is not closed", "close it with ]");
    }
    if !message.contains("expected newline") {
        return None;
    }
    match after.trim_start() {
        rest if rest.starts_with(';') => words("the line ends with ;", "remove it"),
        rest if rest.starts_with("//") => words("`//` does not start a comment", "start it with #"),
        rest if rest.starts_with(',') => {
            words("the line ends with a comma", "remove it, or put several values into [ ]")
        }
        _ => words(
            "there is something after the value",
            "write one key per line; a string has one pair of quotes",
        ),
    }
}

/// The dotted name at a place: of a key with the table that it is in, of a header up to there.
fn path_at(text: &str, span: &Range<usize>) -> String {
    let (before, _) = line_at(text, span.start);
    let name = text[span.clone()].trim_matches(['"', '\'']);
    let here = before.trim_start();
    if let Some(header) = here.strip_prefix('[') {
        return format!("{}{name}", header.trim_start_matches('[').trim_start());
    }
    let lines = text[..span.start - before.len()].lines().rev();
    let header = lines.map(str::trim).find(|line| line.starts_with('[') && line.contains(']'));
    let header = header.map(|line| line.trim_start_matches('[').split(']').next().unwrap_or_default().trim());
    let dotted = format!("{here}{name}");
    header.map_or_else(|| dotted.clone(), |header| format!("{header}.{dotted}"))
}

fn given_twice(text: &str, parsed: &DeTable<'_>, span: Range<usize>, path: &str) -> Mistake {
    let is_header = line_at(text, span.start).0.trim_start().starts_with('[');
    let line = if is_header {
        let is_first = |line: &str| line.trim().trim_matches(['[', ']']).replace(' ', "") == path;
        text[..span.start].lines().position(is_first).map(|line| line + 1)
    } else {
        let first = first_place(parsed, path).filter(|at| *at < span.start);
        first.map(|at| text[..at].matches('\n').count() + 1)
    };
    let name = text[span.clone()].trim_matches(['"', '\'']);
    let place = line.map_or_else(String::new, |line| format!(": first on line {line}"));
    let (message, help) = if is_header {
        (
            format!("the table [{path}] is defined twice{place}"),
            "put its keys together under one header, or give it another name",
        )
    } else {
        (format!("`{name}` is defined twice{place}"), "keep one of them")
    };
    Mistake { span, message, help: help.to_owned() }
}

/// Where a key is first.
fn first_place(table: &DeTable<'_>, path: &str) -> Option<usize> {
    let mut table = table;
    let mut parts = path.split('.').map(|part| part.trim().trim_matches(['"', '\''])).peekable();
    while let Some(part) = parts.next() {
        let (key, value) = table.iter().find(|(key, _)| key.get_ref() == part)?;
        if parts.peek().is_none() {
            return Some(key.span().start);
        }
        let DeValue::Table(inner) = Spanned::get_ref(value) else { return None };
        table = inner;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let (root, errors) = DeTable::parse_recoverable(text);
        let line = |mistake: &Mistake| {
            let line = text[..mistake.span.start].matches('\n').count() + 1;
            format!("{line}: {} | {}", mistake.message, mistake.help)
        };
        let found = mistakes(text, root.get_ref(), &errors);
        found.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn each_mistake_has_its_remedy() {
        let files = [
            "zone = “Asia/Seoul”",
            "zone = \"Asia/Seoul”",
            "zone = ‘Asia/Seoul’",
            "zone = Asia/Seoul",
            "zone: \"Asia/Seoul\"",
            "zone\u{a0}= \"Asia/Seoul\"",
            "zone ＝ \"Asia/Seoul\"",
            "zone = \"Asia/Seoul",
            "zone = \"Asia/\nSeoul\"\nx = 1",
            "zone = \"Asia/Seoul\"; x",
            "zone = \"Asia/Seoul\" // here",
            "zone = \"Asia/Seoul\",",
            "zone = \"Asia\" \"Seoul\"",
            "// here",
            "zone",
            "login = { password = { file = \"C:\\Users\\me\" } }",
            "catch_up = True",
            "catch_up = { on = yes }",
            "interval = 08",
            "to = [\"a\", \"b\"\nx = 1\ny = 2",
            "[flows.leads",
            "a = { b = 1",
            "[flows.콘토소]",
            "{\"settings\": {}}",
            "a\0 = 1",
            "x = 1\nx = 2",
            "[a]\nx = 1\n[b]\nx = 1\n[ a ]\nx = 2\ny = 1",
            "[a]\nb.c = 1\nb.c = 2",
            "[a]\n\"b\" = 1\nb = 2",
            "x = 1\n\n= 2\ny = “1”",
            "x =\ny = # none",
        ];
        let all: Vec<String> = files.iter().map(|text| format!("{text}\n    → {}", shown(text))).collect();
        insta::assert_snapshot!(all.join("\n"));
    }
}
