//! Spoilt files: never a panic, every problem at a place of the file, no secret in any report.

use std::fs;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::tests::WHOLE;
use super::*;
use leadflow_core::testing::hostile::{config, soup, spoilt};

const CANARY: &str = "canary";

/// Secrets where they must not be.
const LITERAL: &str = r#"
[connections.a.azure_table]
connection_string = "AccountName=contoso;AccountKey=canary-a;EndpointSuffix=core.windows.net"
[connections.b.azure_table]
account = "contoso"
shared_key = 'canary-b'
[connections.c.azure_table]
account = "contoso"
sas = { value = "sv=1&sig=canary-c" }
[connections.relay.smtp]
host = "smtp.contoso.example"
from = "leads@contoso.example"
login = { username = "leads", password = "canary-d" }
[connections.graph.graph]
client_secret = ["canary-f", "canary-g"]
"#;

const WORDS: [&str; 44] = [
    "=",
    "\"",
    "'",
    "\"\"\"",
    "'''",
    "[",
    "]",
    "{",
    "}",
    "[[",
    "#",
    "\n",
    ".",
    ",",
    " ",
    "password = ",
    "secret.x = ",
    "env = ",
    "file = ",
    "[flows.x]\n",
    "[connections.x.smtp]\n",
    "[settings]\n",
    "interval = 4294967296",
    "hour",
    "cron = \"* * * * *\"\n",
    "hours = [8]\n",
    "start_time = \"9999-12-31T23:59:59\"\n",
    "week_days = [\"monday\"]\n",
    "month_days = [-1]\n",
    "time_zone = \"Asia/Seoul\"\n",
    "unit = \"month\"\n",
    "overlap = \"99999999999 years\"\n",
    "look_back = \"-1 day\"\n",
    "condition = \"length >= 18446744073709551616\"\n",
    "filter = \"(((\"\n",
    "2026-01-05",
    "max_rows = 0\n",
    "to = \"a@b.example; c\"\n",
    "subject = \"{{#if\"\n",
    "body = \"{{a}}\"\n",
    "template = \"../../etc/passwd\"\n",
    "select = [\"A\"]\n",
    "log = \"a=b=c\"\n",
    "mode = \"fixed\"\n",
];

/// The files of `tests/configs`, and whole ones.
fn files() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    paths.sort();
    let broken = paths.iter().map(|path| fs::read_to_string(path).unwrap());
    let whole = [WHOLE.to_owned(), include_str!("../../flows.toml").to_owned()];
    (0..40).flat_map(|_| whole.clone()).chain(broken).collect()
}

/// Loads the file; returns all that is shown of it.
fn loaded(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flows.toml");
    fs::write(&path, bytes).unwrap();
    let began = Instant::now();
    let problems = match load(&path) {
        Ok(first) => {
            let again = load(&path).unwrap();
            assert_eq!(format!("{:?}", first.config.tables), format!("{:?}", again.config.tables));
            assert_eq!(
                first.config.flows.keys().collect::<Vec<_>>(),
                again.config.flows.keys().collect::<Vec<_>>()
            );
            assert_eq!(first.warnings.len(), again.warnings.len());
            first.warnings
        }
        Err(report) => {
            assert!(report.problems.iter().any(|problem| problem.level == Level::Error));
            assert!(!report.to_string().is_empty() && !format!("{report:?}").is_empty());
            report.problems
        }
    };
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut shown = String::new();
    for problem in &problems {
        if let (file, Some((line, column))) = problem.place() {
            let found = text.split('\n').nth(line - 1).unwrap_or_else(|| panic!("{file}:{line} of {text}"));
            // A secret of more than ASCII has a star for each byte.
            assert!(column <= found.len() + 1, "{line}:{column} of {text}");
        }
        let plain = problem.shown(false, 100);
        let color = problem.shown(true, 40);
        let line = problem.in_one_line();
        shown = [shown, plain, color, format!("{problem:?}"), line].join("\n");
        assert!(!problem.message.is_empty());
    }
    assert!(began.elapsed() < Duration::from_mins(2), "{:?} for {text}", began.elapsed());
    shown
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn words_in_any_order(text in soup(&WORDS)) {
        loaded(text.as_bytes());
    }

    #[test]
    fn a_spoilt_file(bytes in spoilt(files(), &WORDS)) {
        loaded(&bytes);
    }

    #[test]
    fn a_secret_in_a_spoilt_file_is_not_shown(bytes in spoilt(vec![LITERAL.to_owned()], &["x", "=", "\"", "{", "}", "[", "]", ",", "\n", "#", " "])) {
        // What is no longer the value of its key is not a secret that could be distinguished from other text.
        let shown = loaded(&bytes);
        if keeps_its_keys(&bytes) {
            assert!(!shown.contains(CANARY), "{shown}");
        }
    }
}

/// Whether each secret still has its key before it: on its line, or on that of the text's begin.
fn keeps_its_keys(bytes: &[u8]) -> bool {
    const KEYS: [&str; 5] = ["connection_string", "shared_key", "sas", "password", "client_secret"];
    let text = String::from_utf8_lossy(bytes);
    text.split('\n').all(|line| {
        let Some(at) = line.find(CANARY) else { return true };
        let before = &line[..at];
        let begins = |key: &str| {
            let part = |part: &str| {
                let rest = part.trim_start().strip_prefix(key);
                rest.is_some_and(|rest| {
                    !rest.is_empty()
                        && !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || "_-".contains(c))
                })
            };
            before.split(['{', ',', '}']).any(part)
        };
        KEYS.into_iter().any(begins)
    })
}

#[test]
fn large_and_deep_files() {
    for text in [
        "=".repeat(1 << 19),
        "password=\"\"\"".repeat(90_000),
        format!("password = {}", "{ a = ".repeat(40)),
        format!("password = {}", "{ a = ".repeat(100_000)),
        format!("x = {}", "[".repeat(100_000)),
        format!("x = {}", "{a=".repeat(100_000)),
        format!("[{}]", "a.".repeat(100_000)),
        format!("x = \"{}\"", "a".repeat(1 << 19)),
        format!("x = {}", "9".repeat(1 << 19)),
        "[flows.a]\n".repeat(20_000),
        "\r\n".repeat(1 << 18),
        "a = 1\n".repeat(30_000),
        (0..200).map(|number| format!("[flows.a{number}]")).collect::<Vec<_>>().join("\n"),
        "accountkey=".repeat(90_000),
        format!("\u{feff}{}", WHOLE.replace('\n', "\r\n")),
        WHOLE.replace('=', "=\0"),
    ] {
        let began = Instant::now();
        loaded(text.as_bytes());
        assert!(began.elapsed() < Duration::from_mins(2), "{:?}", text.chars().take(30).collect::<String>());
    }
}
