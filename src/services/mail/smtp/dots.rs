//! A message as it goes over the wire (RFC 5321, 4.5.2): a line that begins with a dot gets another
//! one, and a dot alone ends it. Pure.

use std::ops::Range;

use memchr::memchr_iter;

const LINE_END: &[u8] = b"\r\n";

/// A part of the message; where its lines begin is seen in the whole.
pub(super) fn stuffed(message: &[u8], part: Range<usize>) -> Vec<u8> {
    let piece = &message[part.clone()];
    let begins_line = |at: &usize| *at == 0 || message[..*at].ends_with(LINE_END);
    let mut written = Vec::with_capacity(piece.len() + 16);
    let mut from = part.start;
    for at in memchr_iter(b'.', piece).map(|at| part.start + at).filter(begins_line) {
        written.extend_from_slice(&message[from..at]);
        written.push(b'.');
        from = at;
    }
    written.extend_from_slice(&message[from..part.end]);
    written
}

/// What ends the message.
pub(super) fn end(message: &[u8]) -> &'static [u8] {
    if message.is_empty() || message.ends_with(LINE_END) { b".\r\n" } else { b"\r\n.\r\n" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(message: &[u8], size: usize) -> Vec<u8> {
        let parts = (0..message.len()).step_by(size);
        let mut written: Vec<u8> =
            parts.flat_map(|from| stuffed(message, from..(from + size).min(message.len()))).collect();
        written.extend_from_slice(end(message));
        written
    }

    #[test]
    fn dots_that_begin_a_line_are_doubled_across_parts() {
        for (message, expected) in [
            (&b""[..], &b".\r\n"[..]),
            (b".", b"..\r\n.\r\n"),
            (b"a.b\r\n", b"a.b\r\n.\r\n"),
            (b".\r\n..\r\na\n.b\r.c\r\n.\r\n", b"..\r\n...\r\na\n.b\r.c\r\n..\r\n.\r\n"),
            (b"a\r", b"a\r\r\n.\r\n"),
        ] {
            for size in 1..=message.len().max(1) {
                assert_eq!(whole(message, size), expected, "{size}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_server_reads_the_same_bytes(
            message in prop::collection::vec(prop::sample::select(b"a.\r\n".to_vec()), 0..40),
            size in 1_usize..9,
        ) {
            let written = whole(&message, size);
            // As RFC 5321 has servers read it.
            let text: Vec<u8> = [LINE_END, &written].concat();
            let at = text.windows(5).position(|window| window == b"\r\n.\r\n").unwrap();
            prop_assert_eq!(at + 5, text.len(), "ends at its end and not before");
            let mut read = Vec::new();
            let mut rest = &text[..at + 2];
            while let Some(found) = rest.windows(3).position(|window| window == b"\r\n.") {
                read.extend_from_slice(&rest[..found + 2]);
                rest = &rest[found + 3..];
            }
            read.extend_from_slice(rest);
            let expected = if message.is_empty() || message.ends_with(LINE_END) { message } else { [&message[..], LINE_END].concat() };
            prop_assert_eq!(&read[2..], &expected);
        }
    }
}
