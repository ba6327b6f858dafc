//! Opens the state of a flows.toml, in its folder or its database, and notices when it was lost.
//!
//! A state that is gone looks like a first start, and a first start mails nothing of before. So a
//! marker that lies outside the state folder says that there was one, and which.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::database;
use super::marker::{Home, Marker, mark, marker_of, read};
use super::sqlite::at_rest;
use crate::flow::{Config, PostgresConnection};
use crate::platform::ownership::{Folder, Use};
use crate::platform::package;
use crate::store::{Store, StoreError};

/// Opens the state for a process that works on it: the first time it is made. Of a state in its folder the caller holds
/// the lock.
///
/// # Errors
/// [`StoreError::Lost`], [`StoreError::Foreign`] and their like for a database when the marker says that there was another
/// one, [`StoreError::Damaged`], and whatever keeps it from being opened.
pub async fn open(config: &Config, now: Timestamp) -> Result<Store, StoreError> {
    if let Some(postgres) = &config.settings.postgres {
        // What does not fit into memory lies there.
        let folder = &config.settings.state;
        let failed = |source| StoreError::Folder { folder: folder.clone(), source };
        Folder::make(folder, 0o700, Use::Own).map_err(failed)?;
        return database::open(config, postgres, now).await;
    }
    let known = find(config)?;
    let store = Store::open(&config.settings.state)?;
    let id = store.verify().await?;
    if known.is_the_one(&id, config)?.is_none() {
        mark(&known.place, &id, Home::Folder, now);
    }
    Ok(store)
}

/// Opens the state for a command that only looks; `None` where leadflow has never run.
///
/// # Errors
/// As [`open`], but that a damaged database is found only where it is read; [`StoreError::Earlier`].
pub async fn open_to_read(config: &Config) -> Result<Option<Store>, StoreError> {
    match &config.settings.postgres {
        Some(postgres) => database::open_to_read(config, postgres).await,
        None => opened(config, Store::open_to_read).await,
    }
}

/// Opens the state for a command that changes it, perhaps beside a daemon; one of an earlier version is brought on. `None`
/// where leadflow has never run.
///
/// # Errors
/// As [`open`], but that a damaged database is found only where it is read.
pub async fn open_to_change(config: &Config) -> Result<Option<Store>, StoreError> {
    match &config.settings.postgres {
        Some(postgres) => database::open_to_change(config, postgres).await,
        None => opened(config, Store::open).await,
    }
}

async fn opened(
    config: &Config,
    open: impl FnOnce(&Path) -> Result<Store, StoreError>,
) -> Result<Option<Store>, StoreError> {
    let known = find(config)?;
    if !known.is_there {
        return Ok(None);
    }
    let store = open(&config.settings.state)?;
    known.is_the_one(&store.identity().await?, config)?;
    Ok(Some(store))
}

/// The state of the folder, whatever the marker says, for a copy from or to it; it is made where that is wanted. The caller
/// holds the lock. `None` where there is none.
///
/// # Errors
/// Whatever keeps it from being opened.
pub fn of_folder(config: &Config, is_to_be_made: bool) -> Result<Option<Store>, StoreError> {
    let folder = &config.settings.state;
    let failed = |source| StoreError::Folder { folder: folder.clone(), source };
    if !is_to_be_made && !at_rest::is_in(folder).map_err(failed)? {
        return Ok(None);
    }
    Store::open(folder).map(Some)
}

/// The state of a database, as [`of_folder`].
///
/// # Errors
/// Whatever keeps it from being opened.
pub async fn of_database(
    connection: &PostgresConnection,
    is_to_be_made: bool,
) -> Result<Option<Store>, StoreError> {
    if is_to_be_made {
        return database::open_anyway(connection).await.map(Some);
    }
    database::open_where_there(connection).await
}

/// That this machine may write the state of a database, or make one there. Nothing is changed.
///
/// # Errors
/// Why it may not.
pub async fn try_to_write(connection: &PostgresConnection) -> Result<(), StoreError> {
    database::try_to_write(connection).await
}

/// Records where the state of this name lies from now on.
pub fn note_home(config: &Config, id: &str, home: Home, now: Timestamp) {
    mark(&marker_of(config), id, home, now);
}

