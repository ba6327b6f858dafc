//! Values of a row as people read them: capped, without controls, and in a text inside of their place.

use std::borrow::Cow;

use serde_json::Value;

use crate::rows::columns::{Cell, Columns};
use crate::text::foreign;

/// Bytes of a cell that a mail's body shows; the CSV has the whole.
const SHOWN: usize = 2 << 10;

/// Characters of a subject that are kept.
const SUBJECT: usize = 150;

/// The value as text; null is the empty text.
pub fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The value as a template shows it: controls and bidi marks taken out, long texts cut.
pub fn shown(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(cut(&cleaned(&text, true))),
        Value::Array(items) => items.into_iter().map(shown).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (named(&name), shown(value))).collect()
        }
        other => other,
    }
}

/// A column's name, which whoever writes to the table chooses as well, on one line.
pub fn named(name: &str) -> String {
    cleaned(name, false)
}

/// Columns of a row that weigh no more than what they hold, and what each further one weighs: templates see it
/// in every row, null where it is absent, and in memory it takes more than its few bytes.
const LIGHT: usize = 32;
const HEAVY: usize = 24;

/// Bytes of the row that a body shows, of a run with this many columns, and whether it cuts one of them.
pub fn shown_size(columns: &Columns<'_>, of_run: usize) -> (usize, bool) {
    let size = |cell: &Cell<'_>| match cell {
        Cell::Text(text) => text.len(),
        Cell::Other(value @ (Value::Array(_) | Value::Object(_))) => value.to_string().len(),
        Cell::Other(_) => 8,
    };
    let sizes = columns.iter().map(|(name, cell)| (name.len(), size(cell)));
    let of_number = HEAVY * columns.iter().count().max(of_run).saturating_sub(LIGHT);
    sizes.fold((of_number, false), |(sum, is_cut), (name, size)| {
        (sum + name + size.min(SHOWN), is_cut || size > SHOWN)
    })
}

/// One line for the `Subject` header.
pub fn subject(rendered: &str) -> String {
    let line = rendered.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = cleaned(&line, false);
    match line.char_indices().nth(SUBJECT) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}

/// What is before each further line of a value in a text. leadflow's own lines begin further left,
/// so that no value can look like one of them.
const INDENT: &str = "            ";

/// The value as it goes into a text: its further lines are indented.
pub fn indented(text: &str) -> String {
    if !text.contains(is_line_break) {
        return text.to_owned();
    }
    let text = text.replace("\r\n", "\n");
    let mut lines = text.split(is_line_break);
    let mut whole = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        whole.push('\n');
        whole.push_str(INDENT);
        whole.push_str(line);
    }
    whole
}

/// What some program or other begins a new line at (Unicode Standard Annex 14: BK, CR, LF, NL).
fn is_line_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn cleaned(text: &str, line_breaks: bool) -> String {
    let text = foreign::of_row(text.into()).replace("\r\n", "\n");
    let text = text.chars().map(|c| if is_line_break(c) { '\n' } else { c });
    let keep = |c: char| match c {
        '\n' | '\t' => line_breaks,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
        _ => !c.is_control(),
    };
    text.filter(|c| keep(*c)).collect()
}

fn cut(text: &str) -> String {
    cut_to(text.into(), SHOWN).into_owned()
}

/// So many bytes of the text at most, and `…` where there were more.
pub fn cut_to(text: Cow<'_, str>, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return text;
    }
    let end = text.floor_char_boundary(most);
    format!("{}…", &text[..end]).into()
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
    fn a_row_weighs_what_it_shows_and_what_each_column_beyond_32_takes() {
        let long = "a".repeat(2 << 10);
        for (row, of_run, expected) in [
            (json!({}), 32, (0, false)),
            (json!({}), 34, (2 * 24, false)),
            (json!({ "Name": "Ana", "Age": 7, "Open": true }), 3, (4 + 3 + 3 + 8 + 4 + 8, false)),
            (json!({ "Tags": ["a", "b"] }), 1, (4 + 9, false)),
            (json!({ "Note": long }), 1, (4 + 2_048, false)),
            (json!({ "Note": format!("{long}b"), "Name": "Ana" }), 2, (4 + 2_048 + 4 + 3, true)),
        ] {
            let row = row.as_object().unwrap();
            assert_eq!(shown_size(&Columns::of_map(row), of_run), expected, "{row:?}");
        }
        let many: serde_json::Map<_, _> = (10..43).map(|number| (number.to_string(), json!(""))).collect();
        assert_eq!(shown_size(&Columns::of_map(&many), 0), (33 * 2 + 24, false), "more than the run has");
    }

    #[test]
    fn a_further_line_stays_within_its_value() {
        for line_break in ["\r", "\n", "\r\n", "\u{b}", "\u{c}", "\u{1c}", "\u{85}", "\u{2028}", "\u{2029}"] {
            let text = format!("a{line_break}Email: x{line_break}");
            let expected = "a\n            Email: x\n            ";
            assert_eq!(indented(&text), expected, "{text:?}");
            assert_eq!(shown(json!(text)), json!("a\nEmail: x\n"), "{text:?}");
        }
        assert_eq!(indented("one\tline"), "one\tline");
    }
}
