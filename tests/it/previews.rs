//! `preview` shows what the next run mails, and `lead list` what became of each row.

use std::process::Stdio;

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use crate::support::flows_toml::{FlowsToml, SINCE};
use crate::support::has;
use crate::support::leadflow::Sandbox;
use crate::support::leads::{lead, leads};
use crate::support::mail_server::MailServer;

/// A flow over an embedded table, by the mail connection of `flows`.
fn flow(flows: FlowsToml) -> FlowsToml {
    let flow = flows.settings("time_zone = \"Asia/Seoul\"").embedded("demo").flow("leads").filter(SINCE);
    flow.more("template = \"marketplace-leads\"")
}

fn by_folder() -> FlowsToml {
    flow(FlowsToml::new().folder("folder"))
}

/// How many rows `preview` shows, and how many the run after it mails.
fn previewed_and_mailed(sandbox: &Sandbox) -> (i64, i64) {
    let preview = sandbox.json(&["preview", "leads", "--json"]);
    sandbox.run_once();
    let run = &sandbox.json(&["history", "-n", "1", "--json"])[0];
    let mailed = if run["mails"] == 0 { 0 } else { run["rows"].as_i64().unwrap() };
    let is_mail = preview["result"] == true;
    (if is_mail { preview["length"].as_i64().unwrap() } else { 0 }, mailed)
}

#[test]
fn a_preview_shows_what_a_run_would_mail_now() {
    let sandbox = Sandbox::new(by_folder());
    sandbox.table().insert(&leads(0..3));
    let first = sandbox.run(&["preview", "leads"]).stdout;
    has(
        &first,
        &["3 new rows since ", "has not read this table yet", "length > 0 is true: a run now would send"],
    );
    assert_eq!(previewed_and_mailed(&sandbox), (3, 3));

    let nothing = sandbox.run(&["preview", "leads"]);
    has(
        &nothing.stdout,
        &["0 new rows since ", "3 rows since then, read by earlier runs", "would send nothing", "--last 3"],
    );
    assert!(!nothing.stdout.contains("Ana Silva"), "{}", nothing.stdout);
    sandbox.table().insert(&leads(3..5));
    let two = sandbox.run(&["preview", "leads"]).stdout;
    assert!(two.contains("Ana Silva 4") && !two.contains("Ana Silva 2"), "{two}");

    for (options, words, count) in [
        (["--all"].as_slice(), "all rows that the filter matches, mailed or not: 5 rows", 5),
        (&["--last", "1"], "the newest rows that the filter matches, mailed or not: 1 row", 1),
        (&["--since", "1 hour"], "5 rows since ", 5),
    ] {
        let shown = sandbox.run(&[&["preview", "leads"], options].concat()).stdout;
        assert!(shown.contains(words) && shown.contains("these rows"), "`{words}` is not in:\n{shown}");
        assert!(!shown.contains("1601"), "{shown}");
        let json = sandbox.json(&[&["preview", "leads", "--json"], options].concat());
        assert_eq!(json["length"], count, "{json}");
    }
    assert_eq!(previewed_and_mailed(&sandbox), (2, 2));
    assert_eq!(previewed_and_mailed(&sandbox), (0, 0));
}

#[test]
fn a_preview_knows_what_gathers_is_hidden_changed_or_off() {
    let sandbox = Sandbox::new(by_folder().condition("length >= 3").more("test_leads = \"hide\""));
    let mut test = lead(9);
    test["RowKey"] = json!("MSFT_TEST_1");
    sandbox.table().insert(&[lead(0), lead(1), test]);
    let gathering = sandbox.run(&["preview", "leads"]).stdout;
    has(
        &gathering,
        &["2 new rows since", "1 test lead omitted", "length >= 3 is false: a run now would send nothing"],
    );
    assert_eq!(previewed_and_mailed(&sandbox), (0, 0));
    sandbox.table().insert(&[lead(2)]);
    assert_eq!(previewed_and_mailed(&sandbox), (3, 3), "two of them have gathered");

    sandbox.edit("name = \"leads\"", "name = \"leads\"\nnotify_on = \"change\"");
    sandbox.edit("length >= 3", "length > 0");
    assert_eq!(previewed_and_mailed(&sandbox), (0, 0), "none has changed");
    sandbox.run(&["off", "leads"]);
    let off = sandbox.run(&["preview", "leads"]).stdout;
    assert!(off.contains("the flow is off: `leadflow on leads` turns it on"), "{off}");
}

#[test]
fn the_leads_say_what_became_of_them_and_fit_the_terminal() {
    let silent = MailServer::start(&["--silent-after-data", "1"]);
    let flow = flow(FlowsToml::new().relay("relay", silent.port));
    let sandbox = Sandbox::new(flow.more("test_leads = \"hide\""));
    let states = || {
        let listed = sandbox.json(&["lead", "list", "leads", "--json"]);
        let of = |row: &Value| {
            (row["row_key"].as_str().unwrap().to_owned(), row["state"].as_str().unwrap().to_owned())
        };
        let mut states: Vec<_> = listed.as_array().unwrap().iter().map(of).collect();
        states.sort();
        states.into_iter().map(|(_, state)| state).collect::<Vec<_>>()
    };
    let mut test = lead(9);
    test["RowKey"] = json!("MSFT_TEST_636737558587117715");
    sandbox.table().insert(&[test, lead(0)]);
    assert_eq!(states(), ["not read yet", "not read yet"]);
    let shown = sandbox.run(&["lead", "show", "leads", "lead-00000"]).stdout;
    assert!(shown.contains("not read yet: the flow's next run reads it"), "{shown}");
    // The server takes the whole mail, and goes without a reply.
    let mut run =
        sandbox.command(&["run", "--once"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    silent.wait_for(1);
    let gone = silent.port;
    drop(silent);
    assert!(!run.wait().unwrap().success());
    assert_eq!(states(), ["not mailed", "uncertain"]);
    let server = MailServer::start(&[]);
    sandbox.edit(&format!("port = {gone}"), &format!("port = {}", server.port));
    sandbox.run(&["outbox", "retry"]);
    sandbox.run_once();
    sandbox.edit("sales@contoso.example", "refused@contoso.example");
    sandbox.table().insert(&[lead(1)]);
    sandbox.run(&["run", "--once"]);
    sandbox.table().insert(&[lead(2)]);
    sandbox.edit(&format!("port = {}", server.port), "port = 1");
    sandbox.run(&["run", "--once"]);
    sandbox.table().insert(&[lead(3)]);
    assert_eq!(states(), ["not mailed", "sent, uncertain", "held", "waiting", "not read yet"]);

    for width in [40, 60, 80, 140] {
        let mut command = sandbox.command(&["lead", "list", "leads"]);
        let shown = command.env("COLUMNS", width.to_string()).output().unwrap().stdout;
        let shown = String::from_utf8(shown).unwrap();
        assert!(shown.lines().all(|line| line.width() <= width), "in {width}:\n{shown}");
        has(&shown, &["STATE", "sent, uncertain", "held", "waiting", "not mailed", "`leadflow outbox list`"]);
        // What `lead show` takes is whole, so that it can be copied.
        assert!(width < 60 || shown.contains("MSFT_TEST_636737558587117715"), "{shown}");
        let settings = {
            let mut settings = insta::Settings::clone_current();
            settings.add_filter(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "2026-11-23 08:00:00");
            settings.add_filter(r"\d\d-\d\d \d\d:\d\d:\d\d  ", "11-23 08:00:00  ");
            settings
        };
        settings.bind(|| insta::assert_snapshot!(format!("lead-list-{width}"), shown));
    }
}
