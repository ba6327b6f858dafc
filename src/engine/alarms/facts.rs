//! What the alarms follow from: what the state knows, and what the engine observes beside it.

use jiff::Timestamp;

use super::signature_ends::{self, SignatureEnds};
use crate::alarm::{self, Alarm, AlarmKind, Facts, HeldUp, NotedAlarms};
use crate::flow::Config;
use crate::store::AlarmFacts;

/// What the engine observes beside the state.
#[derive(Debug, Clone, Default)]
pub(in crate::engine) struct Observations {
    /// What is wrong with flows.toml as it is now.
    pub(in crate::engine) file: Option<Alarm>,
    /// Table connections that hold their flows up.
    pub(in crate::engine) held_up: Vec<HeldUp>,
    /// When signatures end.
    pub(in crate::engine) ends: SignatureEnds,
}

impl Observations {
    /// Everything that is wrong, as the engine knows it.
    pub(super) fn current_alarms(self, facts: &AlarmFacts, config: &Config, now: Timestamp) -> Vec<Alarm> {
        let noted = |held_up: HeldUp| {
            let what = held_up.to_string();
            (held_up.connection, (held_up.since, what))
        };
        let held_up = self.held_up.into_iter().map(noted).collect();
        let mut current = alarm::current_alarms(config, &together(facts, held_up, self.ends), now);
        current.extend(self.file);
        current
    }
}

/// Everything that is wrong, as the state shows it to a command; `is_running` says whether a daemon is there,
/// which has noted what only it sees.
pub fn current_alarms(facts: &AlarmFacts, config: &Config, is_running: bool, now: Timestamp) -> Vec<Alarm> {
    let held_up = facts.raised.iter().filter(|raised| is_running && raised.kind == AlarmKind::HeldUp);
    let held_up = held_up.map(|raised| (raised.about.clone(), (raised.since, raised.what.clone())));
    alarm::current_alarms(config, &together(facts, held_up.collect(), signature_ends::read(config)), now)
}

fn together(facts: &AlarmFacts, held_up: NotedAlarms, ends: SignatureEnds) -> Facts {
    Facts {
        flows: facts.flows.clone(),
        connections: facts.connections.clone(),
        on_time_since: facts.on_time_since,
        held_up,
        ends,
    }
}
