//! The page, where flows.toml wants one.

use std::sync::Arc;

use tracing::error;

use crate::engine::Engine;
use crate::web::{DaemonSigns, WebServer};

/// The page beside the daemon, and what it is told.
#[derive(Debug)]
pub(super) struct Page {
    signs: DaemonSigns,
    /// `None` while the file has none.
    server: Option<WebServer>,
}

impl Page {
    pub(super) fn start(engine: &Engine) -> Self {
        let mut page = Self { signs: DaemonSigns::new(engine.context().meters.clone()), server: None };
        page.follow(engine);
        page
    }

    /// The daemon has ticked.
    pub(super) fn tick(&self, engine: &Engine) {
        self.signs.tick(engine.context().clock.steady());
    }

    /// Does as the file says that is in force now.
    pub(super) fn follow(&mut self, engine: &Engine) {
        let config = Arc::clone(engine.config());
        match (&self.server, &config.settings.page) {
            (_, None) => self.server = None,
            (Some(server), Some(_)) => server.replace(config),
            (None, Some(_)) => {
                let started = WebServer::start(config, engine.context().clock.clone(), self.signs.clone());
                match started {
                    Ok(server) => self.server = Some(server),
                    Err(error) => error!("the page is not served: {error}"),
                }
            }
        }
    }
}
