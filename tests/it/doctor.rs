//! `check --online`, `preview`, `test-mail`, `schedule`: looking before leaping.

use serde_json::Value;

use crate::support::azurite::{self, Table};
use crate::support::flows_toml::guide;
use crate::support::leadflow::{Output, Sandbox};
use crate::support::leads::{keys, leads};
use crate::support::mail_server::MailServer;

fn sandbox(table: &Table, port: u16) -> Sandbox {
    Sandbox::with_azurite(guide(&table.name, port))
}

fn shows(output: &Output, words: &[&str]) {
    for word in words {
        assert!(output.stdout.contains(word), "`{word}` is not in:\n{}{}", output.stdout, output.stderr);
    }
}

#[tokio::test]
async fn all_is_well() {
    let (table, server) = (Table::create().await, MailServer::start(&[]));
    table.insert(&leads(0..5)).await;
    let sandbox = sandbox(&table, server.port);
    let output = sandbox.exits(0, &["check", "--online"]);
    shows(
        &output,
        &[
            "✓ signed in, and the table",
            "✓ 5 rows match the filter",
            " / lead-0000",
            "✓ the newest row is a lead",
        ],
    );
    shows(&output, &[&format!("✓ signed in to 127.0.0.1:{} as leads", server.port)]);
    let json = sandbox.json(&["check", "--online", "--json"]);
    assert!(json["findings"].as_array().unwrap().iter().all(|finding| finding["ok"] == true), "{json}");
    assert!(server.mails().is_empty() && !sandbox.path("state").exists(), "nothing is sent or recorded");
}

#[tokio::test]
async fn what_keeps_leads_from_coming() {
    let (table, server) = (Table::create().await, MailServer::start(&["--auth", "leads:another-password"]));
    let sandbox = sandbox(&table, server.port);
    let empty = sandbox.exits(1, &["check", "--online"]);
    shows(&empty, &["✗ the table is empty", "press Validate"]);
    shows(&empty, &["connection relay\n  ✗ 127.0.0.1", "does not accept the login `leads`"]);

    table.insert(&leads(0..2)).await;
    sandbox.edit("{{past_time}}'", "{{past_time}}' and Country eq 'KR'");
    shows(
        &sandbox.run(&["check", "--online"]),
        &["✗ the table has rows, and the filter matches none of them"],
    );

    sandbox.edit(" and Country eq 'KR'", "");
    sandbox.edit("template = \"marketplace-leads\"", "body = \"{{#each rows}}{{Region}}{{/each}}\"");
    let words = ["✗ the newest row has no column Region, which the template uses", "it has PartitionKey"];
    shows(&sandbox.run(&["check", "--online"]), &words);

    sandbox.edit(&format!("name = \"{}\"", table.name), "name = \"marketleads\"");
    let words = [
        "✗ there is no table `marketleads` in the account `devstoreaccount1`",
        "the account has ",
        &table.name,
    ];
    shows(&sandbox.run(&["check", "--online"]), &words);
}

#[tokio::test]
async fn a_wrong_key_is_reported() {
    let table = Table::create().await;
    let storage = azurite::connection_string("Y2FuYXJ5");
    let output = Sandbox::with_storage(guide(&table.name, 1), storage).run(&["check", "--online"]);
    assert_eq!(output.code, 1);
    shows(
        &output,
        &[
            "✗ the account `devstoreaccount1` does not accept the key or signature from the environment variable LEADS_STORAGE",
        ],
    );
    shows(&output, &["copy the key again from the portal"]);
}

#[tokio::test]
async fn a_preview_shows_real_rows_and_records_nothing() {
    let (table, server) = (Table::create().await, MailServer::start(&[]));
    table.insert(&leads(0..3)).await;
    let sandbox = sandbox(&table, server.port);
    let output = sandbox.exits(0, &["preview", "marketplace-leads", "--html", "mail.html"]);
    shows(
        &output,
        &[
            "3 new rows since",
            "length > 0 is true: a run now would send this",
            "새로운 잠재 고객! (3)",
            "customer2@fabrikam.example",
        ],
    );
    let html = std::fs::read_to_string(sandbox.path("mail.html")).unwrap();
    assert!(html.contains("customer0@fabrikam.example"), "{html}");
    shows(&sandbox.run(&["preview", "marketplace-leads", "--last", "1"]), &["mailed or not: 1 row"]);
    shows(&sandbox.run(&["preview", "marketplace-leads", "--since", "2 hours"]), &["3 rows since"]);
    shows(
        &sandbox.run(&["preview", "marketplace-leads", "--since", "2126-01-05T08:00:00"]),
        &["0 rows since", "is false: these rows would make no mail"],
    );
    let wrong = sandbox.run(&["preview", "marketplace-leads", "--since", "soon"]);
    assert_eq!((wrong.code, wrong.stderr.contains("`soon` is not a valid time")), (2, true));
    assert!(server.mails().is_empty() && !sandbox.path("state").exists());
    sandbox.run_once();
    assert_eq!(server.mails()[0].row_keys().len(), keys(0..3).len(), "all are still news");
}

