//! Leads in all odd shapes, on Azurite: mailed, exported, proved, forgotten.

mod marks;

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::azurite::Table;
use crate::support::flows_toml::{FlowsToml, guide};
use crate::support::has;
use crate::support::leadflow::Sandbox;
use crate::support::leads::{keys, lead, leads};
use crate::support::mail_server::MailServer;

/// `lead-00000` with some columns replaced, or taken out by null.
fn odd(number: usize, columns: &Value) -> Value {
    let mut row = lead(number);
    for (name, value) in columns.as_object().unwrap() {
        row[name] = value.clone();
    }
    row.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    row
}

/// A customer of that number as `CustomerInfo` has it, with some fields replaced.
fn customer(number: usize, fields: &Value) -> Value {
    let mut customer: Value = serde_json::from_str(lead(number)["CustomerInfo"].as_str().unwrap()).unwrap();
    for (name, value) in fields.as_object().unwrap() {
        customer[name] = value.clone();
    }
    customer.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    customer
}

/// Fields of `CustomerInfo`.
fn odd_customers() -> Vec<Value> {
    vec![
        json!({ "Phone": null }),
        json!({ "FirstName": null, "LastName": null }),
        json!({ "Company": "" }),
        json!({ "FirstName": "민준", "LastName": "김", "Company": "한빛소프트" }),
        json!({ "FirstName": "Jürgen", "LastName": "Groß-Øre" }),
        json!({ "Phone": "010-1234-5678" }),
        json!({ "Phone": "+82 (0)2 123-4567" }),
        json!({ "Company": "line\r\nbreak\tand tab" }),
        json!({ "Company": "<script>alert(1)</script>" }),
        json!({ "Company": "\"quoted\", with, commas" }),
        json!({ "LastName": "=cmd|'/c calc'!A1" }),
        json!({ "LastName": "@SUM(A1:A9)", "FirstName": "-2+3" }),
        json!({ "FirstName": "a\u{202e}b\u{2066}c" }),
        json!({ "Title": "x".repeat(20_000) }),
        json!({ "Age": 42, "Address": { "Street": "1 Way" } }),
        json!({ "FirstName": ["Ana"], "Company": 7 }),
        json!({ "LastName": "Bcc: evil@evil.example\r\nSubject: x" }),
        json!({ "LastName": "{{length}} {{{rows}}}" }),
        json!({ "LastName": "'; DROP TABLE leads; --" }),
        json!({ "FirstName": "  spaced  ", "LastName": "\u{a0}" }),
        json!({ "Company": "A & B < C > D \"E\" 'F'" }),
        json!({ "Country": "🇰🇷", "Title": "👩‍💻" }),
    ]
}

/// Columns of the row.
fn odd_columns() -> Vec<Value> {
    vec![
        json!({ "ActionCode": "PLT" }),
        json!({ "ActionCode": "DNC" }),
        json!({ "ActionCode": "Create" }),
        json!({ "ActionCode": "StartTestDrive" }),
        json!({ "ActionCode": "XYZ-9" }),
        json!({ "ActionCode": null, "LeadSource": "SPZA-DNC|contoso.app" }),
        json!({ "LeadSource": "AzureMarketplace" }),
        json!({ "LeadSource": null, "ActionCode": null }),
        json!({ "OfferDisplayName": null }),
        json!({ "OfferDisplayName": null, "ProductId": null, "LeadSource": "SPZA-INS|contoso.other" }),
        json!({ "Description": " " }),
        json!({ "Description": "Campaigns: spring, 2026" }),
        json!({ "Description": "가".repeat(21_000) }),
        json!({ "CreatedTime": "11/23/2026 8:00:00 AM" }),
        json!({ "CreatedTime": "2026-11-23T08:00:00Z", "CreatedTime@odata.type": "Edm.DateTime" }),
        json!({ "CreatedTime": "yesterday" }),
        json!({ "CreatedTime": null }),
        json!({ "Unheard_of": "kept in sight", "Score": 7, "Active": true }),
        json!({ "Big": "9007199254740993", "Big@odata.type": "Edm.Int64" }),
    ]
}

