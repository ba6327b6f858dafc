//! Which flows.toml a command has used.

use std::process::Command;

use crate::support::flows_toml::FlowsToml;
use crate::support::leadflow::Sandbox;

fn flows() -> FlowsToml {
    FlowsToml::demo().flow("leads")
}

/// Every command that acts or shows state, in an order that works.
const COMMANDS: [&[&str]; 22] = [
    &["lead", "add", "leads", "--test"],
    &["trigger", "leads"],
    &["list", "--json"],
    &["history", "--json"],
    &["history", "show", "1", "--json"],
    &["stats", "--json"],
    &["schedule", "leads", "--json"],
    &["preview", "leads", "--json"],
    &["test-mail", "leads"],
    &["resubmit", "1"],
    &["replay", "leads", "--from", "2 hours"],
    &["outbox", "list", "--json"],
    &["outbox", "retry"],
    &["lead", "list", "leads", "--json"],
    &["lead", "export", "leads"],
    &["lead", "forget", "nobody@fabrikam.example", "--yes"],
    &["table", "list", "demo", "--json"],
    &["health", "--json"],
    &["backup", "copy.db"],
    &["off", "leads"],
    &["on", "leads"],
    &["recover", "--since", "1 hour"],
];

fn said(mut command: Command) -> (String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

#[test]
fn every_command_says_which_file_it_uses() {
    let sandbox = Sandbox::new(flows());
    sandbox.write("elsewhere/flows.toml", &flows().to_string());
    let using = |name: &str| format!("using {}\n", sandbox.path(name).display());
    for arguments in COMMANDS {
        let (out, words) = said(sandbox.command(arguments));
        assert!(words.starts_with(&using("flows.toml")), "{arguments:?}: {words}");
        assert!(!out.contains("using"), "{arguments:?}: {out}");
    }
    let named = [["--config", "elsewhere/flows.toml"].as_slice(), &["history"]].concat();
    assert_eq!(said(sandbox.command(&named)).1, using("elsewhere/flows.toml"));
    let mut by_variable = sandbox.command(&["history"]);
    by_variable.env("LEADFLOW_CONFIG", sandbox.path("elsewhere/flows.toml"));
    assert_eq!(said(by_variable).1, using("elsewhere/flows.toml"), "which nobody sees in what was typed");
}

#[test]
fn run_says_it_in_its_log_check_in_its_last_line_and_others_use_none() {
    let sandbox = Sandbox::new(flows());
    let file = format!("file={}", sandbox.path("flows.toml").display());
    let daemon = sandbox.daemon();
    daemon.wait_for_log(&file);
    assert!(daemon.stop().success());
    let (_, once) = said(sandbox.command(&["run", "--once"]));
    assert!(once.contains(&file) && !once.contains("using"), "{once}");
    let (_, json) = said(sandbox.command(&["--log-format", "json", "run", "--once"]));
    assert!(json.lines().all(|line| line.starts_with('{')), "{json}");
    let (check, words) = said(sandbox.command(&["check"]));
    assert!(check.contains("flows.toml: 1 flow") && words.is_empty(), "{check}{words}");
    for arguments in [["demo", "--once"].as_slice(), &["completions", "bash"], &["man"]] {
        assert!(!said(sandbox.command(arguments)).1.contains("using"), "{arguments:?}");
    }
}
