//! Commands that need the state alone, while flows.toml has mistakes or the state is gone.

use std::fs;

use crate::support::eventually;
use crate::support::leadflow::Sandbox;

const FLOWS: &str = r#"[settings]
state = "kept"
[connections.demo.embedded_table]
file = "demo.db"
[connections.folder.mail_folder]
[flows.leads]
description = "Leads"
[flows.leads.recurrence]
frequency = "hour"
[flows.leads.table]
connection = "demo"
name = "leads"
[flows.leads.email]
connection = "folder"
to = "sales@contoso.example"
[flows.other]
enabled = false
[flows.other.recurrence]
frequency = "day"
[flows.other.table]
connection = "demo"
name = "other"
[flows.other.email]
connection = "folder"
to = "sales@contoso.example"
"#;

/// What an edit may do to a file, and the words of the mistake.
const MISTAKES: [(&str, &str, &str); 6] = [
    ("frequency = \"hour\"", "frequency = \"hours\"", "is not valid for `frequency`"),
    ("frequency = \"hour\"", "frequency = “hour”", "flows.toml:9:"),
    ("[flows.leads.recurrence]", "[flows.leads.recurrence", "flows.toml:8:"),
    ("description = \"Leads\"", "description = \"Leads", "flows.toml:7:"),
    ("connection = \"folder\"\nto = \"sales@contoso.example\"\n[flows.other]", "[flows.other]", "connection"),
    ("[connections.folder.mail_folder]\n", "", "there is no connection `folder`"),
];

/// Commands that show the state, with words of what they show.
const SHOWN: [(&[&str], &str); 11] = [
    (&["list"], "leads"),
    (&["list", "--json"], "\"flow\": \"leads\""),
    (&["history"], "sent"),
    (&["history", "leads"], "sent"),
    (&["history", "show", "1"], "run 1 of leads: sent"),
    (&["stats"], "leads, the last 7 days"),
    (&["outbox", "list"], "no mail is waiting"),
    (&["outbox", "show", "1"], "by run 1 of leads"),
    (&["outbox", "retry"], "no mail is waiting or held"),
    (&["off", "leads"], "leads is off"),
    (&["on", "leads"], "leads is on"),
];

fn that_has_run() -> Sandbox {
    let sandbox = Sandbox::new(FLOWS);
    assert_eq!(sandbox.run(&["lead", "add", "leads", "--test"]).code, 0);
    sandbox.run_once();
    sandbox
}

#[test]
fn a_file_with_mistakes_stops_no_command_that_needs_the_state_alone() {
    for (from, to, mistake) in MISTAKES {
        let sandbox = that_has_run();
        sandbox.edit(from, to);
        for (arguments, words) in SHOWN {
            let output = sandbox.run(arguments);
            assert_eq!(output.code, 0, "{to}, {arguments:?}: {output:?}");
            assert!(output.stdout.contains(words), "{to}, {arguments:?}: {output:?}");
            assert!(output.stderr.starts_with("warning: flows.toml"), "{to}, {arguments:?}: {output:?}");
            assert!(output.stderr.contains(mistake), "{to}, {arguments:?}: {output:?}");
            assert!(output.stderr.contains("`leadflow check` shows all"), "{to}, {arguments:?}: {output:?}");
        }
        let copy = sandbox.path("copy.db").display().to_string();
        assert_eq!(sandbox.run(&["backup", &copy]).code, 0);
        let health = sandbox.run(&["health", "--json"]);
        assert!(health.stderr.is_empty(), "{health:?}");
        let health: serde_json::Value = serde_json::from_str(&health.stdout).unwrap();
        let reasons = health["reasons"].to_string();
        assert!(reasons.contains(mistake) && reasons.contains("leadflow check"), "{to}: {reasons}");
        assert_eq!(health["ok"], false);
        // What works by the file's flows is refused, with all of the problems.
        for arguments in
            [["trigger", "leads"].as_slice(), &["run", "--once"], &["recover", "--since", "1 day"]]
        {
            let output = sandbox.run(arguments);
            assert_eq!(output.code, 2, "{to}, {arguments:?}: {output:?}");
            assert!(output.stderr.contains("flows.toml:"), "{to}, {arguments:?}: {output:?}");
        }
        sandbox.exits(2, &["history", "nowhere"]);
    }
}

#[test]
fn a_flow_with_mistakes_is_listed_beside_the_others() {
    let sandbox = that_has_run();
    sandbox.edit("frequency = \"hour\"", "frequency = \"hours\"");
    sandbox.edit("frequency = \"day\"", "frequency = \"days\"");
    let list = sandbox.json(&["list", "--json"]);
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert_eq!((&list[0]["on"], &list[0]["last_run"]["outcome"]), (&true.into(), &"sent".into()));
    assert_eq!((&list[1]["on"], &list[1]["enabled_in_file"]), (&false.into(), &false.into()));
    assert_eq!(list[0]["recurrence"], "(not valid in flows.toml)");
    let on = sandbox.exits(1, &["on", "other"]);
    assert!(on.stdout.contains("other stays off"), "{on:?}");
}

