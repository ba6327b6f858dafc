//! Replies of a server (RFC 5321, 4.2), taken apart as their bytes come. Pure.
//!
//! The code decides. The text is for people: it may be missing, and is of whatever charset the server
//! runs in. Servers are read as Postfix and curl read them, which is what servers are tried with: a
//! line may end with a line feed alone, the text may follow at once, and where the lines of a reply
//! differ the last one counts. What has no end is not read to it.

use std::fmt;

use bytes::BytesMut;

use crate::text::foreign;

/// Bytes of a line; RFC 5321 gives servers 512.
const LONGEST_LINE: usize = 16 << 10;
/// Bytes of a reply.
const LONGEST: usize = 128 << 10;
/// Characters of a reply that are shown.
const SHOWN: usize = 500;

/// What the server has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// 200 to 599.
    pub(super) code: u16,
    /// The text of each line.
    pub(super) lines: Vec<String>,
}

/// Why what arrived is not a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ReplyError {
    /// A line or a reply does not end.
    Endless,
    /// What arrived instead, as it is.
    NoReply(String),
}

/// Reads a reply, some lines of which may not have arrived.
#[derive(Debug, Default)]
pub(super) struct ReplyReader {
    lines: Vec<String>,
    has_begun: bool,
    bytes: usize,
}

enum Line<'a> {
    /// A reply's, with its code.
    Coded { code: u16, is_last: bool, text: &'a [u8] },
    /// Text alone.
    Text(&'a [u8]),
}

impl Reply {
    /// The digit that says what became of the command.
    pub(super) fn class(&self) -> u16 {
        self.code / 100
    }

    /// Subject and detail of the enhanced code (RFC 3463): 7 and 1 of `550 5.7.1 …`; at the
    /// begin of a line, or at its end as qmail has it.
    pub(super) fn enhanced(&self) -> Option<(u16, u16)> {
        let at_its_end = |line: &'_ String| line.rsplit_once("(#").and_then(|(_, end)| enhanced_in(end));
        self.lines.iter().find_map(|line| enhanced_in(line).or_else(|| at_its_end(line)))
    }
}

/// `550 5.1.1 no such user`: one line that does nothing to a terminal, and not a long one.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&cleaned(&format!("{} {}", self.code, self.lines.join(" "))))
    }
}

impl ReplyReader {
    /// Takes its lines out of what was heard; the reply, once it is whole. What comes after it stays.
    pub(super) fn take(&mut self, heard: &mut BytesMut) -> Result<Option<Reply>, ReplyError> {
        while let Some(at) = memchr::memchr(b'\n', heard) {
            let line = heard.split_to(at + 1);
            if let Some(reply) = self.line(&line)? {
                return Ok(Some(reply));
            }
        }
        let is_endless = heard.len() > LONGEST_LINE;
        if is_endless { Err(ReplyError::Endless) } else { Ok(None) }
    }

    /// The reply, when nothing more comes and its last line lacks nothing but the line's end.
    pub(super) fn end(&mut self, heard: &mut BytesMut) -> Option<Reply> {
        let line = heard.split();
        self.line(&line).ok().flatten()
    }

    fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyError> {
        self.bytes += line.len();
        if line.len() > LONGEST_LINE || self.bytes > LONGEST {
            return Err(ReplyError::Endless);
        }
        let line = line.trim_ascii_end();
        match read(line) {
            Line::Coded { code, is_last, text } => {
                self.has_begun = true;
                self.lines.push(text_of(text));
                Ok(is_last.then(|| Reply { code, lines: std::mem::take(&mut self.lines) }))
            }
            Line::Text(text) if self.has_begun || text.is_empty() => {
                self.lines.extend((!text.is_empty()).then(|| text_of(text)));
                Ok(None)
            }
            Line::Text(text) => Err(ReplyError::NoReply(String::from_utf8_lossy(text).into_owned())),
        }
    }
}

/// Three digits that are not part of a longer number begin a line of a reply.
fn read(line: &[u8]) -> Line<'_> {
    let Some((digits @ [b'2'..=b'5', ..], rest)) = line.split_at_checked(3) else { return Line::Text(line) };
    let is_code = digits.iter().all(u8::is_ascii_digit) && !rest.first().is_some_and(u8::is_ascii_digit);
    if !is_code {
        return Line::Text(line);
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    match rest.strip_prefix(b"-") {
        Some(text) => Line::Coded { code, is_last: false, text },
        None => Line::Coded { code, is_last: true, text: rest },
    }
}

/// `5.7.1`, also as `#5.7.1` or `(5.7.1)`; the code itself says what is final and what is not.
fn enhanced_in(line: &str) -> Option<(u16, u16)> {
    let line = line.trim_start_matches(['#', '(', '[', '<', ' ']);
    let mut numbers = line.split(|c: char| !c.is_ascii_digit() && c != '.').next()?.split('.');
    let class = numbers.next()?;
    let number = |text: &str| (1..=3).contains(&text.len()).then(|| text.parse::<u16>().ok()).flatten();
    let subject = number(numbers.next()?)?;
    let detail = number(numbers.next()?)?;
    // A sentence may end behind it; an address of four numbers is none.
    let is_whole = numbers.next().is_none_or(str::is_empty) && numbers.next().is_none();
    (matches!(class, "2" | "4" | "5") && is_whole).then_some((subject, detail))
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.trim_ascii()).into_owned()
}

