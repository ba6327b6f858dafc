//! The filter language against the emulator: random rows and random filters, one answer.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use leadflow::flow::{AzureConnection, AzureLogin, Cloud, SecretSource, TableConnection, TableRef};
use leadflow::platform::clock::Clock;
use leadflow::services::OnlineServices;
use leadflow::services::table::{EmbeddedTable, Query, Table};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use crate::support::azurite;

const ROWS: usize = 300;
const FILTERS: u32 = 1_000;

/// A value of each type, few enough that comparisons meet equal ones.
fn constants() -> impl Strategy<Value = (&'static str, String)> {
    prop_oneof![
        prop::sample::select(vec!["'a'", "'b'", "'ab'", "''", "'o''hara'", "'Z'", "'é'"])
            .prop_map(|c| ("S", c.to_owned())),
        (-3_i32..4).prop_map(|n| ("I", n.to_string())),
        prop::sample::select(vec!["0L", "9000000000L", "-9000000000L", "5L"])
            .prop_map(|c| ("L", c.to_owned())),
        prop::sample::select(vec!["0.5", "-1.5", "2.0", "1000.0", "0.25"]).prop_map(|c| ("D", c.to_owned())),
        any::<bool>().prop_map(|b| ("B", b.to_string())),
        (0_i64..6).prop_map(|n| ("T", format!("datetime'{}'", moment(n)))),
        (0_u8..4).prop_map(|n| ("G", format!("guid'{}'", guid(n)))),
        (0_u8..4).prop_map(|n| ("X", format!("X'{n:02x}'"))),
    ]
}

fn moment(number: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 20_000 + number)
}

fn guid(number: u8) -> String {
    format!("a455c695-df98-5678-aaaa-81d3367e5a{number:02x}")
}

fn filters() -> impl Strategy<Value = String> {
    let operator = prop::sample::select(vec!["eq", "ne", "gt", "ge", "lt", "le"]);
    let typed =
        (constants(), operator.clone()).prop_map(|((name, constant), op)| format!("{name} {op} {constant}"));
    let keys = (prop::sample::select(vec!["PartitionKey", "RowKey"]), operator, 0_usize..6)
        .prop_map(|(name, op, n)| format!("{name} {op} '{}{n}'", if name == "RowKey" { "r00" } else { "p" }));
    let leaf = prop_oneof![4 => typed, 1 => keys];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} and {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} or {b}")),
            inner.clone().prop_map(|a| format!("({a})")),
            inner.prop_map(|a| format!("not ({a})")),
        ]
    })
}

/// A row with a value of each type.
fn rows() -> impl Strategy<Value = Map<String, Value>> {
    let texts = prop::sample::select(vec!["a", "b", "ab", "", "o'hara", "Z", "é"]);
    let big = prop::sample::select(vec!["0", "9000000000", "-9000000000", "5"]);
    let double = prop::sample::select(vec![0.5, -1.5, 2.0, 1e3, 0.25]);
    (texts, -3_i32..4, big, double, any::<bool>(), 0_i64..6, 0_u8..4, 0_u8..4).prop_map(|(s, i, l, d, b, t, g, x)| {
        let row = json!({
            "S": s, "I": i, "L@odata.type": "Edm.Int64", "L": l, "D@odata.type": "Edm.Double", "D": d, "B": b,
            "T@odata.type": "Edm.DateTime", "T": moment(t).to_string(), "G@odata.type": "Edm.Guid", "G": guid(g),
            "X@odata.type": "Edm.Binary", "X": base64_of(x),
        });
        row.as_object().unwrap().clone()
    })
}

fn base64_of(byte: u8) -> String {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.encode([byte])
}

async fn keys(table: &Table, filter: &str) -> BTreeSet<String> {
    let mut scan = table.scan(Query { filter: Some(filter.to_owned()), select: None });
    let mut found = BTreeSet::new();
    while let Some(page) = scan.next().await.unwrap_or_else(|error| panic!("{filter}: {error}")) {
        found.extend(page.rows.into_iter().map(|row| row.row_key));
    }
    found
}

/// The same rows in the emulator and in an embedded table.
fn tables(runtime: &Runtime, rows: &[Map<String, Value>], folder: &std::path::Path) -> (Table, Table) {
    let secret = folder.join("storage");
    std::fs::write(&secret, azurite::connection_string(azurite::KEY)).unwrap();
    let login = AzureLogin::ConnectionString(SecretSource::File(secret));
    let connection =
        TableConnection::Azure(AzureConnection { login, ca_file: None, cloud: Cloud::default() });
    let place = runtime.block_on(azurite::Table::create());
    let values: Vec<Value> = rows.iter().cloned().map(Value::Object).collect();
    runtime.block_on(place.insert(&values));
    let file = folder.join("rows.db");
    EmbeddedTable::open(&file, "rows").unwrap().insert(rows, Clock::System.now()).unwrap();
    let open = |connection: &TableConnection, table: &str| {
        let table = TableRef { connection_name: "", connection, table };
        runtime.block_on(OnlineServices::new(Clock::System).open_table(table)).unwrap()
    };
    (open(&connection, &place.name), open(&TableConnection::Embedded { file }, "rows"))
}

#[test]
fn random_filters_over_random_rows_find_the_same_in_both_tables() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut runner =
        TestRunner::new(Config { cases: FILTERS, failure_persistence: None, ..Config::default() });
    let mut all = Vec::new();
    for number in 0..ROWS {
        let mut row = rows().new_tree(&mut runner).unwrap().current();
        // Every seventh row lacks a property, each time another one.
        if number % 7 == 0 {
            let name = ["S", "I", "L", "D", "B", "T", "G", "X"][number / 7 % 8];
            row.retain(|column, _| column != name && !column.starts_with(&format!("{name}@")));
        }
        row.insert("PartitionKey".to_owned(), format!("p{}", number % 5).into());
        row.insert("RowKey".to_owned(), format!("r{number:03}").into());
        all.push(row);
    }
    let (azure, embedded) = tables(&runtime, &all, folder.path());
    let result = runner.run(&filters(), |filter| {
        let (expected, found) =
            runtime.block_on(async { (keys(&azure, &filter).await, keys(&embedded, &filter).await) });
        prop_assert_eq!(expected, found, "{}", filter);
        Ok(())
    });
    result.unwrap();
}

/// What the emulator does differently from the service; this test fails when it is fixed.
#[test]
fn the_known_differences_of_the_emulator() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let row = json!({
        "PartitionKey": "p", "RowKey": "r", "N": 5, "D@odata.type": "Edm.Double", "D": 2.5,
        "T@odata.type": "Edm.DateTime", "T": "2026-01-05T08:00:00.1234567Z",
    });
    let (azure, embedded) = tables(&runtime, &[row.as_object().unwrap().clone()], folder.path());
    for (filter, in_emulator, ours) in [
        // It compares dates by milliseconds, the service by 100 ns.
        ("T gt datetime'2026-01-05T08:00:00.1230000Z'", 0, 1),
        ("T eq datetime'2026-01-05T08:00:00.1234567Z'", 1, 1),
        // It does not read exponents.
        ("D lt 1e3", 0, 1),
    ] {
        let counts = runtime
            .block_on(async { (keys(&azure, filter).await.len(), keys(&embedded, filter).await.len()) });
        assert_eq!(counts, (in_emulator, ours), "{filter}");
    }
}
