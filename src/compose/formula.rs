//! Cells of a CSV that no spreadsheet takes for a formula.
//!
//! <https://owasp.org/www-community/attacks/CSV_Injection> names the signs and the remedy: an apostrophe
//! before them, which leaves the text readable.

use std::borrow::Cow;

use crate::text::foreign;

/// What a formula begins with; the wide and small forms count in East Asian versions.
const SIGNS: [char; 13] =
    ['=', '+', '-', '@', '＝', '＋', '－', '＠', '\u{fe66}', '\u{fe62}', '\u{fe63}', '\u{fe6b}', '\u{2212}'];
/// Digits from which on a number with a `+` is a phone number: a spreadsheet would take the `+` away.
const DIGITS_OF_PHONE: usize = 7;

/// The text, with `'` before what would be a formula at its beginning, or where a spreadsheet that
/// expects another separator would begin a cell. Plain numbers stay.
pub(super) fn defused(text: Cow<'_, str>) -> Cow<'_, str> {
    // Only the beginnings are parsed; most cells have one.
    let mut start = 0;
    let mut signs = Vec::new();
    while start < text.len() {
        let piece = &text[start..];
        let end = piece.bytes().position(is_border).unwrap_or(piece.len());
        if begins_formula(&piece[..end]) {
            let blanks = end - piece[..end].trim_start_matches(is_blank).len();
            signs.push(if start == 0 { 0 } else { start + blanks });
        }
        start += end + 1;
    }
    if text.starts_with(['\t', '\r', '\n']) {
        signs.insert(0, 0);
    }
    if signs.is_empty() {
        return text;
    }
    let mut whole = String::with_capacity(text.len() + signs.len());
    let mut written = 0;
    for at in signs {
        whole.push_str(&text[written..at]);
        whole.push('\'');
        written = at;
    }
    whole.push_str(&text[written..]);
    whole.into()
}

fn begins_formula(piece: &str) -> bool {
    let inner = piece.trim_start_matches(is_blank);
    inner.starts_with(SIGNS) && !is_number(inner.trim_end_matches(is_blank))
}

/// What ends a cell for one spreadsheet or another.
fn is_border(byte: u8) -> bool {
    matches!(byte, b',' | b';' | b'\t' | b'\r' | b'\n')
}

/// What a spreadsheet may pass over before the first sign of a cell.
fn is_blank(c: char) -> bool {
    c == '"' || c.is_whitespace() || foreign::does_something(c)
}

/// `-5`, `+3.5`, `-1e3`: what is shown as it is.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (number, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let is_well = (whole.len() + fraction.len() > 0)
        && !exponent.is_empty()
        && [whole, fraction, exponent].into_iter().all(is_digits);
    let is_phone = text.starts_with('+') && is_digits(unsigned) && unsigned.len() >= DIGITS_OF_PHONE;
    is_well && !is_phone
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_become_text_and_numbers_stay() {
        for (text, cell) in [
            ("=1+1", "'=1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("＝1+1", "'＝1+1"),
            ("＋1", "'＋1"),
            ("－1", "'－1"),
            ("＠SUM(A1)", "'＠SUM(A1)"),
            ("\u{fe66}1", "'\u{fe66}1"),
            ("+82 10-1234-5678", "'+82 10-1234-5678"),
            ("+821012345678", "'+821012345678"),
            ("+1 (425) 555-0100", "'+1 (425) 555-0100"),
            ("-2+3+cmd|' /C calc'!D2", "'-2+3+cmd|' /C calc'!D2"),
            ("+82*A1", "'+82*A1"),
            ("-", "'-"),
            ("-inf", "'-inf"),
            ("-.e3", "'-.e3"),
            ("  =1", "'  =1"),
            ("\u{a0}=1", "'\u{a0}=1"),
            ("\u{feff}=1", "'\u{feff}=1"),
            ("\u{1b}=1", "'\u{1b}=1"),
            ("\u{1f}\u{ad}=1", "'\u{1f}\u{ad}=1"),
            ("\u{202e}@A1", "'\u{202e}@A1"),
            ("\u{2066}\u{61c}-1+A1", "'\u{2066}\u{61c}-1+A1"),
            ("\u{e0041}\u{180e}+A1", "'\u{e0041}\u{180e}+A1"),
            ("\"=1", "'\"=1"),
            ("\t=1", "'\t'=1"),
            ("\tx", "'\tx"),
            ("\rx", "'\rx"),
            ("\nx", "'\nx"),
        ] {
            assert_eq!(defused(text.into()), cell, "{text:?}");
        }
        for text in [
            "",
            "true",
            "-5",
            "+3.5",
            "-1e3",
            "-1.5E-3",
            "+7",
            "-.5",
            "02-123-4567",
            "2026-03-01T08:00:00Z",
            "a@b.example",
            "1=1",
            "가",
            "{\"Phone\":\"+1 425 555 0100\"}",
            "SPZA-INS|contoso.app",
            "1, -5, +3.5",
        ] {
            assert_eq!(defused(text.into()), text);
        }
    }

    #[test]
    fn what_another_separator_would_make_a_cell_is_not_a_formula() {
        for (text, cell) in [
            ("x;=1+1", "x;'=1+1"),
            ("x,\"=1+1\"", "x,\"'=1+1\""),
            ("x\t @A1", "x\t '@A1"),
            ("x\n-cmd|'/c calc'!A0", "x\n'-cmd|'/c calc'!A0"),
            ("=1;=2;3", "'=1;'=2;3"),
            ("Seoul; +82 10-1234-5678; -5", "Seoul; '+82 10-1234-5678; -5"),
        ] {
            assert_eq!(defused(text.into()), cell, "{text:?}");
        }
    }
}
