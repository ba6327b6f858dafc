//! The commands that read, and the demo.

use std::process::Command;

use crate::support::flows_toml::FlowsToml;
use crate::support::has;
use crate::support::leadflow::Sandbox;

fn flows(name: &str) -> FlowsToml {
    FlowsToml::demo().flow(name).reads("demo", "marketplaceleads")
}

fn sandbox() -> Sandbox {
    Sandbox::new(flows("leads"))
}

#[test]
fn they_answer_before_there_is_a_run() {
    let sandbox = sandbox();
    assert_eq!(sandbox.run(&["check"]).stdout, "flows.toml: 1 flow, no problems in the file\n");
    let list = sandbox.run(&["list"]).stdout;
    assert_eq!(list.lines().count(), 2);
    assert!(list.lines().nth(1).unwrap().starts_with("leads  on     every hour"), "{list}");
    let idle = "no daemon is running, so no flow runs automatically; start it: leadflow run\n";
    assert_eq!(sandbox.run(&["list"]).stderr, idle);
    assert!(sandbox.run(&["history"]).stdout.starts_with("no run yet"));
    assert_eq!(sandbox.json(&["history", "--json"]), serde_json::json!([]));
    let none = sandbox.run(&["history", "show", "1"]);
    assert_eq!(
        (none.code, none.stderr.as_str()),
        (1, "error: there is no run 1; `leadflow history` shows the runs\n")
    );
    assert!(!sandbox.path("state").exists(), "looking leaves nothing behind");
}

#[test]
fn a_file_that_is_nowhere_is_looked_for_in_both_places() {
    let sandbox = sandbox();
    std::fs::create_dir(sandbox.path("empty")).unwrap();
    let said = |arguments: &[&str]| {
        let output = sandbox.command(arguments).current_dir(sandbox.path("empty")).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!said.contains("to fix"), "{said}");
        said.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ")
    };
    for command in ["check", "list", "run", "health"] {
        let said = said(&[command]);
        let places = format!(
            "there is no flows.toml (in {}), and no /etc/leadflow/flows.toml",
            sandbox.path("empty").canonicalize().unwrap().display()
        );
        assert!(said.contains(&places) && said.contains("--config"), "{said}");
        assert!(named_nope(&sandbox, command).contains("cannot read nope.toml"));
    }
}

fn named_nope(sandbox: &Sandbox, command: &str) -> String {
    let said = sandbox.run(&["--config", "nope.toml", command]).stderr;
    assert!(!said.contains("to fix"), "{said}");
    said
}

#[test]
fn they_show_what_happened() {
    let sandbox = sandbox();
    let once = sandbox.run_once();
    assert_eq!(once.stdout, "leads · run 1 · nothing-new · no new rows\n");
    let history = sandbox.run(&["history", "leads"]).stdout;
    assert!(history.contains("nothing-new"), "{history}");
    let show = sandbox.run(&["history", "show", "1"]).stdout;
    has(
        &show,
        &[
            "run 1 of leads: nothing-new",
            "cause    once",
            "window (",
            "condition  length > 0",
            "new                0",
        ],
    );
    assert_eq!(sandbox.json(&["list", "--json"])[0]["last_run"]["outcome"], "nothing-new");
    let other = sandbox.exits(2, &["history", "lead"]);
    assert!(
        other.stderr.contains("there is no flow `lead`") && other.stderr.contains("there is leads"),
        "{}",
        other.stderr
    );
}

#[test]
fn off_stays_off_and_on_cannot_override_the_file() {
    let sandbox = sandbox();
    assert_eq!(sandbox.run(&["off", "leads"]).code, 0);
    assert!(sandbox.run(&["list"]).stdout.contains("off (by "));
    let once = sandbox.run(&["run", "--once"]);
    assert_eq!((once.code, once.stderr.contains("no flow is on")), (1, true));
    assert_eq!(sandbox.run(&["run", "--once", "leads"]).code, 0, "a named flow runs all the same");
    sandbox.edit("[flows.leads.recurrence]", "[flows.leads]\nenabled = false\n[flows.leads.recurrence]");
    let on = sandbox.exits(1, &["on", "leads"]);
    assert!(on.stdout.contains("says enabled = false, which this command cannot override"), "{}", on.stdout);
    assert!(sandbox.run(&["on", "lead"]).stderr.contains("there is no flow `lead`"));
}

