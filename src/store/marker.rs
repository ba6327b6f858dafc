//! The file that says that there is a state, and which. It lies outside the state folder.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::{Value, json};
use tracing::info;

use crate::flow::Config;
use crate::platform::ownership::{self, Folder, Use};
use crate::platform::package;

/// Where the package keeps its marker.
const MARKER_OF_PACKAGE: &str = "/var/lib/leadflow-marker";
/// The most bytes that a marker has.
const LARGEST: u64 = 4 << 10;

/// What a marker says.
pub(super) struct Marker {
    /// The identity of the state.
    pub(super) id: String,
    /// When the marker was written.
    pub(super) since: String,
    /// Where the state lies.
    pub(super) home: Home,
}

/// Which kind of place a state lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// The state folder.
    Folder,
    /// The database of settings.postgres.
    Database,
}

/// What a marker says of a database.
const DATABASE: &str = "postgres";

/// The second state directory that systemd gives, the package's, or the folder of flows.toml.
pub(super) fn marker_of(config: &Config) -> PathBuf {
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

/// `None` where there is none that can be read.
pub(super) fn read(place: &Path) -> Option<Marker> {
    let bytes = ownership::read_beside(place, LARGEST).ok().flatten()?;
    let value: Value = serde_json::from_slice(&bytes).ok()?;
    let text = |name: &str| Some(value[name].as_str()?.to_owned());
    let home = if value["in"] == DATABASE { Home::Database } else { Home::Folder };
    Some(Marker { id: text("state")?, since: text("since")?, home })
}

/// A marker that cannot be written is a warning, and nothing more: the state itself is well.
pub(super) fn mark(place: &Path, id: &str, home: Home, now: Timestamp) {
    let note = "this file records that leadflow has a state; see docs/operating.md";
    let mut marker = json!({ "state": id, "since": now.to_string(), "note": note });
    if home == Home::Database {
        marker["in"] = json!(DATABASE);
    }
    let text = marker.to_string() + "\n";
    if let Err(error) = write(place, &text) {
        info!("that the state was lost would not be noticed: cannot write {}: {error}", place.display());
    }
}

fn write(place: &Path, text: &str) -> io::Result<()> {
    let folder = Folder::open(place.parent().unwrap_or(Path::new("/")), Use::Own)?;
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    folder.write(&name, 0o644, text.as_bytes())
}