#[test]
fn a_state_whose_place_cannot_be_read_is_looked_for_where_it_may_be() {
    for settings in ["state = kept/s", "state = \"\"", "state = 3", "state = \"kept/s", "[state = \"kept\""] {
        let sandbox = that_has_run();
        sandbox.edit("state = \"kept\"", settings);
        // It lies nowhere that can be guessed, so that the mistakes are all there is to say.
        let output = sandbox.run(&["list"]);
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{settings}: {output:?}");
        assert!(output.stderr.contains("flows.toml:2:"), "{settings}: {output:?}");
        fs::rename(sandbox.path("kept"), sandbox.path("state")).unwrap();
        let output = sandbox.run(&["history"]);
        assert_eq!(output.code, 0, "{settings}: {output:?}");
        assert!(output.stdout.contains("sent"), "{settings}: {output:?}");
    }
}

#[test]
fn a_file_in_another_encoding_does_not_stop_them_either() {
    let sandbox = that_has_run();
    let text = fs::read(sandbox.path("flows.toml")).unwrap();
    fs::write(sandbox.path("flows.toml"), [b"# sch\xf6n\n".as_slice(), &text].concat()).unwrap();
    let output = sandbox.exits(0, &["history"]);
    assert!(output.stderr.contains("is not UTF-8 text (line 1, column 6)"), "{output:?}");
    assert_eq!(sandbox.run(&["trigger", "leads"]).code, 2);
}

#[test]
fn what_is_asked_beside_a_daemon_is_done_by_the_file_that_it_goes_on_with() {
    let sandbox = that_has_run();
    let daemon = sandbox.daemon();
    // What it missed.
    daemon.wait_for_log("run=2");
    assert_eq!(sandbox.run(&["lead", "add", "leads", "--test"]).code, 0);
    sandbox.edit("frequency = \"hour\"", "frequency = \"hours\"");
    daemon.wait_for_log("leadflow keeps running the previous flows");
    let output = sandbox.exits(0, &["trigger", "leads"]);
    assert!(output.stdout.contains("1 new row in 1 mail"), "{output:?}");
    assert_eq!(sandbox.run(&["resubmit", "1"]).code, 0);
    eventually("one reason", || {
        let health = sandbox.run(&["health"]);
        (health.code == 1 && health.stdout.matches("is not valid for `frequency`").count() == 1).then_some(())
    });
    assert!(daemon.stop().success());
}

#[test]
fn every_command_reports_a_lost_state() {
    let sandbox = that_has_run();
    fs::remove_dir_all(sandbox.path("kept")).unwrap();
    let lost = "is gone: ";
    let refused: [&[&str]; 17] = [
        &["list"],
        &["history"],
        &["history", "--follow"],
        &["history", "show", "1"],
        &["stats"],
        &["schedule", "leads"],
        &["trigger", "leads"],
        &["resubmit", "1"],
        &["replay", "leads", "--from", "2 hours"],
        &["outbox", "list"],
        &["outbox", "retry"],
        &["lead", "list", "leads"],
        &["preview", "leads"],
        &["health", "--json"],
        &["backup", "copy.db"],
        &["on", "leads"],
        &["check"],
    ];
    for arguments in refused {
        let output = sandbox.run(arguments);
        assert_eq!(output.code, 1, "{arguments:?}: {output:?}");
        let said = format!("{}{}", output.stdout, output.stderr);
        assert!(said.contains(lost), "{arguments:?}: {output:?}");
        assert!(said.contains("leadflow recover --since"), "{arguments:?}: {output:?}");
    }
    // What does not need it goes on.
    let warned: [&[&str]; 4] = [
        &["table", "list", "demo"],
        &["lead", "export", "leads"],
        &["preview", "leads", "--last", "1"],
        &["test-mail", "leads"],
    ];
    for arguments in warned {
        let output = sandbox.run(arguments);
        assert_eq!(output.code, 0, "{arguments:?}: {output:?}");
        assert!(output.stderr.contains(lost), "{arguments:?}: {output:?}");
    }
}

#[test]
fn commands_that_show_the_state_report_one_that_is_not_the_markers() {
    let (sandbox, other) = (that_has_run(), that_has_run());
    fs::remove_dir_all(sandbox.path("kept")).unwrap();
    fs::create_dir(sandbox.path("kept")).unwrap();
    fs::copy(other.path("kept/leadflow.db"), sandbox.path("kept/leadflow.db")).unwrap();
    for arguments in [["list"].as_slice(), &["history"], &["outbox", "list"], &["health"], &["off", "leads"]]
    {
        let output = sandbox.run(arguments);
        assert_eq!(output.code, 1, "{arguments:?}: {output:?}");
        assert!(output.stderr.contains("is not the one that"), "{arguments:?}: {output:?}");
    }
}
