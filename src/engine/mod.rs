//! What leadflow does: runs, delivery, and telling what is wrong.
//!
//! The [`Engine`] works on a state until who drives it stops: each tick it takes what commands ask for, begins the
//! runs that are due, and looks for what is wrong. The daemon drives it with a ticker and signals, the simulation
//! with a world of its own.

pub mod alarms;
mod chores;
mod context;
pub mod delivery;
mod finish;
mod meters;
mod node;
mod once;
mod pulse;
mod reload;
mod requests;
pub mod run;
mod tick;
mod turns;
mod workers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::alarm::Alarm;
use crate::flow::{Config, Flow};
use crate::planner::{Planner, ScheduleState};
use crate::store::{Changes, NewNode, Request, StoreError};
use alarms::{NodeDifferences, SignatureEndReader};
use delivery::DeliveryTask;
use jiff::Timestamp;
use run::RunResult;
use workers::Workers;

pub use context::RunContext;
pub use meters::Meters;
pub(crate) use pulse::Pulse;
pub use tick::Tick;

/// The planner, the runs and the delivery on one state.
#[derive(Debug)]
pub struct Engine {
    ctx: RunContext,
    config: Arc<Config>,
    planner: Planner,
    workers: Workers,
    delivery_task: DeliveryTask,
    /// Of the state, where commands leave what they ask for.
    changes: Changes,
    /// How often what planners follow from was changed, as far as this one follows; `None` before the first look.
    schedule: Option<i64>,
    /// What one node does for all is this one's to do.
    is_first: bool,
    signature_ends: SignatureEndReader,
    /// Among those that share the state.
    node_differences: NodeDifferences,
    /// What is wrong with flows.toml as it is now.
    invalid_file: Option<Alarm>,
    /// By the wall clock, and by one that nobody sets.
    last_tick: Option<(Timestamp, Duration)>,
    /// Since when what is due counts as late if it does not happen.
    on_time_since: Timestamp,
    /// When the chores were last done, by the clock that nobody sets.
    chores_done: Option<Duration>,
    /// When the alarms were last checked, by the wall clock.
    alarms_checked: Option<Timestamp>,
    /// Whether nothing was.
    is_well: Option<bool>,
}

/// The end of a run.
#[derive(Debug)]
pub struct FinishedRun {
    /// The flow, as it was run.
    pub flow: Arc<Flow>,
    /// What came of it; `None` where that could not be recorded, and the run is done again.
    pub result: Option<RunResult>,
}

/// What is going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Flows that are on.
    pub on: usize,
    /// Flows that are off.
    pub off: usize,
    /// The flow that runs next, and when.
    pub next: Option<(String, Timestamp)>,
    /// Runs that are under way.
    pub under_way: usize,
    /// Whether the last look found nothing wrong; `None` before the first one.
    pub is_well: Option<bool>,
}

impl Engine {
    /// Settles what the last process left, gives every flow its slots, and begins to deliver.
    ///
    /// # Errors
    /// When the state fails.
    pub async fn start(ctx: RunContext, config: Arc<Config>) -> Result<Self, StoreError> {
        Self::begin(ctx, config, DeliveryTask::start).await
    }

    /// As [`Engine::start`], for [`Engine::run_now`]: nothing is delivered before its runs have ended, since both beside
    /// each other would take the memory of both.
    ///
    /// # Errors
    /// When the state fails.
    pub async fn start_once(ctx: RunContext, config: Arc<Config>) -> Result<Self, StoreError> {
        Self::begin(ctx, config, DeliveryTask::at_rest).await
    }

    async fn begin(
        ctx: RunContext,
        config: Arc<Config>,
        deliver: fn(&RunContext, Arc<Config>) -> DeliveryTask,
    ) -> Result<Self, StoreError> {
        let asked = ctx.clock.steady();
        let node = NewNode { digest: config.digest.clone(), ..ctx.node.clone() };
        let taken_over = ctx.store.take_over(node, ctx.clock.now()).await?;
        node::renew(&ctx, asked);
        node::log_taken_over(&ctx, taken_over);
        let now = ctx.clock.now();
        let states = schedule_states(&ctx, &config, Some(now)).await?;
        let mut planner = Planner::default();
        planner.replace(&config.flows, &states, now);
        ctx.meters.follow(&config);
        // The last, after all that can fail: nobody could stop the delivery of an engine that did not come to be.
        let delivery_task = deliver(&ctx, Arc::clone(&config));
        let changes = ctx.store.changes();
        Ok(Self {
            ctx,
            config,
            planner,
            workers: Workers::default(),
            delivery_task,
            changes,
            schedule: None,
            is_first: true,
            signature_ends: SignatureEndReader::default(),
            node_differences: NodeDifferences::default(),
            invalid_file: None,
            last_tick: None,
            on_time_since: now,
            chores_done: None,
            alarms_checked: None,
            is_well: None,
        })
    }

    /// The file that is in force.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// What the runs work with.
    pub fn context(&self) -> &RunContext {
        &self.ctx
    }

    /// Leaves a request, as commands do; the next tick takes it. `asked_by` is the name of who asks.
    ///
    /// # Errors
    /// When the state fails.
    pub async fn request(&self, request: Request, asked_by: &str) -> Result<i64, StoreError> {
        let now = self.ctx.clock.now();
        self.ctx.store.add_request(request, asked_by, now).await
    }

    /// What is going on now.
    pub fn snapshot(&self) -> Snapshot {
        let (on, off) = self.planner.on_and_off();
        let next = self.planner.next().map(|(flow, next)| (flow.to_owned(), next));
        Snapshot { on, off, next, under_way: self.workers.count(), is_well: self.is_well }
    }

    /// The planner, for who puts faults into it.
    #[doc(hidden)]
    pub fn planner(&mut self) -> &mut Planner {
        &mut self.planner
    }

    /// flows.toml as it is now cannot be used, or can be again; the next tick passes it on.
    pub fn note_file(&mut self, alarm: Option<Alarm>) {
        self.invalid_file = alarm;
        self.alarms_checked = None;
    }

    /// Beats as long as the delivery comes round, which each tick makes it do.
    pub(crate) fn delivery_pulse(&self) -> &Pulse {
        self.delivery_task.pulse()
    }

    /// What the state knows of the flows of a file. It notes since when what is due counts as late, where that is
    /// said.
    async fn schedule_states(
        &self,
        config: &Arc<Config>,
        on_time_since: Option<Timestamp>,
    ) -> Result<BTreeMap<String, ScheduleState>, StoreError> {
        schedule_states(&self.ctx, config, on_time_since).await
    }
}

async fn schedule_states(
    ctx: &RunContext,
    config: &Arc<Config>,
    on_time_since: Option<Timestamp>,
) -> Result<BTreeMap<String, ScheduleState>, StoreError> {
    let flows = config.flows.iter().map(|(name, flow)| (name.clone(), flow.enabled));
    let states = ctx.store.schedule_states(flows.collect(), ctx.clock.now()).await?;
    if let Some(on_time_since) = on_time_since {
        ctx.store.set_on_time_since(on_time_since).await?;
    }
    Ok(states)
}
