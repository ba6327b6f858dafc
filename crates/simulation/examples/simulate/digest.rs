//! One line that stays the same as long as the same seeds play the same histories.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// The digest of each seed's event log. The logs themselves would fill the memory.
#[derive(Debug, Default)]
pub(crate) struct Digests(BTreeMap<u64, [u8; 32]>);

impl Digests {
    /// Takes a history that has been played.
    pub(crate) fn add(&mut self, seed: u64, events: &[String]) {
        let mut hash = Sha256::new();
        for event in events {
            hash.update(event);
            hash.update("\n");
        }
        self.0.insert(seed, hash.finalize().into());
    }

    /// Over all histories in the order of their seeds, whatever the order in which they were played.
    pub(crate) fn total(&self) -> String {
        let mut hash = Sha256::new();
        for digest in self.0.values() {
            hash.update(digest);
        }
        hex(&hash.finalize())
    }

    /// A line for each seed, so that the first history that differs is found.
    pub(crate) fn lines(&self) -> String {
        self.0.iter().fold(String::new(), |mut lines, (seed, digest)| {
            let _ = writeln!(lines, "{seed} {}", hex(digest));
            lines
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
