//! Templates in runs: what is empty, what fails, and what `check` sees of it before.

use serde_json::{Value, json};

use crate::support::flows_toml::FlowsToml;
use crate::support::has;
use crate::support::leadflow::Sandbox;

fn sandbox(email: &str) -> Sandbox {
    Sandbox::new(FlowsToml::demo().flow("leads").subject("leads").more(email))
}

fn insert(sandbox: &Sandbox, row: &Value) {
    sandbox.table().insert(std::slice::from_ref(row));
}

/// The text of the newest mail.
fn mailed(sandbox: &Sandbox) -> String {
    let output = sandbox.run_once();
    let mails = sandbox.shown(1)["mails"].clone();
    let number = mails[0]["mail"].as_i64().unwrap_or_else(|| panic!("{mails} {}", output.stdout));
    sandbox.run(&["outbox", "show", &number.to_string()]).stdout
}

#[test]
fn a_column_that_rows_can_have_is_empty_where_no_row_has_it() {
    let body =
        "body = \"{{#each rows}}[{{RowKey}}|{{Description}}|{{Region}}]{{#if Region}}here{{/if}}{{/each}}\"";
    let row = json!({ "PartitionKey": "p", "RowKey": "1", "City": "Lisbon" });
    let declared = sandbox(body);
    declared.edit("name = \"leads\"", "name = \"leads\"\ncolumns = [\"Region\"]");
    let check = declared.run(&["check"]);
    assert_eq!((check.code, check.stderr.as_str()), (0, ""), "{}", check.stdout);
    insert(&declared, &row);
    let preview = declared.run(&["preview", "leads"]);
    assert!(preview.stdout.contains("[1||]") && !preview.stderr.contains("note"), "{preview:?}");
    assert!(mailed(&declared).contains("[1||]"));

    // One that nobody declared may be misspelt: the mail shows all that there is, and check warns.
    let undeclared = sandbox(body);
    let check = undeclared.run(&["check"]);
    has(&check.stderr.replace("\n ", " "), &["`Region` is not a known column", "columns = [\"Region\"]"]);
    assert_eq!(undeclared.run(&["check", "--strict"]).code, 2);
    insert(&undeclared, &row);
    let mail = mailed(&undeclared);
    assert!(mail.contains("City: Lisbon") && !mail.contains("[1|"), "{mail}");

    let selected = sandbox(body);
    selected.edit("name = \"leads\"", "name = \"leads\"\nselect = [\"RowKey\", \"Description\", \"Region\"]");
    assert_eq!(selected.run(&["check"]).code, 0);
    insert(&selected, &row);
    assert!(mailed(&selected).contains("[1||]"));
}

#[test]
fn a_templates_folder_that_cannot_be_read_is_reported() {
    let sandbox = sandbox("template = \"marketplace-leads\"");
    std::fs::write(sandbox.path("templates"), "no folder").unwrap();
    for command in [["check"].as_slice(), &["run", "--once"]] {
        let output = sandbox.run(command);
        assert!(output.code == 2 && output.stderr.contains("cannot read the templates folder"), "{output:?}");
    }
    std::fs::remove_file(sandbox.path("templates")).unwrap();
    std::os::unix::fs::symlink("nowhere", sandbox.path("templates")).unwrap();
    let output = sandbox.run(&["check"]);
    assert!(output.code == 2 && output.stderr.contains("cannot read the templates folder"), "{output:?}");
    std::fs::remove_file(sandbox.path("templates")).unwrap();
    assert_eq!(sandbox.run(&["check"]).code, 0, "there need be none");
}

#[test]
fn a_template_that_no_flow_names_is_looked_at_and_stops_nothing() {
    let sandbox = sandbox("template = \"marketplace-leads\"");
    sandbox.write("templates/tomorrow.html.hbs", "<p>{{#if lenght}}x{{/if}}</p>");
    sandbox.write("templates/broken.txt.hbs", "{{#if length}}");
    sandbox.write("templates/old.handlebars", "{{length}}");
    sandbox.write("templates/readme.md", "Nothing to see");
    let check = sandbox.exits(0, &["check"]);
    has(
        &format!("{}{}", check.stderr, check.stdout),
        &["tomorrow.html.hbs:1:", "`lenght`", "broken.txt.hbs:1:", "old.handlebars", "3 warnings"],
    );
    insert(&sandbox, &json!({ "PartitionKey": "p", "RowKey": "1" }));
    sandbox.run_once();
}
