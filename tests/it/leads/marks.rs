//! Leads that are marked: not to be contacted, and tests.

use serde_json::{Value, json};

use super::{customer, flows, odd};
use crate::support::azurite::Table;
use crate::support::flows_toml::FlowsToml;
use crate::support::has;
use crate::support::leadflow::Sandbox;
use crate::support::mail_server::MailServer;

#[test]
fn an_export_for_a_crm_says_who_is_not_to_be_contacted_and_what_is_a_test() {
    let sandbox = Sandbox::new(FlowsToml::demo().flow("leads").to("a@b.example"));
    let test = customer(1, &json!({ "FirstName": "MSFT_TEST_1" })).to_string();
    let rows = [
        odd(0, &json!({})),
        odd(1, &json!({ "CustomerInfo": test })),
        odd(2, &json!({ "ActionCode": "dnc" })),
        odd(3, &json!({ "LeadSource": "SPZA-DNC|contoso.app" })),
    ];
    sandbox.table().insert(&rows);
    for preset in ["dynamics365", "salesforce", "hubspot"] {
        let export = |more: &[&str]| {
            let all = ["lead", "export", "leads", "--format", "json", "--columns", preset];
            sandbox.run(&[&all, more].concat())
        };
        let plain = export(&[]);
        let rows: Vec<Value> = serde_json::from_str(&plain.stdout).unwrap();
        assert_eq!(rows.len(), 2, "{preset}: {}", plain.stdout);
        let expected =
            "2 rows\nomitted: 2 leads marked \"do not contact\"; --do-not-contact exports them as well\n";
        assert_eq!(plain.stderr, expected);
        let all = export(&["--do-not-contact"]);
        let rows: Vec<Value> = serde_json::from_str(&all.stdout).unwrap();
        let marks: Vec<_> = rows.iter().map(|row| (&row["Do Not Contact"], &row["Test Lead"])).collect();
        let (yes, no) = (&json!(true), &json!(false));
        assert_eq!(marks, [(no, no), (no, yes), (yes, no), (yes, no)], "{preset}");
        assert_eq!(all.stderr, "4 rows\n");
    }
    let left_out = |sandbox: &Sandbox, more: &[&str]| {
        let csv = sandbox.run(&[&["lead", "export", "leads"], more].concat()).stdout;
        assert!(csv.contains("lead-00001") || csv.contains("MSFT_TEST_1"), "{csv}");
        assert!(!csv.contains("lead-00002") && !csv.contains("customer2@"), "{csv}");
    };
    left_out(&sandbox, &[]);
    // What the flow's mails do without is still looked at.
    sandbox.edit("name = \"leads\"", "name = \"leads\"\nselect = [\"RowKey\"]");
    left_out(&sandbox, &[]);
    left_out(&sandbox, &["--columns", "hubspot"]);
}

/// A flow's first start after *Validate* was pressed, whose test lead is known by a field alone.
#[tokio::test]
async fn the_first_start_announces_earlier_test_leads() {
    let (table, server) = (Table::create().await, MailServer::start(&[]));
    let sandbox = Sandbox::with_azurite(flows(&server, &table, ""));
    let test = customer(1, &json!({ "FirstName": "MSFT_TEST_1" })).to_string();
    table.insert(&[odd(0, &json!({})), odd(1, &json!({ "CustomerInfo": test }))]).await;
    let check = sandbox.run(&["check", "--online"]).stdout;
    has(&check, &["a first run now mails 2 rows", "1 test lead among them", "test_leads = \"hide\""]);
    let preview = sandbox.run(&["preview", "marketplace-leads"]).stdout;
    assert!(preview.contains("1 test lead among them"), "{preview}");

    sandbox.edit("[flows.marketplace-leads.email]", "[flows.marketplace-leads.email]\ntest_leads = \"hide\"");
    let check = sandbox.run(&["check", "--online"]).stdout;
    assert!(check.contains("a first run now mails 1 row") && check.contains("1 test lead hidden"), "{check}");
    sandbox.edit("\ntest_leads = \"hide\"", "");
    let once = sandbox.run_once();
    assert!(once.stdout.contains("2 new rows in 1 mail, 1 test lead among them"), "{}", once.stdout);
    assert!(server.mails()[0].text().contains("[test lead]"), "the mail marks it, too");
    let after = sandbox.run(&["check", "--online"]).stdout;
    assert!(!after.contains("first run"), "it has run: {after}");
}
