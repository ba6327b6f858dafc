//! Signs that do something instead of being seen.

use std::fmt::Write as _;

/// Whether it is seen as nothing and changes how its neighbours are read: bidi marks, joiners
/// and spaces of no width, tags, annotations.
/// <https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing>
fn is_mark(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// Whether it ends a line, moves a cursor or begins a sequence that a terminal obeys.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Whether a text must not be shown with it.
pub fn does_something(c: char) -> bool {
    !c.is_ascii_graphic() && (is_control(c) || is_mark(c))
}

/// One line: each run of controls is a space.
pub(super) fn line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut is_after_control = false;
    for c in text.chars() {
        let is_control = is_control(c);
        if is_control && !is_after_control {
            line.push(' ');
        } else if !is_control && !is_mark(c) {
            line.push(c);
        }
        is_after_control = is_control;
    }
    line.truncate(line.trim_end().len());
    line.drain(..line.len() - line.trim_start().len());
    line
}

/// As many lines as there are: each control but the line feed and the tab is a space.
pub(super) fn lines(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => Some(c),
        c if is_control(c) => Some(' '),
        c => (!is_mark(c)).then_some(c),
    };
    // A line that ends with CR and LF ends once.
    text.replace("\r\n", "\n").chars().filter_map(shown).collect()
}

/// JSON whose texts have escapes for what would do something; line feeds between values stay.
pub(super) fn escaped(json: String) -> String {
    let is_to_escape = |c: char| c != '\n' && does_something(c);
    if !json.contains(is_to_escape) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        if is_to_escape(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// The text with other signs of the same length in bytes for those that do something, so that places
/// in it stay what they are; line breaks and tabs stay.
pub fn of_same_length(text: &str) -> String {
    let shown = |c: char| match (c, c.len_utf8()) {
        ('\n' | '\r' | '\t', _) => c,
        (c, 1) if does_something(c) => ' ',
        (c, 2) if does_something(c) => '·',
        (c, 3) if does_something(c) => '\u{fffd}',
        (c, _) if does_something(c) => '\u{1f7a9}',
        (c, _) => c,
    };
    text.chars().map(shown).collect()
}
