//! Wrong input: each mistake has a message that says what, where and what to do.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::azurite::{self, Table};
use crate::support::flows_toml::guide;
use crate::support::leadflow::{Output, Sandbox};
use crate::support::leads::leads;
use crate::support::mail_server::MailServer;

/// Every file of `tests/configs` under `leadflow check`, one snapshot each.
#[test]
fn check_explains_every_mistake() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs");
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    files.sort();
    assert!(files.len() > 10);
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_snapshot_path("../configs/snapshots");
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let sandbox = tempfile::tempdir().unwrap();
        let file_name = format!("{name}.toml");
        fs::copy(&file, sandbox.path().join(&file_name)).unwrap();
        copy_templates(&folder.join("templates"), &file, &sandbox.path().join("templates"));
        fs::write(sandbox.path().join("password"), "a-password").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_leadflow"));
        command.env("LEADS_STORAGE", azurite::connection_string(azurite::KEY));
        command.current_dir(&sandbox).env("NO_COLOR", "1").args(["--config", &file_name, "check"]);
        let output = command.output().unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
        assert!(!said.contains("canary"), "{said}");
        let said = said.replace(&sandbox.path().display().to_string(), "tests/configs");
        let said = format!("{said}\nexit status {}", output.status.code().unwrap());
        settings.bind(|| insta::assert_snapshot!(name.as_str(), said));
    }
}

/// The templates whose names stand in the file.
fn copy_templates(from: &Path, flows: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    let text = fs::read_to_string(flows).unwrap_or_default();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let stem = name.split('.').next().unwrap();
        if stem.starts_with('_') || text.contains(&format!("\"{stem}\"")) {
            fs::copy(entry.path(), to.join(&name)).unwrap();
        }
    }
}

/// `run --once` of the guide's flow after a change of flows.toml or of the connection string.
async fn failed(port: u16, change: impl Fn(String) -> String, storage: impl Fn(String) -> String) -> Output {
    let table = Table::create().await;
    table.insert(&leads(0..1)).await;
    let flows = change(guide(&table.name, port).to_string());
    let sandbox = Sandbox::with_storage(&flows, storage(azurite::connection_string(azurite::KEY)));
    sandbox.exits(1, &["run", "--once"])
}

fn says(output: &Output, words: &[&str]) {
    for word in words {
        assert!(output.stderr.contains(word), "`{word}` is not in:\n{}", output.stderr);
    }
}

fn same(text: String) -> String {
    text
}

#[tokio::test]
async fn an_unknown_table() {
    let other = |flows: String| flows.replace("name = \"leads", "name = \"nosuchleads");
    says(
        &failed(1, other, same).await,
        &["there is no table `nosuchleads", "in the account `devstoreaccount1`", "check `name`"],
    );
}

#[tokio::test]
async fn a_wrong_key() {
    let wrong = |storage: String| storage.replace(azurite::KEY, "Y2FuYXJ5");
    let words = [
        "does not accept the key or signature from the environment variable LEADS_STORAGE",
        "copy the key again",
    ];
    says(&failed(1, same, wrong).await, &words);
}

#[tokio::test]
async fn a_connection_string_that_is_invalid() {
    let wrong = |_| "canary".to_owned();
    let words =
        ["LEADS_STORAGE: part 1 of the connection string has no `=`", "Access keys → Connection string"];
    says(&failed(1, same, wrong).await, &words);
    says(&failed(1, same, |_| String::new()).await, &["LEADS_STORAGE is empty"]);
}

#[tokio::test]
async fn a_table_service_that_cannot_be_reached() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let away =
        |_| format!("AccountName=contoso;AccountKey=Y2FuYXJ5;TableEndpoint=http://127.0.0.1:{port}/contoso");
    let words =
        ["trying again in", &format!("cannot reach 127.0.0.1:{port}"), "Connection refused", "the firewall"];
    says(&failed(1, same, away).await, &words);
}

#[tokio::test]
async fn a_mail_server_that_cannot_be_reached() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let output = failed(port, same, same).await;
    says(
        &output,
        &[
            &format!("cannot connect to 127.0.0.1:{port}"),
            "Connection refused",
            "check `host`, `port` and `security`",
        ],
    );
    assert!(output.stdout.contains("waiting"), "{}", output.stdout);
}

#[tokio::test]
async fn an_unknown_authority() {
    let server = MailServer::start(&[]);
    let without = |flows: String| {
        flows.lines().filter(|line| !line.starts_with("ca_file")).collect::<Vec<_>>().join("\n")
    };
    says(
        &failed(server.port, without, same).await,
        &["certificate", "name the file in ca_file: openssl s_client"],
    );
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn a_wrong_mail_password() {
    let server = MailServer::start(&["--auth", "leads:another-password"]);
    let words = ["does not accept the login `leads`", "535", "check the username, and the password in"];
    says(&failed(server.port, same, same).await, &words);
}

#[tokio::test]
async fn a_mail_password_that_is_missing() {
    let server = MailServer::start(&[]);
    let gone = |flows: String| flows.replace("file = \"mail-password\"", "file = \"no-password\"");
    says(
        &failed(server.port, gone, same).await,
        &["the password for 127.0.0.1", "no-password", "No such file"],
    );
}

#[test]
fn a_file_that_is_not_there_or_not_text() {
    let sandbox = Sandbox::new("");
    let output = sandbox.exits(2, &["--config", "none.toml", "run"]);
    says(&output, &["cannot read none.toml", "name the file with --config"]);
    fs::write(sandbox.path("flows.toml"), b"[settings]\nlog = \"\xff\"").unwrap();
    let output = sandbox.exits(2, &["check"]);
    says(&output, &["is not UTF-8 text (line 2, column 8)", "save it as UTF-8"]);
}

#[test]
fn a_wrong_command_line() {
    let sandbox = Sandbox::new("");
    for (arguments, words) in [
        (vec!["rum"], "unrecognized subcommand"),
        (vec!["run", "leads"], "--once"),
        (vec!["history", "show", "x"], "invalid value 'x'"),
    ] {
        let output = sandbox.run(&arguments);
        assert_eq!(output.code, 2, "{arguments:?}");
        says(&output, &[words]);
    }
    let output = sandbox.exits(2, &["run", "--once", "nothere"]);
    says(&output, &["there is no flow `nothere`"]);
}
