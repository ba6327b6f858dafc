//! The help of every command, in one text that can be read from top to bottom.

use std::fmt::Write as _;
use std::process::Command;

#[test]
fn every_command_explains_itself() {
    let mut all = String::new();
    explain(&[], &mut all);
    insta::assert_snapshot!("help", all);
}

/// Adds the help of a command and of all commands below it.
fn explain(command: &[&str], all: &mut String) {
    let output = Command::new(env!("CARGO_BIN_EXE_leadflow"))
        .args(command)
        .arg("--help")
        .env("COLUMNS", "80")
        .output()
        .unwrap();
    assert!(output.status.success(), "{command:?}");
    let help = String::from_utf8(output.stdout).unwrap();
    let _ = writeln!(all, "$ leadflow {} --help\n{help}", command.join(" "));
    let listed =
        help.split("Commands:\n").nth(1).unwrap_or_default().split("\n\n").next().unwrap_or_default();
    let below = listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    for name in below.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
        explain(&[command, &[name]].concat(), all);
    }
}
