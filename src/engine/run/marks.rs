//! Marks in their order, found by their keys: for a hundred thousand rows four megabytes.

use hashbrown::HashTable;

use crate::rows::row::{Key, Mark};

/// Marks of different rows.
#[derive(Debug, Default)]
pub(super) struct Marks {
    list: Vec<Mark>,
    /// Where in the list; less than a set of keys would take.
    by_key: HashTable<u32>,
}

impl Marks {
    pub(super) fn contains(&self, key: Key) -> bool {
        self.by_key.find(hash(key), |at| self.list[*at as usize].key == key).is_some()
    }

    /// Appends the mark of a row that is not there yet. A scan has fewer rows than 2³².
    pub(super) fn push(&mut self, mark: Mark) {
        let list = &self.list;
        let at = u32::try_from(list.len()).unwrap_or(u32::MAX);
        self.by_key.insert_unique(hash(mark.key), at, |at| hash(list[*at as usize].key));
        self.list.push(mark);
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn into_vec(self) -> Vec<Mark> {
        self.list
    }
}

/// A key is a part of a SHA-256 already.
fn hash(Key(bytes): Key) -> u64 {
    bytes.first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_of_many_and_no_other() {
        let mark = |number: usize| Mark::of_keys("p", &number.to_string());
        let mut marks = Marks::default();
        for number in 0..5_000 {
            assert!(!marks.contains(mark(number).key));
            marks.push(mark(number));
        }
        assert!((0..5_000).all(|number| marks.contains(mark(number).key)));
        assert_eq!((marks.len(), marks.contains(mark(5_000).key)), (5_000, false));
        assert_eq!(marks.into_vec()[4_321], mark(4_321));
    }
}
