//! The thread that serves the page: it listens, and bounds what a connection may take.

mod connection;
mod listener;
mod patience;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tracing::{error, info, warn};

use super::routes;
use super::site::{DaemonSigns, Site};
use crate::flow::{Config, PageSettings};
use crate::platform::clock::Clock;
use connection::Limits;
use listener::Listener;
pub(super) use listener::Peer;

/// Between two tries to listen where that failed.
const AGAIN: Duration = Duration::from_secs(10);
/// Blocking work of the page at the same time: its database, files, hashes of passwords.
const MOST_BLOCKED: usize = 16;
/// How long requests under way may take at the end.
const FOR_THE_END: Duration = Duration::from_millis(500);

/// The page that is served; it ends when this is dropped.
#[derive(Debug)]
pub struct WebServer {
    config: Option<watch::Sender<Arc<Config>>>,
    thread: Option<JoinHandle<()>>,
}

impl WebServer {
    /// Starts to serve as the file says. That it cannot listen is logged and tried again: runs and mails do not depend on
    /// it.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub fn start(config: Arc<Config>, clock: Clock, signs: DaemonSigns) -> std::io::Result<Self> {
        let (sender, receiver) = watch::channel(config);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(MOST_BLOCKED)
            .build()?;
        let serve = move || {
            runtime.block_on(serve(receiver, clock, signs));
            runtime.shutdown_timeout(FOR_THE_END);
        };
        let thread = std::thread::Builder::new().name("page".to_owned()).spawn(serve)?;
        Ok(Self { config: Some(sender), thread: Some(thread) })
    }

    /// The file was read again.
    pub fn replace(&self, config: Arc<Config>) {
        if let Some(sender) = &self.config {
            sender.send_replace(config);
        }
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.config = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!("the page panicked, which is a bug in leadflow");
        }
    }
}

/// Serves until nobody gives a file any more.
async fn serve(mut config: watch::Receiver<Arc<Config>>, clock: Clock, signs: DaemonSigns) {
    let site = Arc::new(Site::new(config.clone(), clock, signs));
    let mut said = String::new();
    loop {
        let page = config.borrow_and_update().settings.page.clone();
        let Some(page) = page else {
            if config.changed().await.is_err() {
                return;
            }
            continue;
        };
        let listener = match Listener::open(&page).await {
            Ok(listener) => listener,
            Err(reason) => {
                if reason != said {
                    error!("the page is not served: {reason}");
                    said = reason;
                }
                match tokio::time::timeout(AGAIN, config.changed()).await {
                    Ok(Err(_)) => return,
                    _ => continue,
                }
            }
        };
        said.clear();
        info!(at = page.at(), "the page is served");
        if !accept(&site, listener, &page, &mut config).await {
            return;
        }
    }
}

/// Accepts connections until the file says something else; `false` when all is over.
async fn accept(
    site: &Arc<Site>,
    mut listener: Listener,
    page: &PageSettings,
    config: &mut watch::Receiver<Arc<Config>>,
) -> bool {
    let app = routes::app(Arc::clone(site));
    let limits = Limits::default();
    let room = Arc::new(Semaphore::new(limits.connections));
    let (ending, ended) = watch::channel(());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                // Who comes when all places are taken is sent away, so that those who hold them are not waited for.
                Ok((stream, peer)) => {
                    let Ok(place) = Arc::clone(&room).try_acquire_owned() else { continue };
                    let served = connection::serve(stream, peer, app.clone(), limits, ended.clone());
                    tokio::spawn(async move {
                        served.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    warn!("the page cannot accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            changed = config.changed() => {
                if changed.is_err() {
                    drop(ending);
                    let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
                    let _ = tokio::time::timeout(FOR_THE_END, room.acquire_many(all)).await;
                    return false;
                }
                let now = config.borrow_and_update().settings.page.clone();
                match now {
                    Some(now) if now.listen == page.listen && now.tls == page.tls => {
                        // The files may be others under the same names.
                        listener.reload(&now).await;
                    }
                    _ => return true,
                }
            }
        }
    }
}
