//! Row marks in their order, found by row id: for a hundred thousand rows four megabytes.

use hashbrown::HashTable;

use crate::rows::row::{RowId, RowMark};

/// Marks of different rows.
#[derive(Debug, Default)]
pub(super) struct RowMarks {
    list: Vec<RowMark>,
    /// Where in the list; less than a set of ids would take.
    by_id: HashTable<u32>,
}

impl RowMarks {
    pub(super) fn contains(&self, id: RowId) -> bool {
        self.by_id.find(hash(id), |at| self.list[*at as usize].id == id).is_some()
    }

    /// Appends the mark of a row that is not there yet. A scan has fewer rows than 2³².
    pub(super) fn push(&mut self, mark: RowMark) {
        let list = &self.list;
        let at = u32::try_from(list.len()).unwrap_or(u32::MAX);
        self.by_id.insert_unique(hash(mark.id), at, |at| hash(list[*at as usize].id));
        self.list.push(mark);
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn into_vec(self) -> Vec<RowMark> {
        self.list
    }
}

/// An id is a part of a SHA-256 already.
fn hash(RowId(bytes): RowId) -> u64 {
    bytes.first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_of_many_and_no_other() {
        let mark = |number: usize| RowMark::from_keys("p", &number.to_string());
        let mut marks = RowMarks::default();
        for number in 0..5_000 {
            assert!(!marks.contains(mark(number).id));
            marks.push(mark(number));
        }
        assert!((0..5_000).all(|number| marks.contains(mark(number).id)));
        assert_eq!((marks.len(), marks.contains(mark(5_000).id)), (5_000, false));
        assert_eq!(marks.into_vec()[4_321], mark(4_321));
    }
}
