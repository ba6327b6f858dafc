//! What the machine notes for the oracle of the runs that it begins, and of those that fail.

use super::process::{Machine, Process};
use super::story::{HOUR, MINUTE};
use super::{Break, Kind, Violation};
use leadflow::planner::Due;

/// A failed run is tried again within half an hour, if the state can be used.
const RETRIED_WITHIN: i64 = 90 * MINUTE;

impl Machine {
    /// When each flow was first due to read its table; and one whose run failed was not to wait for long.
    pub(super) fn note_due(&self, due: &[Due], process: &mut Process) -> Result<(), Violation> {
        let mut state = self.world.lock();
        let (now, by_machine) = (state.now, state.now + state.offset);
        for Due { flow, .. } in due {
            let Some(number) = self.number(&flow.name) else { continue };
            let table = self.world.definition(&state, number).table;
            state.flows[number].tables[table].due.get_or_insert((now, by_machine));
            // While the state cannot be used no run can be claimed.
            let failed =
                process.failed.remove(&flow.name).filter(|(_, endured)| *endured == state.counts.endured);
            let waited = failed.map(|(at, _)| now - at).unwrap_or_default();
            if waited > RETRIED_WITHIN + self.world.story.step {
                let hours = waited / HOUR;
                let message = format!("the failed run of {} was not tried again for {hours} h", flow.name);
                return Err(Violation::new(Kind::Broken, message));
            }
        }
        Ok(())
    }

    pub(super) fn fail(&self, process: &mut Process, name: &str) {
        if self.world.break_it == Some(Break::NoRetry) {
            process.agenda.ended(name);
        } else {
            process.agenda.failed(name, self.place.clock.now());
        }
        let state = self.world.lock();
        process.failed.insert(name.to_owned(), (state.now, state.counts.endured));
    }

    pub(super) fn number(&self, flow: &str) -> Option<usize> {
        self.world.story.plans.iter().position(|plan| plan.name == flow)
    }
}
