//! Recipients that are refused, and rows that mean harm.

use serde_json::json;

use super::{create_table, insert};
use crate::support::flows_toml::guide;
use crate::support::leadflow::Sandbox;
use crate::support::leads::{keys, lead};
use crate::support::mail_server::MailServer;
use crate::support::oracle;

#[test]
fn case_29_a_refused_recipient_keeps_nobody_else_from_the_mail() {
    let (table, server) = (create_table(), MailServer::start(&[]));
    insert(&table, 0..2);
    let flow = guide(&table.name, server.port).to("sales@contoso.example; refused@contoso.example");
    let sandbox = Sandbox::with_azurite(flow);
    let output = sandbox.exits(1, &["run", "--once"]);
    let words = "the mail is not sent to every recipient: 550 5.1.1 <…> no such user";
    assert!(output.stderr.contains(words), "{}", output.stderr);
    let mails = server.mails();
    assert_eq!((mails[0].to.as_slice(), mails.len()), (["sales@contoso.example".to_owned()].as_slice(), 1));
    let shown = sandbox.run(&["history", "show", "1"]).stdout;
    assert!(shown.contains("partly-sent"), "{shown}");
    let held = "refused@contoso.example  held  550 5.1.1 <refused@contoso.example> no such user";
    assert!(shown.contains(held), "{shown}");
    oracle::check(&sandbox, &keys(0..2), &mails);
}

/// Each does its worst in a header, in HTML, in a terminal or in a spreadsheet.
const HARMFUL: [&str; 6] = [
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "x\r\nBcc: everybody@fabrikam.example\r\n\r\n<b>another body</b>",
    "evil\u{202e}fdp.exe\u{2066}\u{200f}",
    "=HYPERLINK(\"http://fabrikam.example\")",
    "\u{1b}]0;title\u{7}\u{1b}[2J",
    "{{#each rows}}{{RowKey}}{{/each}}{{{lead.email}}}",
];

#[test]
fn case_30_hostile_and_huge_fields_are_inert_and_capped() {
    let (table, server) = (create_table(), MailServer::start(&[]));
    let rows: Vec<_> = (0..HARMFUL.len())
        .map(|number| {
            let mut row = lead(number);
            let customer = json!({
                "FirstName": HARMFUL[number], "LastName": HARMFUL[number], "Company": HARMFUL[number],
                "Email": format!("customer{number}@fabrikam.example"), "Country": HARMFUL[number],
            });
            row["CustomerInfo"] = customer.to_string().into();
            row["OfferDisplayName"] = HARMFUL[number].into();
            // The most that a field of the service holds: 64 KiB of UTF-16.
            row["Description"] = "y".repeat(32 * 1024).into();
            row
        })
        .collect();
    table.insert_here(&rows);
    let flow = guide(&table.name, server.port).subject("{{#each rows}}{{OfferDisplayName}} {{/each}}");
    let sandbox = Sandbox::with_azurite(flow);
    sandbox.edit("template = \"marketplace-leads\"", "attach_csv = true");
    sandbox.run_once();
    let mails = server.mails();
    let [mail] = mails.as_slice() else { panic!("{} mails", mails.len()) };
    assert_eq!(
        mail.to,
        ["sales@contoso.example", "partners@contoso.example"],
        "recipients never come from rows"
    );
    let message = mail.message();
    assert!(message.bcc().is_none(), "no header comes from a row");
    assert!(mail.subject().chars().count() <= 151 && !mail.subject().contains(['\r', '\n', '\u{202e}']));
    let (html, text) = (mail.html(), mail.text());
    for tag in ["<script", "<img src=x", "<b>another"] {
        assert!(!html.contains(tag), "{tag} is in {html}");
    }
    for shown in [&html, &text] {
        let harmful = ['\u{202e}', '\u{2066}', '\u{200f}', '\u{1b}', '\u{7}'];
        assert!(!shown.contains(harmful), "{shown}");
        assert!(shown.contains("{{#each rows}}"), "what a row says is no template");
        assert!(!shown.contains(&"y".repeat(3_000)), "a field is cut to 2 KiB");
    }
    let csv = mail.csv().unwrap();
    assert!(csv.iter().flatten().any(|cell| cell.len() == 32 * 1024), "the whole is in the CSV");
    assert!(csv.iter().flatten().all(|cell| !cell.starts_with('=')), "no formula");
    oracle::check(&sandbox, &keys(0..HARMFUL.len()), &mails);
}
