//! Who asked for it is in the history: of runs, of flows that are off, of mails that somebody decided about.

use serde_json::{Value, json};

use crate::support::embedded::rows;
use crate::support::flows_toml::{FlowsToml, KEYS, SINCE};
use crate::support::leadflow::Sandbox;
use crate::support::scripted::smtp;
use crate::support::{eventually, has, now};

/// A flow with a mail that is held: the server refuses all.
fn sandbox() -> Sandbox {
    let (port, _) = smtp(|_| Some("554 this is spam"));
    let flow = FlowsToml::new().smtp("relay", port).embedded("demo").flow("leads").every("day").filter(SINCE);
    let sandbox = Sandbox::new(flow.subject("{{length}} rows").body(KEYS));
    sandbox.table().insert_at(&rows(["a"]), now());
    assert_eq!(sandbox.run(&["run", "--once"]).code, 1);
    sandbox
}

/// The user who runs the tests.
fn user() -> String {
    let user = uzers::get_current_uid();
    let name = uzers::get_user_by_uid(user).map(|user| user.name().to_string_lossy().into_owned());
    name.unwrap_or_else(|| user.to_string())
}

/// What a command that somebody typed behind `sudo` prints, and whom it takes for that person: only root is believed.
fn typed_by(sandbox: &Sandbox, person: &str, arguments: &[&str]) -> (String, Value) {
    let output = sandbox.command(arguments).env("SUDO_USER", person).output().unwrap();
    assert!(output.status.code().is_some_and(|code| code < 2), "{arguments:?}: {output:?}");
    let name = if uzers::get_current_uid() == 0 { person.to_owned() } else { user() };
    (String::from_utf8(output.stdout).unwrap(), json!(name))
}

fn flow(sandbox: &Sandbox) -> Value {
    sandbox.json(&["list", "--json"])[0].clone()
}

fn mail(sandbox: &Sandbox) -> Value {
    sandbox.json(&["outbox", "show", "1", "--json"])
}

fn a_run_says_who_asked_for_it(sandbox: &Sandbox) {
    let (printed, anna) = typed_by(sandbox, "anna", &["trigger", "leads", "--json"]);
    let run: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((&run["cause"], &run["asked_by"]), (&json!("trigger"), &anna));
    assert_eq!(sandbox.json(&["history", "--json", "-n", "1"])[0]["asked_by"], anna);
    assert_eq!(flow(sandbox)["last_run"]["asked_by"], anna);
    let shown = sandbox.exits(0, &["history", "show", &run["run"].to_string()]).stdout;
    has(&shown, &["  cause         trigger\n", &format!("  asked for by  {}\n", anna.as_str().unwrap())]);
}

fn a_flow_says_who_turned_it_off(sandbox: &Sandbox) {
    let (_, anna) = typed_by(sandbox, "anna", &["off", "leads"]);
    typed_by(sandbox, "bert", &["off", "leads"]);
    assert_eq!(flow(sandbox)["off_by"], anna, "it was off already");
    has(&sandbox.exits(0, &["list"]).stdout, &[&format!("off (by {})", anna.as_str().unwrap())]);
    typed_by(sandbox, "bert", &["on", "leads"]);
    assert_eq!(flow(sandbox)["off_by"], Value::Null);
}

fn a_mail_says_who_decided_about_it(sandbox: &Sandbox, new_address: &str, is_delivered: bool) {
    let decisions: [(&str, &[&str]); 3] =
        [("anna", &["retry", "1"]), ("bert", &["send", "1", "--to", new_address]), ("carl", &["drop", "1"])];
    for (person, decision) in decisions {
        let (_, name) = typed_by(sandbox, person, &[&["outbox"], decision].concat());
        assert_eq!(mail(sandbox)["asked_by"], name, "{decision:?}");
        if is_delivered {
            // A mail that is being sent is nobody's to decide about.
            eventually("its end", || mail(sandbox)["next_try"].is_null().then_some(()));
        }
    }
    let carl = mail(sandbox)["asked_by"].clone();
    assert_eq!(sandbox.shown(1)["mails"][0]["asked_by"], carl);
    let shown = sandbox.exits(0, &["outbox", "show", "1"]).stdout;
    has(&shown, &[&format!("  asked for by     {}\n", carl.as_str().unwrap())]);
}

#[test]
fn without_a_daemon() {
    let sandbox = sandbox();
    assert_eq!(sandbox.shown(1)["asked_by"], Value::Null, "`run --once` is nobody's wish");
    assert_eq!(mail(&sandbox)["asked_by"], Value::Null);
    assert_eq!(flow(&sandbox)["off_by"], Value::Null);
    a_mail_says_who_decided_about_it(&sandbox, "new@contoso.example", false);
    a_run_says_who_asked_for_it(&sandbox);
    a_flow_says_who_turned_it_off(&sandbox);
}

#[test]
fn with_a_daemon() {
    let sandbox = sandbox();
    let daemon = sandbox.daemon();
    a_run_says_who_asked_for_it(&sandbox);
    a_flow_says_who_turned_it_off(&sandbox);
    a_mail_says_who_decided_about_it(&sandbox, "new@contoso.example", true);
    let log = daemon.log();
    let by = if uzers::get_current_uid() == 0 { "anna".to_owned() } else { user() };
    for line in ["a run is requested by command", "turned off by command", "mails are retried by command"] {
        let line = log.lines().find(|found| found.contains(line)).unwrap_or_else(|| panic!("{line}: {log}"));
        assert!(line.contains("asked_by") && line.contains(&by), "{line}");
    }
    assert!(daemon.stop().success());
}

#[test]
fn a_name_is_of_the_system_and_does_nothing_to_a_terminal() {
    let sandbox = sandbox();
    let mut command = sandbox.command(&["off", "leads"]);
    assert!(command.env_remove("SUDO_USER").status().unwrap().success());
    assert_eq!(flow(&sandbox)["off_by"], json!(user()));
    sandbox.exits(0, &["on", "leads"]);
    typed_by(&sandbox, "\u{1b}[31mmallory\u{202e}\n", &["off", "leads"]);
    let off_by = flow(&sandbox)["off_by"].as_str().unwrap().to_owned();
    assert!(!off_by.contains(['\u{1b}', '\u{202e}', '\n']), "{off_by:?}");
    assert!(off_by.contains("mallory") || off_by == user(), "{off_by:?}");
}
