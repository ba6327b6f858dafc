//! The person's rows in the tables of all flows.

use std::collections::BTreeMap;
use std::fmt;

use futures::future::join_all;

use super::Leftover;
use super::person::{self, Person, Relation, address_of};
use crate::engine::run::RunError;
use crate::flow::Config;
use crate::platform::clock::Clock;
use crate::rows::row::Row;
use crate::services::OnlineServices;
use crate::services::table::{Query, Signature, Table, TableReader as _};
use crate::store::{Store, StoreError};

/// A table, whichever flows read it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableName {
    /// The table connection.
    pub connection: String,
    /// The table's name.
    pub table: String,
}

/// A row that has to do with the person.
#[derive(Debug, Clone)]
pub struct FoundRow {
    /// Where it is.
    pub table: TableName,
    /// The row.
    pub row: Row,
}

/// The result of a search of all tables.
#[derive(Debug, Clone, Default)]
pub struct TableSearch {
    /// The person's own rows.
    pub rows: Vec<FoundRow>,
    /// Rows of others that name the person.
    pub named: Vec<FoundRow>,
    /// Tables that were read to their end.
    pub read: Vec<TableName>,
    /// Tables that could not be, and why.
    pub unread: Vec<(TableName, Leftover)>,
    /// All rows that were read.
    pub scanned: usize,
}

/// Searches and deletions, until nothing new appears or this many have passed.
const ROUNDS: u32 = 3;

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the table {} of the connection {}", self.table, self.connection)
    }
}

/// Every table that a flow of flows.toml reads, whether the flow is on or off.
pub(super) fn names(config: &Config) -> Vec<TableName> {
    let name = |flow: &crate::flow::Flow| TableName {
        connection: flow.table.connection.clone(),
        table: flow.table.name.clone(),
    };
    let mut names: Vec<_> = config.flows.values().map(|flow| name(flow)).collect();
    names.sort();
    names.dedup();
    names
}

/// Reads every table to its end, whatever the flows' filters say.
pub(super) async fn search(services: &OnlineServices, config: &Config, person: &Person) -> TableSearch {
    let names = names(config);
    let searches = join_all(names.iter().map(|name| read(services, config, name, person))).await;
    let mut all = TableSearch::default();
    for (name, search) in names.into_iter().zip(searches) {
        match search {
            Ok((rows, scanned)) => {
                all.scanned += scanned;
                for (relation, row) in rows {
                    let found = FoundRow { table: name.clone(), row };
                    if relation == Relation::Own { all.rows.push(found) } else { all.named.push(found) }
                }
                all.read.push(name);
            }
            Err(error) => {
                let what = format!("cannot read {name} to its end: {error}");
                let help = format!("{}; then run the command again", error.help());
                all.unread.push((name, Leftover { what, help }));
            }
        }
    }
    all
}

type Read = (Vec<(Relation, Row)>, usize);

async fn read(
    services: &OnlineServices,
    config: &Config,
    name: &TableName,
    person: &Person,
) -> Result<Read, RunError> {
    let table = open(services, config, name).await?;
    let mut scan = table.scan(Query::default());
    let mut rows = Vec::new();
    let mut scanned = 0;
    while let Some(page) = scan.next().await? {
        scanned += page.rows.len();
        let related = page.rows.into_iter().map(|row| (person.relation_of(&row), row));
        rows.extend(related.filter(|(relation, _)| *relation != Relation::None));
    }
    Ok((rows, scanned))
}

async fn open(services: &OnlineServices, config: &Config, name: &TableName) -> Result<Table, RunError> {
    Ok(services.open_table(config.table(&name.connection, &name.table)?).await?)
}

/// Whether all rows that a key names are one person's: leads of one address, or copies of one row.
///
/// # Errors
/// With the rows in words, where they need not be.
pub(super) fn check_one(search: &TableSearch) -> Result<(), Vec<String>> {
    let whose = |found: &FoundRow| match address_of(&found.row) {
        Some(address) => (Some(address), None, None),
        None => (None, Some(found.row.partition_key.clone()), person::name_of(&found.row)),
    };
    let mut others = search.rows.iter().map(whose);
    let Some(first) = others.next() else { return Ok(()) };
    if others.all(|other| other == first) {
        return Ok(());
    }
    let words = |found: &FoundRow| {
        let Row { partition_key, row_key, .. } = &found.row;
        let who = address_of(&found.row).or_else(|| person::name_of(&found.row));
        let who = who.unwrap_or_else(|| "neither address nor name".to_owned());
        format!("{partition_key}/{row_key} in {}: {who}", found.table)
    };
    Err(search.rows.iter().map(words).collect())
}

/// The result of a deletion, by a search afterwards.
#[derive(Debug, Default)]
pub(super) struct Deleted {
    /// Rows that were there before and are not any more.
    pub(super) rows: usize,
    /// The last search of the tables.
    pub(super) tables: TableSearch,
    /// Why rows are still there.
    pub(super) left: Vec<Leftover>,
}

