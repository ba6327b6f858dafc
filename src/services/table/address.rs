//! The address of a row.
//!
//! <https://learn.microsoft.com/rest/api/storageservices/delete-entity1>

use std::fmt::Write as _;

/// Path of a row below its account. Quotes of the keys are doubled, as in a filter, and everything that
/// means something in a path is encoded; `+` too, which the service takes for a space.
pub(super) fn path_of(table: &str, partition_key: &str, row_key: &str) -> String {
    format!("{table}(PartitionKey='{}',RowKey='{}')", encoded(partition_key), encoded(row_key))
}

fn encoded(key: &str) -> String {
    let mut text = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'\'' => text.push_str("''"),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte));
            }
            other => drop(write!(text, "%{other:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use url::Url;

    #[test]
    fn every_key_comes_out_of_its_address_as_it_was() {
        for key in [
            "lead-1",
            "",
            "o'hara",
            "''",
            "100%",
            "%2f",
            "a%25b",
            "a/b",
            "a\\b",
            "a#b",
            "a?b",
            "a+b",
            "a b",
            " ",
            "a&b=c;d,e",
            "(x')",
            "한글",
            "ü",
            "😀",
            "..",
            ".",
            "\u{7f}",
            "a\tb",
            "\"<>`{|}^[]",
        ] {
            let url =
                Url::parse("http://127.0.0.1:1/account/").unwrap().join(&path_of("leads", key, "r")).unwrap();
            assert!(url.query().is_none() && url.fragment().is_none(), "{key}: {url}");
            let path = url.path().strip_prefix("/account/leads(PartitionKey='").unwrap();
            let path = path.strip_suffix("',RowKey='r')").unwrap();
            assert!(!path.contains(['/', '+', ' ']), "{key}: {url}");
            let decoded: String =
                url::form_urlencoded::parse(format!("k={path}").as_bytes()).next().unwrap().1.into_owned();
            assert_eq!(decoded, key.replace('\'', "''"));
        }
    }
}
