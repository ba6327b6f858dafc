//! Watches flows.toml and the templates, and asks for a reload when one of them has changed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode};
use notify_debouncer_full::{DebounceEventResult, Debouncer, RecommendedCache, new_debouncer};
use tokio::sync::mpsc;
use tracing::warn;

use super::Signal;
use crate::config;

/// Editors write a file in several steps; this long after the last one it is read.
const SETTLED: Duration = Duration::from_millis(300);
/// Between two looks at what the system has told.
const LOOK: Duration = Duration::from_millis(150);

/// Watches the folders of a file and of its templates; ends when it is dropped. Whole folders,
/// since editors write a new file and rename it over the old one.
#[derive(Debug)]
pub struct Watch {
    debouncer: Debouncer<RecommendedWatcher, RecommendedCache>,
    path: PathBuf,
}

impl Watch {
    /// Starts watching.
    ///
    /// # Errors
    /// When the system does not watch the folder of the file.
    pub fn start(path: &Path, signals: mpsc::Sender<Signal>) -> notify::Result<Self> {
        let path = std::path::absolute(path)?;
        let of_config = path.file_name().map(PathBuf::from);
        let is_ours = move |changed: &Path| {
            let name = changed.file_name().map(PathBuf::from);
            let is_template = changed.extension().is_some_and(|ending| ending == "hbs");
            name == of_config || is_template || changed.ends_with("templates")
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
        let debouncer = new_debouncer(SETTLED, Some(LOOK), tell)?;
        let mut watch = Self { debouncer, path };
        for folder in config::watched_folders(&watch.path) {
            watch.debouncer.watch(folder, RecursiveMode::NonRecursive)?;
        }
        Ok(watch)
    }

    /// After a reload: the templates folder may be another one, or there for the first time.
    pub(super) fn follow(&mut self) {
        for folder in config::watched_folders(&self.path).into_iter().skip(1) {
            let _ = self.debouncer.unwatch(&folder);
            if let Err(error) = self.debouncer.watch(&folder, RecursiveMode::NonRecursive) {
                warn!("changes in {} are not seen by themselves: {error}", folder.display());
            }
        }
    }
}
