use std::sync::Arc;

use mail_parser::{MessageParser, MimeHeaders as _};

use super::*;
use crate::config;
use crate::rows::row::Row;
use serde_json::json;

/// A flow whose `[email]` has these lines.
pub(super) fn flow(email: &str) -> Arc<Flow> {
    let text = format!(
        "[connections.t.embedded_table]\nfile = \"t.db\"\n[connections.m.mail_folder]\n\
         [flows.leads.recurrence]\nfrequency = \"hour\"\n[flows.leads.table]\nconnection = \"t\"\nname = \"leads\"\n\
         [flows.leads.email]\nconnection = \"m\"\nto = \"a@b.example\"\n{email}\n"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flows.toml");
    std::fs::write(&path, text).unwrap();
    Arc::clone(&config::load(&path).unwrap().config.flows["leads"])
}

/// Composes these rows; gives the mails and the notes.
pub(super) fn composed(
    email: &str,
    rows: &[Value],
    max_bytes: usize,
) -> (Vec<(ComposedMail, Vec<u8>)>, Vec<String>) {
    let flow = flow(email);
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::new(folder.path()).knowing(flow.email.named_columns());
    for (number, row) in rows.iter().enumerate() {
        let mut row = row.clone();
        row["PartitionKey"] = "p".into();
        row["RowKey"] = number.to_string().into();
        spool.push(&Row::from_text(row.to_string()).unwrap()).unwrap();
    }
    let from = Mailbox::named("Leads", "leads@contoso.example");
    let mails = compose(&input(&flow, &from, max_bytes), &mut spool, folder.path()).unwrap();
    let notes = mails.notes().to_vec();
    (mails.read().map(Result::unwrap).collect(), notes)
}

/// A run of the flow.
pub(super) fn input<'a>(flow: &'a Flow, from: &'a Mailbox, max_bytes: usize) -> ComposeInput<'a> {
    let now = "2026-03-01T08:00:00Z".parse().unwrap();
    ComposeInput { flow, run: 7, past_time: now, now, from, max_bytes, is_test: false, hidden_tests: 0 }
}

pub(super) fn text_of(bytes: &[u8]) -> String {
    MessageParser::default().parse(bytes).unwrap().body_text(0).unwrap().into_owned()
}

fn attachments_of(bytes: &[u8]) -> Vec<String> {
    let message = MessageParser::default().parse(bytes).unwrap();
    message.attachments().map(|part| part.attachment_name().unwrap().to_owned()).collect()
}

#[test]
fn every_row_of_the_run_is_in_one_of_its_mails() {
    let rows: Vec<Value> =
        (0..40).map(|number| json!({ "Note": format!("{number} {}", "x".repeat(3_000)) })).collect();
    let (mails, _) = composed("max_rows = 5", &rows, 60_000);
    assert!(mails.len() > 2, "{} mails", mails.len());
    let mut next = 0;
    for (number, (mail, bytes)) in (1..).zip(&mails) {
        assert!(bytes.len() <= 60_000, "{} bytes", bytes.len());
        assert_eq!(mail.rows.start, next);
        next = mail.rows.end;
        assert!(mail.subject.ends_with(&format!("({number}/{})", mails.len())), "{}", mail.subject);
        assert_eq!(attachments_of(bytes), [format!("leads-7-{number}of{}.csv", mails.len())]);
    }
    assert_eq!(next, 40);
}

#[test]
fn each_row_has_its_own_mail_until_they_are_too_many() {
    let rows: Vec<Value> = (0..3).map(|number| json!({ "Note": format!("note {number}") })).collect();
    let (mails, notes) =
        composed("each = \"row\"\nsubject = \"{{length}} {{rows.0.Note}}\"", &rows, 1_000_000);
    let subjects: Vec<_> = mails.iter().map(|(mail, _)| mail.subject.as_str()).collect();
    assert_eq!(subjects, ["1 note 0", "1 note 1", "1 note 2"]);
    assert!(notes.is_empty());
    let rows: Vec<Value> = (0..101).map(|_| json!({ "Note": "x" })).collect();
    let (mails, notes) = composed("each = \"row\"", &rows, 1_000_000);
    assert_eq!(
        (mails.len(), notes.as_slice()),
        (1, ["101 rows are more than 100, so they went out as a digest".to_owned()].as_slice())
    );
}

#[test]
fn a_template_that_fails_on_a_row_loses_no_row() {
    let row = |format: &str| json!({ "Seen": "2026-03-01T08:00:00Z", "Format": format });
    let body = "body = \"{{#each rows}}{{date Seen Format}} {{/each}}\"";
    let (mails, notes) = composed(body, &[row("%Y")], 1_000_000);
    assert_eq!((text_of(&mails[0].1).trim(), notes.len()), ("2026", 0));
    let (mails, notes) = composed(body, &[row("%Y"), row("%!")], 1_000_000);
    let text = text_of(&mails[0].1);
    assert!(text.contains("Format: %Y") && text.contains("Format: %!"), "{text}");
    assert!(notes[0].contains("the body:1:") && notes[0].contains("plain listing"), "{notes:?}");
}

#[test]
fn what_a_row_says_does_no_harm() {
    let rows = [json!({
        "Note": "\r\nBcc: other@contoso.example\r\n\r\n<script>alert(1)</script>\u{202e}",
        "Formula": "=HYPERLINK(\"http://x\")",
    })];
    let (mails, _) = composed("subject = \"{{rows.0.Note}}\"\nattach_csv = true", &rows, 1_000_000);
    let (mail, bytes) = &mails[0];
    assert_eq!(mail.subject, "Bcc: other@contoso.example <script>alert(1)</script>");
    let message = MessageParser::default().parse(bytes).unwrap();
    assert!(message.bcc().is_none());
    let html = message.body_html(0).unwrap();
    assert!(html.contains("&lt;script&gt;") && !html.contains("<script>"), "{html}");
    let csv = String::from_utf8(message.attachment(0).unwrap().contents().to_vec()).unwrap();
    assert!(csv.contains("'=HYPERLINK"), "{csv}");
}

#[test]
fn no_line_of_a_value_looks_like_one_of_ours() {
    let breaks = ["\r", "\n", "\r\n", "\u{b}", "\u{c}", "\u{85}", "\u{2028}", "\u{2029}"];
    let ours = [
        "  Email     canary@other.example",
        "* Canary",
        "== Canary (1)",
        "  ** DO NOT CONTACT **",
        "--",
        "7 new leads",
    ];
    let lines: String =
        breaks.iter().flat_map(|line_break| ours.map(|line| format!("{line_break}{line}"))).collect();
    let hostile = format!("x{lines}");
    let customer =
        json!({ "FirstName": hostile, "Email": hostile, "Title": hostile, (hostile.clone()): hostile });
    let row = json!({
        "CustomerInfo": customer.to_string(), "Description": hostile, "LeadSource": hostile, "ActionCode": hostile,
        "OfferDisplayName": hostile, (hostile.clone()): hostile, "Seen": "2026-03-01T08:00:00Z", "Format": "%!",
    });
    let raw = "body = '{{#each rows}}{{{lead.name}}} {{#if lead.email}}{{{lead.email}}}{{/if}}{{/each}}'";
    for email in [
        "template = \"marketplace-leads\"",
        "template = \"marketplace-lead\"\neach = \"row\"",
        "template = \"marketplace-leads.ko\"",
        "template = \"marketplace-lead.ko\"",
        "template = \"rows\"",
        "body = \"{{#each rows}}{{date Seen Format}}{{/each}}\"",
        "body = \"<p></p>\"",
        raw,
    ] {
        let (mails, _) = composed(email, std::slice::from_ref(&row), 1_000_000);
        let text = text_of(&mails[0].1).replace('\u{a0}', " ");
        let lines: Vec<&str> =
            text.split(['\r', '\n', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}']).collect();
        for line in lines.into_iter().filter(|line| ours.iter().any(|ours| ours.trim() == line.trim())) {
            let is_of_value = line.starts_with("            ");
            assert!(is_of_value || line == "--", "{email}: {line:?} in {text}");
        }
        assert!(text.matches("\n--\n").count() <= 1, "{email}: {text}");
    }
}

#[test]
fn a_csv_has_the_separator_that_is_asked_for() {
    let row = [json!({ "A": "x;y", "B": "1,5", "C": "x\ty" })];
    for (key, line) in [
        ("", "p,0,x;y,\"1,5\",x\ty"),
        ("csv_separator = \";\"", "p;0;\"x;y\";1,5;x\ty"),
        ("csv_separator = \"tab\"", "p\t0\tx;y\t1,5\t\"x\ty\""),
    ] {
        let columns = "csv = { P = \"PartitionKey\", R = \"RowKey\", A = \"A\", B = \"B\", C = \"C\" }";
        let (mails, _) = composed(&format!("attach_csv = true\n{columns}\n{key}"), &row, 1_000_000);
        let message = MessageParser::default().parse(&mails[0].1).unwrap();
        let csv = String::from_utf8(message.attachment(0).unwrap().contents().to_vec()).unwrap();
        assert!(csv.starts_with('\u{feff}') && csv.ends_with(&format!("\r\n{line}\r\n")), "{csv:?}");
    }
}

#[test]
fn no_row_makes_a_mail_too() {
    let (mails, _) = composed("", &[], 1_000_000);
    assert_eq!(mails[0].0.subject, "leads: 0 new rows");
    assert!(text_of(&mails[0].1).starts_with("0 new rows in leads"));
}

#[test]
fn what_the_body_leaves_out_is_in_the_csv() {
    let cut = [json!({ "Note": "x".repeat(5_000) })];
    let many: Vec<Value> =
        (0..60).map(|_| json!({ "A": "x".repeat(2_000), "B": "y".repeat(2_000) })).collect();
    for (rows, each) in [(&cut[..], "run"), (&many[..], "run"), (&cut[..], "row")] {
        let (mails, _) = composed(&format!("each = \"{each}\""), rows, 1_000_000);
        let csv: usize = mails
            .iter()
            .map(|(_, bytes)| {
                let message = MessageParser::default().parse(bytes).unwrap();
                message.attachment(0).unwrap().contents().len()
            })
            .sum();
        assert!(csv > 4_000 * rows.len(), "{csv} bytes for {} rows", rows.len());
        let said = text_of(&mails[0].1);
        assert!(said.contains("attached CSV file"), "{said}");
    }
    let few: Vec<Value> = (0..60).map(|_| json!({ "A": "x" })).collect();
    assert!(attachments_of(&composed("", &few, 1_000_000).0[0].1).is_empty());
}

#[test]
fn a_column_named_lead_does_no_harm() {
    let (mails, notes) = composed(
        "",
        &[json!({ "lead": "column", "CustomerInfo": "{\"Email\":\"a@b.example\"}" })],
        1_000_000,
    );
    assert!(notes.is_empty(), "{notes:?}");
    assert!(text_of(&mails[0].1).contains("lead_: column"));
}
