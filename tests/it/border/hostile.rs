//! Every command on a state, a table and a file full of what terminals obey.

use leadflow::alarm::AlarmKind;
use leadflow::store::ConnectionFailure;
use serde_json::{Value, json};

use super::COMMANDS;
use crate::support::leadflow::Sandbox;
use crate::support::past::{self, PastState};
use crate::support::{done, now};

/// Colours, a title, a clipboard, a link, a cursor that goes back, bidi marks, nothing that is seen, and
/// a line that looks like leadflow's own.
const HOSTILE: &str = "a\u{1b}[31mb\u{1b}]0;t\u{7}\u{1b}]52;c;eA==\u{1b}\\c\u{9b}2Jd\u{9d}8;;x\u{9c}\re\u{8}\u{7f}\0f\u{202e}g\u{2066}\u{200b}\u{feff}h\u{2028}\u{85}\u{b}\nFORGED line\r\nFORGED i";
/// Without NUL, which the state's texts end with.
fn hostile() -> String {
    HOSTILE.replace('\0', "")
}

fn does_something(c: char) -> bool {
    (c.is_control() && c != '\n') || "\u{202e}\u{2066}\u{200b}\u{feff}\u{2028}\u{2029}".contains(c)
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new(past::flows());
    let mut past = PastState::make_saying(&sandbox, &hostile());
    past.alarm(AlarmKind::File, "", &hostile());
    for _ in 0..9 {
        let failure = ConnectionFailure {
            connection: "folder".to_owned(),
            what: hostile(),
            help: Some(hostile()),
            rest_until: None,
        };
        done(past.store.record_connection_failure(failure, now())).unwrap();
    }
    let row = |key: &str| {
        json!({
            "PartitionKey": "p", "RowKey": key, "Timestamp": "", HOSTILE: HOSTILE, "LeadSource": HOSTILE, "OfferDisplayName": HOSTILE,
            "CreatedTime": HOSTILE, "CustomerInfo": json!({ "FirstName": HOSTILE, "LastName": HOSTILE, "Email": "ana@x.example", "Company": HOSTILE }).to_string(),
        })
    };
    sandbox.table().insert(&[row("r"), row(HOSTILE)]);
    sandbox
}

/// The lines of the canary run for these flows.
fn lines() -> Vec<String> {
    let here = |line: &&str| {
        line.replace(" leads", " marketplace-leads")
            .replace("table list marketplace", "table list demo")
            .replace("create marketplace ", "create demo ")
    };
    let all = COMMANDS.iter().flat_map(|(_, lines)| *lines).map(here);
    let more = [
        "history show 3",
        "history show 5",
        "history show 6",
        "outbox show 2",
        "outbox show 3",
        "lead show marketplace-leads p/nothere",
        "history --status failed",
    ];
    all.chain(more.map(str::to_owned)).collect()
}

#[test]
fn no_command_does_anything_to_a_terminal_or_shows_a_line_that_is_not_its_own() {
    let sandbox = sandbox();
    for line in lines() {
        for width in ["80", "400"] {
            let arguments: Vec<_> = line.split(' ').collect();
            let output = sandbox.command(&arguments).env("COLUMNS", width).output().unwrap();
            let (out, err) =
                (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
            let is_file = line.contains("lead export") && !line.contains("json");
            for shown in [&out, &err].into_iter().filter(|_| !is_file) {
                assert!(!shown.contains(does_something), "{line}: {shown:?}");
                assert!(!shown.lines().any(|shown| shown.starts_with("FORGED")), "{line}: {shown}");
            }
            assert!(!err.contains("panicked"), "{line}: {err}");
            if line.ends_with("--json") && !out.is_empty() {
                serde_json::from_str::<Value>(&out).unwrap_or_else(|error| panic!("{line}: {error}: {out}"));
            }
        }
    }
    let runs = sandbox.shown(1);
    assert_eq!(runs["summary"], hostile(), "JSON shows what is there");
}

#[test]
fn a_file_full_of_control_characters_is_shown_without_harm() {
    let bad = format!(
        "# {}\n[flows.\"x\u{1b}[31m\u{202e}\"]\nnothere = \"\u{9b}2J\u{feff}\"\n[connections.a.smtp]\nhost = \"\\u001b[31m\\u202e\"\nfrom = \"\u{1b}]0;x\u{7}\"\n",
        HOSTILE.replace(['\n', '\r'], " ")
    );
    let sandbox = Sandbox::new("");
    for text in [bad.clone(), bad.replace('\0', ""), bad.replace(|c: char| c.is_control() && c != '\n', "")] {
        sandbox.write("flows.toml", &text);
        for line in ["check", "check --json", "list", "run --once"] {
            let output = sandbox.command(&line.split(' ').collect::<Vec<_>>()).output().unwrap();
            let shown = format!(
                "{}{}",
                String::from_utf8(output.stdout).unwrap(),
                String::from_utf8(output.stderr).unwrap()
            );
            // What needs the state alone works where the file can be read at all, and says that it is wrong.
            let codes: &[i32] = if line == "list" { &[0, 2] } else { &[2] };
            assert!(output.status.code().is_some_and(|code| codes.contains(&code)), "{line}: {shown}");
            assert!(!shown.contains(does_something), "{line}: {shown:?}");
        }
    }
}

/// What is typed may have been copied from a mail or a page.
#[test]
fn what_was_typed_is_repeated_without_harm() {
    let sandbox = sandbox();
    let typed = hostile();
    let file = sandbox.path(&format!("file {}.toml", typed.replace(['/', '\n'], " ")));
    std::fs::write(&file, "[flows.").unwrap();
    let file = file.display().to_string();
    for arguments in [
        ["history", "show", &typed].as_slice(),
        &["history", "--status", &typed],
        &["history", "--since", &typed],
        &["outbox", "retry", &typed],
        &[&typed],
        &["list", &format!("--{typed}")],
        &["on", &typed],
        &["lead", "show", "leads", &typed],
        &["lead", "forget", &typed, "--yes"],
        &["table", "list", &typed],
        &["backup", &typed],
        &["--config", &typed, "list"],
        &["--config", &file, "check"],
        &["--config", &file, "history"],
    ] {
        let output = sandbox.command(arguments).output().unwrap();
        let shown =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!shown.is_empty(), "{arguments:?}");
        assert!(!shown.contains(does_something), "{arguments:?}: {shown:?}");
    }
}
