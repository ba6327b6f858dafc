//! Watches flows.toml, the templates, the secrets and the authorities, and asks for a reload when one has changed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::warn;

use super::Signal;
use crate::flow::Config;
use crate::platform::ownership;

/// Editors write a file in several steps; this long after the last one it is read.
const SETTLED: Duration = Duration::from_millis(300);

/// Watches whatever may change what the files of a flows.toml hold; ends when it is dropped. Whole folders, since
/// editors write a new file and rename it over the old one; and those of each link on the way, since others write a
/// whole new folder and lead a link to it, as Kubernetes does with `..data`.
#[derive(Debug)]
pub struct Watch {
    watcher: RecommendedWatcher,
    names: Arc<Mutex<Names>>,
    folders: BTreeSet<PathBuf>,
    /// Folders that the system does not watch, which is said once.
    unwatched: BTreeSet<PathBuf>,
}

/// What is to be heard of, without a link on the way.
#[derive(Debug, Default, PartialEq, Eq)]
struct Names {
    /// Files, and the links and folders that lead to them.
    all: BTreeSet<PathBuf>,
    /// Where a template may appear.
    templates: PathBuf,
}

impl Watch {
    /// Starts watching.
    ///
    /// # Errors
    /// When the system does not watch the folder of the file.
    pub fn start(config: &Config, signals: mpsc::Sender<Signal>) -> notify::Result<Self> {
        let names: Arc<Mutex<Names>> = Arc::default();
        let of_watch = Arc::clone(&names);
        let (notify, changes) = mpsc::channel(1);
        let hear = move |event: notify::Result<Event>| {
            let is_change = event.is_ok_and(|event| {
                let is_read = matches!(event.kind, EventKind::Access(_));
                let names = of_watch.lock().unwrap_or_else(PoisonError::into_inner);
                event.need_rescan() || (!is_read && event.paths.iter().any(|path| names.have(path)))
            });
            if is_change {
                // One that is still to be heard says as much.
                let _ = notify.try_send(());
            }
        };
        tokio::spawn(settle(changes, signals));
        let watcher = notify::recommended_watcher(hear)?;
        let mut watch = Self { watcher, names, folders: BTreeSet::new(), unwatched: BTreeSet::new() };
        let folder = config.path.parent().unwrap_or(Path::new("/"));
        watch.watcher.watch(folder, RecursiveMode::NonRecursive)?;
        watch.watcher.unwatch(folder)?;
        watch.follow(config);
        Ok(watch)
    }

    /// Watches what the files of this config are by now. Before they are read, so that no later change is missed, and
    /// after, when it may name others.
    pub(super) fn follow(&mut self, config: &Config) {
        let names = Names::from_config(config);
        let folders = names.folders();
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = names;
        for folder in self.folders.difference(&folders) {
            let _ = self.watcher.unwatch(folder);
        }
        for folder in &folders {
            // Those that are watched, too: a folder that was replaced has the same name and is another one.
            if let Err(error) = self.watcher.watch(folder, RecursiveMode::NonRecursive)
                && self.unwatched.insert(folder.clone())
            {
                warn!("changes in {} are not detected: {error}", folder.display());
            }
        }
        self.folders = folders;
    }
}

impl Names {
    fn from_config(config: &Config) -> Self {
        let templates = config.path.with_file_name("templates");
        let inside = fs::read_dir(&templates).into_iter().flatten().flatten().map(|entry| entry.path());
        let inside: Vec<PathBuf> = inside.filter(|path| is_template(path)).collect();
        let secrets = config.secrets().flat_map(crate::platform::secrets::files);
        let files = [config.path.clone(), templates.clone()].into_iter().chain(inside).chain(secrets);
        let page = config.settings.page.iter().filter_map(|page| page.tls.as_ref());
        let files = files.chain(config.authorities().cloned()).chain(page.map(|tls| tls.certificate.clone()));
        Self {
            all: files.flat_map(|path| ownership::turns(&path)).collect(),
            templates: fs::canonicalize(&templates).unwrap_or(templates),
        }
    }

    fn have(&self, changed: &Path) -> bool {
        let is_new_template = || is_template(changed) && changed.parent() == Some(&self.templates);
        self.all.contains(changed) || is_new_template()
    }

    /// The folders in which they are, so far as they are there.
    fn folders(&self) -> BTreeSet<PathBuf> {
        let parents = self.all.iter().filter_map(|name| name.parent());
        let folders = parents.chain([self.templates.as_path()]).filter(|folder| folder.is_dir());
        folders.map(Path::to_owned).collect()
    }
}

fn is_template(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "hbs")
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
