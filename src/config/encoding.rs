//! The text of a file, or which encoding it has instead of UTF-8.

use std::path::Path;

use crate::platform::ownership::Finding;

/// The text as far as it is UTF-8, with or without a byte order mark; and which encoding it has where it is not,
/// where that shows, and what to do.
pub(super) fn text_of(path: &Path, bytes: Vec<u8>) -> (String, Option<Finding>) {
    let mut mistake = if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"\x1f\x8b") {
        let message = format!("{} is an archive, not a text file", path.display());
        Some(Finding { message, help: "unpack it first".to_owned() })
    } else if is_utf16(&bytes) {
        Some(other(path, "UTF-16", ""))
    } else {
        None
    };
    let text = String::from_utf8(bytes).unwrap_or_else(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let before = String::from_utf8_lossy(valid);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        mistake.get_or_insert_with(|| other(path, "", &format!(" (line {line}, column {column})")));
        String::from_utf8_lossy(error.as_bytes()).into_owned()
    });
    (text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text), mistake)
}

fn other(path: &Path, encoding: &str, at: &str) -> Finding {
    let what = if encoding.is_empty() {
        "is not UTF-8 text".to_owned()
    } else {
        format!("is {encoding} text, not UTF-8")
    };
    let help = "save it as UTF-8: look for Save as or Encoding in the editor".to_owned();
    Finding { message: format!("{} {what}{at}", path.display()), help }
}

/// By its mark, or since every other byte is zero.
fn is_utf16(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(256)];
    let zeros = start.split(|byte| *byte == 0).count() - 1;
    bytes.starts_with(b"\xff\xfe")
        || bytes.starts_with(b"\xfe\xff")
        || (zeros > 1 && zeros * 3 >= start.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_encoding_is_named() {
        let path = Path::new("flows.toml");
        let utf16 = |mark: &[u8]| {
            [mark, &"[settings]".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()].concat()
        };
        for (bytes, message) in [
            (utf16(b"\xff\xfe"), "flows.toml is UTF-16 text, not UTF-8"),
            (utf16(b""), "flows.toml is UTF-16 text, not UTF-8"),
            (b"[a]\n# \xbc\xb3\xc1\xa4".to_vec(), "flows.toml is not UTF-8 text (line 2, column 3)"),
            (b"# \xea\xb9\x80 \xff".to_vec(), "flows.toml is not UTF-8 text (line 1, column 5)"),
            (b"PK\x03\x04\0\0\0".to_vec(), "flows.toml is an archive, not a text file"),
        ] {
            let found = text_of(path, bytes).1.unwrap();
            assert_eq!(found.message, message);
            assert!(!found.help.is_empty());
        }
        assert_eq!(text_of(path, b"\xef\xbb\xbfa".to_vec()), ("a".to_owned(), None));
        assert_eq!(text_of(path, b"a\0b, and some more text".to_vec()).1, None);
    }
}
