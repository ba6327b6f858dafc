//! The border: text that others wrote (services, servers, libraries, tables) passes here once before
//! it reaches the log, a terminal, the state, the history or a mail.
//!
//! On this side of it a text is one line of bounded length, has nothing that moves a cursor, colours
//! a terminal or turns the direction of reading, and no secret that this process has read
//! (`know`): neither plain nor percent-encoded, escaped, upper-cased, in base64 (as AUTH and
//! `Proxy-Authorization` have it) nor broken over lines.

mod forms;
mod marks;
mod secrets;
mod signs;
mod skeleton;

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Value;

pub use secrets::{Kind, know, know_text, know_whole};
pub use signs::{does_something, of_same_length};
use skeleton::Skeleton;

/// Stands for what is taken out.
const GAP: &str = "…";
/// Bytes that are looked at for each character that is kept at most: what is cut is not cleaned first.
const LOOKED_AT: usize = 16;
/// Bytes of a secret that stand alone and are not known for it.
const UNKNOWN: usize = 32;
/// Characters of an error code.
const LONGEST_CODE: usize = 64;

/// The text as one line of at most this many characters.
pub fn line(text: &str, limit: usize) -> String {
    let looked_at = &text[..text.floor_char_boundary(limit.saturating_mul(LOOKED_AT))];
    let mut line = signs::line(&without_secrets(looked_at));
    if looked_at.len() < text.len() {
        // The cut may go through a secret, whose start is too short to be known for it.
        line.truncate(line.floor_char_boundary(line.len().saturating_sub(UNKNOWN)));
    }
    let is_longer = line.char_indices().nth(limit).is_some();
    match line.char_indices().nth(limit.saturating_sub(1)) {
        Some((end, _)) if is_longer => format!("{}{GAP}", line[..end].trim_end()),
        None if looked_at.len() < text.len() => format!("{line}{GAP}"),
        _ => line,
    }
}

/// The text in its own lines, for a terminal: tabs and line feeds stay.
pub fn lines(text: &str) -> String {
    signs::lines(&without_secrets(text))
}

/// A text of a row without secrets. A row is passed on as it is, so only what cannot be a word of it is
/// taken out: a long piece of a secret that this process has read.
pub fn of_row(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.len() < forms::PIECE || !secrets::may_be_in(&text) {
        return text;
    }
    let skeleton = Skeleton::of(&text);
    let mut found = secrets::find(&skeleton);
    found.retain(|range| range.len() >= forms::PIECE);
    found.sort_by_key(|range| range.start);
    if found.is_empty() { text } else { without(&text, &skeleton, found).into() }
}

/// The text, if it looks like a code: ASCII letters, digits, `.`, `_` and `-`, and not many of them.
pub fn code(text: &str) -> Option<&str> {
    let is_of_code = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let is_code = !text.is_empty() && text.len() <= LONGEST_CODE && text.chars().all(is_of_code);
    (is_code && found(&Skeleton::of(text)).is_empty()).then_some(text)
}

/// The text without secrets.
pub fn without_secrets(text: &str) -> Cow<'_, str> {
    let skeleton = Skeleton::of(text);
    let found = found(&skeleton);
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(without(text, &skeleton, found))
}

fn without(text: &str, skeleton: &Skeleton, found: Vec<Range<usize>>) -> String {
    let mut rest = 0;
    let mut cleaned = String::with_capacity(text.len());
    for range in found.into_iter().map(|range| skeleton.place(&range)) {
        cleaned.push_str(&text[rest..range.start.max(rest)]);
        if !cleaned.ends_with(GAP) {
            cleaned.push_str(GAP);
        }
        rest = range.end.max(rest);
    }
    cleaned.push_str(&text[rest..]);
    cleaned
}

/// The JSON without secrets in its texts and names.
pub fn value_without_secrets(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(cleaned) = without_secrets(text) {
                *text = cleaned;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(value_without_secrets),
        Value::Object(fields) => {
            let is_wrong = |name: &String| matches!(without_secrets(name), Cow::Owned(_));
            if fields.keys().any(is_wrong) {
                let all = std::mem::take(fields).into_iter();
                *fields = all.map(|(name, value)| (without_secrets(&name).into_owned(), value)).collect();
            }
            fields.values_mut().for_each(value_without_secrets);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// JSON for a terminal or a log: what would do something to either is escaped, which is the same to
/// whoever reads the JSON.
pub fn json(mut value: Value, is_indented: bool) -> String {
    value_without_secrets(&mut value);
    let text = if is_indented { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
    signs::escaped(text.unwrap_or_default())
}

/// Where secrets are, in order; they may overlap.
fn found(skeleton: &Skeleton) -> Vec<Range<usize>> {
    let mut found = secrets::find(skeleton);
    found.extend(marks::find(skeleton));
    found.sort_by_key(|range| range.start);
    found
}

#[cfg(test)]
mod tests;
