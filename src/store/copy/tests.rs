//! What a copy has, held against the schemas.

use std::collections::BTreeSet;

use super::*;
use crate::store::postgres::Place;

/// Every column of every table but nodes, as `table.column`.
fn listed() -> BTreeSet<String> {
    let columns = |table: &Table| {
        table.columns.iter().map(|(name, _)| format!("{}.{name}", table.name)).collect::<Vec<_>>()
    };
    TABLES.iter().flat_map(columns).collect()
}

fn found(store: &Store, ask: &str) -> BTreeSet<String> {
    store.raw(ask).unwrap().unwrap().split(' ').map(str::to_owned).collect()
}

#[tokio::test]
async fn a_copy_has_every_column_of_both_backends() {
    let of_sqlite = "SELECT group_concat(s.name || '.' || c.name, ' ') FROM sqlite_schema AS s, pragma_table_info(s.name) AS c
        WHERE s.type = 'table' AND s.name NOT IN ('nodes', 'sqlite_sequence')";
    assert_eq!(found(&Store::in_memory().unwrap(), of_sqlite), listed());
    let of_postgres =
        "SELECT string_agg(table_name || '.' || column_name, ' ') FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name NOT IN ('nodes', 'refinery_schema_history')";
    let place = Place::new();
    let store = crate::store::conformance::State::open(&place).await;
    assert_eq!(found(&store, of_postgres), listed());
}