/// Every shape that public samples show, and some that nobody has shown yet.
fn corpus() -> Vec<Value> {
    let info = |number, fields: Value| json!({ "CustomerInfo": customer(number, &fields).to_string() });
    let mut rows = Vec::new();
    for fields in odd_customers() {
        rows.push(odd(rows.len(), &info(rows.len(), fields)));
    }
    for columns in odd_columns() {
        rows.push(odd(rows.len(), &columns));
    }
    // CustomerInfo in letters of another case, nested, written twice over.
    let number = rows.len();
    rows.push(odd(
        number,
        &json!({ "CustomerInfo": null, "customerInfo": customer(number, &json!({})).to_string() }),
    ));
    let number = rows.len();
    rows.push(odd(
        number,
        &json!({ "CustomerInfo": json!({ "Contact": customer(number, &json!({})) }).to_string() }),
    ));
    let number = rows.len();
    rows.push(odd(
        number,
        &json!({ "CustomerInfo": json!(customer(number, &json!({})).to_string()).to_string() }),
    ));
    // What has no address to be found by: the CSV has its key.
    for broken in ["{\"FirstName\":\"Ana\"", "not JSON at all", "[]", "\"\"", "null"] {
        rows.push(odd(rows.len(), &json!({ "CustomerInfo": broken })));
    }
    rows.push(odd(rows.len(), &json!({ "CustomerInfo": null })));
    rows
}

fn flows(server: &MailServer, table: &Table, more: &str) -> FlowsToml {
    guide(&table.name, server.port).more(more).settings("time_zone = \"Asia/Seoul\"")
}

#[tokio::test]
async fn every_odd_lead_arrives_readable_and_inert() {
    let (table, server) = (Table::create().await, MailServer::start(&[]));
    let rows = corpus();
    assert!(rows.len() >= 40, "{}", rows.len());
    table.insert(&rows).await;
    let sandbox = Sandbox::with_azurite(flows(&server, &table, "attach_csv = true"));
    let once = sandbox.run_once();
    assert!(!once.stderr.contains("plain listing"), "no template failed: {}", once.stderr);
    let mails = server.mails();
    let [mail] = mails.as_slice() else { panic!("{} mails", mails.len()) };
    let mut carried = mail.row_keys();
    carried.sort();
    assert_eq!(carried, keys(0..rows.len()));
    let (html, text) = (mail.html(), mail.text());
    assert!(!html.contains("<script") && html.contains("&lt;script&gt;alert(1)"), "markup is inert");
    assert!(!html.contains('\u{202e}') && !text.contains('\u{2066}'), "bidi marks are gone");
    has(
        &text,
        &[
            "김민준",
            "Jürgen Groß-Øre",
            "010-1234-5678",
            "+82 (0)2 123-4567",
            "DO NOT CONTACT",
            "asked for a partner-led trial",
            "bought in the Azure portal",
            "started a test drive",
            "XYZ-9",
            "== contoso.other (1)",
            "Unheard_of: kept in sight",
            "CustomerInfo: not JSON at all",
            "Age: 42",
            "2026-11-23 17:00",
            "yesterday",
            "Campaigns: spring, 2026",
            "{{length}} {{{rows}}}",
        ],
    );
    let records = mail.csv().unwrap();
    for record in &records[1..] {
        for cell in record {
            let is_formula = cell.starts_with(['=', '@', '+', '-']) && cell.parse::<f64>().is_err();
            assert!(!is_formula, "{cell}");
        }
    }
    // Where a lead has no CreatedTime the table's own time stands.
    let is_of_lead = |line: &&str| !line.starts_with("  Created") || line.contains("2026-11-23 17:00");
    let lines = text.lines().filter(is_of_lead).map(|line| line.chars().take(100).collect::<String>());
    let filters = vec![(r"since .* \(Asia", "since … (Asia"), (r"table leads\d+", "table leads")];
    insta::with_settings!({ filters => filters }, {
        insta::assert_snapshot!("odd_leads", lines.collect::<Vec<_>>().join("\n"));
    });
}

fn export_has_the_separator_that_is_asked_for(sandbox: &Sandbox) {
    let semicolons = sandbox.run(&["lead", "export", "leads", "--separator", ";"]);
    assert!(
        semicolons.stdout.starts_with("\u{feff}Key;Last Name;Phone;Company\r\n"),
        "{}",
        semicolons.stderr
    );
    assert_eq!(semicolons.stdout.matches(";\"O\"\"Hara, Jr.\";").count(), 1_667, "quoted for its quotes");
    let wrong = sandbox.run(&["lead", "export", "leads", "--separator", "|"]);
    assert_eq!((wrong.code, wrong.stderr.contains("`|` is not a valid CSV separator")), (2, true));
}

