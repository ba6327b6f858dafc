//! Another file takes the place of the one in force.

use std::sync::Arc;

use super::Engine;
use super::run::PendingRun;
use super::workers::Job;
use crate::flow::Config;
use crate::platform::faults::crash_point;
use crate::store::StoreError;

impl Engine {
    /// Goes on with another file, which is valid. Runs under way end as they began; those that wait for their turn
    /// are as the new file has their flows.
    ///
    /// # Errors
    /// When the state fails; then the old file is in force, and it may be tried again.
    pub async fn reload(&mut self, config: Arc<Config>) -> Result<(), StoreError> {
        // All that can fail comes before anything is swapped.
        let now = self.ctx.clock.now();
        let states = self.schedule_states(&config, Some(now)).await?;
        let waiting = self.keep_waiting(&config).await?;
        crash_point("before-swap");
        self.config = config;
        self.ctx.meters.follow(&self.config);
        self.ctx.services.forget_all_sign_ins();
        self.delivery_task.replace(Arc::clone(&self.config));
        self.workers.add(waiting);
        self.planner.replace(&self.config.flows, &states, now);
        self.on_time_since = now;
        crash_point("swapped");
        Ok(())
    }

    /// Another file than flows.toml may have changed: a secret or an authority, without which something has failed.
    ///
    /// # Errors
    /// When the state fails.
    pub async fn retry_all(&mut self) -> Result<(), StoreError> {
        let states = self.schedule_states(&self.config, None).await?;
        self.ctx.services.forget_all_sign_ins();
        self.delivery_task.replace(Arc::clone(&self.config));
        self.planner.replace(&self.config.flows, &states, self.ctx.clock.now());
        Ok(())
    }

    /// The runs that wait for their turn, as the new file has their flows; where it has them no more, the
    /// claims are taken back.
    async fn keep_waiting(&mut self, config: &Config) -> Result<Vec<(Job, PendingRun)>, StoreError> {
        let is_kept = |(job, _): &(Job, PendingRun)| {
            let flow = config.flows.get(&job.flow.name);
            flow.is_some_and(|flow| flow.enabled || job.order.request.is_some())
        };
        let (mut kept, gone): (Vec<_>, Vec<_>) = self.workers.take_waiting().into_iter().partition(is_kept);
        if let Err(error) = self.withdraw(&gone).await {
            self.workers.add(kept.into_iter().chain(gone));
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
}
