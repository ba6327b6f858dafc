//! The database of a flows.toml: signed in to, opened, and held against the marker.

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;

use super::marker::{Home, Marker, mark, marker_of, read};
use super::postgres::Postgres;
use super::{Store, StoreError, Tokens};
use crate::flow::{Audience, Config, PostgresConnection, PostgresCredential, PostgresServer};
use crate::services::entra;
use crate::text::advice::Advice;
use jiff::Timestamp;

/// Tokens of Microsoft Entra ID for the database.
#[derive(Debug)]
struct EntraTokens(entra::Tokens);

#[async_trait]
impl Tokens for EntraTokens {
    async fn token(&self) -> Result<SecretString, Advice> {
        let token = self.0.token(Audience::Postgres).await;
        token.map(|token| token.secret).map_err(|error| error.advice)
    }
}

fn tokens_of(connection: &PostgresConnection) -> Option<Arc<dyn Tokens>> {
    let PostgresServer::Named { credential: PostgresCredential::Entra(entra), .. } = &connection.server
    else {
        return None;
    };
    Some(Arc::new(EntraTokens(entra::Tokens::new(entra.clone()))))
}

/// Opens the state for a process that works on it: the first time it is made.
pub(super) async fn open(
    config: &Config,
    connection: &PostgresConnection,
    now: Timestamp,
) -> Result<Store, StoreError> {
    let place = marker_of(config);
    // What the marker speaks of is there, or is not made anew.
    if read(&place).is_some()
        && let Some(store) = open_to_change(config, connection).await?
    {
        return Ok(store);
    }
    let store = open_anyway(connection).await?;
    let id = store.verify().await?;
    mark(&place, &id, Home::Database, now);
    Ok(store)
}

/// Opens the state for a command that changes it; `None` where there never was one.
pub(super) async fn open_to_change(
    config: &Config,
    connection: &PostgresConnection,
) -> Result<Option<Store>, StoreError> {
    let store = Store::connect_to_change(connection, tokens_of(connection)).await?;
    held_against_marker(config, connection, store).await
}

/// Opens the state for a command that only looks; `None` where there never was one.
pub(super) async fn open_to_read(
    config: &Config,
    connection: &PostgresConnection,
) -> Result<Option<Store>, StoreError> {
    let store = Store::connect_to_read(connection, tokens_of(connection)).await?;
    held_against_marker(config, connection, store).await
}

/// Opens the state whatever the marker says; it is made if need be.
pub(super) async fn open_anyway(connection: &PostgresConnection) -> Result<Store, StoreError> {
    Store::connect(connection, tokens_of(connection)).await
}

/// Opens the state whatever the marker says; `None` where there is none.
pub(super) async fn open_where_there(connection: &PostgresConnection) -> Result<Option<Store>, StoreError> {
    Store::connect_to_change(connection, tokens_of(connection)).await
}

/// That a state may be written there, or made; nothing is changed.
pub(super) async fn try_to_write(connection: &PostgresConnection) -> Result<(), StoreError> {
    Postgres::try_to_write(connection, tokens_of(connection)).await
}

/// That the database has the state which the marker speaks of, where there is one.
async fn held_against_marker(
    config: &Config,
    connection: &PostgresConnection,
    store: Option<Store>,
) -> Result<Option<Store>, StoreError> {
    let marker = marker_of(config);
    let Some(Marker { id, since, home }) = read(&marker) else { return Ok(store) };
    let database = connection.in_words();
    let Some(store) = store else { return Err(StoreError::LostDatabase { database, marker, since }) };
    if store.verify().await? != id {
        return Err(StoreError::ForeignDatabase { database, marker });
    }
    if home != Home::Database {
        return Err(StoreError::Moved { home, marker });
    }
    Ok(Some(store))
}