#[tokio::test]
async fn ten_thousand_leads_read_back_by_python_equal_the_rows() {
    let csv = "csv = { \"Key\" = \"RowKey\", \"Last Name\" = \"lead.last_name\", Phone = \"lead.phone\", Company = \"lead.company\" }";
    let sandbox = Sandbox::new(FlowsToml::demo().flow("leads").to("a@b.example").more(csv));
    let lasts = ["Groß-Øre", "김", "O\"Hara, Jr.", "two\nlines", " spaces ", "plain"];
    let rows: Vec<Value> = (0..10_000)
        .map(|number| {
            let fields = json!({ "LastName": lasts[number % 6], "Phone": format!("0{number:07}"), "Company": "Ünï <Co>" });
            odd(number, &json!({ "CustomerInfo": customer(number, &fields).to_string() }))
        })
        .collect();
    sandbox.table().insert(&rows);
    let output = sandbox.exits(0, &["lead", "export", "leads", "--to", "leads.csv"]);
    assert_eq!(output.stderr, "10000 rows to leads.csv\n");
    let script = "import csv, json, sys\nprint(json.dumps(list(csv.reader(open(sys.argv[1], newline='', encoding='utf-8-sig')))))";
    let python = Command::new("python3").args(["-c", script]).arg(sandbox.path("leads.csv")).output();
    let python = python.expect("python3 reads the CSV back; install it (Debian: apt-get install python3)");
    let records: Vec<Vec<String>> = serde_json::from_slice(&python.stdout).unwrap();
    assert_eq!(records[0], ["Key", "Last Name", "Phone", "Company"]);
    let mut found: Vec<_> = records[1..].to_vec();
    found.sort();
    for (number, record) in found.iter().enumerate() {
        let expected = [
            format!("lead-{number:05}"),
            lasts[number % 6].trim().to_owned(),
            format!("0{number:07}"),
            "Ünï <Co>".to_owned(),
        ];
        assert_eq!(record, &expected);
    }
    assert_eq!(found.len(), 10_000);

    let ndjson = sandbox.run(&["lead", "export", "leads", "--format", "ndjson", "--columns", "salesforce"]);
    assert_eq!(ndjson.stdout.lines().count(), 10_000);
    let first: Value = serde_json::from_str(ndjson.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["Company"], &first["Lead Source"]),
        (&json!("Ünï <Co>"), &json!("SPZA-INS|contoso.app"))
    );
    let array: Vec<Value> =
        serde_json::from_str(&sandbox.run(&["lead", "export", "leads", "--format", "json"]).stdout).unwrap();
    assert_eq!(array.len(), 10_000);
    let none = sandbox.run(&["lead", "export", "leads", "--since", "2100-01-01", "--format", "json"]);
    assert_eq!(none.stdout, "[\n]\n");
    export_has_the_separator_that_is_asked_for(&sandbox);
    let wrong = sandbox.run(&["lead", "export", "leads", "--columns", "sap"]);
    assert_eq!((wrong.code, wrong.stderr.contains("there is dynamics365, salesforce, hubspot")), (2, true));
    // Nobody reads on.
    let mut child = sandbox.command(&["lead", "export", "leads"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[tokio::test]
async fn a_test_lead_is_written_listed_hidden_and_proved() {
    let (table, server) = (Table::create().await, MailServer::start(&[]));
    let sandbox = Sandbox::with_azurite(flows(&server, &table, "test_leads = \"hide\""));
    let empty = sandbox.run(&["lead", "list", "marketplace-leads"]);
    assert!(
        empty.stdout.contains("`leadflow lead add marketplace-leads --test` writes a test lead"),
        "{}",
        empty.stdout
    );
    sandbox.exits(0, &["lead", "add", "marketplace-leads", "--test"]);
    assert_eq!(sandbox.run(&["lead", "add", "marketplace-leads"]).code, 2);
    let listed = sandbox.json(&["lead", "list", "marketplace-leads", "--json"]);
    let key = listed[0]["row_key"].as_str().unwrap().to_owned();
    assert!(key.starts_with("MSFT_TEST_6") && listed[0]["run"].is_null(), "{listed}");
    table.insert(&leads(0..2)).await;
    let once = sandbox.run_once();
    assert!(once.stdout.contains("2 new rows in 1 mail, 1 test lead hidden"), "{}", once.stdout);
    let mails = server.mails();
    assert!(
        mails[0].text().contains("1 test lead is not shown (test_leads = \"hide\")"),
        "{}",
        mails[0].text()
    );
    assert!(!mails[0].text().contains("Test Lead"), "{}", mails[0].text());
    let shown = sandbox.run(&["lead", "show", "marketplace-leads", &key]).stdout;
    assert!(
        shown.contains("test lead") && shown.contains("not mailed: written before the flow started, hidden"),
        "{shown}"
    );
    assert!(sandbox.run_once().stdout.contains("nothing-new"));
    let tables = sandbox.run(&["table", "list", "marketplace"]).stdout;
    assert!(tables.lines().any(|name| name == table.name), "{tables}");
    let name = format!("{}x", table.name);
    assert_eq!(sandbox.run(&["table", "create", "marketplace", &name]).code, 0);
    let again = sandbox.run(&["table", "create", "marketplace", &name]);
    assert_eq!((again.code, again.stderr.contains("already")), (1, true), "{}", again.stderr);
    assert_eq!(sandbox.run(&["table", "create", "marketplace", "1x"]).code, 2);
    assert!(sandbox.run(&["table", "list", "market"]).stderr.contains("there is marketplace"));
}

#[tokio::test]
async fn the_proof_of_a_lead_that_was_late_uncertain_replayed_or_deleted() {
    let (table, server) = (Table::create().await, MailServer::start(&["--silent-after-data", "1"]));
    let sandbox = Sandbox::with_azurite(flows(&server, &table, ""));
    table.insert(&leads(0..1)).await;
    let mut daemon = sandbox.daemon();
    server.wait_for(1);
    daemon.signal("KILL");
    daemon.wait();
    sandbox.run_once();
    let uncertain = sandbox.run(&["lead", "show", "marketplace-leads", "lead-00000"]).stdout;
    has(
        &uncertain,
        &[
            "Ana Silva 0, Fabrikam & <Co>, customer0@fabrikam.example · Contoso App",
            "read by run 1",
            "(schedule)",
            "mail 1: ",
            "sales@contoso.example     sent",
            "uncertain: it may have arrived once more",
            "2.0.0 queued as",
        ],
    );
    // It came later than the runs before it; the run that saw it is the third one.
    sandbox.run_once();
    table.insert(&leads(1..2)).await;
    sandbox.run_once();
    let late = sandbox.json(&["lead", "show", "marketplace-leads", "lead-00001", "--json"]);
    assert_eq!(
        (late["history"].as_array().unwrap().len(), &late["history"][0]["run"]["run"]),
        (1, &json!(4)),
        "{late}"
    );
    assert_eq!(late["history"][0]["mail"]["recipients"][0]["state"], "sent");
    sandbox.run(&["replay", "marketplace-leads", "--from", "1 hour", "--again", "--yes"]);
    let replayed = sandbox.run(&["lead", "show", "marketplace-leads", "lead-00001"]).stdout;
    assert!(
        replayed.contains("read by run 4")
            && replayed.contains("read by run 5")
            && replayed.contains("(replay)"),
        "{replayed}"
    );
    let none = sandbox.run(&["lead", "show", "marketplace-leads", "lead-00009"]);
    assert_eq!((none.code, none.stderr.contains("the table has no row `lead-00009`")), (1, true));
    let none = sandbox.run(&["lead", "show", "marketplace-leads", "p/lead-00009"]);
    assert!(none.stderr.contains("there is no record of `p/lead-00009`"), "{}", none.stderr);
}

#[tokio::test]
async fn a_person_is_forgotten_to_the_last_byte() {
    let (table, server) = (Table::create().await, MailServer::start(&[]));
    let flow = guide(&table.name, server.port).subject("Lead {{lead.name}}").more("each = \"row\"");
    let sandbox = Sandbox::with_azurite(flow.settings("time_zone = \"Asia/Seoul\""));
    sandbox.edit("template = \"marketplace-leads\"", "template = \"marketplace-lead\"");
    table.insert(&leads(0..3)).await;
    sandbox.run_once();
    let daemon = sandbox.daemon();
    let state = || {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(sandbox.path("state")).unwrap() {
            all.extend(std::fs::read(entry.unwrap().path()).unwrap());
        }
        all
    };
    let stands = |needle: &str| {
        state().windows(needle.len()).any(|piece| piece.eq_ignore_ascii_case(needle.as_bytes()))
    };
    assert!(stands("Silva 1"), "its subject");
    let asked = sandbox.run(&["lead", "forget", "Customer1@fabrikam.example"]);
    assert_eq!((asked.code, asked.stderr.contains("pass --yes")), (2, true), "{}", asked.stderr);
    let forgotten = sandbox.exits(0, &["lead", "forget", "Customer1@fabrikam.example", "--yes", "--table"]);
    has(&forgotten.stdout, &["erased: 1 mail,", "1 row\n", "neither the name nor the address is in them"]);
    for needle in ["customer1@fabrikam.example", "Ana Silva 1", "Silva 1"] {
        assert!(!stands(needle), "{needle} still stands");
    }
    assert!(stands("Silva 2"), "the others are left alone");
    assert!(daemon.stop().success());
    // The history knows the mail, and not whom it was about; the row is gone from the table.
    let shown = sandbox.json(&["outbox", "show", "2", "--json"]);
    assert_eq!((&shown["subject"], &shown["bytes"]), (&json!("(forgotten)"), &Value::Null));
    assert_eq!(sandbox.json(&["lead", "list", "marketplace-leads", "--json"]).as_array().unwrap().len(), 2);
    assert!(sandbox.run_once().stdout.contains("nothing-new"));
    let nobody = sandbox.run(&["lead", "forget", "lead-99999", "--yes"]);
    assert_eq!((nobody.code, nobody.stderr.contains("no table has a row `lead-99999`")), (1, true));
}