/// One line that does nothing to a terminal, not a long one, and without what signs in.
pub(super) fn cleaned(text: &str) -> String {
    foreign::line(text, SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8]) -> (Vec<Result<Reply, ReplyError>>, usize) {
        let mut heard = BytesMut::from(bytes);
        let mut found = Vec::new();
        loop {
            match ReplyReader::default().take(&mut heard) {
                Ok(Some(reply)) => found.push(Ok(reply)),
                Ok(None) => return (found, heard.len()),
                Err(error) => {
                    found.push(Err(error));
                    return (found, heard.len());
                }
            }
        }
    }

    fn words(bytes: &[u8]) -> Vec<String> {
        all(bytes)
            .0
            .into_iter()
            .map(|reply| reply.map_or_else(|e| format!("{e:?}"), |r| r.to_string()))
            .collect()
    }

    #[test]
    fn the_code_is_found_whatever_follows_it() {
        for (bytes, expected) in [
            (&b"250 ok\r\n"[..], "250 ok"),
            (b"250\r\n", "250"),
            (b"250\n", "250"),
            (b"250 \r\n", "250"),
            (b"250\tok\r\n", "250 ok"),
            (b"250ok\r\n", "250 ok"),
            (b"250-a\r\n250-\r\n250 b\r\n", "250 a  b"),
            (b"250-a\r\nb\r\n\r\n250 c\r\n", "250 a b c"),
            (b"250-a\r\n550 b\r\n", "550 a b"),
            (b"550-a\r\n250 b\r\n", "250 a b"),
            (b"\r\n250 a\r\n", "250 a"),
            (b"250 Gr\xfc\xdfe\r\n", "250 Gr\u{fffd}\u{fffd}e"),
            (b"250 o\0\x1b[1mk\r\n", "250 o [1mk"),
            (b"250 a\r250 b\r\n", "250 a 250 b"),
            (b"2500 ok\r\n", "NoReply(\"2500 ok\")"),
            (b"+OK\r\n", "NoReply(\"+OK\")"),
            (b" 250 ok\r\n", "NoReply(\" 250 ok\")"),
            (b"199 ok\r\n", "NoReply(\"199 ok\")"),
            (b"600 ok\r\n", "NoReply(\"600 ok\")"),
            (b"25\r\n", "NoReply(\"25\")"),
            (b"\xff\xfe250 ok\r\n", "NoReply(\"\u{fffd}\u{fffd}250 ok\")"),
        ] {
            assert_eq!(words(bytes), [expected], "{}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(words(b"250 a\r\n354 b\r\n"), ["250 a", "354 b"]);
    }

    #[test]
    fn what_has_no_end_is_not_read_to_it() {
        let endless = vec![Err(ReplyError::Endless)];
        assert_eq!(all(&vec![b'x'; LONGEST_LINE + 1]).0, endless);
        assert_eq!(all(&[&vec![b'x'; LONGEST_LINE][..], b"\n"].concat()).0, endless);
        assert_eq!(all(&b"250-x\r\n".repeat(LONGEST / 7 + 1)).0, endless);
        assert_eq!(all(&b"\r\n".repeat(LONGEST / 2 + 1)).0, endless);
        let longest = [&b"250 "[..], &vec![b'x'; LONGEST_LINE - 6], b"\r\n"].concat();
        assert_eq!(words(&longest)[0].chars().count(), SHOWN);
    }

    #[test]
    fn enhanced_codes_are_found_in_every_form() {
        for (lines, expected) in [
            (&["5.7.1 no"][..], Some((7, 1))),
            (&["#5.1.0 Address rejected"], Some((1, 0))),
            (&["[5.7.60] no"], Some((7, 60))),
            (&["(5.4.5)"], Some((4, 5))),
            (&["4.7.500: busy"], Some((7, 500))),
            (&["5.2.252"], Some((2, 252))),
            (&["Sorry", "5.7.26 no"], Some((7, 26))),
            (&["5.7.1"], Some((7, 1))),
            (&["sorry, no mailbox here by that name (#5.1.1)"], Some((1, 1))),
            (&["5.7.1. no"], Some((7, 1))),
            (&["5.7"], None),
            (&["5.7.0.1 is blocked"], None),
            (&["1.2.3"], None),
            (&["5.1234.1"], None),
            (&["5..1", "5.7.x", "no 5.7.1"], None),
            (&[], None),
        ] {
            let reply = Reply { code: 550, lines: lines.iter().map(|line| (*line).to_owned()).collect() };
            assert_eq!(reply.enhanced(), expected, "{lines:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_are_the_same_replies_in_bounded_memory(
            bytes in prop::collection::vec(prop_oneof![
                3 => prop::sample::select(b"0123456789- \r\n".to_vec()),
                1 => any::<u8>(),
            ], 0..400),
            piece in 1_usize..20,
        ) {
            let (at_once, left) = all(&bytes);
            let mut heard = BytesMut::new();
            let mut reader = ReplyReader::default();
            let mut found = Vec::new();
            'pieces: for piece in bytes.chunks(piece) {
                heard.extend_from_slice(piece);
                loop {
                    match reader.take(&mut heard) {
                        Ok(None) => break,
                        Ok(Some(reply)) => found.push(Ok(reply)),
                        Err(error) => {
                            found.push(Err(error));
                            break 'pieces;
                        }
                    }
                    reader = ReplyReader::default();
                }
            }
            prop_assert_eq!(&found, &at_once);
            prop_assert!(left <= LONGEST_LINE);
            for reply in at_once.iter().flatten() {
                prop_assert!((200..600).contains(&reply.code));
                prop_assert!(!reply.to_string().contains(char::is_control));
            }
        }
    }
}
