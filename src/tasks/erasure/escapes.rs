//! Texts without the escapes of URLs, HTML and JSON, so that they can be searched.

/// The named characters that an address or a name may hold.
const NAMED: [(&str, char); 7] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", '\u{a0}'),
    ("commat", '@'),
];

/// The longest name or number between `&` and `;`.
const LONGEST: usize = 9;

/// The text with each of its escapes replaced by the character that it means; `None` where it has none.
pub(super) fn unescaped(text: &str) -> Option<String> {
    text.find(['%', '&', '\\'])?;
    let mut whole = Vec::with_capacity(text.len());
    let mut rest = text;
    let mut is_other = false;
    while let Some(at) = rest.find(['%', '&', '\\']) {
        whole.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at..];
        let length = match escape_of(rest) {
            Some((Meaning::Byte(byte), length)) => {
                whole.push(byte);
                is_other = true;
                length
            }
            Some((Meaning::Letter(letter), length)) => {
                whole.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                is_other = true;
                length
            }
            None => {
                whole.push(rest.as_bytes()[0]);
                1
            }
        };
        rest = &rest[length..];
    }
    whole.extend_from_slice(rest.as_bytes());
    is_other.then(|| String::from_utf8_lossy(&whole).into_owned())
}

enum Meaning {
    /// One of the bytes of UTF-8.
    Byte(u8),
    Letter(char),
}

/// What the escape at the beginning means, and its length.
fn escape_of(text: &str) -> Option<(Meaning, usize)> {
    let hex = |digits: &str| u32::from_str_radix(digits, 16).ok();
    let plain = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if let Some(digits) = text.strip_prefix('%').and_then(|rest| rest.get(..2)) {
        return Some((Meaning::Byte(u8::try_from(hex(digits).filter(|_| plain(digits))?).ok()?), 3));
    }
    if let Some(rest) = text.strip_prefix("\\u") {
        let digits = rest.get(..4).filter(|digits| plain(digits))?;
        return Some((Meaning::Letter(char::from_u32(hex(digits)?)?), 6));
    }
    if let Some(rest) = text.strip_prefix('\\') {
        let letter = rest.chars().next().filter(|letter| ['"', '\\', '/'].contains(letter))?;
        return Some((Meaning::Letter(letter), 2));
    }
    let rest = text.strip_prefix('&')?;
    let name = &rest[..rest.bytes().take(LONGEST + 1).position(|byte| byte == b';')?];
    let number = |digits: &str| match digits.strip_prefix(['x', 'X']) {
        Some(digits) => hex(digits).filter(|_| plain(digits)),
        None => digits.parse().ok(),
    };
    let letter = match name.strip_prefix('#') {
        Some(digits) => char::from_u32(number(digits)?)?,
        None => NAMED.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?.1,
    };
    Some((Meaning::Letter(letter), name.len() + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_become_what_they_stand_for_and_the_rest_stays() {
        for (text, expected) in [
            ("plain", None),
            ("100% sure & so on \\", None),
            ("a%40b", Some("a@b")),
            ("%ea%b9%80 %zz %4", Some("김 %zz %4")),
            ("&#64;&#x40;&commat;&AMP;&nope;&;", Some("@@@&&nope;&;")),
            (r"\u0040\/\\\n", Some(r"@/\\n")),
            ("&#1114112;%", None),
            ("%+1&#x+4;", None),
        ] {
            assert_eq!(unescaped(text).as_deref(), expected, "{text}");
        }
    }
}
