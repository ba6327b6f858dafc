//! A reload: the new file is checked whole, then swapped in, or refused in words.

use std::sync::Arc;

use jiff::Timestamp;
use tracing::{error, info};

use super::supervisor::Supervisor;
use super::{Daemon, change, log_warnings};
use crate::alarm::{Alarm, AlarmKind};
use crate::config::{self, Level, Loaded};
use crate::flow::Config;
use crate::store::StoreError;

impl Daemon {
    /// Checks the new file whole, then swaps; an invalid one changes nothing.
    pub(super) async fn reload(&mut self) -> Result<(), StoreError> {
        self.is_unread = true;
        Supervisor::reloading();
        self.watch_files();
        let path = self.engine.config().path.clone();
        let loading = tokio::task::spawn_blocking(move || config::load(&path)).await;
        let refused = match loading.map_err(|_| StoreError::Stopped)? {
            Err(report) => {
                for problem in report.problems.iter().filter(|problem| problem.level == Level::Error) {
                    error!("{}", problem.in_one_line());
                }
                error!("{report}: leadflow keeps running the previous flows");
                Some(report.in_short())
            }
            Ok(loaded) => {
                let refused = self.cannot_be_taken(&loaded.config);
                match refused {
                    Some(what) => error!("{what}: leadflow keeps running the previous flows"),
                    None => self.swap(loaded).await?,
                }
                refused.map(str::to_owned)
            }
        };
        self.engine.context().meters.reloaded(refused.is_none());
        if let Some(what) = refused {
            self.refuse_file(what);
            self.engine.retry_all().await?;
        } else {
            self.refused_since = None;
            self.engine.note_file(None);
        }
        self.is_unread = false;
        self.watch_files();
        Supervisor::reloaded();
        Ok(())
    }

    /// Why a valid file is not taken.
    fn cannot_be_taken(&self, config: &Config) -> Option<&'static str> {
        if config.settings.state != self.engine.config().settings.state {
            return Some("settings.state has changed, which needs a restart");
        }
        if config.settings.postgres != self.engine.config().settings.postgres {
            return Some("settings.postgres has changed, which needs a restart");
        }
        let is_emptied = config.flows.is_empty() && !self.engine.config().flows.is_empty();
        is_emptied.then_some("the file no longer defines a flow; stop leadflow if that is intended")
    }

    fn watch_files(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.follow(self.engine.config());
        }
    }

    pub(super) fn refuse_file(&mut self, what: String) {
        let since = *self.refused_since.get_or_insert_with(|| self.engine.context().clock.now());
        self.engine.note_file(Some(alarm(what, since)));
    }

    async fn swap(&mut self, loaded: Loaded) -> Result<(), StoreError> {
        let config = loaded.config;
        let old = Arc::clone(self.engine.config());
        self.engine.reload(Arc::clone(&config)).await?;
        log_warnings(loaded.warnings);
        self.page.follow(&self.engine);
        for change in change::between(&old, &config) {
            info!("{change}");
        }
        info!(flows = config.flows.len(), "flows.toml is reloaded");
        Ok(())
    }
}

/// The alarm about a file that is not taken.
fn alarm(what: String, since: Timestamp) -> Alarm {
    Alarm {
        kind: AlarmKind::File,
        about: String::new(),
        since,
        times: 1,
        what,
        help: "fix the file and save it; until then leadflow runs the flows as they were before the change"
            .to_owned(),
        look: "leadflow check".to_owned(),
    }
}
