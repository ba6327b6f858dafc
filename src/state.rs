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
use crate::ownership::{self, Folder, Use};
use crate::store::{Store, StoreError};

/// Where the package keeps its marker, and the folder of the flows.toml that it is for.
const PACKAGE: (&str, &str) = ("/var/lib/leadflow-marker", "/etc/leadflow");
/// The database and the files that belong to it.
const DATABASE: [&str; 3] = ["leadflow.db", "leadflow.db-wal", "leadflow.db-shm"];

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
pub fn open(config: &Config, now: Timestamp) -> Result<Store, StoreError> {
    let (folder, place) = (&config.settings.state, marker_of(config));
    let marker = read(&place);
    let is_there = fs::metadata(folder.join(DATABASE[0])).is_ok_and(|found| found.len() > 0);
    if let Some(Marker { since, .. }) = marker.as_ref().filter(|_| !is_there) {
        return Err(StoreError::Lost { folder: folder.clone(), marker: place, since: since.clone() });
    }
    let store = Store::open(folder)?;
    store.check()?;
    let id = store.id()?;
    match marker {
        Some(marker) if marker.id == id => {}
        Some(_) => return Err(StoreError::Foreign { folder: folder.clone(), marker: place }),
        None => mark(&place, &id, now),
    }
    Ok(store)
}

/// Starts again after a loss: what is left of the state is put aside, and every flow begins at
/// `since`: rows of before are not mailed, later ones are. Returns where the old database lies, if
/// there was one. The caller holds the lock.
///
/// # Errors
/// When the state folder or the new database cannot be written.
pub fn recover(config: &Config, since: Timestamp, now: Timestamp) -> Result<Option<PathBuf>, StoreError> {
    let folder = &config.settings.state;
    let failed = |source| StoreError::Folder { folder: folder.clone(), source };
    let aside = put_aside(folder, now).map_err(failed)?;
    let mut store = Store::open(folder)?;
    for flow in config.flows.keys() {
        store.preset_begin(flow, since, now)?;
    }
    mark(&marker_of(config), &store.id()?, now);
    Ok(aside)
}

/// Whether the state is there and whole, so that there is nothing to recover.
///
/// # Errors
/// What is wrong with it.
pub fn is_whole(config: &Config, now: Timestamp) -> Result<bool, StoreError> {
    if config.settings.state.join(DATABASE[0]).exists() { open(config, now).map(|_| true) } else { Ok(false) }
}

fn put_aside(folder: &Path, now: Timestamp) -> io::Result<Option<PathBuf>> {
    let stamp = now.strftime("%Y%m%dT%H%M%SZ");
    let place = Folder::open(folder, Use::Own)?;
    let mut aside = None;
    for name in DATABASE {
        let to = format!("{name}.until-{stamp}");
        match place.rename(name, &to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) if name == DATABASE[0] => aside = Some(folder.join(to)),
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
        let (place, of) = (Path::new(PACKAGE.0), Path::new(PACKAGE.1));
        (config.path.parent() == Some(of) && place.is_dir()).then(|| place.to_owned())
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
