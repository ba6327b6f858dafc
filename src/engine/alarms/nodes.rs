//! What is wrong with the nodes that share the state, as one of them sees it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::alarm::NotedAlarms;
use crate::store::{NewNode, NodeRecord};

/// Nodes that have other files or another version than this one, and since when.
#[derive(Debug, Clone, Default)]
pub(in crate::engine) struct NodeDifferences(NotedAlarms);

impl NodeDifferences {
    /// Takes in what the nodes say of themselves at this moment.
    pub(in crate::engine) fn take_in(&mut self, here: &NewNode, nodes: &[NodeRecord], now: Timestamp) {
        let daemons = nodes.iter().filter(|node| node.is_alive && !node.is_command());
        let differing =
            daemons.filter_map(|node| Some((node.node.name.clone(), difference(here, &node.node)?)));
        let before = std::mem::take(&mut self.0);
        let since = |name: &String| before.get(name).map_or(now, |(since, _)| *since);
        self.0 = differing.map(|(name, what)| (name.clone(), (since(&name), what))).collect();
    }

    pub(super) fn noted(&self) -> NotedAlarms {
        self.0.clone()
    }
}

/// Nodes that are gone, and when each was heard of last.
pub(super) fn gone(nodes: &[NodeRecord]) -> BTreeMap<String, Timestamp> {
    let gone = nodes.iter().filter(|node| node.is_gone());
    gone.map(|node| (node.node.name.clone(), node.seen)).collect()
}

fn difference(here: &NewNode, there: &NewNode) -> Option<String> {
    let mut differences = Vec::new();
    if here.version != there.version {
        differences.push(format!(
            "{} runs leadflow {}, {} runs {}",
            there.name, there.version, here.name, here.version
        ));
    }
    if here.digest != there.digest {
        differences
            .push(format!("flows.toml or a template of {} is not the one of {}", there.name, here.name));
    }
    (!differences.is_empty()).then(|| differences.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, version: &str, digest: &str) -> NewNode {
        NewNode { name: name.to_owned(), version: version.to_owned(), digest: digest.to_owned() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn who_differs_is_noted_since_it_does() {
        let here = node("vm-1", "1", "a");
        let record = |node: NewNode, is_alive| NodeRecord { node, joined: at(0), seen: at(7), is_alive };
        let mut differences = NodeDifferences::default();
        let mut nodes = vec![
            record(here.clone(), true),
            record(node("vm-2", "1", "b"), true),
            record(node("vm-3", "2", "a"), true),
            record(node("vm-4", "1", "b"), false),
            record(node("vm-2 (trigger, process 7)", "1", "b"), true),
        ];
        differences.take_in(&here, &nodes, at(10));
        nodes[1].node.version = "2".to_owned();
        differences.take_in(&here, &nodes, at(20));
        let noted = differences.noted();
        assert_eq!(noted.keys().collect::<Vec<_>>(), ["vm-2", "vm-3"]);
        let (since, what) = &noted["vm-2"];
        let both =
            "vm-2 runs leadflow 2, vm-1 runs 1; flows.toml or a template of vm-2 is not the one of vm-1";
        assert_eq!((since, what.as_str()), (&at(10), both));
        assert_eq!(gone(&nodes), BTreeMap::from([("vm-4".to_owned(), at(7))]));
        nodes.truncate(1);
        differences.take_in(&here, &nodes, at(30));
        assert!(differences.noted().is_empty());
    }
}
