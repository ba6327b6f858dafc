//! What a reload changes, in words.

use std::collections::BTreeSet;

use crate::flow::{Config, Email, Flow, FlowTable, Mailbox, Settings};

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

// Settings, flow and email are taken apart field by field: whoever adds one is led here by the compiler.

fn settings_changes(old: &Settings, new: &Settings) -> Vec<String> {
    // Another state folder or database is refused before.
    let Settings { time_zone, state: _, postgres: _, history, log, failures, heartbeat_url, page } = old;
    let differ = [
        (time_zone != &new.time_zone, "time_zone"),
        (history != &new.history, "history"),
        (log != &new.log, "log, which needs a restart"),
        (failures != &new.failures, "failures"),
        (heartbeat_url != &new.heartbeat_url, "heartbeat_url"),
        (page != &new.page, "page"),
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
    // The time zone is that of the recurrence.
    let Flow {
        name: _,
        description,
        enabled,
        condition,
        recurrence,
        catch_up,
        window,
        table,
        email,
        time_zone: _,
    } = old;
    let mut found = Vec::new();
    if recurrence != &new.recurrence {
        found.push(format!("{recurrence} → {}", new.recurrence));
    }
    if enabled != &new.enabled {
        found.push(format!("turned {}", if new.enabled { "on" } else { "off" }));
    }
    if condition != &new.condition {
        found.push(format!("{condition} → {}", new.condition));
    }
    if is_another_table(table, &new.table) {
        let change =
            "another table: rows from before one window are not mailed, unless the flow has read it before";
        found.push(change.to_owned());
    } else if table != &new.table {
        found.push("filter or columns changed".to_owned());
    }
    if window != &new.window {
        found.push("window changed".to_owned());
    }
    let has_others = email_differences(email, &new.email, &mut found);
    if has_others || description != &new.description || catch_up != &new.catch_up {
        found.push("other keys changed".to_owned());
    }
    found
}

/// Adds the lines to `found`; returns whether a key changed that has no line of its own.
fn email_differences(old: &Email, new: &Email, found: &mut Vec<String>) -> bool {
    let Email {
        connections,
        to,
        cc,
        bcc,
        reply_to,
        importance,
        templates,
        each,
        max_rows,
        attach_csv,
        per_hour,
        test_leads,
        csv,
        csv_separator,
    } = old;
    found.extend(recipients([to, cc, bcc], [&new.to, &new.cc, &new.bcc]));
    if connections != &new.connections {
        found.push(format!("mail is sent by {}", new.connections.join(", then ")));
    }
    if templates.sources() != new.templates.sources() {
        found.push("subject or template changed".to_owned());
    }
    reply_to != &new.reply_to
        || importance != &new.importance
        || each != &new.each
        || max_rows != &new.max_rows
        || attach_csv != &new.attach_csv
        || per_hour != &new.per_hour
        || test_leads != &new.test_leads
        || csv != &new.csv
        || csv_separator != &new.csv_separator
}

/// By what the file says; which account it is turns out when it is read.
fn is_another_table(old: &FlowTable, new: &FlowTable) -> bool {
    old.connection != new.connection || !old.name.eq_ignore_ascii_case(&new.name)
}

/// `recipients +1 −2`: how many are new, and how many are gone. The lists are `to`, `cc` and `bcc`.
fn recipients(old: [&Vec<Mailbox>; 3], new: [&Vec<Mailbox>; 3]) -> Option<String> {
    let all = |lists: [&Vec<Mailbox>; 3]| -> BTreeSet<(usize, Mailbox)> {
        let of_list = |(list, mailboxes): (usize, &Vec<Mailbox>)| {
            mailboxes.iter().map(|mailbox| (list, mailbox.clone())).collect::<Vec<_>>()
        };
        lists.into_iter().enumerate().flat_map(of_list).collect()
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
    fn a_reload_reports_each_key_of_the_mail_that_changed() {
        let flow = || Arc::into_inner(FlowBuilder::new("leads", every(Frequency::Hour, 1)).build()).unwrap();
        let old = flow();
        let changes: [fn(&mut Flow); 9] = [
            |flow| flow.description = Some("leads of the marketplace".to_owned()),
            |flow| flow.catch_up = !flow.catch_up,
            |flow| flow.email.csv = Some(Vec::new()),
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