#[tokio::test]
async fn a_test_mail_is_really_sent_and_marked() {
    let (table, server) = (Table::create().await, MailServer::start(&[]));
    let sandbox = sandbox(&table, server.port);
    let output = sandbox.exits(0, &["test-mail", "marketplace-leads"]);
    shows(
        &output,
        &["subject: [test] 새로운 잠재 고객! (3)\nMessage-ID: <", "sales@contoso.example accepted: 250 "],
    );
    let mail = &server.mails()[0];
    assert_eq!((mail.subject().as_str(), mail.to.len()), ("[test] 새로운 잠재 고객! (3)", 2));
    assert!(mail.message().header_raw("X-Leadflow-Test").is_some());
    sandbox.run(&["test-mail", "marketplace-leads", "--to", "me@contoso.example"]);
    assert_eq!(server.mails()[1].to, ["me@contoso.example"]);
    let refused = sandbox.exits(1, &["test-mail", "marketplace-leads", "--to", "refused@contoso.example"]);
    shows(&refused, &["refused@contoso.example refused: 550 5.1.1"]);
    assert!(!sandbox.path("state").exists(), "nothing is recorded");
}

#[test]
fn a_missing_secret_is_seen_offline() {
    let sandbox = Sandbox::new(guide("leads", 1));
    let of_service = sandbox.exits(0, &["check", "--strict"]);
    let words = ["☞ not checked: the environment variable LEADS_STORAGE", "check --online` where"];
    shows(&of_service, &words);

    sandbox.write("mail-password", "\n");
    let empty = sandbox.exits(1, &["check"]);
    shows(&empty, &["no problems in the file", "connection relay\n  ✗ the secret from ", "is empty"]);
    std::fs::remove_file(sandbox.path("mail-password")).unwrap();
    let missing = sandbox.exits(1, &["check"]);
    shows(&missing, &["✗ the secret's file ", "mail-password does not exist", "put the secret into it"]);
    assert_eq!(sandbox.json(&["check", "--json"])["ok"], false);

    sandbox.edit("\"mail-password\"", "\"/nowhere/mail-password\"");
    let of_another_machine = sandbox.exits(0, &["check", "--strict"]);
    shows(&of_another_machine, &["☞ the secret's file /nowhere/mail-password does not exist"]);
    sandbox.edit("{ file = \"/nowhere/mail-password\" }", "{ credential = \"smtp-password\" }");
    let yet = sandbox.exits(0, &["check", "--strict"]);
    shows(
        &yet,
        &["☞ the systemd credential `smtp-password` does not exist", "    type: sudo sh -c 'umask 077"],
    );
    let mut command = sandbox.command(&["check"]);
    let given = command.env("CREDENTIALS_DIRECTORY", sandbox.path(".")).output().unwrap();
    let said = String::from_utf8(given.stdout).unwrap();
    assert!(given.status.code() == Some(1) && said.contains("✗ the systemd credential"), "{said}");
    std::fs::write(sandbox.path("smtp-password"), "canary").unwrap();
    let mut command = sandbox.command(&["check"]);
    let given = command.env("CREDENTIALS_DIRECTORY", sandbox.path(".")).output().unwrap();
    assert!(given.status.success());

    sandbox.edit("connection = \"relay\"", "connection = \"folder\"");
    sandbox.edit("[connections.relay", "[connections.folder.mail_folder]\n[connections.relay");
    let unused = sandbox.run(&["check"]).stdout;
    assert!(!unused.contains("smtp-password"), "{unused}");
}

#[test]
fn a_schedule_is_shown_before_anything_runs() {
    let flow = guide("leads", 1).every("day\"\nhours = [8, 12]\nstart_time = \"2026-01-05T08:00:00");
    let sandbox = Sandbox::new(flow.settings("time_zone = \"Asia/Seoul\""));
    let slots = sandbox.json(&["schedule", "marketplace-leads", "--count", "4", "--json"]);
    let slots = slots.as_array().unwrap();
    assert_eq!(slots.len(), 4);
    for slot in slots {
        let (utc, local) = (slot["at"].as_str().unwrap(), slot["local"].as_str().unwrap());
        let is_eight = utc.ends_with("T23:00:00Z") && local.contains("T08:00:00+09:00");
        assert!(is_eight || (utc.ends_with("T03:00:00Z") && local.contains("T12:00:00+09:00")), "{slot}");
        assert!(slot["reads_from"].as_str() < Some(utc), "{slot}");
    }
    let shown = sandbox.run(&["schedule", "marketplace-leads"]);
    shows(&shown, &["every day at 08:00, 12:00 (Asia/Seoul)", "KST"]);
    assert_eq!(sandbox.run(&["schedule", "nothere"]).code, 2);
    let _: Value = sandbox.json(&["check", "--json"]);
}

#[test]
fn what_a_connection_string_gives_away_is_reported_offline() {
    for (storage, words) in [
        (
            "AccountName=contoso-secondary;AccountKey=Y2FuYXJ5",
            "✗ the environment variable LEADS_STORAGE: the endpoint is a secondary one",
        ),
        (
            "AccountName=contoso;AccountKey=Y2FuYXJ5;TableEndpoint=https://contoso.table.cosmos.azure.com",
            "✗ this is Cosmos DB, where a filter on Timestamp matches no rows",
        ),
        (
            "AccountName=contoso",
            "✗ the environment variable LEADS_STORAGE: the connection string has no AccountKey",
        ),
    ] {
        let output = Sandbox::with_storage(guide("leads", 1), storage.to_owned()).run(&["check"]);
        assert_eq!(output.code, 1);
        shows(&output, &[words]);
    }
    assert_eq!(
        Sandbox::new(guide("leads", 1)).run(&["check"]).code,
        0,
        "without the secret there is nothing to see"
    );
}
