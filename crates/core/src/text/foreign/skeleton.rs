//! A text as secrets are looked for in it: without what others put between or around the signs of one.

use std::ops::Range;

use super::signs;

/// The signs that count: escapes are read (percent-encoding, however often; JSON and Rust; HTML),
/// blanks, controls and marks are left out, ASCII letters are small, and base64 has one alphabet.
#[derive(Debug)]
pub(super) struct Skeleton {
    signs: Vec<u8>,
    /// Where each of them is in the text.
    places: Vec<(u32, u32)>,
}

/// A sign that is left out counts for nothing.
enum Sign {
    Char(char),
    Byte(u8),
    Nothing,
}

impl Skeleton {
    pub(super) fn of(text: &str) -> Self {
        Self::read(text, true)
    }

    /// With escapes as they are in it.
    pub(super) fn of_unescaped(text: &str) -> Self {
        Self::read(text, false)
    }

    fn read(text: &str, has_escapes: bool) -> Self {
        let mut skeleton =
            Self { signs: Vec::with_capacity(text.len()), places: Vec::with_capacity(text.len()) };
        each_sign(text, has_escapes, |sign, place| {
            let (Ok(start), Ok(end)) = (u32::try_from(place.start), u32::try_from(place.end)) else { return };
            skeleton.signs.push(sign);
            skeleton.places.push((start, end));
        });
        skeleton
    }

    pub(super) fn signs(&self) -> &[u8] {
        &self.signs
    }

    pub(super) fn into_signs(self) -> Vec<u8> {
        self.signs
    }

    /// Whether something was left out before this sign.
    pub(super) fn has_gap_before(&self, at: usize) -> bool {
        at == 0 || self.places[at].0 > self.places[at - 1].1
    }

    /// Where in the text these signs are.
    pub(super) fn place(&self, range: &Range<usize>) -> Range<usize> {
        let start = self.places.get(range.start).map_or(0, |place| place.0);
        let end =
            range.end.checked_sub(1).and_then(|last| self.places.get(last)).map_or(start, |place| place.1);
        start as usize..(end as usize).max(start as usize)
    }
}

/// Hands out the signs that count, with their places.
pub(super) fn each_sign(text: &str, has_escapes: bool, mut take: impl FnMut(u8, Range<usize>)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if byte.is_ascii_graphic() && !matches!(byte, b'%' | b'\\' | b'&') {
            take(folded(*byte), at..at + 1);
            at += 1;
            continue;
        }
        let (sign, length) = first(&text[at..], has_escapes);
        let place = at..at + length;
        at = place.end;
        match sign {
            Sign::Nothing => {}
            Sign::Char(c) if c.is_whitespace() || signs::does_something(c) || c == '\\' => {}
            Sign::Char(c) => {
                c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| take(folded(byte), place.clone()));
            }
            Sign::Byte(byte) => take(folded(byte), place),
        }
    }
}

fn folded(byte: u8) -> u8 {
    match byte {
        b'-' => b'+',
        b'_' => b'/',
        byte => byte.to_ascii_lowercase(),
    }
}

/// The first sign of a text that is not empty, and its length in bytes.
fn first(text: &str, has_escapes: bool) -> (Sign, usize) {
    let escape = match text.as_bytes()[0] {
        _ if !has_escapes => None,
        b'%' => percent(text),
        b'\\' => backslash(text),
        b'&' => entity(text),
        _ => None,
    };
    escape.unwrap_or_else(|| {
        let c = text.chars().next().unwrap_or_default();
        (Sign::Char(c), c.len_utf8())
    })
}

/// `%2F`, and `%252F`.
fn percent(text: &str) -> Option<(Sign, usize)> {
    let mut at = 1;
    while text[at..].starts_with("25") && hex(&text[at + 2..], 2).is_some() {
        at += 2;
    }
    let byte = u8::try_from(hex(&text[at..], 2)?).ok()?;
    let sign = if byte.is_ascii() { Sign::Char(char::from(byte)) } else { Sign::Byte(byte) };
    Some((sign, at + 2))
}

/// `\n`, `\u002b`, `\u{1b}`, `\x1b`.
fn backslash(text: &str) -> Option<(Sign, usize)> {
    let of_code = |code: u32| char::from_u32(code).map_or(Sign::Nothing, Sign::Char);
    match text.as_bytes().get(1)? {
        b'n' | b'r' | b't' | b'b' | b'f' | b'0' => Some((Sign::Nothing, 2)),
        b'x' => Some((of_code(hex(&text[2..], 2)?), 4)),
        b'u' => match text[2..].strip_prefix('{') {
            Some(rest) => {
                let length = rest.bytes().take(6).take_while(u8::is_ascii_hexdigit).count();
                rest[length..].starts_with('}').then_some(())?;
                Some((of_code(u32::from_str_radix(&rest[..length], 16).ok()?), length + 4))
            }
            None => Some((of_code(hex(&text[2..], 4)?), 6)),
        },
        _ => None,
    }
}

/// `&amp;`, `&#43;`, `&#x2F;`.
fn entity(text: &str) -> Option<(Sign, usize)> {
    let length = text.bytes().take(10).position(|byte| byte == b';')?;
    let c = match &text[1..length] {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        number => {
            let number = number.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)?
        }
    };
    Some((Sign::Char(c), length + 1))
}

fn hex(text: &str, digits: usize) -> Option<u32> {
    let digits = text.get(..digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::Skeleton;

    fn signs(skeleton: Skeleton) -> String {
        String::from_utf8(skeleton.into_signs()).unwrap()
    }

    #[test]
    fn escapes_of_every_kind_are_read() {
        for (text, expected) in [
            ("A-b_c d\u{200b}e\n", "a+b/cde"),
            ("%41%2542%252543%C3%A9", "abcé"),
            ("%254z 100%", "%4z100%"),
            (r"\x41\u0042\u{43}\n\t", "abc"),
            (r"\x4\u{110000}\q", "x4q"),
            ("&amp;&lt;&gt;&quot;&apos;&#43;&#x2F;&no;", "&<>\"'+/&no;"),
        ] {
            assert_eq!(signs(Skeleton::of(text)), expected, "{text}");
        }
        assert_eq!(signs(Skeleton::of_unescaped(r"%41\x42&amp;")), "%41x42&amp;");
    }
}