#[test]
fn the_demo_shows_the_three_leads_and_ends() {
    let place = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_leadflow"));
    let output = command
        .args(["demo", "--once"])
        .env("TMPDIR", place.path())
        .current_dir(place.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    has(
        &text,
        &["Subject: 3 new leads", "Ana Silva", "김민준", "Maren O'Hara <Dev>", "DO NOT CONTACT", ".eml"],
    );
}

#[test]
fn log_lines_can_be_json() {
    let sandbox = sandbox();
    let output = sandbox.run(&["--log-format", "json", "run", "--once"]);
    for line in output.stderr.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["message"].is_string() && line["level"].is_string(), "{line}");
    }
    assert!(output.stderr.contains("\"outcome\":\"nothing-new\""), "{}", output.stderr);
}

#[test]
fn health_says_what_is_wrong() {
    let sandbox = sandbox();
    let unrun = sandbox.run(&["health"]).stdout;
    assert!(unrun.contains("leadflow has never run; start it: leadflow run"), "{unrun}");
    let daemon = sandbox.daemon();
    daemon.wait_for_log("no new rows");
    assert_eq!(sandbox.run(&["list"]).stderr, "");
    assert_eq!(sandbox.json(&["list", "--json"])[0]["daemon_is_running"], true);
    let well = sandbox.run(&["health"]);
    assert_eq!((well.code, well.stdout.as_str()), (0, "all is well\n"));
    assert!(daemon.stop().success());
    assert!(sandbox.run(&["list"]).stderr.contains("no daemon is running"));
    assert_eq!(sandbox.json(&["list", "--json"])[0]["daemon_is_running"], false);
    std::fs::write(sandbox.path("state/demo.db"), "garbage").unwrap();
    assert_eq!(sandbox.run(&["run", "--once"]).code, 1);
    let ill = sandbox.exits(1, &["health"]);
    has(
        &ill.stdout,
        &["no daemon is running; start it: leadflow run\n", "leads fails: cannot use the embedded table"],
    );
    assert_eq!(sandbox.json(&["health", "--json"])["ok"], false);
}

#[test]
fn a_state_is_copied_and_carried_over() {
    let sandbox = sandbox();
    assert!(sandbox.run(&["backup", "copy.db"]).stderr.contains("there is no state yet"));
    sandbox.run_once();
    assert_eq!(sandbox.run(&["backup", "copy.db"]).code, 0);
    assert!(
        sandbox
            .run(&["backup", "copy.db"])
            .stderr
            .contains("cannot write the copy copy.db: it already exists")
    );
    sandbox.write("flows.toml", &flows("new-leads").to_string());
    assert_eq!(sandbox.run(&["rename", "leads", "newleads"]).code, 2);
    let renamed = sandbox.run(&["rename", "leads", "new-leads"]);
    assert_eq!((renamed.code, renamed.stdout.as_str()), (0, "the state of leads now belongs to new-leads\n"));
    assert!(sandbox.run(&["history", "new-leads"]).stdout.contains("nothing-new"));
    // The copy in place of the state: the old name is back.
    std::fs::remove_dir_all(sandbox.path("state")).unwrap();
    std::fs::create_dir(sandbox.path("state")).unwrap();
    std::fs::rename(sandbox.path("copy.db"), sandbox.path("state/leadflow.db")).unwrap();
    assert!(sandbox.run(&["history", "leads"]).stdout.contains("nothing-new"));
}

#[test]
fn a_state_or_table_that_everybody_may_write_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let sandbox = sandbox();
    sandbox.run_once();
    // As a backup is that was copied into its place.
    for file in ["state/leadflow.db", "state/demo.db"] {
        let rights = |mode| {
            std::fs::set_permissions(sandbox.path(file), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        rights(0o666);
        let output = sandbox.exits(1, &["run", "--once"]);
        let path = sandbox.path(file).display().to_string();
        has(
            &output.stderr,
            &[
                &format!(
                    "every user of this machine can change {path}, and therefore what leadflow keeps there"
                ),
                &format!("type: chmod o-w {path}"),
            ],
        );
        rights(0o600);
    }
    assert_eq!(sandbox.run(&["run", "--once"]).code, 0);
}

#[test]
fn a_device_that_was_named_by_mistake_is_not_to_be_deleted() {
    let sandbox = sandbox();
    for device in ["/dev/null", "/dev/zero"] {
        let output = sandbox.run(&["--config", device, "check"]);
        assert!(output.code == 2 && output.stderr.contains("is a device"), "{}", output.stderr);
        assert!(!output.stderr.contains("rm /dev"), "{}", output.stderr);
    }
}
