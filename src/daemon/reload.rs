//! A reload: the new file is checked whole, then swapped in, or refused in words.

use std::sync::Arc;

use jiff::Timestamp;
use tracing::{error, info};

use super::runs::Job;
use super::supervisor::Supervisor;
use super::{Daemon, change, tell_warnings};
use crate::alarm::{Alarm, Kind};
use crate::config::{self, Level, Loaded};
use crate::engine::run::Claimed;
use crate::flow::Config;
use crate::platform::faults::crash_point;
use crate::store::StoreError;

impl Daemon {
    /// Checks the new file whole, then swaps; an invalid one changes nothing.
    pub(super) async fn reload(&mut self) -> Result<(), StoreError> {
        self.is_unread = true;
        Supervisor::reloading();
        self.watch_files();
        let path = self.config.path.clone();
        let loading = tokio::task::spawn_blocking(move || config::load(&path)).await;
        let refused = match loading.map_err(|_| StoreError::Stopped)? {
            Err(report) => {
                for problem in report.problems.iter().filter(|problem| problem.level == Level::Error) {
                    error!("{}", problem.in_one_line());
                }
                error!("{report}: the old flows go on");
                Some(report.in_short())
            }
            Ok(loaded) => {
                let refused = self.cannot_be_taken(&loaded.config);
                match refused {
                    Some(what) => error!("{what}: the old flows go on"),
                    None => self.swap(loaded).await?,
                }
                refused.map(str::to_owned)
            }
        };
        match refused {
            Some(what) => {
                self.refuse_file(what);
                self.try_anew().await?;
            }
            None => self.invalid_file = None,
        }
        self.is_unread = false;
        // What is wrong with the file, or is not any more, is told at the next tick.
        self.looked = None;
        self.watch_files();
        Supervisor::reloaded();
        Ok(())
    }

    /// Why a valid file is not taken.
    fn cannot_be_taken(&self, config: &Config) -> Option<&'static str> {
        if config.settings.state != self.config.settings.state {
            return Some("settings.state has changed, which takes a restart");
        }
        let is_emptied = config.flows.is_empty() && !self.config.flows.is_empty();
        is_emptied.then_some("the file has no flow any more; stop leadflow if that is meant")
    }

    fn watch_files(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.follow(&self.config);
        }
    }

    /// The runs that wait for their turn, as the new file has their flows; where it has them no more, the
    /// claims are taken back.
    async fn keep_waiting(&mut self, config: &Config) -> Result<Vec<(Job, Claimed)>, StoreError> {
        let is_kept = |(job, _): &(Job, Claimed)| {
            let flow = config.flows.get(&job.flow.name);
            flow.is_some_and(|flow| flow.enabled || job.order.request.is_some())
        };
        let (mut kept, gone): (Vec<_>, Vec<_>) = self.runs.take_waiting().into_iter().partition(is_kept);
        if let Err(error) = self.withdraw(&gone).await {
            self.runs.add(kept.into_iter().chain(gone));
            return Err(error);
        }
        for (job, _) in gone {
            self.give_back(&job);
        }
        for (job, _) in &mut kept {
            if let Some(flow) = config.flows.get(&job.flow.name) {
                job.flow = Arc::clone(flow);
            }
        }
        Ok(kept)
    }

    fn refuse_file(&mut self, what: String) {
        let now = self.place.clock.now();
        let since = self.invalid_file.as_ref().map_or(now, |alarm| alarm.since);
        self.invalid_file = Some(alarm(what, since));
    }

    /// Another file than flows.toml may have changed: a secret or an authority, without which something has failed.
    async fn try_anew(&mut self) -> Result<(), StoreError> {
        let known = self.known(&self.config).await?;
        self.place.services.renew_all();
        self.delivery.replace(Arc::clone(&self.config));
        self.agenda.replace(&self.config.flows, &known, self.place.clock.now());
        Ok(())
    }

    async fn swap(&mut self, loaded: Loaded) -> Result<(), StoreError> {
        let config = Arc::new(loaded.config);
        // All that can fail comes before anything is swapped.
        let known = self.known(&config).await?;
        let waiting = self.keep_waiting(&config).await?;
        tell_warnings(loaded.warnings);
        for change in change::between(&self.config, &config) {
            info!("{change}");
        }
        crash_point("before-swap");
        self.config = config;
        self.place.services.renew_all();
        self.delivery.replace(Arc::clone(&self.config));
        self.runs.add(waiting);
        let now = self.place.clock.now();
        self.agenda.replace(&self.config.flows, &known, now);
        crash_point("swapped");
        self.planned = now;
        self.place.store.set_planned(now).await?;
        info!(flows = self.config.flows.len(), "flows.toml is reloaded");
        Ok(())
    }
}

/// The alarm about a file that is not taken.
pub(super) fn alarm(what: String, since: Timestamp) -> Alarm {
    Alarm {
        kind: Kind::File,
        about: String::new(),
        since,
        times: 1,
        what,
        help: "mend the file and save it; until then the flows go on as they were before the change"
            .to_owned(),
        look: "leadflow check".to_owned(),
    }
}
