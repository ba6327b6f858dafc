//! Watches flows.toml and the templates, and asks for a reload when one of them has changed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode};
use notify_debouncer_full::{DebounceEventResult, Debouncer, RecommendedCache, new_debouncer};
use tokio::sync::mpsc;

use super::Signal;
use crate::config;

/// Ends the watching when it is dropped.
pub type Watch = Debouncer<RecommendedWatcher, RecommendedCache>;

/// Editors write a file in several steps; this long after the last one it is read.
const SETTLED: Duration = Duration::from_millis(300);

/// Watches the folders of a file and of its templates. Whole folders, since editors write a new
/// file and rename it over the old one.
///
/// # Errors
/// When the system does not watch them.
pub fn watch(path: &Path, signals: mpsc::Sender<Signal>) -> notify::Result<Watch> {
    let path = std::path::absolute(path)?;
    let of_config = path.file_name().map(PathBuf::from);
    let is_ours = move |changed: &Path| {
        let name = changed.file_name().map(PathBuf::from);
        name == of_config
            || changed.extension().is_some_and(|ending| ending == "hbs")
            || changed.ends_with("templates")
    };
    let tell = move |events: DebounceEventResult| {
        let changed = events.into_iter().flatten().any(|event| {
            let is_read = matches!(event.kind, EventKind::Access(_));
            !is_read && event.paths.iter().any(|path| is_ours(path))
        });
        if changed {
            let _ = signals.blocking_send(Signal::Reload);
        }
    };
    let mut watch = new_debouncer(SETTLED, None, tell)?;
    for folder in config::watched_folders(&path) {
        watch.watch(folder, RecursiveMode::NonRecursive)?;
    }
    Ok(watch)
}
