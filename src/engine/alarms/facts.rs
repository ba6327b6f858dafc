//! What the alarms follow from: what the state knows, and what the engine observes beside it.

use jiff::Timestamp;

use super::nodes::{self, NodeDifferences};
use super::signature_ends::{self, SignatureEnds};
use crate::alarm::{self, Alarm, AlarmKind, Facts, HeldUp};
use crate::flow::Config;
use crate::store::{AlarmFacts, NodeRecord};

/// What the engine observes beside the state.
#[derive(Debug, Clone, Default)]
pub(in crate::engine) struct Observations {
    /// What is wrong with flows.toml as it is now.
    pub(in crate::engine) file: Option<Alarm>,
    /// Table connections that hold their flows up.
    pub(in crate::engine) held_up: Vec<HeldUp>,
    /// When signatures end.
    pub(in crate::engine) ends: SignatureEnds,
    /// Those that share the state.
    pub(in crate::engine) nodes: Vec<NodeRecord>,
    /// Which of them differ from this one.
    pub(in crate::engine) differences: NodeDifferences,
}

impl Observations {
    /// Everything that is wrong, as the engine knows it.
    pub(super) fn current_alarms(self, facts: &AlarmFacts, config: &Config, now: Timestamp) -> Vec<Alarm> {
        let noted = |held_up: HeldUp| {
            let what = held_up.to_string();
            (held_up.connection, (held_up.since, what))
        };
        let held_up = self.held_up.into_iter().map(noted).collect();
        let facts = Facts {
            held_up,
            ends: self.ends,
            gone_nodes: nodes::gone(&self.nodes),
            differing_nodes: self.differences.noted(),
            ..of_state(facts)
        };
        let mut current = alarm::current_alarms(config, &facts, now);
        current.extend(self.file);
        current
    }
}

/// Everything that is wrong, as the state shows it to a command; `is_running` says whether a daemon is there,
/// which has noted what only it sees.
pub fn current_alarms(
    facts: &AlarmFacts,
    nodes: &[NodeRecord],
    config: &Config,
    is_running: bool,
    now: Timestamp,
) -> Vec<Alarm> {
    let noted = |kind| {
        let raised = facts.raised.iter().filter(move |raised| is_running && raised.kind == kind);
        raised.map(|raised| (raised.about.clone(), (raised.since, raised.what.clone()))).collect()
    };
    let facts = Facts {
        held_up: noted(AlarmKind::HeldUp),
        ends: signature_ends::read(config),
        gone_nodes: nodes::gone(nodes),
        differing_nodes: noted(AlarmKind::NodeDiffers),
        ..of_state(facts)
    };
    alarm::current_alarms(config, &facts, now)
}

fn of_state(facts: &AlarmFacts) -> Facts {
    Facts {
        flows: facts.flows.clone(),
        connections: facts.connections.clone(),
        on_time_since: facts.on_time_since,
        ..Facts::default()
    }
}
