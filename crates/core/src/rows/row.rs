//! A row of a table, kept as the text that the service sent, and its mark.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::rows::columns::Columns;

/// One row, compact: its two keys, the server's `Timestamp`, and the JSON text of the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// `PartitionKey`.
    pub partition_key: String,
    /// `RowKey`; with the `PartitionKey` it names the row within its table.
    pub row_key: String,
    /// The server's text, seven fractional digits; never converted and written back.
    pub timestamp: String,
    json: String,
}

/// What a JSON object lacks to be a row.
#[derive(Debug, thiserror::Error)]
#[error("a row of the response is not a table entity with PartitionKey, RowKey and Timestamp: {0}")]
pub struct RowError(#[from] serde_json::Error);

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "PartitionKey", borrow)]
    partition_key: Cow<'a, str>,
    #[serde(rename = "RowKey", borrow)]
    row_key: Cow<'a, str>,
    #[serde(rename = "Timestamp", borrow, default)]
    timestamp: Cow<'a, str>,
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: serde::Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let json = Box::<str>::from(Box::<RawValue>::deserialize(json)?);
        Self::from_text(json.into_string()).map_err(serde::de::Error::custom)
    }
}

impl Row {
    /// Reads the keys out of a JSON object of the table service and keeps the text.
    ///
    /// # Errors
    /// When `json` is no object or has no `PartitionKey` and `RowKey` strings.
    pub fn from_text(json: String) -> Result<Self, RowError> {
        let json = if json.contains("\\ud") || json.contains("\\uD") {
            without_lone_surrogates(&json)
        } else {
            json
        };
        let head: Head<'_> = serde_json::from_str(&json)?;
        let partition_key = head.partition_key.into_owned();
        let row_key = head.row_key.into_owned();
        let timestamp = head.timestamp.into_owned();
        Ok(Self { partition_key, row_key, timestamp, json })
    }

    /// The JSON text of the row, annotations (`Name@odata.type`) included.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// When it was last written; `None` where the `Timestamp` makes no sense.
    pub fn at(&self) -> Option<Timestamp> {
        self.timestamp.parse().ok()
    }

    /// Whether it was written after this moment. A row whose `Timestamp` makes no sense counts as written after
    /// every moment: whoever reads from a moment on has it, so that none is lost.
    pub fn is_after(&self, moment: Timestamp) -> bool {
        self.at().is_none_or(|at| at > moment)
    }

    /// Whether it was written after `from` and not after `to`. One whose `Timestamp` makes no sense is in every
    /// range, since it would be in none otherwise.
    pub fn is_within(&self, from: Timestamp, to: Timestamp) -> bool {
        self.at().is_none_or(|at| from < at && at <= to)
    }

    /// The row's columns in the order they came, `odata.*` annotations left out.
    pub fn columns(&self) -> Columns<'_> {
        columns_of(&self.json)
    }

    /// The mark of this version, where the service has sent one.
    pub fn etag(&self) -> Option<String> {
        self.properties().get("odata.etag")?.as_str().map(str::to_owned)
    }

    /// All that the JSON holds, annotations included.
    pub fn properties(&self) -> Columns<'_> {
        properties_of(&self.json)
    }
}

/// The columns of a row's JSON text.
pub fn columns_of(json: &str) -> Columns<'_> {
    let mut columns = properties_of(json);
    columns.retain(|name| !is_annotation(name));
    columns
}

fn properties_of(json: &str) -> Columns<'_> {
    Columns::parse(json).unwrap_or_else(|_| value_by_value(json))
}

/// A number beyond every double, or lists within lists, keep the whole from being read, though not
/// its keys: such a value becomes the text that was sent, and costs no other column.
fn value_by_value(json: &str) -> Columns<'_> {
    let texts: BTreeMap<String, &RawValue> = serde_json::from_str(json).unwrap_or_default();
    let value =
        |text: &RawValue| serde_json::from_str::<Value>(text.get()).unwrap_or_else(|_| text.get().into());
    texts.into_iter().map(|(name, text)| (name.into(), value(text).into())).collect()
}

/// The service keeps text as UTF-16 and may cut it within a character; no JSON reader takes the
/// half that is left, so it becomes U+FFFD.
fn without_lone_surrogates(json: &str) -> String {
    let unit = |text: &str| {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut whole = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        whole.push_str(&rest[..at]);
        rest = &rest[at..];
        // An escape of two characters, of six, or of two times six for a pair.
        let length = match (unit(rest), rest.get(6..).and_then(unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                whole.push_str("\\ufffd");
                rest = &rest[6..];
                continue;
            }
            (Some(_), _) => 6,
            (None, _) => rest.char_indices().nth(2).map_or(rest.len(), |(end, _)| end),
        };
        whole.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    whole + rest
}

/// Whether a property of the JSON is a note of the protocol and not a column.
pub fn is_annotation(name: &str) -> bool {
    name.starts_with("odata.") || name.ends_with("@odata.type")
}

/// By which the state recognises a row: the first 16 bytes of a SHA-256 of its `PartitionKey` and `RowKey`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowId(pub [u8; 16]);

/// Which of a row's versions it is: 8 bytes of a SHA-256 of its `Timestamp`, which moves with each
/// write, as the `ETag` does, which is made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowVersion(pub i64);

/// What the state remembers of a row that a run has processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowMark {
    /// Which row.
    pub id: RowId,
    /// Which version of it.
    pub version: RowVersion,
}