/// Deletes the rows, and searches again until none is left or it does not help.
pub(super) async fn delete(
    services: &OnlineServices,
    config: &Config,
    person: &Person,
    search: TableSearch,
) -> Deleted {
    let mut deleted = Deleted { tables: search, ..Deleted::default() };
    let mut seen: BTreeMap<(TableName, String, String), Option<String>> = BTreeMap::new();
    for _ in 0..ROUNDS {
        if deleted.tables.rows.is_empty() {
            break;
        }
        for found in &deleted.tables.rows {
            seen.insert(key_of(found), delete_one(services, config, found).await);
        }
        deleted.tables = self::search(services, config, person).await;
    }
    let unread = |name: &TableName| deleted.tables.unread.iter().any(|(unread, _)| unread == name);
    let stands =
        |key: &(TableName, String, String)| deleted.tables.rows.iter().any(|found| key_of(found) == *key);
    deleted.rows = seen.keys().filter(|key| !unread(&key.0) && !stands(key)).count();
    let left = deleted.tables.rows.iter().map(|found| {
        let why = seen.get(&key_of(found)).cloned().flatten();
        still_there(found, why)
    });
    deleted.left = left.collect();
    let unseen = seen.keys().filter(|key| unread(&key.0)).map(|key| Leftover {
        what: format!("could not verify that the row {}/{} is gone from {}", key.1, key.2, key.0),
        help: "run the command again once the table can be read".to_owned(),
    });
    deleted.left.extend(unseen);
    deleted
}

fn key_of(found: &FoundRow) -> (TableName, String, String) {
    (found.table.clone(), found.row.partition_key.clone(), found.row.row_key.clone())
}

/// Why it did not go, as far as the service says.
async fn delete_one(services: &OnlineServices, config: &Config, found: &FoundRow) -> Option<String> {
    let table = match open(services, config, &found.table).await {
        Ok(table) => table,
        Err(error) => return Some(error.to_string()),
    };
    match table.delete(&found.row).await {
        Ok(true) => None,
        Ok(false) => Some("the service says that the row does not exist".to_owned()),
        Err(error) => {
            let help = error.advice.help.as_ref().map_or_else(String::new, |help| format!(" ({help})"));
            Some(format!("{error}{help}"))
        }
    }
}

fn still_there(found: &FoundRow, why: Option<String>) -> Leftover {
    let Row { partition_key, row_key, .. } = &found.row;
    let why = why.unwrap_or_else(|| "the service says that it was deleted".to_owned());
    Leftover {
        what: format!("the row {partition_key}/{row_key} is still in {}: {why}", found.table),
        help:
            "let leadflow delete (a SAS needs the permission `d`), or delete the row in the portal (Storage \
             browser), then run the command again"
                .to_owned(),
    }
}

/// Rows of others that name the person.
pub(super) fn named(search: &TableSearch) -> impl Iterator<Item = Leftover> + '_ {
    search.named.iter().map(|found| Leftover {
        what: format!(
            "the row {}/{} of {} is another person's lead and names this person",
            found.row.partition_key, found.row.row_key, found.table
        ),
        help: "edit the row by hand; leadflow deletes no lead of another person".to_owned(),
    })
}

/// Tables of which only a part can be seen.
pub(super) fn partly_seen(config: &Config) -> Vec<Leftover> {
    let mut left = Vec::new();
    for name in names(config) {
        let signature = config.tables.get(&name.connection).and_then(Signature::from_connection);
        if signature.is_some_and(|signature| signature.is_of_a_range) {
            left.push(Leftover {
                what: format!("the signature of {name} covers only a range of its rows (spk, epk)"),
                help: "the others were not searched; use a signature for the whole table, then run the \
                       command again"
                    .to_owned(),
            });
        }
    }
    left
}

/// Tables that flows have read and none reads any more.
pub(super) async fn earlier(config: &Config, store: &Store) -> Result<Vec<Leftover>, StoreError> {
    let services = OnlineServices::new(Clock::System);
    let mut tables = Vec::new();
    for name in names(config) {
        tables.extend(open(&services, config, &name).await);
    }
    let mut left = Vec::new();
    for flow in store.flow_names().await? {
        let sources = store.sources(&flow).await?.into_iter().map(|source| source.identity);
        let is_read = |identity: &str| tables.iter().any(|table| table.is_recorded_as(identity));
        let unread = sources.filter(|identity| !identity.is_empty() && !is_read(identity));
        left.extend(unread.map(|identity| {
            Leftover {
                what: format!(
                    "the table {identity} was not searched: {flow} has read it, and no flow reads it now"
                ),
                help: "search it by hand; leadflow remembers the table for as long as settings.history says"
                    .to_owned(),
            }
        }));
    }
    Ok(left)
}
