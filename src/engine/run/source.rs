//! Which of the tables that a flow has read is this one.

use crate::services::table::TableReader;
use crate::store::Source;

/// The source of this table: the one of its identity, or one that is recorded by another way to write it. A source
/// without an identity has rows that were replayed before the flow's first run, from the table that it reads first.
pub fn source_of<'a>(table: &dyn TableReader, sources: &'a [Source]) -> Option<&'a Source> {
    let identity = table.identity();
    let has = |is_it: &dyn Fn(&str) -> bool| sources.iter().find(|source| is_it(&source.identity));
    has(&|known| known == identity)
        .or_else(|| has(&|known| table.is_recorded_as(known)))
        .or_else(|| has(&str::is_empty))
}

#[cfg(test)]
mod tests {
    use crate::platform::clock::Clock;
    use crate::services::table::{EmbeddedTable, Table};

    use super::*;

    #[test]
    fn a_table_is_known_by_its_identity_then_by_another_way_to_write_it_then_as_the_one_without_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let table = EmbeddedTable::open(&folder.path().join("demo.db"), "leads").unwrap();
        let table = Table::Embedded(table, Clock::System);
        let identity = table.identity();
        let known = |identities: &[&str]| {
            let source = |(id, identity): (i64, &&str)| Source {
                id,
                identity: (*identity).to_owned(),
                first_due: None,
                progress: None,
            };
            let sources: Vec<_> = (1..).zip(identities).map(source).collect();
            source_of(&table, &sources).map(|source| source.id)
        };
        assert_eq!(known(&["", "elsewhere", &identity]), Some(3));
        let otherwise = format!("embedded:{}/./demo.db/leads", folder.path().display());
        assert_eq!(known(&["", &otherwise, "elsewhere"]), Some(2));
        assert_eq!(known(&["elsewhere", ""]), Some(2));
        assert_eq!(known(&["elsewhere"]), None);
    }
}
