//! Whom a message goes to by Graph, which knows no envelope: it delivers to `To`, `Cc` and `Bcc` of
//! the message itself, and takes `Bcc` out before it does.
//!
//! So hidden recipients are written in here, at the hand-over, and are nowhere else: the outbox's
//! bytes have none, and nothing of them goes out by SMTP. The same mail makes the same bytes each
//! time. Where the headers name somebody to whom the mail does not go (he has it already, or it is
//! a trial for another one), they are written again.

use mail_parser::{HeaderName, HeaderValue, MessageParser};

/// The message with exactly these recipients.
pub(super) fn addressed(bytes: &[u8], recipients: &[String]) -> Vec<u8> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |at| at + 2);
    let (head, rest) = bytes.split_at(head);
    let is_due = |address: &String| recipients.iter().any(|due| due.eq_ignore_ascii_case(address));
    let to = named(bytes, &HeaderName::To);
    let cc = named(bytes, &HeaderName::Cc);
    let is_whole = to.iter().chain(&cc).all(is_due);
    let is_visible = |address: &&String| !to.iter().chain(&cc).any(|seen| seen.eq_ignore_ascii_case(address));
    let hidden: Vec<&String> = recipients.iter().filter(is_visible).collect();
    let mut message = Vec::with_capacity(bytes.len() + 256);
    for field in fields(head) {
        let name = field.split(|byte| *byte == b':').next().unwrap_or_default();
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
        // A `To` without an address says that there are hidden ones alone.
        let goes = is("bcc") || (is("to") && (!is_whole || to.is_empty())) || (is("cc") && !is_whole);
        if !goes {
            message.extend_from_slice(field);
        }
    }
    if !is_whole {
        message.extend(line("To", &to.iter().filter(|address| is_due(address)).collect::<Vec<_>>()));
        message.extend(line("Cc", &cc.iter().filter(|address| is_due(address)).collect::<Vec<_>>()));
    }
    message.extend(line("Bcc", &hidden));
    message.extend_from_slice(rest);
    message
}

/// The addresses of a header.
fn named(bytes: &[u8], name: &HeaderName<'_>) -> Vec<String> {
    let Some(message) = MessageParser::default().parse_headers(bytes) else { return Vec::new() };
    let values = message.headers().iter().filter(|header| header.name == *name).map(|header| &header.value);
    let addresses = values.filter_map(|value| match value {
        HeaderValue::Address(list) => Some(list.iter().filter_map(|one| one.address().map(str::to_owned))),
        _ => None,
    });
    addresses.flatten().collect()
}

/// The fields of a message's head, each with its folded lines and line end.
fn fields(head: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut start = 0;
    for end in head.windows(2).enumerate().filter(|(_, pair)| *pair == b"\r\n").map(|(at, _)| at + 2) {
        if !matches!(head.get(end), Some(b' ' | b'\t')) {
            found.push(&head[start..end]);
            start = end;
        }
    }
    found
}

/// One field, a line for each address; nothing for nobody.
fn line(name: &str, addresses: &[&String]) -> Vec<u8> {
    if addresses.is_empty() {
        return Vec::new();
    }
    let list: Vec<&str> = addresses.iter().map(|address| address.as_str()).collect();
    format!("{name}: {}\r\n", list.join(",\r\n ")).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: &str = "From: leads@contoso.example\r\nSubject: a\r\n b\r\n\
        To: =?utf-8?b?7JiB7JeF?= <sales@contoso.example>,\r\n partners@contoso.example\r\nCc: boss@contoso.example\r\n\r\n\
                         To: nobody@contoso.example\r\n";

    fn addressed_to(bytes: &str, recipients: &[&str]) -> String {
        let recipients: Vec<String> = recipients.iter().map(|address| (*address).to_owned()).collect();
        String::from_utf8(addressed(bytes.as_bytes(), &recipients)).unwrap()
    }

    #[test]
    fn hidden_recipients_are_added_and_nothing_else_changes() {
        let all = ["sales@contoso.example", "partners@contoso.example", "boss@contoso.example"];
        assert_eq!(addressed_to(BYTES, &all), BYTES);
        let hidden = [all.as_slice(), &["audit@contoso.example", "b@contoso.example"]].concat();
        let expected =
            BYTES.replacen("\r\n\r\n", "\r\nBcc: audit@contoso.example,\r\n b@contoso.example\r\n\r\n", 1);
        assert_eq!(addressed_to(BYTES, &hidden), expected);
        let alone = "To: undisclosed-recipients:;\r\nFrom: a@b.example\r\n\r\ntext";
        assert_eq!(
            addressed_to(alone, &["c@b.example"]),
            "From: a@b.example\r\nBcc: c@b.example\r\n\r\ntext"
        );
    }

    #[test]
    fn nobody_else_gets_it() {
        let rest = addressed_to(BYTES, &["partners@contoso.example"]);
        assert_eq!(
            rest,
            "From: leads@contoso.example\r\nSubject: a\r\n b\r\nTo: partners@contoso.example\r\n\r\nTo: \
             nobody@contoso.example\r\n"
        );
        let trial = addressed_to(BYTES, &["me@contoso.example"]);
        assert!(trial.contains("\r\nBcc: me@contoso.example\r\n") && !trial.contains("sales@"), "{trial}");
    }
}