impl RowMark {
    /// The mark of a row that is not at hand; its version is of no use.
    pub fn from_keys(partition_key: &str, row_key: &str) -> Self {
        Self { id: RowId(hash::<16>(&[partition_key, row_key])), version: RowVersion(0) }
    }

    /// The mark of a row.
    pub fn new(row: &Row) -> Self {
        let id = hash::<16>(&[&row.partition_key, &row.row_key]);
        Self { id: RowId(id), version: RowVersion(i64::from_le_bytes(hash(&[&row.timestamp]))) }
    }
}

/// Each part with its length, so that the border between two of them counts.
fn hash<const N: usize>(parts: &[&str]) -> [u8; N] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let mut short = [0; N];
    short.copy_from_slice(&hash.finalize()[..N]);
    short
}

impl fmt::Debug for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::columns::Cell;

    fn row(partition: &str, row: &str, timestamp: &str) -> Row {
        Row::from_text(format!(
            r#"{{"odata.etag":"W/\"1\"","PartitionKey":"{partition}","RowKey":"{row}","Timestamp":"{timestamp}","N@odata.type":"Edm.Int64","N":"5"}}"#
        ))
        .unwrap()
    }

    #[test]
    fn ids_differ_where_the_border_between_the_two_keys_does() {
        assert_ne!(RowMark::new(&row("ab", "c", "t")).id, RowMark::new(&row("a", "bc", "t")).id);
    }

    #[test]
    fn an_id_is_written_as_32_digits() {
        let id = RowId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255]);
        assert_eq!(format!("{id:?}"), "000102030405060708090a0b0c0d0eff");
    }

    #[test]
    fn a_merge_changes_the_version_and_not_the_id() {
        let before = RowMark::new(&row("p", "r", "1"));
        let after = RowMark::new(&row("p", "r", "2"));
        assert_eq!(before.id, after.id);
        assert_ne!(before.version, after.version);
    }

    #[test]
    fn a_row_is_after_a_moment_or_within_a_range_by_its_timestamp() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let from = at("2026-11-23T08:00:00Z");
        let to = at("2026-11-23T09:00:00Z");
        for (timestamp, is_after, is_within) in [
            ("2026-11-23T08:00:00Z", false, false),
            ("2026-11-23T08:00:00.0000001Z", true, true),
            ("2026-11-23T09:00:00Z", true, true),
            ("2026-11-23T09:00:00.0000001Z", true, false),
            ("2026-11-23T07:59:59.9999999Z", false, false),
        ] {
            let row = row("p", "r", timestamp);
            assert_eq!((row.is_after(from), row.is_within(from, to)), (is_after, is_within), "{timestamp}");
        }
    }

    #[test]
    fn a_row_without_a_time_that_can_be_read_is_lost_to_no_reader() {
        let moments = [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX];
        for timestamp in ["", "nonsense", "2026-13-45T99:00:00Z", "99999-01-01T00:00:00Z", "2026-11-23"] {
            let row = row("p", "r", timestamp);
            assert_eq!(row.at(), None, "{timestamp}");
            assert!(moments.iter().all(|moment| row.is_after(*moment)), "{timestamp}");
            assert!(row.is_within(Timestamp::MAX, Timestamp::MIN), "{timestamp}");
        }
        let without = Row::from_text(r#"{"PartitionKey":"p","RowKey":"r"}"#.to_owned()).unwrap();
        assert!(without.is_after(Timestamp::MAX));
    }

    #[test]
    fn half_a_character_costs_no_row() {
        for (text, expected) in [
            (r"cut \ud83d", "cut \u{fffd}"),
            (r"\ud83d\ude00 \uD83D!", "😀 \u{fffd}!"),
            (r"\\ud83d \ude00\n", "\\ud83d \u{fffd}\n"),
        ] {
            let json = format!(r#"{{"PartitionKey":"p","RowKey":"r","Note":"{text}"}}"#);
            assert_eq!(
                Row::from_text(json).unwrap().columns().get("Note").and_then(Cell::as_str),
                Some(expected)
            );
        }
    }

    #[test]
    fn a_value_that_cannot_be_read_costs_no_other() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for text in ["1e999", &deep] {
            let json = format!(r#"{{"PartitionKey":"p","RowKey":"r","Odd":{text},"Name":"n"}}"#);
            let columns = Row::from_text(json).unwrap();
            let columns = columns.columns();
            assert_eq!(
                ["Odd", "Name"].map(|name| columns.get(name).and_then(Cell::as_str)),
                [Some(text), Some("n")]
            );
        }
    }

    #[test]
    fn annotations_are_not_columns() {
        let row = row("p", "r", "t");
        let columns = row.columns();
        let names: Vec<_> = columns.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["PartitionKey", "RowKey", "Timestamp", "N"]);
        assert_eq!(row.etag().as_deref(), Some("W/\"1\""));
        assert_eq!(Row::from_text(row.json().to_owned()).unwrap(), row, "its text has all of it");
    }

    #[test]
    fn an_object_without_keys_is_not_a_row() {
        assert!(Row::from_text(r#"{"PartitionKey":"p"}"#.to_owned()).is_err());
        assert!(Row::from_text("[]".to_owned()).is_err());
    }
}
