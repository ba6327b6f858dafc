//! Addresses for `href`: whatever a row holds, such a link does one thing, or there is none.

use std::fmt::Write as _;

use url::Url;

/// Bytes of an address, and of what is before its `@` (RFC 5321, 4.5.3.1).
const LONGEST_ADDRESS: usize = 254;
const LONGEST_LOCAL: usize = 64;
/// Digits of a phone number (ITU-T E.164), and of an extension.
const DIGITS: std::ops::RangeInclusive<usize> = 3..=20;

/// `mailto:` with this one address, percent-encoded (RFC 6068). `None` of what is no plain address: a
/// quoted or commented one is legal, but mail programs differ in what they take it for.
pub(super) fn mailto(text: &str) -> Option<String> {
    let text = text.trim();
    let (local, domain) = text.split_once('@')?;
    // What RFC 5322 calls atext, and letters of other scripts (RFC 6531).
    let is_atext = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    let is_name = |c: char| c.is_alphanumeric() || c == '-';
    let has_parts = |text: &str, is_of: &dyn Fn(char) -> bool| {
        text.split('.').all(|part| !part.is_empty() && part.chars().all(is_of))
    };
    let is_address = text.len() <= LONGEST_ADDRESS
        && local.len() <= LONGEST_LOCAL
        && has_parts(local, &is_atext)
        && has_parts(domain, &is_name);
    is_address.then(|| format!("mailto:{}@{}", percent_encoded(local), percent_encoded(domain)))
}

/// `tel:` with the digits (RFC 3966). `None` of what is no phone number.
pub(super) fn tel(text: &str) -> Option<String> {
    let text = text.trim();
    let is_of_number = |c: char| c.is_ascii_digit() || " \u{a0}+-.()/".contains(c);
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let plus = if text.starts_with(['+', '(']) && text.matches('+').count() == 1 { "+" } else { "" };
    let is_number = DIGITS.contains(&digits.len())
        && text.chars().all(is_of_number)
        && text.matches('+').count() == plus.len();
    // A zero in brackets is for those who call from within: +44 (0)20 …
    let is_clear = plus.is_empty() || !text.contains("(0)");
    (is_number && is_clear).then(|| format!("tel:{plus}{digits}"))
}

/// The address if it is https or mailto, percent-encoded where it has to be; `None` of any other, also
/// where a name is before the host (`https://bank.example@other.example`) or headers behind the
/// address of a mail.
pub(super) fn web(text: &str) -> Option<String> {
    let url = Url::parse(text.trim()).ok()?;
    match url.scheme() {
        "mailto" => {
            let address = text.trim().split_once(':')?.1;
            let decoded = percent_decoded(address)?;
            mailto(&decoded)
        }
        "https" => {
            let is_plain = url.username().is_empty() && url.password().is_none() && url.has_host();
            // A line break or a tab is left out by the one who reads the address, and may hide another.
            let is_one_line = !text.trim().contains(|c: char| c.is_control());
            (is_plain && is_one_line).then(|| url.to_string().replace('\'', "%27"))
        }
        _ => None,
    }
}

/// The text as a part of an address, with nothing in it that ends the part.
pub(super) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// `None` where the bytes are no text.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = code.filter(|_| *first == b'%').and_then(|two| u8::from_str_radix(two, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_mail_is_one_address_and_nothing_else() {
        for (text, link) in [
            ("kim@contoso.example", Some("mailto:kim@contoso.example")),
            (" kim@contoso.example\n", Some("mailto:kim@contoso.example")),
            ("o'hara+x@b.example", Some("mailto:o%27hara%2Bx@b.example")),
            ("a%0d?b=c&d@b.example", Some("mailto:a%250d%3Fb%3Dc%26d@b.example")),
            ("민준@예시.example", Some("mailto:%EB%AF%BC%EC%A4%80@%EC%98%88%EC%8B%9C.example")),
            ("a@b.example?bcc=evil@x.example&body=hi", None),
            ("a@b.example?bcc=evil", None),
            ("a@b.example%3Fbcc=evil", None),
            ("a@b.example,evil@x.example", None),
            ("a,evil@x.example", None),
            ("a;evil@x.example", None),
            ("\"a b\"@x.example", None),
            ("Ana <a@x.example>", None),
            ("a b@x.example", None),
            ("a@b\r\nbcc: x@y", None),
            ("a@[10.0.0.1]", None),
            ("a\u{202e}@x.example", None),
            ("a..b@x.example", None),
            ("a@", None),
            ("", None),
        ] {
            assert_eq!(mailto(text).as_deref(), link, "{text:?}");
        }
        assert_eq!(mailto(&format!("{}@b.example", "a".repeat(65))), None);
    }

    #[test]
    fn a_phone_number_is_its_digits() {
        for (text, link) in [
            ("+82 10-1234-5678", Some("tel:+821012345678")),
            ("(+82) 10 1234 5678", Some("tel:+821012345678")),
            ("02/123.4567", Some("tel:021234567")),
            ("+44 (0)20 7946 0000", None),
            ("+1 425 555 0100 ext 5", None),
            ("12+34567", None),
            ("*100*1#", None),
            ("+1;phone-context=evil", None),
            ("12", None),
            ("+", None),
        ] {
            assert_eq!(tel(text).as_deref(), link, "{text:?}");
        }
    }

    #[test]
    fn an_address_of_the_web_leads_where_it_says() {
        for (text, link) in [
            ("https://contoso.example/a b?x=\"y\"", Some("https://contoso.example/a%20b?x=%22y%22")),
            (" HTTPS://Contoso.example/%41'", Some("https://contoso.example/%41%27")),
            ("https://예시.example", Some("https://xn--vv4b11d.example/")),
            ("mailto:a@b.example", Some("mailto:a@b.example")),
            ("MAILTO:a%2Bc@b.example", Some("mailto:a%2Bc@b.example")),
            ("mailto:a@b.example?bcc=evil@x.example", None),
            ("mailto:a@b.example%0d%0abcc:x@y.example", None),
            ("https://bank.example@evil.example/", None),
            ("https://contoso.example\t.evil.example/", None),
            ("http://contoso.example", None),
            ("javascript:alert(1)", None),
            ("JaVaScRiPt:alert(1)", None),
            ("java\tscript:alert(1)", None),
            ("\u{1}javascript:alert(1)", None),
            ("java\u{0}script:alert(1)", None),
            ("data:text/html,<script>", None),
            ("vbscript:x", None),
            ("file:///etc/passwd", None),
            ("//evil.example", None),
            ("tel:1", None),
            ("", None),
        ] {
            assert_eq!(web(text).as_deref(), link, "{text:?}");
        }
    }

    #[test]
    fn a_part_of_an_address_ends_no_part() {
        assert_eq!(percent_encoded("a&b=c d\n\"<가>%/?#"), "a%26b%3Dc%20d%0A%22%3C%EA%B0%80%3E%25%2F%3F%23");
    }
}
