//! The CSV of a mail: lines that lie in a file until the mail is read, and are encoded then.

use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tempfile::SpooledTempFile;

/// Where the CSV of a mail is, and what it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SheetPart {
    /// Bytes of the message before it.
    pub(super) at: u64,
    /// Where its lines lie.
    lines: Range<u64>,
    /// Bytes of the byte order mark and the line of names before them.
    head: u64,
}

/// Bytes that a line of base64 takes, and the letters that they make (RFC 2045, 6.8).
const LINE: usize = 57;
const LETTERS: usize = 76;
/// Lines that are encoded at a time.
const AT_A_TIME: usize = 1_024;

impl SheetPart {
    pub(super) fn new(head: usize, lines: Range<u64>) -> Self {
        Self { at: 0, lines, head: head as u64 }
    }

    /// The same, after this number of bytes of the message.
    pub(super) fn placed(self, at: usize) -> Self {
        Self { at: at as u64, ..self }
    }

    /// Bytes of its base64.
    pub(super) fn size(&self) -> u64 {
        let bytes = self.head + self.lines.end - self.lines.start;
        bytes.div_ceil(3) * 4 + 2 * bytes.div_ceil(LINE as u64).saturating_sub(1)
    }

    /// Appends its base64 in lines, without a line break at the end.
    pub(super) fn encode(
        &self,
        head: &[u8],
        lines: &mut SpooledTempFile,
        to: &mut Vec<u8>,
    ) -> io::Result<()> {
        lines.seek(SeekFrom::Start(self.lines.start))?;
        let mut csv = head.chain(lines.take(self.lines.end - self.lines.start));
        let mut piece = Vec::with_capacity(LINE * AT_A_TIME);
        let mut letters = [0; LETTERS];
        loop {
            piece.clear();
            (&mut csv).take((LINE * AT_A_TIME) as u64).read_to_end(&mut piece)?;
            for line in piece.chunks(LINE) {
                let length = BASE64_STANDARD.encode_slice(line, &mut letters).map_err(io::Error::other)?;
                to.extend_from_slice(&letters[..length]);
                to.extend_from_slice(b"\r\n");
            }
            if piece.len() < LINE * AT_A_TIME {
                to.truncate(to.len() - 2);
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn is_the_base64_of_its_lines_in_lines() {
        let bytes: Vec<u8> = (0..251).cycle().take(LINE * AT_A_TIME * 2 + 100).collect();
        let mut lines = tempfile::spooled_tempfile(1 << 10);
        lines.write_all(&bytes).unwrap();
        for length in [0, 1, 2, 54, 55, LINE, LINE * AT_A_TIME - 3, bytes.len() - 7] {
            let part = SheetPart::new(3, 7..7 + length as u64);
            let mut encoded = b"before".to_vec();
            part.encode(b"abc", &mut lines, &mut encoded).unwrap();
            let encoded = std::str::from_utf8(&encoded[6..]).unwrap();
            assert_eq!(encoded.len() as u64, part.size(), "{length}");
            assert!(!encoded.ends_with("\r\n") && encoded.split("\r\n").all(|line| line.len() <= LETTERS));
            let decoded = BASE64_STANDARD.decode(encoded.replace("\r\n", "")).unwrap();
            assert_eq!(decoded, [b"abc", &bytes[7..7 + length]].concat());
        }
    }
}
