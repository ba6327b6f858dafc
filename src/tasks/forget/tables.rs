//! The person's rows in the tables of all flows.

use std::collections::BTreeMap;

use futures::future::join_all;

use super::Left;
use super::person::{self, Person, Relation, address_of};
use crate::engine::run::RunError;
use crate::flow::Config;
use crate::platform::clock::Clock;
use crate::rows::row::Row;
use crate::services::Online;
use crate::services::table::{Query, Signature, Table, TableReader as _};
use crate::store::{Store, StoreError};

/// A table, whichever flows read it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The table connection.
    pub connection: String,
    /// The table's name.
    pub table: String,
}

/// A row that has to do with the person.
#[derive(Debug, Clone)]
pub struct Found {
    /// Where it is.
    pub place: Place,
    /// The row.
    pub row: Row,
}

/// What a look at all tables has come to.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// The person's own rows.
    pub rows: Vec<Found>,
    /// Rows of others that name the person.
    pub named: Vec<Found>,
    /// Tables that were read to their end.
    pub read: Vec<Place>,
    /// Tables that could not be, and why.
    pub unread: Vec<(Place, Left)>,
    /// All rows that were looked at.
    pub scanned: usize,
}

/// Looks and deletions, until nothing new appears or this many have passed.
const ROUNDS: u32 = 3;

impl Place {
    /// In words.
    pub fn words(&self) -> String {
        format!("the table {} of the connection {}", self.table, self.connection)
    }
}

/// Every table that a flow of flows.toml reads, whether the flow is on or off.
pub(super) fn places(config: &Config) -> Vec<Place> {
    let place = |flow: &crate::flow::Flow| Place {
        connection: flow.table.connection.clone(),
        table: flow.table.name.clone(),
    };
    let mut places: Vec<_> = config.flows.values().map(|flow| place(flow)).collect();
    places.sort();
    places.dedup();
    places
}

/// Reads every table to its end, whatever the flows' filters say.
pub(super) async fn look(services: &Online, config: &Config, person: &Person) -> Look {
    let places = places(config);
    let looks = join_all(places.iter().map(|place| read(services, config, place, person))).await;
    let mut all = Look::default();
    for (place, look) in places.into_iter().zip(looks) {
        match look {
            Ok((rows, scanned)) => {
                all.scanned += scanned;
                for (relation, row) in rows {
                    let found = Found { place: place.clone(), row };
                    if relation == Relation::Own { all.rows.push(found) } else { all.named.push(found) }
                }
                all.read.push(place);
            }
            Err(error) => {
                let what = format!("cannot read {} to its end: {error}", place.words());
                let help = format!("{}; then run the command again", error.help());
                all.unread.push((place, Left { what, help }));
            }
        }
    }
    all
}

type Read = (Vec<(Relation, Row)>, usize);

