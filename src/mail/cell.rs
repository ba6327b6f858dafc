//! Values of a row as people read them: capped, without controls, harmless in a spreadsheet.

use std::borrow::Cow;

use serde_json::Value;

use crate::columns::{Cell, Columns};

/// Bytes of a cell that a mail's body shows; the CSV has the whole.
const SHOWN: usize = 2 << 10;

/// Characters of a subject that are kept.
const SUBJECT: usize = 150;

/// The value as text; null is the empty text.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The value as a template shows it: controls and bidi marks taken out, long texts cut.
pub(super) fn shown(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(cut(&cleaned(&text, true))),
        Value::Array(items) => items.into_iter().map(shown).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, shown(value))).collect(),
        other => other,
    }
}

/// Bytes of the columns that a body shows, and whether it cuts one of them.
pub(super) fn shown_size(columns: &Columns<'_>) -> (usize, bool) {
    let size = |cell: &Cell<'_>| match cell {
        Cell::Text(text) => text.len(),
        Cell::Other(value @ (Value::Array(_) | Value::Object(_))) => value.to_string().len(),
        Cell::Other(_) => 8,
    };
    let sizes = columns.iter().map(|(name, cell)| (name.len(), size(cell)));
    sizes.fold((0, false), |(sum, is_cut), (name, size)| {
        (sum + name + size.min(SHOWN), is_cut || size > SHOWN)
    })
}

/// One line for the `Subject` header.
pub(super) fn subject(rendered: &str) -> String {
    let line = rendered.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = cleaned(&line, false);
    match line.char_indices().nth(SUBJECT) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}

/// The text as a cell of a CSV that a spreadsheet does not take for a formula.
///
/// <https://owasp.org/www-community/attacks/CSV_Injection> names the characters. A number and a
/// phone number (`+82 2 123-4567`) can do nothing, and a CRM wants them as they are.
pub(super) fn of_sheet(text: Cow<'_, str>) -> Cow<'_, str> {
    if !text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        return text;
    }
    let is_of_number = |c: char| c.is_ascii_digit() || " +-.()/".contains(c);
    let is_harmless = text.chars().all(is_of_number) || text.parse::<f64>().is_ok();
    if is_harmless { text } else { format!("'{text}").into() }
}

fn cleaned(text: &str, line_breaks: bool) -> String {
    let keep = |c: char| match c {
        '\n' | '\t' => line_breaks,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
        _ => !c.is_control(),
    };
    text.chars().filter(|c| keep(*c)).collect()
}

fn cut(text: &str) -> String {
    if text.len() <= SHOWN {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(SHOWN);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn controls_bidi_marks_and_long_texts_do_no_harm() {
        assert_eq!(shown(json!("a\u{202e}b\0\r\nc")), json!("ab\nc"));
        let long = shown(json!({ "a": "가".repeat(2_000) }));
        assert_eq!(long["a"].as_str().unwrap().len(), 2_046 + "…".len());
        assert_eq!(subject("3 leads\r\nBcc: x@y\u{2066}"), "3 leads Bcc: x@y");
        assert_eq!(subject(&"a".repeat(151)), format!("{}…", "a".repeat(150)));
    }

    #[test]
    fn formulas_become_text_and_numbers_stay() {
        for (text, cell) in [
            ("=1+1", "'=1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("-5", "-5"),
            ("+82 2 123-4567", "+82 2 123-4567"),
            ("+82*A1", "'+82*A1"),
            ("", ""),
            ("true", "true"),
        ] {
            assert_eq!(of_sheet(text.into()), cell);
        }
    }
}
