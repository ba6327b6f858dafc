//! `[flows.NAME.email]`.

use super::connections::Connections;
use super::reader::Section;
use super::select;
use super::sheet;
use super::templates::{self, TemplateFolder};
use crate::flow::condition::Condition;
use crate::flow::{Each, Email, FlowTable, Importance, MailConnection, Mailbox, TestLeads};

/// Rows that a body shows when nothing is said, and at most.
const MAX_ROWS: u32 = 200;
const MOST_ROWS: u32 = 5_000;
/// Mails an hour when nothing is said: it never defers a mail of a flow that runs every minute.
const PER_HOUR: u32 = 60;

const IMPORTANCES: [(&str, Importance); 3] =
    [("high", Importance::High), ("normal", Importance::Normal), ("low", Importance::Low)];
const EACH: [(&str, Each); 2] = [("run", Each::Run), ("row", Each::Row)];
const TEST_LEADS: [(&str, TestLeads); 3] =
    [("mark", TestLeads::Mark), ("include", TestLeads::Include), ("hide", TestLeads::Hide)];

pub(super) fn read(
    section: Section<'_>,
    connections: &Connections,
    templates: &TemplateFolder,
    table: Option<&FlowTable>,
    condition: Condition,
) -> Option<Email> {
    let names = connections.mails_named(&section, "connection");
    check_sender(&section, connections, &names);
    let Recipients { to, cc, bcc } = recipients(&section);
    let reply_to = section.address("reply_to");
    let importance = section.choice("importance", &IMPORTANCES);
    let each = section.choice("each", &EACH).unwrap_or(Each::Run);
    let max_rows = max_rows(&section, condition);
    let attach_csv = section.boolean("attach_csv").unwrap_or(false);
    let templates = templates::read(&section, templates, table, each);
    let per_hour = section.integer("per_hour", 1..=100_000).unwrap_or(PER_HOUR);
    let test_leads = section.choice("test_leads", &TEST_LEADS).unwrap_or(TestLeads::Mark);
    let csv = sheet::read(&section);
    let csv_separator = sheet::separator(&section);
    let select = table.and_then(|table| table.select.as_ref());
    if let Some((templates, select)) = templates.as_deref().zip(select) {
        select::check(&section, select, templates, csv.as_deref(), test_leads);
    }
    section.finish();
    Some(Email {
        connections: names,
        to,
        cc,
        bcc,
        reply_to,
        importance,
        templates: templates?,
        each,
        max_rows: usize::try_from(max_rows).unwrap_or(usize::MAX),
        attach_csv,
        per_hour,
        test_leads,
        csv,
        csv_separator,
    })
}

struct Recipients {
    to: Vec<Mailbox>,
    cc: Vec<Mailbox>,
    bcc: Vec<Mailbox>,
}

fn recipients(section: &Section<'_>) -> Recipients {
    let to = section.addresses("to");
    let cc = section.addresses("cc");
    let bcc = section.addresses("bcc");
    if !["to", "cc", "bcc"].into_iter().any(|key| section.has(key)) {
        section.missing("to", "write to = \"sales@contoso.example\"");
    }
    Recipients { to, cc, bcc }
}

/// Warns when the condition asks for more rows than the body shows.
fn max_rows(section: &Section<'_>, condition: Condition) -> u32 {
    let max_rows = section.integer("max_rows", 1..=MOST_ROWS).unwrap_or(MAX_ROWS);
    if condition.fewest() > u64::from(max_rows) {
        let span = section.span_of("max_rows").unwrap_or_else(|| section.span());
        let message = format!(
            "{condition} requires more rows than the mail shows ({max_rows}): the others are only in the CSV"
        );
        section.problems.warn(span, message, "raise `max_rows`, up to 5000, to show them in the mail");
    }
    max_rows
}

/// A mail has the sender of the first connection, and a mailbox sends its own alone.
fn check_sender(section: &Section<'_>, connections: &Connections, names: &[String]) {
    let mut of_list = names.iter().filter_map(|name| Some((name, connections.mails.get(name)?)));
    let Some((first, sender)) = of_list.next().map(|(name, mail)| (name, mail.from().address.clone())) else {
        return;
    };
    for (name, mail) in of_list {
        let MailConnection::Graph(graph) = mail else { continue };
        if graph.mailbox.address != sender {
            let span = section.span_of("connection").unwrap_or_else(|| section.span());
            let message = format!(
                "mails have the sender {sender} of `{first}`; the mailbox {} of `{name}` may not be \
                 allowed to send as that address",
                graph.mailbox.address
            );
            section.problems.warn(
                span,
                message,
                "give both connections the same address, or give the mailbox permission to send as the other",
            );
        }
    }
}
