//! What the machine notes for the oracle: which flows are due, the results of their runs, and what a process left.

use std::sync::Arc;

use super::process::{Machine, Process, broken};
use super::state::Waiting;
use super::story::{HOUR, MINUTE};
use super::table::number_of;
use super::{Break, Violation, state};
use leadflow::engine::FinishedRun;
use leadflow::flow::Flow;
use leadflow::history::Outcome;

/// A failed run is tried again within half an hour, if the state can be used.
const RETRIED_WITHIN: i64 = 90 * MINUTE;

/// What was so when a run ended with its process: where it is still so, the run is due at once at the next start.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BrokenOff {
    run: i64,
    minutes: i64,
    offset: i64,
}

impl Machine {
    /// The flows that make up for a slot that has come: they are due, also where the state then keeps the tick from
    /// claiming their runs.
    pub(super) fn to_be_due(&self, process: &mut Process) -> Vec<usize> {
        let now = process.engine.context().clock.now();
        let slots = process.engine.planner().slots().filter(|(_, slot)| *slot <= now);
        let number = |(flow, _)| self.number(flow).filter(|number| self.world.story.plans[*number].catch_up);
        slots.filter_map(number).collect()
    }

    /// Flows are due to read their tables, for the first time perhaps.
    pub(super) fn note_first_due(&self, flows: &[usize], is_recorded: bool) {
        let mut state = self.world.lock();
        let at = (state.now, state.now_by_machine());
        for flow in flows {
            let definition = self.world.definition(&state, *flow);
            let (table, recurrence) = (definition.table, definition.minutes);
            let table = &mut state.flows[*flow].tables[table];
            if is_recorded {
                table.unrecorded = None;
            } else if table.due.is_none() {
                table.unrecorded = Some(recurrence);
            }
            table.due.get_or_insert(at);
        }
    }

    /// What a process that starts cannot know.
    pub(super) fn forget_unrecorded(&self, file: usize) {
        for (flow, definition) in self.world.story.files[file].iter().enumerate() {
            self.world.lock().forget_unrecorded(flow, definition.minutes);
        }
    }

    /// The flows that a tick has found due. One whose run failed was not to wait for long, and one whose run was
    /// broken off not at all.
    pub(super) fn note_due(&mut self, due: &[Arc<Flow>], process: &mut Process) -> Result<(), Violation> {
        for flow in due {
            let Some(number) = self.number(&flow.name) else { continue };
            self.note_first_due(&[number], true);
            let state = self.world.lock();
            // While the state cannot be used no run can be claimed.
            let failed =
                process.failed.remove(&flow.name).filter(|(_, endured)| *endured == state.counts.endured);
            let waited = failed.map(|(since, _)| state.now - since).unwrap_or_default();
            if waited > RETRIED_WITHIN + self.world.story.step {
                let hours = waited / HOUR;
                return Err(broken(&format!(
                    "the failed run of {} was not tried again for {hours} h",
                    flow.name
                )));
            }
        }
        self.judge_broken_off()
    }

    /// Once a tick could use the state, what the last process broke off has been begun again.
    fn judge_broken_off(&mut self) -> Result<(), Violation> {
        for (flow, was) in std::mem::take(&mut self.broken_off) {
            let is_done_again = state::has_later_run(&self.world.store, &flow, was.run);
            let is_off = state::is_off(&self.world.store, &flow);
            if !is_done_again && !is_off && self.expected(&flow, was.run) == Some(was) {
                return Err(broken(&format!(
                    "the run of {flow} that ended with its process was not done again"
                )));
            }
        }
        Ok(())
    }

    /// The runs that end with the process.
    pub(super) fn note_broken_off(&mut self) {
        for (flow, run) in state::left_under_way(&self.world.store) {
            if let Some(is) = self.expected(&flow, run) {
                self.broken_off.insert(flow, is);
            }
        }
    }

    /// What a run that was broken off is made up for by; `None` for a flow that makes up for none now.
    fn expected(&self, flow: &str, run: i64) -> Option<BrokenOff> {
        let number = self.number(flow)?;
        let state = self.world.lock();
        let is = self.world.definition(&state, number);
        let makes_up = is.enabled && self.world.story.plans[number].catch_up && state.set_back.is_none();
        makes_up.then_some(BrokenOff { run, minutes: is.minutes, offset: state.hosts[0].offset })
    }

    /// Tells the oracle of the end of a run.
    pub(super) fn note_end(&self, end: FinishedRun, process: &mut Process) {
        let FinishedRun { flow, result } = end;
        let name = &flow.name;
        let mut state = self.world.lock();
        let Some(ended) = result else {
            state.counts.endured += 1;
            state.log_now(|| format!("the run of {name} is not recorded"));
            return;
        };
        state.counts.runs += 1;
        state.log_now(|| format!("{name} ran: {} ({})", ended.summary, ended.outcome.as_str()));
        if ended.outcome == Outcome::Failed {
            process.failed.insert(name.clone(), (state.now, state.counts.endured));
            if self.world.break_it == Some(Break::NoRetry) {
                process.engine.planner().succeeded(name);
            }
        } else if let (Some(number), Some(table)) = (self.number(name), number_of(&flow.table.name)) {
            state.committed(number, table, self.file_of(&flow), 0);
            state.flows[number].calm_runs += u32::from(self.calm.is_some());
        }
    }

    /// The file that a flow is from.
    fn file_of(&self, flow: &Arc<Flow>) -> usize {
        let is_of = |flows: &std::collections::BTreeMap<String, Arc<Flow>>| {
            flows.get(&flow.name).is_some_and(|it| Arc::ptr_eq(it, flow))
        };
        self.configs.iter().position(|config| is_of(&config.flows)).unwrap_or_default()
    }

    /// The requests that wait.
    pub(super) fn requests(&self) -> Vec<Waiting> {
        state::waiting_requests(&self.world.store)
    }

    /// Flows that were turned off or on since these requests waited.
    pub(super) fn note_requests(&self, asked: &[Waiting], process: &mut Process) {
        let left = self.requests();
        for Waiting { flow, is_off, .. } in asked.iter().filter(|request| !left.contains(request)) {
            process.failed.remove(flow);
            if let Some(number) = self.number(flow).filter(|_| *is_off) {
                self.world.lock().leave_tables(number, None);
            }
        }
    }

    /// The flows of a file read their tables alone from now on.
    pub(super) fn leave_tables(&self, file: usize) {
        for (flow, plan) in self.world.story.files[file].iter().enumerate() {
            self.world.lock().leave_tables(flow, plan.enabled.then_some(plan.table));
        }
    }

    pub(super) fn number(&self, flow: &str) -> Option<usize> {
        self.world.story.plans.iter().position(|plan| plan.name == flow)
    }
}
