//! What `lead forget` says of a person holds, however the person was named and wherever a text lies.

use serde_json::json;

use crate::forget::{ANA, lead};
use crate::support::flows_toml::{FlowsToml, SINCE};
use crate::support::has;
use crate::support::leadflow::Sandbox;
use crate::support::past::PastState;
use crate::support::postgres::SharedState;

/// Flows of two embedded tables and a mail folder.
fn flows(of_one: &str) -> FlowsToml {
    let one = FlowsToml::demo().flow("one").to("a@b.example").more(of_one);
    one.flow("stock").reads("demo", "stock").to("a@b.example")
}

fn sandbox() -> Sandbox {
    Sandbox::new(flows("max_rows = 1"))
}

#[test]
fn an_address_is_found_however_it_was_copied_and_what_was_not_found_is_said() {
    let sandbox = sandbox();
    sandbox.table().insert(&[
        lead("p", "1", "Ana@예시.example", "Ana Silva"),
        lead("p", "2", "bo@c.example", "Bo Berg"),
    ]);
    sandbox.run_once();
    let spelled = ["ana@예시.exampel", "joana@예시.example"];
    for text in spelled {
        let output = sandbox.exits(0, &["lead", "forget", text, "--yes"]);
        has(&output.stdout, &[&format!("nothing about {text} was found"), "no row gives a name"]);
    }
    for text in ["Ana Silva <ana@예시.example>", "mailto:ana@예시.example", "ana@xn--vv4b11d.example,"] {
        let output = sandbox.run(&["lead", "forget", text, "--yes"]);
        assert!(
            output.code == 0 && output.stdout.contains("1 row of the person stays in its table"),
            "{text}: {}",
            output.stdout
        );
        assert!(
            output.stdout.contains("the name and address are only in that 1 row\n"),
            "{text}: {}",
            output.stdout
        );
    }
    let output = sandbox.json(&["lead", "forget", "ana@예시.example.", "--yes", "--table", "--json"]);
    assert_eq!(
        (&output["erased"]["rows"], &output["looked_for"]),
        (&json!(1), &json!({ "address": true, "name": true }))
    );
    let output = sandbox.json(&["lead", "forget", "ana@예시.example", "--yes", "--json"]);
    assert_eq!(output["looked_for"], json!({ "address": true, "name": false }), "its row is gone");
    for text in ["ana@", "a@b@c", "ana@x.example bo@c.example"] {
        let output = sandbox.run(&["lead", "forget", text, "--yes"]);
        assert!(
            output.code == 1 && output.stderr.contains("no table has a row"),
            "{text}: {}",
            output.stderr
        );
    }
}

#[test]
fn a_key_of_several_rows_erases_none_that_may_be_anothers() {
    let sandbox = sandbox();
    sandbox.table().insert(&[lead("2026", "1", ANA, "Ana Silva"), lead("2025", "1", "", "Carl Other")]);
    sandbox.embedded("stock").insert(&[json!({ "PartitionKey": "2026", "RowKey": "1", "Item": "screws" })]);
    sandbox.run_once();
    for key in ["1", "2026/1"] {
        let output = sandbox.exits(1, &["lead", "forget", key, "--table", "--yes"]);
        has(
            &output.stderr,
            &[
                "may belong to different people",
                "2026/1 in the table stock of the connection demo: neither address nor name",
            ],
        );
    }
    let output = sandbox.run(&["lead", "forget", "2025/1", "--table", "--yes"]);
    assert!(output.code == 0 && output.stdout.contains("1 row\n"), "{}{}", output.stdout, output.stderr);
    let output = sandbox.run(&["lead", "forget", ANA, "--table", "--yes"]);
    assert!(output.code == 0 && output.stdout.contains("1 row\n"), "{}{}", output.stdout, output.stderr);
    assert_eq!(sandbox.json(&["lead", "list", "stock", "--json"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_database_that_was_put_aside_and_half_a_mail_are_looked_through() {
    let sandbox = sandbox();
    // The second row stands in the CSV alone, which is base64.
    sandbox.table().insert(&[lead("p", "1", "bo@c.example", "Bo Berg"), lead("p", "2", ANA, "Ana Silva")]);
    sandbox.run_once();
    let mail = std::fs::read_dir(sandbox.path("state/mail")).unwrap().next().unwrap().unwrap().path();
    let part = sandbox.path("state/mail/.000009-0abc.eml.5f0c.part");
    std::fs::copy(&mail, &part).unwrap();
    let aside = sandbox.path("state/leadflow.db.until-20260301T080000Z");
    std::fs::copy(sandbox.path("state/leadflow.db"), &aside).unwrap();
    let output = sandbox.exits(1, &["lead", "forget", ANA, "--table", "--yes"]);
    let rm = format!("delete it if you no longer need it: rm {}", aside.display());
    has(
        &output.stdout,
        &[
            "2 files of mail folders",
            "until-20260301T080000Z is an earlier or copied database, and names the person",
            &rm,
        ],
    );
    assert!(!part.exists());
    let whole = std::fs::read(&aside).unwrap();
    std::fs::write(&aside, [&whole[..4096], &vec![0; whole.len() - 4096]].concat()).unwrap();
    let output = sandbox.run(&["lead", "forget", ANA, "--table", "--yes"]);
    assert!(
        output.code == 1 && output.stdout.contains("is a database that cannot be searched"),
        "{}",
        output.stdout
    );
    std::fs::remove_file(&aside).unwrap();
    assert_eq!(sandbox.run(&["lead", "forget", ANA, "--table", "--yes"]).code, 0);
}

#[test]
fn a_name_that_is_written_without_a_space_goes_from_the_history() {
    let subject = "subject = \"{{#each rows}}{{lead.last_name}}{{lead.first_name}} {{/each}}\"";
    let sandbox = Sandbox::new(flows(subject));
    sandbox.table().insert(&[lead("p", "1", ANA, "민준 김")]);
    sandbox.run_once();
    // No row leads to the mail any more: the person's is another one now. And its text was purged.
    sandbox.table().delete("1");
    sandbox.table().insert(&[lead("p", "2", ANA, "민준 김")]);
    PastState::open(&sandbox, &[]).purge();
    let state = sandbox.path("state/leadflow.db");
    let output = sandbox.exits(0, &["lead", "forget", ANA, "--table", "--yes"]);
    let kept = String::from_utf8_lossy(&std::fs::read(&state).unwrap()).into_owned();
    assert!(!kept.contains("김민준"), "{}", output.stdout);
}

#[test]
fn a_state_that_was_left_beside_a_database_is_looked_through() {
    let sandbox =
        Sandbox::on_sqlite(FlowsToml::new().embedded("demo").folder("folder").flow("leads").filter(SINCE));
    sandbox.run_once();
    sandbox.table().insert(&[lead("p", "1", ANA, "Ana Silva")]);
    sandbox.run_once();
    let flows = std::fs::read_to_string(sandbox.path("flows.toml")).unwrap();
    sandbox.write("flows.toml", &format!("{flows}{}", SharedState::new().section()));
    sandbox.exits(0, &["state", "copy", "--to", "postgres"]);
    let forget = ["lead", "forget", ANA, "--table", "--yes"];
    let output = sandbox.exits(1, &forget).stdout;
    has(&output, &["leadflow.db is an earlier or copied database, and names the person", "other machines"]);
    std::fs::remove_file(sandbox.path("state/leadflow.db")).unwrap();
    sandbox.exits(0, &forget);
}
