//! The log: one line a run and one a mail, and nobody's name or address in it.

use serde_json::Value;

use crate::support::azurite::Table;
use crate::support::flows_toml::{FlowsToml, guide};
use crate::support::leadflow::Sandbox;
use crate::support::leads::leads;
use crate::support::mail_server::MailServer;

fn lines(log: &str) -> Vec<Value> {
    log.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[tokio::test]
async fn one_line_a_run_and_one_a_mail_without_personal_data() {
    let (table, server) = (Table::create().await, MailServer::start(&[]));
    table.insert(&leads(0..3)).await;
    let flows = guide(&table.name, server.port).to("sales@contoso.example; refused@contoso.example");
    let sandbox = Sandbox::with_azurite(flows.settings("log = \"debug\""));
    let once = ["--log-format", "json", "run", "--once"];
    let mut log = sandbox.run(&once).stderr;
    log.push_str(&sandbox.run(&once).stderr);
    // A template that fails on a row, a server that is gone: errors must not quote rows either.
    table.insert(&leads(3..5)).await;
    sandbox.edit("template = \"marketplace-leads\"", "body = \"{{#each rows}}{{lead.name}}{{/each}}\"");
    log.push_str(&sandbox.run(&once).stderr);
    drop(server);
    table.insert(&leads(5..6)).await;
    log.push_str(&sandbox.run(&once).stderr);
    sandbox.edit(&table.name, "nosuchtable");
    log.push_str(&sandbox.run(&once).stderr);
    has_nobody(&log);

    let log: String =
        log.lines().filter(|line| line.starts_with('{')).fold(String::new(), |log, line| log + line + "\n");
    let lines = lines(&log);
    let runs: Vec<_> = lines.iter().filter(|line| line["took_ms"].is_number()).collect();
    assert_eq!(runs.len(), 5, "one line a run: {runs:#?}");
    tells_runs(runs[0], runs[1], runs[4]);
    let mails: Vec<_> = lines.iter().filter(|line| line["tries"].is_number()).collect();
    let mail = mails[0];
    for (key, expected) in [
        ("flow", Value::from("marketplace-leads")),
        ("run", 1.into()),
        ("mail", 1.into()),
        ("connection", "relay".into()),
        ("recipients", 2.into()),
        ("sent", 1.into()),
        ("held", 1.into()),
        ("tries", 1.into()),
        ("level", "WARN".into()),
    ] {
        assert_eq!(mail[key], expected, "{key} of {mail}");
    }
}

fn has_nobody(log: &str) {
    for number in 0..6 {
        for personal in [format!("Silva {number}"), format!("customer{number}@")] {
            assert!(!log.contains(&personal), "`{personal}` is in the log:\n{log}");
        }
    }
    for personal in ["Ana", "Fabrikam", "fabrikam", "555 0100", "sales@", "refused@", "@contoso.example"] {
        assert!(!log.contains(personal), "`{personal}` is in the log:\n{log}");
    }
}

fn tells_runs(first: &Value, second: &Value, last: &Value) {
    for (run, key, expected) in [
        (first, "flow", Value::from("marketplace-leads")),
        (first, "run", 1.into()),
        (first, "cause", "once".into()),
        (first, "outcome", "waiting".into()),
        (first, "new", 3.into()),
        (first, "scanned", 3.into()),
        (first, "pages", 1.into()),
        (first, "mails", 1.into()),
        (first, "level", "INFO".into()),
        (second, "new", 0.into()),
        (second, "scanned", 3.into()),
        (second, "outcome", "nothing-new".into()),
        (last, "outcome", "failed".into()),
        (last, "level", "ERROR".into()),
    ] {
        assert_eq!(run[key], expected, "{key} of {run}");
    }
    assert!(first["past_time"].is_string() && last["help"].is_string(), "{first} {last}");
}

#[test]
fn the_level_is_that_of_the_file_unless_rust_log_says_another() {
    let sandbox = Sandbox::new(FlowsToml::demo().settings("log = \"error\"").flow("leads"));
    assert_eq!(sandbox.run(&["run", "--once"]).stderr, "");
    let asked = sandbox.command(&["run", "--once"]).env("RUST_LOG", "info").output().unwrap();
    let asked = String::from_utf8(asked.stderr).unwrap();
    assert_eq!(asked.matches("no new rows").count(), 1, "{asked}");
    assert!(asked.contains("INFO") && asked.contains("run=2"), "{asked}");
}
