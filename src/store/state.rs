//! Opens the state of a flows.toml, and notices when it was lost.
//!
//! A state that is gone looks like a first start, and a first start mails nothing of before. So a
//! marker that lies outside the state folder says that there was one, and which.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::{Value, json};
use tracing::info;

use crate::flow::Config;
use crate::platform::ownership::{self, Folder, Use};
use crate::platform::package;
use crate::store::sqlite::FILES;
use crate::store::{Store, StoreError};

/// Where the package keeps its marker.
const MARKER_OF_PACKAGE: &str = "/var/lib/leadflow-marker";
/// The most bytes that a marker has.
const LARGEST: u64 = 4 << 10;

struct Marker {
    id: String,
    since: String,
}

/// Opens the state for a process that holds its lock: the first time it is made.
///
/// # Errors
/// [`StoreError::Lost`] and [`StoreError::Foreign`] when the marker says that there was another one,
/// [`StoreError::Damaged`], and whatever keeps it from being opened.
pub async fn open(config: &Config, now: Timestamp) -> Result<Store, StoreError> {
    let known = find(config)?;
    let store = Store::open(&config.settings.state)?;
    let id = store.checked().await?;
    if known.is_the_one(&id, config)?.is_none() {
        mark(&known.place, &id, now);
    }
    Ok(store)
}

/// Opens the state for a command that only looks; `None` where leadflow was never run.
///
/// # Errors
/// As [`open`], but that a damaged database is found only where it is read; [`StoreError::Earlier`].
pub async fn look(config: &Config) -> Result<Option<Store>, StoreError> {
    opened(config, Store::open_to_read).await
}

/// Opens the state for a command that changes it, perhaps beside a daemon; one of an earlier version is brought on. `None`
/// where leadflow was never run.
///
/// # Errors
/// As [`open`], but that a damaged database is found only where it is read.
pub async fn open_to_change(config: &Config) -> Result<Option<Store>, StoreError> {
    opened(config, Store::open).await
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

/// The files in which the state itself lies, be they there or not.
pub fn files_of(folder: &Path) -> Vec<PathBuf> {
    FILES.map(|name| folder.join(name)).into()
}

/// Whether there is a state, or there was none yet.
///
/// # Errors
/// [`StoreError::Lost`] when the marker says that there was one, and when nobody but its owner can tell.
pub fn is_there(config: &Config) -> Result<bool, StoreError> {
    find(config).map(|known| known.is_there)
}

/// The state folder of a flows.toml that does not say for sure where it is, but maybe `named`: one that has a state.
pub fn guessed(file: &Path, named: &Path) -> Option<PathBuf> {
    let of_package = package::is_of_package(file).then(|| PathBuf::from(package::STATE));
    let places = [named.to_owned()].into_iter().chain(of_package).chain([file.with_file_name("state")]);
    places.into_iter().find(|folder| match fs::metadata(folder.join(FILES[0])) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
    })
}

/// What can be seen of the state before it is opened.
struct Known {
    is_there: bool,
    place: PathBuf,
    marker: Option<Marker>,
}

fn find(config: &Config) -> Result<Known, StoreError> {
    let folder = &config.settings.state;
    let is_there = match fs::metadata(folder.join(FILES[0])) {
        Ok(found) => found.len() > 0,
        Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
            return Err(StoreError::Folder { folder: folder.clone(), source });
        }
        Err(_) => false,
    };
    let place = marker_of(config);
    match read(&place) {
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

/// Starts again after a loss: what is left of the state is put aside, and every flow begins at
/// `since`: rows of before are not mailed, later ones are. Returns where the old database lies, if
/// there was one. The caller holds the lock.
///
/// # Errors
/// When the state folder or the new database cannot be written.
pub async fn recover(
    config: &Config,
    since: Timestamp,
    now: Timestamp,
) -> Result<Option<PathBuf>, StoreError> {
    let folder = &config.settings.state;
    let failed = |source| StoreError::Folder { folder: folder.clone(), source };
    let aside = put_aside(folder, now).map_err(failed)?;
    let store = Store::open(folder)?;
    store.preset_begin(config.flows.keys().cloned().collect(), since, now).await?;
    mark(&marker_of(config), &store.identity().await?, now);
    Ok(aside)
}

/// Whether the state is there and whole, so that there is nothing to recover.
///
/// # Errors
/// What is wrong with it.
pub async fn is_whole(config: &Config, now: Timestamp) -> Result<bool, StoreError> {
    if is_there(config)? { open(config, now).await.map(|_| true) } else { Ok(false) }
}

fn put_aside(folder: &Path, now: Timestamp) -> io::Result<Option<PathBuf>> {
    let stamp = now.strftime("%Y%m%dT%H%M%SZ");
    let place = Folder::open(folder, Use::Own)?;
    let mut aside = None;
    for name in FILES {
        let to = format!("{name}.until-{stamp}");
        match place.rename(name, &to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) if name == FILES[0] => aside = Some(folder.join(to)),
            _ => {}
        }
    }
    Ok(aside)
}

/// The second state directory that systemd gives, the package's, or the folder of flows.toml.
fn marker_of(config: &Config) -> PathBuf {
    let name = config.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let given = std::env::var("STATE_DIRECTORY").ok();
    let second = given.as_deref().and_then(|list| list.split(':').nth(1)).map(PathBuf::from);
    let of_package = || {
        let place = Path::new(MARKER_OF_PACKAGE);
        (package::is_of_package(&config.path) && place.is_dir()).then(|| place.to_owned())
    };
    match second.or_else(of_package) {
        Some(folder) => folder.join(format!("{name}.marker")),
        None => config.path.with_file_name(format!(".{name}.marker")),
    }
}

fn read(place: &Path) -> Option<Marker> {
    let bytes = ownership::read_beside(place, LARGEST).ok().flatten()?;
    let value: Value = serde_json::from_slice(&bytes).ok()?;
    let text = |name: &str| Some(value[name].as_str()?.to_owned());
    Some(Marker { id: text("state")?, since: text("since")? })
}

/// A marker that cannot be written is told, and nothing more: the state itself is well.
fn mark(place: &Path, id: &str, now: Timestamp) {
    let note = "this file tells leadflow that there is a state; see docs/operating.md";
    let text = json!({ "state": id, "since": now.to_string(), "note": note }).to_string() + "\n";
    if let Err(error) = write(place, &text) {
        info!(
            "that the state folder was lost would not be noticed: cannot write {}: {error}",
            place.display()
        );
    }
}

fn write(place: &Path, text: &str) -> io::Result<()> {
    let folder = Folder::open(place.parent().unwrap_or(Path::new("/")), Use::Own)?;
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    folder.write(&name, 0o644, text.as_bytes())
}