async fn read(services: &Online, config: &Config, place: &Place, person: &Person) -> Result<Read, RunError> {
    let table = open(services, config, place).await?;
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

async fn open(services: &Online, config: &Config, place: &Place) -> Result<Table, RunError> {
    Ok(services.open_table(config.table(&place.connection, &place.table)?).await?)
}

/// Whether all rows that a key names are one person's: leads of one address, or copies of one row.
///
/// # Errors
/// With the rows in words, where they need not be.
pub(super) fn check_one(look: &Look) -> Result<(), Vec<String>> {
    let whose = |found: &Found| match address_of(&found.row) {
        Some(address) => (Some(address), None, None),
        None => (None, Some(found.row.partition_key.clone()), person::name_of(&found.row)),
    };
    let mut others = look.rows.iter().map(whose);
    let Some(first) = others.next() else { return Ok(()) };
    if others.all(|other| other == first) {
        return Ok(());
    }
    let words = |found: &Found| {
        let Row { partition_key, row_key, .. } = &found.row;
        let who = address_of(&found.row).or_else(|| person::name_of(&found.row));
        let who = who.unwrap_or_else(|| "neither address nor name".to_owned());
        format!("{partition_key}/{row_key} in {}: {who}", found.place.words())
    };
    Err(look.rows.iter().map(words).collect())
}

/// What a deletion has come to, by a look afterwards.
#[derive(Debug, Default)]
pub(super) struct Deleted {
    /// Rows that were there before and are not any more.
    pub(super) rows: usize,
    /// The last look.
    pub(super) look: Look,
    /// Why rows are still there.
    pub(super) left: Vec<Left>,
}

/// Deletes the rows, and looks again until none is left or it does not help.
pub(super) async fn delete(services: &Online, config: &Config, person: &Person, look: Look) -> Deleted {
    let mut deleted = Deleted { look, ..Deleted::default() };
    let mut seen: BTreeMap<(Place, String, String), Option<String>> = BTreeMap::new();
    for _ in 0..ROUNDS {
        if deleted.look.rows.is_empty() {
            break;
        }
        for found in &deleted.look.rows {
            seen.insert(key_of(found), delete_one(services, config, found).await);
        }
        deleted.look = self::look(services, config, person).await;
    }
    let unread = |place: &Place| deleted.look.unread.iter().any(|(unread, _)| unread == place);
    let stands = |key: &(Place, String, String)| deleted.look.rows.iter().any(|found| key_of(found) == *key);
    deleted.rows = seen.keys().filter(|key| !unread(&key.0) && !stands(key)).count();
    let left = deleted.look.rows.iter().map(|found| {
        let why = seen.get(&key_of(found)).cloned().flatten();
        still_there(found, why)
    });
    deleted.left = left.collect();
    let unseen = seen.keys().filter(|key| unread(&key.0)).map(|key| Left {
        what: format!("could not verify that the row {}/{} is gone from {}", key.1, key.2, key.0.words()),
        help: "run the command again once the table can be read".to_owned(),
    });
    deleted.left.extend(unseen);
    deleted
}

fn key_of(found: &Found) -> (Place, String, String) {
    (found.place.clone(), found.row.partition_key.clone(), found.row.row_key.clone())
}

/// Why it did not go, as far as the service says.
async fn delete_one(services: &Online, config: &Config, found: &Found) -> Option<String> {
    let table = match open(services, config, &found.place).await {
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

fn still_there(found: &Found, why: Option<String>) -> Left {
    let Row { partition_key, row_key, .. } = &found.row;
    let why = why.unwrap_or_else(|| "the service says that it was deleted".to_owned());
    Left {
        what: format!("the row {partition_key}/{row_key} is still in {}: {why}", found.place.words()),
        help:
            "let leadflow delete (a SAS needs the permission `d`), or delete the row in the portal (Storage \
         browser), then run the command again"
                .to_owned(),
    }
}

/// Rows of others that name the person.
pub(super) fn named(look: &Look) -> impl Iterator<Item = Left> + '_ {
    look.named.iter().map(|found| Left {
        what: format!(
            "the row {}/{} of {} is another person's lead and names this person",
            found.row.partition_key,
            found.row.row_key,
            found.place.words()
        ),
        help: "edit the row by hand; leadflow deletes no lead of another person".to_owned(),
    })
}

/// Tables of which only a part can be seen.
pub(super) fn partly_seen(config: &Config) -> Vec<Left> {
    let mut left = Vec::new();
    for place in places(config) {
        let signature = config.tables.get(&place.connection).and_then(Signature::of);
        if signature.is_some_and(|signature| signature.is_of_a_range) {
            left.push(Left {
                what: format!(
                    "the signature of {} covers only a range of its rows (spk, epk)",
                    place.words()
                ),
                help: "the others were not searched; use a signature for the whole table, then run the \
                 command again"
                    .to_owned(),
            });
        }
    }
    left
}

/// Tables that flows have read and none reads any more.
pub(super) async fn earlier(config: &Config, store: &Store) -> Result<Vec<Left>, StoreError> {
    let services = Online::new(Clock::System);
    let mut tables = Vec::new();
    for place in places(config) {
        tables.extend(open(&services, config, &place).await);
    }
    let mut left = Vec::new();
    for flow in store.flow_names().await? {
        let sources = store.sources(&flow).await?.into_iter().map(|source| source.identity);
        let is_read = |identity: &str| tables.iter().any(|table| table.is_recorded_as(identity));
        let unread = sources.filter(|identity| !identity.is_empty() && !is_read(identity));
        left.extend(unread.map(|identity| {
            Left {
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
