//! A person is erased, and the report says what was seen.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use leadflow::alarm::AlarmKind;
use leadflow::outbox::Receipt;
use serde_json::{Value, json};

use crate::support::azurite::Table;
use crate::support::database::integrity;
use crate::support::flows_toml::{FlowsToml, SINCE};
use crate::support::leadflow::Sandbox;
use crate::support::past::{PastState, query};
use crate::support::scripted::{Requests, page, response, table_service};
use crate::support::{eventually, has, now};

/// A flow of the last connections.
fn flow(flows: FlowsToml, name: &str, table: &str) -> FlowsToml {
    let flow = flows.flow(name).reads("marketplace", table).to("a@b.example");
    flow.subject("{{#each rows}}{{lead.name}} {{/each}}")
}

/// The table connection and a mail folder.
fn connections() -> FlowsToml {
    FlowsToml::new().azure("marketplace").folder("folder")
}

pub(crate) fn lead(partition: &str, row: &str, address: &str, name: &str) -> Value {
    let (first, last) = name.split_once(' ').unwrap();
    let customer = json!({ "FirstName": first, "LastName": last, "Email": address, "Phone": "1" });
    json!({ "PartitionKey": partition, "RowKey": row, "ActionCode": "INS", "CustomerInfo": customer.to_string() })
}

pub(crate) const ANA: &str = "ana@fabrikam.example";