/// The files in which the state itself lies, be they there or not.
pub fn files_of(folder: &Path) -> Vec<PathBuf> {
    at_rest::files_of(folder).into()
}

/// Whether there is a state, or there was none yet. Of one in a database, which is not asked, the marker tells.
///
/// # Errors
/// [`StoreError::Lost`] when the marker says that there was one, and when only its owner can find out.
pub fn is_there(config: &Config) -> Result<bool, StoreError> {
    if config.settings.postgres.is_some() {
        return Ok(read(&marker_of(config)).is_some());
    }
    find(config).map(|known| known.is_there)
}

/// Whether leadflow can work on the state: it was not lost, and this user may write it. Nothing is made or changed. A
/// database is not asked.
///
/// # Errors
/// Why it cannot.
pub fn is_usable(config: &Config) -> Result<(), StoreError> {
    if config.settings.postgres.is_none() {
        find(config)?;
    }
    let folder = &config.settings.state;
    at_rest::check_may_write(folder).map_err(|source| StoreError::Folder { folder: folder.clone(), source })
}

/// The state folder of a flows.toml that does not say for sure where it is, but maybe `named`: one that has a state.
pub fn guessed(file: &Path, named: &Path) -> Option<PathBuf> {
    let of_package = package::is_of_package(file).then(|| PathBuf::from(package::STATE));
    let places = [named.to_owned()].into_iter().chain(of_package).chain([file.with_file_name("state")]);
    places.into_iter().find(|folder| at_rest::may_be_in(folder))
}

/// What can be seen of the state before it is opened.
struct Known {
    is_there: bool,
    place: PathBuf,
    marker: Option<Marker>,
}

fn find(config: &Config) -> Result<Known, StoreError> {
    let folder = &config.settings.state;
    let is_there =
        at_rest::is_in(folder).map_err(|source| StoreError::Folder { folder: folder.clone(), source })?;
    let place = marker_of(config);
    match read(&place) {
        Some(Marker { home: Home::Database, .. }) => {
            Err(StoreError::Moved { home: Home::Database, marker: place })
        }
        Some(Marker { since, .. }) if !is_there => {
            Err(StoreError::Lost { folder: folder.clone(), marker: place, since })
        }
        marker => Ok(Known { is_there, place, marker }),
    }
}

impl Known {
    /// Whether this is the state that the marker speaks of; `None` without a marker.
    fn is_the_one(&self, id: &str, config: &Config) -> Result<Option<()>, StoreError> {
        match &self.marker {
            Some(marker) if marker.id != id => {
                let folder = config.settings.state.clone();
                Err(StoreError::Foreign { folder, marker: self.place.clone() })
            }
            marker => Ok(marker.as_ref().map(drop)),
        }
    }
}

/// Starts again after a loss: what is left of the state is put aside, and the baseline of every flow is
/// `since`: rows of before are not mailed, later ones are. Returns where the old database lies, if
/// there was one. The caller holds the lock. On a server, only a database without a state gets one: nothing of another is
/// put aside.
///
/// # Errors
/// When the state folder or the new database cannot be written.
pub async fn recover(
    config: &Config,
    since: Timestamp,
    now: Timestamp,
) -> Result<Option<PathBuf>, StoreError> {
    let flows = config.flows.keys().cloned().collect();
    if let Some(postgres) = &config.settings.postgres {
        let store = database::open_anyway(postgres).await?;
        store.preset_baseline(flows, since, now).await?;
        mark(&marker_of(config), &store.identity().await?, Home::Database, now);
        return Ok(None);
    }
    let folder = &config.settings.state;
    let failed = |source| StoreError::Folder { folder: folder.clone(), source };
    let aside = at_rest::put_aside(folder, now).map_err(failed)?;
    let store = Store::open(folder)?;
    store.preset_baseline(flows, since, now).await?;
    mark(&marker_of(config), &store.identity().await?, Home::Folder, now);
    Ok(aside)
}

/// Whether the state is there and whole, so that there is nothing to recover.
///
/// # Errors
/// What is wrong with it.
pub async fn is_whole(config: &Config, now: Timestamp) -> Result<bool, StoreError> {
    if config.settings.postgres.is_some() {
        return open_to_change(config).await.map(|store| store.is_some());
    }
    if is_there(config)? { open(config, now).await.map(|_| true) } else { Ok(false) }
}
