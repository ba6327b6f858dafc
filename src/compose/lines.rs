//! No line of a mail is longer than a server takes, and none ends with half a line break
//! (RFC 5322, 2.1.1 and 2.3), whoever wrote it: the template, the rows or flows.toml.

use mail_parser::MessageParser;

use super::tests::composed;
use super::*;
use serde_json::json;

/// Bytes of a line without its end.
const LONGEST: usize = 998;

/// Lines end with CR and LF, and are not too long.
pub(super) fn has_good_lines(bytes: &[u8]) {
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let bare = line.strip_suffix(b"\r\n").unwrap_or(line);
        let shown = || String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned();
        assert!(bare.len() <= LONGEST, "a line of {} bytes: {}", line.len(), shown());
        assert!(!bare.iter().any(|byte| b"\r\n\0".contains(byte)), "{:?}", shown());
    }
}

fn lines_of(email: &str, rows: &[Value]) -> Vec<u8> {
    let (mails, _) = composed(email, rows, 1_000_000);
    for (_, bytes) in &mails {
        has_good_lines(bytes);
    }
    mails.into_iter().next().unwrap().1
}

#[test]
fn line_breaks_of_every_kind_in_a_template_are_line_breaks() {
    for body in [r"a\rb\rc", r"a\r\nb\nc", r"a\r\r\nb\n\rc", r"a\r{{rows.0.A}}\rb\rc", r"a\u0000\rb\rc"] {
        for kind in ["", "<p>"] {
            let bytes = lines_of(&format!("body = \"{kind}{body}\""), &[json!({ "A": "x\ry" })]);
            let message = MessageParser::default().parse(&bytes).unwrap();
            let text = message.parts.last().unwrap().text_contents().unwrap();
            let lines: Vec<_> =
                text.lines().map(str::trim).filter(|line| !["", "x", "y"].contains(line)).collect();
            assert_eq!(lines, [&format!("{kind}a"), "b", "c"], "{text:?}");
        }
    }
}

#[test]
fn lines_of_any_length_are_cut_or_encoded() {
    let long = "x".repeat(5_000);
    for (email, row) in [
        (format!("body = \"{long}\""), json!({ "A": 1 })),
        ("body = \"{{rows.0.A}}\"".to_owned(), json!({ "A": "가".repeat(2_000) })),
        ("subject = \"{{rows.0.A}}\"".to_owned(), json!({ "A": long })),
        ("subject = \"{{rows.0.A}}\"".to_owned(), json!({ "A": "가".repeat(2_000) })),
        (String::new(), json!({ "A": long, (long.clone()): long })),
        ("attach_csv = true".to_owned(), json!({ "A": long })),
    ] {
        lines_of(&email, &[row]);
    }
}

#[test]
fn many_recipients_are_a_line_each() {
    for name in ["", "Sales {}", "Person, {} 김"] {
        let of = |number: usize| {
            let name = name.replace("{}", &number.to_string());
            let address = format!("n{number}@contoso.example");
            (if name.is_empty() { address.clone() } else { format!("\"{name}\" <{address}>") }, name, address)
        };
        let cc: Vec<String> = (0..300).map(|number| of(number).0).collect();
        let bytes = lines_of(&format!("cc = {cc:?}"), &[json!({ "A": 1 })]);
        let message = MessageParser::default().parse(&bytes).unwrap();
        let found: Vec<_> = message.cc().unwrap().iter().collect();
        assert_eq!(found.len(), 300);
        for (number, address) in found.iter().enumerate() {
            let (_, name, email) = of(number);
            assert_eq!((address.name().unwrap_or_default(), address.address()), (&*name, Some(&*email)));
        }
        assert!(String::from_utf8_lossy(&bytes).contains("n0@contoso.example"), "{name}");
    }
}

#[test]
fn the_longest_people_fit_into_a_line() {
    let domain = "d.".repeat(90) + "example";
    for name in ["N".repeat(200), "가".repeat(200), "\\\\\\\"".repeat(100)] {
        let person = format!("'\"{name}\" <{}@{domain}>'", "l".repeat(60));
        lines_of(&format!("cc = [{person}, 'a@b.example']\nreply_to = {person}"), &[json!({ "A": 1 })]);
    }
}