#[tokio::test]
async fn every_row_of_the_person_goes_whatever_its_keys_and_the_filter() {
    let (table, other) = (Table::create().await, Table::create().await);
    let odd =
        ["o'hara", "''", "100%", "%2f", "a+b", "a b", "a&b=c;d", "(x')", "한글", "ü😀", "..", "\"<>`{|}^"];
    let mut rows: Vec<Value> =
        odd.iter().map(|key| lead(key, key, "Ana@Fabrikam.EXAMPLE", "Ana Silva")).collect();
    rows.push(lead("p", "MSFT_TEST_1", ANA, "Ana Silva"));
    rows.push(json!({ "PartitionKey": "p", "RowKey": "note", "Note": "call ANA@fabrikam.example." }));
    rows.push(json!({ "PartitionKey": "p", "RowKey": ANA }));
    rows.push(json!({ "PartitionKey": "p", "RowKey": "escaped", "CustomerInfo": r#"{"Email":"ana\u0040fabrikam.example"}"# }));
    let others = [
        "joana@fabrikam.example",
        "ana@fabrikam.example.org",
        "x+ana@fabrikam.example",
        "ana.x@fabrikam.example",
    ];
    let kept: Vec<Value> = others
        .iter()
        .map(|address| lead("q", address.split('@').next().unwrap(), address, "Bo Berg"))
        .collect();
    table.insert(&rows).await;
    table.insert(&kept).await;
    other.insert(&rows[..2]).await;
    // Two flows of the same table and one of another; none of their filters lets the person through.
    let misses = format!("{SINCE} and ActionCode eq 'XYZ'");
    let tables = [("one", &table), ("two", &table), ("three", &other)];
    let flows = tables.into_iter().fold(connections(), |flows, (name, table)| {
        flow(flows, name, &table.name).filter(&misses).of_table("select = [\"ActionCode\"]")
    });
    let sandbox = Sandbox::with_azurite(flows.of_flow("enabled = false"));
    sandbox.run_once();
    let output = sandbox.json(&["lead", "forget", ANA, "--table", "--yes", "--json"]);
    assert_eq!((&output["ok"], &output["left"]), (&json!(true), &json!([])), "{output:#}");
    assert_eq!(output["erased"]["rows"], rows.len() + 2, "{output:#}");
    assert_eq!(output["looked_at"]["tables"].as_array().unwrap().len(), 2, "{output:#}");
    sandbox.edit(" and ActionCode eq 'XYZ'\"\nselect = [\"ActionCode\"]", "\"");
    let left = sandbox.json(&["lead", "list", "one", "--json"]);
    assert_eq!(left.as_array().unwrap().len(), kept.len(), "{left:#}");
    let again = sandbox.exits(0, &["lead", "forget", ANA, "--table", "--yes"]);
    assert!(
        again.stdout.contains("erased: 0 mails, 0 texts") && again.stdout.contains("0 rows"),
        "{}",
        again.stdout
    );
}

#[tokio::test]
async fn a_table_that_was_read_once_and_no_longer_is_reported() {
    let (table, other) = (Table::create().await, Table::create().await);
    table.insert(&[lead("p", "1", ANA, "Ana Silva")]).await;
    let sandbox = Sandbox::with_azurite(flow(connections(), "one", &table.name));
    sandbox.run_once();
    sandbox.edit(&format!("name = \"{}\"", table.name), &format!("name = \"{}\"", other.name));
    sandbox.run_once();
    let output = sandbox.exits(1, &["lead", "forget", ANA, "--table", "--yes"]);
    let words = format!("/{} was not searched: one has read it, and no flow reads it now", table.name);
    assert!(output.stdout.contains(&words) && output.stdout.contains("erased: 1 mail,"), "{}", output.stdout);
}

/// A service with one row of the person, which says this to a DELETE and leaves the row where it is.
fn stubborn(answer: &'static str, code: &'static str) -> Requests {
    table_service(move |_, target| {
        if target.contains("(PartitionKey=") {
            return Some(response(answer, &[&format!("x-ms-error-code: {code}")], ""));
        }
        let mut row = lead("p", "o'hara", ANA, "Ana Silva");
        row["Timestamp"] = json!("never");
        row["odata.etag"] = json!("W/\"1\"");
        Some(page(&[row], &[]))
    })
}

#[tokio::test]
async fn what_the_service_says_about_a_deletion_is_not_taken_as_proof() {
    for (answer, code, words) in [
        ("204 No Content", "", "the service says that it was deleted"),
        ("404 Not Found", "ResourceNotFound", "the service says that the row does not exist"),
        ("403 Forbidden", "AuthorizationPermissionMismatch", "needs the permission"),
        ("412 Precondition Failed", "UpdateConditionNotSatisfied", "it was rewritten in the meantime"),
    ] {
        let service = stubborn(answer, code);
        let sandbox = Sandbox::with_storage(flow(connections(), "one", "leads"), service.storage());
        sandbox.run(&["run", "--once"]);
        let output = sandbox.run(&["lead", "forget", ANA, "--table", "--yes"]);
        assert_eq!(output.code, 1, "{answer}: {}", output.stdout);
        for words in ["the row p/o'hara is still in the table leads", words, "0 rows\n"] {
            assert!(output.stdout.contains(words), "{answer}: `{words}` is not in:\n{}", output.stdout);
        }
        assert!(!output.stdout.contains("neither name nor address"), "{}", output.stdout);
        let json = sandbox.json(&["lead", "forget", ANA, "--table", "--yes", "--json"]);
        assert_eq!((&json["ok"], &json["erased"]["rows"]), (&json!(false), &json!(0)), "{json:#}");
        assert!(json["left"][0]["what"].as_str().unwrap().contains("is still in"), "{json:#}");
    }
}

#[tokio::test]
async fn rows_that_appear_meanwhile_go_too_and_a_table_that_cannot_be_read_is_told() {
    // Each scan shows another row, until three were deleted.
    let deleted = AtomicUsize::new(0);
    let service = table_service(move |_, target| {
        if target.contains("gone") {
            return Some(response("404 Not Found", &["x-ms-error-code: TableNotFound"], ""));
        }
        if target.contains("(PartitionKey=") {
            deleted.fetch_add(1, Ordering::SeqCst);
            return Some(response("204 No Content", &[], ""));
        }
        let number = deleted.load(Ordering::SeqCst);
        let mut row = lead("p", &number.to_string(), ANA, "Ana Silva");
        row["Timestamp"] = json!("2026-01-01T00:00:00Z");
        Some(page(if number < 2 { std::slice::from_ref(&row) } else { &[] }, &[]))
    });
    let sandbox =
        Sandbox::with_storage(flow(flow(connections(), "one", "leads"), "two", "gone"), service.storage());
    sandbox.run(&["run", "--once"]);
    let output = sandbox.exits(1, &["lead", "forget", ANA, "--table", "--yes"]);
    has(
        &output.stdout,
        &[
            "2 rows\n",
            "cannot read the table gone of the connection marketplace to its end: there is no table `gone`",
        ],
    );
    // A key that only the table knows cannot be looked up in one that is not read.
    let output = sandbox.exits(1, &["lead", "forget", "nobody", "--yes"]);
    assert!(
        output.stderr.contains("no table has a row `nobody`")
            && output.stderr.contains("there is no table `gone`"),
        "{}",
        output.stderr
    );
}

#[tokio::test]
async fn another_persons_lead_that_names_the_person_is_reported_and_stays() {
    let table = Table::create().await;
    let mut bob = lead("p", "bob", "bob@c.example", "Bob Berg");
    bob["Note"] = json!("sent by ana@fabrikam.example");
    table
        .insert(&[bob, lead("p", "same", ANA, "Ana Silva"), lead("q", "same", "eva@c.example", "Eva Holm")])
        .await;
    let sandbox = Sandbox::with_azurite(flow(connections(), "one", &table.name));
    sandbox.run_once();
    let output = sandbox.exits(1, &["lead", "forget", "same", "--table", "--yes"]);
    has(
        &output.stderr,
        &["2 rows, which may belong to different people; give the address", ANA, "eva@c.example"],
    );
    let output = sandbox.exits(1, &["lead", "forget", "p/same", "--table", "--yes"]);
    has(
        &output.stdout,
        &["1 row\n", "the row p/bob of the table", "is another person's lead and names this person"],
    );
    assert_eq!(sandbox.json(&["lead", "list", "one", "--json"]).as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_mail_that_still_waits_is_reported() {
    // Nobody takes mail.
    let table = Table::create().await;
    table.insert(&[lead("p", "1", ANA, "Ana Silva")]).await;
    let relay = FlowsToml::new().azure("marketplace").smtp("relay", 1);
    let sandbox = Sandbox::with_azurite(flow(relay, "one", &table.name));
    sandbox.run(&["run", "--once"]);
    let output = sandbox.exits(1, &["lead", "forget", ANA, "--table", "--yes"]);
    has(&output.stdout, &["mail 1 is still to be sent", "`leadflow outbox drop 1`", "1 row\n"]);
    assert_eq!(sandbox.run(&["outbox", "drop", "1"]).code, 0);
    let output = sandbox.exits(0, &["lead", "forget", ANA, "--table", "--yes"]);
    assert!(output.stdout.contains("erased: 1 mail,"), "{}", output.stdout);
}

#[tokio::test]
async fn a_run_that_read_the_row_before_it_was_erased_is_reported() {
    let deleted = AtomicUsize::new(0);
    let service = table_service(move |_, target| {
        let mut row = lead("p", "1", ANA, "Ana Silva");
        row["Timestamp"] = json!(now().to_string());
        if target.contains("(PartitionKey=") {
            deleted.store(1, Ordering::SeqCst);
            return Some(response("204 No Content", &[], ""));
        }
        let rows = if deleted.load(Ordering::SeqCst) == 0 { vec![row] } else { Vec::new() };
        // The run's second page does not come.
        if target.contains("NextPartitionKey=hangs") {
            loop {
                std::thread::park();
            }
        }
        let is_of_run = target.contains("filter=") && !target.contains("1601");
        Some(page(&rows, if is_of_run { &["x-ms-continuation-NextPartitionKey: hangs"] } else { &[] }))
    });
    let flows = flow(connections(), "one", "leads").filter(SINCE);
    let sandbox = Sandbox::with_storage(flows, service.storage());
    let daemon = sandbox.daemon();
    eventually("the run to hang", || {
        service.seen().iter().any(|target| target.contains("NextPartitionKey=hangs")).then_some(())
    });
    let output = sandbox.exits(1, &["lead", "forget", ANA, "--table", "--yes"]);
    has(&output.stdout, &["run 1 of one is under way and may have read a row", "1 row\n"]);
    drop(daemon);
}

#[tokio::test]
async fn texts_of_the_history_go_however_they_came_there() {
    let table = Table::create().await;
    table.insert(&[lead("p", "1", ANA, "Ana Silva"), lead("p", "2", "bo@c.example", "Bo Berg")]).await;
    let sandbox = Sandbox::with_azurite(flow(connections(), "one", &table.name));
    sandbox.run_once();
    // The text of a mail was purged, its subject stands; a server has repeated the address; a run and an
    // alarm has the name.
    let mut past = PastState::open(&sandbox, &["one"]);
    past.failed(("one", 5), 90, "row Ana Silva", vec![query("leads", "Note ne 'ana@fabrikam.example'")]);
    let reply = Receipt::Accepted("250 thanks for <ANA@fabrikam.example>".to_owned());
    past.mailed(("one", 4), 90, "Ana Silva is new", &[reply]);
    past.purge();
    past.alarm(AlarmKind::Failing, "one", "a%40b ana%40fabrikam.example");
    drop(past);
    let state = sandbox.path("state/leadflow.db");
    leave_in_unused_bytes(&state, "ana@fabrikam.example");
    let output = sandbox.exits(0, &["lead", "forget", ANA, "--yes"]);
    assert!(
        output.stdout.contains("1 file of mail folders")
            && output.stdout.contains("stays in its table (--table deletes it)\nverified: searched"),
        "{}",
        output.stdout
    );
    assert!(output.stdout.contains("\nthe name and address are only in that 1 row\n"), "{}", output.stdout);
    assert!(output.stdout.contains(", 0 kept mails and "), "{}", output.stdout);
    let kept = std::fs::read(&state).unwrap();
    for needle in ["Ana Silva", "fabrikam.example"] {
        let found = kept.windows(needle.len()).any(|piece| piece.eq_ignore_ascii_case(needle.as_bytes()));
        assert!(!found, "{needle} still stands");
    }
    assert!(sandbox.run(&["history", "show", "1"]).stdout.contains("(forgotten)"));
}

/// Another program has deleted it from the database, and left it in bytes that are not used.
fn leave_in_unused_bytes(database: &Path, text: &str) {
    let mut bytes = std::fs::read(database).unwrap();
    let unused = bytes.windows(200).position(|piece| piece.iter().all(|byte| *byte == 0)).unwrap() + 100;
    bytes[unused..unused + text.len()].copy_from_slice(text.as_bytes());
    std::fs::write(database, bytes).unwrap();
    integrity(database.parent().unwrap());
}

#[test]
fn an_embedded_table_a_folder_and_a_state_that_cannot_be_read() {
    let sandbox = Sandbox::new(FlowsToml::demo().flow("one").to("a@b.example"));
    sandbox
        .table()
        .insert(&[lead("a/b", "o'hara\t?#", ANA, "Ana Silva"), lead("p", "2", "bo@c.example", "Bo Berg")]);
    let output = sandbox.run(&["lead", "forget", ANA, "--yes"]);
    assert_eq!((output.code, output.stdout.contains("there is no state in")), (1, true), "{}", output.stdout);
    sandbox.run_once();
    // Half of a mail that a broken disk has left.
    sandbox.write("state/mail/.x.part", "To: ana@fabrikam.example");
    let output = sandbox.exits(1, &["lead", "forget", ANA, "--yes"]);
    has(
        &output.stdout,
        &["erased: 1 mail,", "1 file of mail folders", "1 row of the person stay", ".x.part"],
    );
    std::fs::remove_file(sandbox.path("state/mail/.x.part")).unwrap();
    let output = sandbox.run(&["lead", "forget", ANA, "--yes", "--table"]);
    assert_eq!(
        (output.code, output.stdout.contains("1 row\n")),
        (0, true),
        "{}{}",
        output.stdout,
        output.stderr
    );
    std::fs::write(sandbox.path("state/leadflow.db"), "no database").unwrap();
    let _ = std::fs::remove_file(sandbox.path("state/leadflow.db-wal"));
    let output = sandbox.exits(1, &["lead", "forget", "bo@c.example", "--yes", "--table"]);
    has(&output.stdout, &["cannot search the state", "1 row\n"]);
}
