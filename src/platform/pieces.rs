//! Files that are searched for words, whatever their size.

use std::io::{self, Read as _};
use std::path::Path;

use super::ownership::open_inside;

/// Bytes of a file that are searched together, and those of them that are searched again with the next.
const PIECE: usize = 1 << 20;
const AGAIN: usize = 4 << 10;

/// Whether a text is found in the file, and how many bytes of it were read until then.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn find_in_file(path: &Path, is_found: impl Fn(&str) -> bool) -> io::Result<(u64, bool)> {
    let mut file = open_inside(path)?;
    let mut piece = Vec::with_capacity(PIECE + AGAIN);
    let mut all = 0;
    loop {
        let read = file.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
        if read == 0 {
            return Ok((all, false));
        }
        all += read as u64;
        if is_found(&String::from_utf8_lossy(&piece)) {
            return Ok((all, true));
        }
        let from = piece.len().saturating_sub(AGAIN);
        // From a border on: the end of `joana@b.example` is not `ana@b.example`.
        let border = piece[from..].iter().position(|byte| b" \t\r\n\0\"<>,;:=&|()".contains(byte));
        piece.drain(..from + border.filter(|_| from > 0).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_looked_through_across_its_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let is_word = |text: &str| text.split([' ', '\u{fffd}']).any(|word| word == "ana@fabrikam.example");
        for before in [0, PIECE - 25, PIECE - 10, PIECE + 3, 3 * PIECE - 5] {
            let text = [&vec![b' '; before][..], b"\xff ana@fabrikam.example ", &[0xff; 40]].concat();
            fs::write(&path, &text).unwrap();
            assert!(find_in_file(&path, is_word).unwrap().1, "after {before}");
        }
        for before in [PIECE - 5, PIECE - AGAIN - 2] {
            let text = [&vec![b' '; before][..], b"joana@fabrikam.example", &vec![b' '; PIECE]].concat();
            fs::write(&path, text).unwrap();
            assert!(!find_in_file(&path, is_word).unwrap().1, "its beginning lies in the piece before");
        }
    }
}
