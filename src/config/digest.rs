//! What tells the files of two machines apart.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use toml::de::{DeTable, DeValue};

/// Of the values of a file and of its templates, whatever its comments and the order of its keys. How a machine signs in to
/// the database, its name there, and its page are its own.
pub(super) struct Digest(Sha256);

/// As much of a digest as tells two files apart.
const BYTES: usize = 8;

impl Digest {
    /// Of a file whose flows lie apart from the rest.
    pub(super) fn new(root: &DeTable<'_>, flows: &DeTable<'_>) -> Self {
        let mut digest = Self(Sha256::new());
        digest.take_in_table(root, &[]);
        digest.take_in_table(flows, &["flows"]);
        digest
    }

    /// With a template.
    pub(super) fn take_in_template(&mut self, name: &str, text: &str) {
        self.add(b't', name);
        self.add(b't', text);
    }

    /// In hexadecimal digits.
    pub(super) fn finish(self) -> String {
        self.0.finalize().iter().take(BYTES).fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    fn take_in_table(&mut self, table: &DeTable<'_>, place: &[&str]) {
        let mut values: Vec<_> =
            table.iter().map(|(key, value)| (key.get_ref().as_ref(), value.get_ref())).collect();
        values.sort_unstable_by_key(|(key, _)| *key);
        self.0.update(b"{");
        for (key, value) in values {
            let place = [place, &[key]].concat();
            if place != ["settings", "postgres"] && place != ["settings", "page"] {
                self.add(b'k', key);
                self.take_in(value, &place);
            }
        }
        self.0.update(b"}");
    }

    fn take_in(&mut self, value: &DeValue<'_>, place: &[&str]) {
        match value {
            DeValue::String(text) => self.add(b's', text),
            DeValue::Integer(number) => self.add(b'i', number.as_str()),
            DeValue::Float(number) => self.add(b'f', number.as_str()),
            DeValue::Boolean(is) => self.add(b'b', &is.to_string()),
            DeValue::Datetime(moment) => self.add(b'd', &moment.to_string()),
            DeValue::Array(values) => {
                self.0.update(b"[");
                values.iter().for_each(|value| self.take_in(value.get_ref(), place));
                self.0.update(b"]");
            }
            DeValue::Table(table) => self.take_in_table(table, place),
        }
    }

    /// With its length, so that nothing runs into what comes after it.
    fn add(&mut self, kind: u8, text: &str) {
        self.0.update([kind]);
        self.0.update(text.len().to_le_bytes());
        self.0.update(text);
    }
}
