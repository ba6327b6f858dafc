//! What a reload changes, in words.

use crate::flow::{Config, Flow};

/// One line a change.
pub(super) fn between(old: &Config, new: &Config) -> Vec<String> {
    let mut changes = Vec::new();
    for (name, flow) in &new.flows {
        match old.flows.get(name) {
            None => changes.push(format!("{name} is new: {}", flow.recurrence)),
            Some(before) => {
                let differences = differences(before, flow);
                if !differences.is_empty() {
                    changes.push(format!("{name}: {}", differences.join("; ")));
                }
            }
        }
    }
    for name in old.flows.keys().filter(|name| !new.flows.contains_key(*name)) {
        changes.push(format!("{name} is gone; mails of it that wait still leave"));
    }
    changes
}

fn differences(old: &Flow, new: &Flow) -> Vec<String> {
    let mut found = Vec::new();
    if old.recurrence != new.recurrence {
        found.push(format!("{} → {}", old.recurrence, new.recurrence));
    }
    if old.enabled != new.enabled {
        found.push(format!("turned {}", if new.enabled { "on" } else { "off" }));
    }
    if old.condition != new.condition {
        found.push(format!("{} → {}", old.condition, new.condition));
    }
    if (&old.table.connection, &old.table.name) != (&new.table.connection, &new.table.name) {
        found.push("another table, so a new begin: rows of before its window are not mailed".to_owned());
    } else if old.table != new.table {
        found.push("filter or columns changed".to_owned());
    }
    if old.window != new.window {
        found.push("window changed".to_owned());
    }
    let recipients = |flow: &Flow| flow.email.to.len() + flow.email.cc.len() + flow.email.bcc.len();
    let addresses = |flow: &Flow| [&flow.email.to, &flow.email.cc, &flow.email.bcc].map(Clone::clone);
    if addresses(old) != addresses(new) {
        found.push(format!("recipients {} → {}", recipients(old), recipients(new)));
    }
    if old.email.connections != new.email.connections {
        found.push(format!("mail goes by {}", new.email.connections.join(", then ")));
    }
    found
}
