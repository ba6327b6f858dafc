//! Watches flows.toml, the templates and the secrets, and asks for a reload when one has changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::warn;

use super::Signal;
use crate::flow::Config;

/// Editors write a file in several steps; this long after the last one it is read.
const SETTLED: Duration = Duration::from_millis(300);

/// Watches the folders of a file, of its templates and of the secrets that it names; ends when it is
/// dropped. Whole folders, since editors write a new file and rename it over the old one.
#[derive(Debug)]
pub struct Watch {
    watcher: RecommendedWatcher,
    /// flows.toml and the secrets.
    files: Arc<Mutex<BTreeSet<PathBuf>>>,
    folders: BTreeSet<PathBuf>,
}

impl Watch {
    /// Starts watching.
    ///
    /// # Errors
    /// When the system does not watch the folder of the file.
    pub fn start(config: &Config, signals: mpsc::Sender<Signal>) -> notify::Result<Self> {
        let files: Arc<Mutex<BTreeSet<PathBuf>>> = Arc::default();
        let of_watch = Arc::clone(&files);
        let is_ours = move |changed: &Path| {
            let is_template = changed.extension().is_some_and(|ending| ending == "hbs");
            let files = of_watch.lock().unwrap_or_else(PoisonError::into_inner);
            is_template || changed.ends_with("templates") || files.contains(changed)
        };
        let (tell, changes) = mpsc::channel(1);
        let hear = move |event: notify::Result<Event>| {
            let is_change = event.is_ok_and(|event| {
                let is_read = matches!(event.kind, EventKind::Access(_));
                event.need_rescan() || (!is_read && event.paths.iter().any(|path| is_ours(path)))
            });
            if is_change {
                // One that is still to be heard says as much.
                let _ = tell.try_send(());
            }
        };
        tokio::spawn(settle(changes, signals));
        let mut watch = Self { watcher: notify::recommended_watcher(hear)?, files, folders: BTreeSet::new() };
        let folder = config.path.parent().unwrap_or(Path::new("/")).to_owned();
        watch.watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        watch.folders.insert(folder);
        watch.follow(config);
        Ok(watch)
    }

    /// After a reload: the templates folder may be there for the first time, the secrets may be
    /// others.
    pub(super) fn follow(&mut self, config: &Config) {
        let folder = config.path.parent().unwrap_or(Path::new("/"));
        let secrets = config.secret_files();
        let of_secrets = secrets.iter().filter_map(|path| path.parent().map(Path::to_owned));
        let templates = Some(folder.join("templates")).filter(|templates| templates.is_dir());
        for folder in of_secrets.chain(templates).collect::<BTreeSet<_>>() {
            // A folder that was replaced has the same name and is another one.
            if self.folders.contains(&folder) && !folder.ends_with("templates") {
                continue;
            }
            let _ = self.watcher.unwatch(&folder);
            match self.watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.folders.insert(folder)),
                Err(error) => warn!("changes in {} are not seen by themselves: {error}", folder.display()),
            }
        }
        let files = [config.path.clone()].into_iter().chain(secrets).collect();
        *self.files.lock().unwrap_or_else(PoisonError::into_inner) = files;
    }
}

/// Asks for a reload once the changes have settled; ends with the watch.
async fn settle(mut changes: mpsc::Receiver<()>, signals: mpsc::Sender<Signal>) {
    while changes.recv().await.is_some() {
        while let Ok(Some(())) = timeout(SETTLED, changes.recv()).await {}
        if signals.send(Signal::Reload).await.is_err() {
            return;
        }
    }
}
