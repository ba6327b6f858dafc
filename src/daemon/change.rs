//! What a reload changes, in words.

use std::collections::BTreeSet;

use crate::flow::{Config, Flow, FlowTable, Mailbox, Settings};

/// One line a change; addresses are counted, not shown.
pub(super) fn between(old: &Config, new: &Config) -> Vec<String> {
    let mut changes = settings_changes(&old.settings, &new.settings);
    let names: BTreeSet<_> = old.tables.keys().chain(new.tables.keys()).collect();
    changes.extend(
        names.into_iter().filter_map(|name| connection(name, old.tables.get(name), new.tables.get(name))),
    );
    let names: BTreeSet<_> = old.mails.keys().chain(new.mails.keys()).collect();
    changes.extend(
        names.into_iter().filter_map(|name| connection(name, old.mails.get(name), new.mails.get(name))),
    );
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
        changes.push(format!("{name} is removed; its waiting mails are still sent"));
    }
    changes
}

fn settings_changes(old: &Settings, new: &Settings) -> Vec<String> {
    let differ = [
        (old.time_zone != new.time_zone, "time_zone"),
        (old.history != new.history, "history"),
        (old.log != new.log, "log, which needs a restart"),
        (old.failures != new.failures, "failures"),
        (old.heartbeat_url != new.heartbeat_url, "heartbeat_url"),
    ];
    differ
        .into_iter()
        .filter(|(differs, _)| *differs)
        .map(|(_, key)| format!("settings changed: {key}"))
        .collect()
}

fn connection<T: PartialEq>(name: &str, old: Option<&T>, new: Option<&T>) -> Option<String> {
    match (old, new) {
        (None, Some(_)) => Some(format!("the connection {name} is new")),
        (Some(_), None) => Some(format!("the connection {name} is removed")),
        (Some(old), Some(new)) if old != new => Some(format!("the connection {name} changed")),
        _ => None,
    }
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
    if is_another_table(&old.table, &new.table) {
        let change =
            "another table: rows from before one window are not mailed, unless the flow has read it before";
        found.push(change.to_owned());
    } else if old.table != new.table {
        found.push("filter or columns changed".to_owned());
    }
    if old.window != new.window {
        found.push("window changed".to_owned());
    }
    found.extend(recipients(old, new));
    if old.email.connections != new.email.connections {
        found.push(format!("mail is sent by {}", new.email.connections.join(", then ")));
    }
    if old.email.templates.sources() != new.email.templates.sources() {
        found.push("subject or template changed".to_owned());
    }
    let rest = |flow: &Flow| {
        let email = &flow.email;
        let of_mail = (email.each, email.max_rows, email.attach_csv, email.per_hour);
        let of_look = (email.importance, email.test_leads);
        let of_csv = (email.csv.clone(), email.csv_separator);
        (of_mail, of_look, of_csv, email.reply_to.clone(), flow.description.clone(), flow.catch_up)
    };
    if rest(old) != rest(new) {
        found.push("other keys changed".to_owned());
    }
    found
}

/// By what the file says; which account it is turns out when it is read.
fn is_another_table(old: &FlowTable, new: &FlowTable) -> bool {
    old.connection != new.connection || !old.name.eq_ignore_ascii_case(&new.name)
}

/// `recipients +1 −2`: who is new, and who is not there any more.
fn recipients(old: &Flow, new: &Flow) -> Option<String> {
    let all = |flow: &Flow| {
        let lists = [("to", &flow.email.to), ("cc", &flow.email.cc), ("bcc", &flow.email.bcc)];
        let each = |(kind, list): (&'static str, &Vec<Mailbox>)| {
            list.iter().map(|mailbox| (kind, mailbox.clone())).collect::<Vec<_>>()
        };
        lists.into_iter().flat_map(each).collect::<BTreeSet<_>>()
    };
    let old = all(old);
    let new = all(new);
    let more = new.difference(&old).count();
    let fewer = old.difference(&new).count();
    match (more, fewer) {
        (0, 0) => None,
        (more, 0) => Some(format!("recipients +{more}")),
        (0, fewer) => Some(format!("recipients −{fewer}")),
        (more, fewer) => Some(format!("recipients +{more} −{fewer}")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::flow::{Importance, Separator, TestLeads};
    use crate::schedule::recurrence::Frequency;
    use leadflow_core::testing::{FlowBuilder, every};

    #[test]
    fn a_key_of_the_mail_that_changes_is_said() {
        let flow = || Arc::into_inner(FlowBuilder::new("leads", every(Frequency::Hour, 1)).build()).unwrap();
        let old = flow();
        let changes: [fn(&mut Flow); 6] = [
            |flow| flow.email.test_leads = TestLeads::Hide,
            |flow| flow.email.importance = Some(Importance::High),
            |flow| flow.email.csv_separator = Separator::Tab,
            |flow| flow.email.per_hour += 1,
            |flow| flow.email.max_rows += 1,
            |flow| flow.email.attach_csv = !flow.email.attach_csv,
        ];
        for change in changes {
            let mut new = flow();
            change(&mut new);
            assert_eq!(differences(&old, &new), ["other keys changed"]);
        }
        assert_eq!(differences(&old, &old), Vec::<String>::new());
    }
}
