//! The oracle of the promise: what was written against what the mail server has taken, repeats
//! against the marks of the history, the database's integrity, and secrets nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::azurite;
use super::database::integrity;
use super::leadflow::Sandbox;
use super::mail::{Mail, keys_in};
use super::mail_server;

/// What the oracle has counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) runs: usize,
    pub(crate) rows: usize,
    /// Mails of the history.
    pub(crate) mails: usize,
    /// Messages that the server has taken, repeats included.
    pub(crate) taken: usize,
    /// Marks of the history: ends of a message without a recorded reply, counted by recipient.
    pub(crate) uncertain: u64,
    /// Repeats that the server has seen, counted by recipient; each has its mark.
    pub(crate) repeats: usize,
    /// Rows whose mail is held: shown and waiting for a person.
    pub(crate) held: usize,
}

/// Holds the rows that were written against the mails that have arrived, once nothing waits.
pub(crate) fn check(sandbox: &Sandbox, written: &[String], arrived: &[Mail]) -> Tally {
    if sandbox.database().is_none() {
        integrity(&sandbox.path("state"));
    }
    check_history(sandbox, written, arrived)
}

/// As [`check`], of a state wherever it lies.
pub(crate) fn check_history(sandbox: &Sandbox, written: &[String], arrived: &[Mail]) -> Tally {
    let mut tally = Tally { rows: written.len(), taken: arrived.len(), ..Tally::default() };
    let copies_of = by_message_id(arrived);
    let recorded = recorded(sandbox, &mut tally);
    for id in copies_of.keys() {
        assert!(recorded.iter().any(|mail| mail["message_id"] == **id), "{id} is not in the history");
    }
    for mail in &recorded {
        hold_against(mail, copies_of.get(mail["message_id"].as_str().unwrap()), &mut tally);
    }
    let mut carried: BTreeMap<String, &str> = BTreeMap::new();
    for (id, copies) in &copies_of {
        for key in copies[0].row_keys() {
            if let Some(other) = carried.insert(key.clone(), id) {
                panic!("{key} is in two mails, {other} and {id}");
            }
        }
    }
    let written: BTreeSet<&String> = written.iter().collect();
    let foreign: Vec<_> = carried.keys().filter(|key| !written.contains(key)).collect();
    assert!(foreign.is_empty(), "nobody has written {foreign:?}");
    let held = held(sandbox);
    let missing: Vec<_> = written.iter().filter(|key| !carried.contains_key(**key)).collect();
    let lost: Vec<_> = missing.iter().filter(|key| !held.contains(***key)).collect();
    assert!(lost.is_empty(), "lost: {lost:?}\n{}", sandbox.logs());
    tally.held = missing.len();
    no_secrets(sandbox, arrived);
    tally
}

/// Copies of a mail that have arrived: at least one where the history says sent, and no more than
/// it has marks.
fn hold_against(mail: &Value, copies: Option<&Vec<&Mail>>, tally: &mut Tally) {
    let copies = copies.map(Vec::as_slice).unwrap_or_default();
    assert!(copies.iter().all(|copy| copy.sha256 == copies[0].sha256), "the bytes differ: {mail}");
    for recipient in mail["recipients"].as_array().unwrap() {
        let address = recipient["address"].as_str().unwrap();
        let count = copies.iter().filter(|copy| copy.to.iter().any(|to| to == address)).count();
        let marks = recipient["uncertain"].as_u64().unwrap();
        let is_sent = recipient["state"] == "sent";
        assert!(!is_sent || count > 0, "{address} has not got {mail}");
        let most = marks + u64::from(is_sent);
        assert!(count as u64 <= most, "{address} has got {count} copies of {mail}");
        assert!(is_sent || recipient["state"] == "held", "{address} still waits for {mail}");
        tally.uncertain += marks;
        tally.repeats += count.saturating_sub(1);
    }
}

/// Every mail of every run, as `history show --json` has it.
fn recorded(sandbox: &Sandbox, tally: &mut Tally) -> Vec<Value> {
    let runs = sandbox.runs();
    tally.runs = runs.len();
    let with_mail = runs.iter().filter(|run| run["mails"] != 0);
    let show = |run: &Value| sandbox.shown(&run["run"]);
    let mails: Vec<Value> =
        with_mail.map(show).flat_map(|run| run["mails"].as_array().unwrap().clone()).collect();
    tally.mails = mails.len();
    mails
}

fn by_message_id(arrived: &[Mail]) -> BTreeMap<String, Vec<&Mail>> {
    let mut found: BTreeMap<String, Vec<&Mail>> = BTreeMap::new();
    for mail in arrived {
        let id = format!("<{}>", mail.message().message_id().unwrap());
        found.entry(id).or_default().push(mail);
    }
    found
}

/// The rows of mails that are held for somebody.
fn held(sandbox: &Sandbox) -> BTreeSet<String> {
    let open = sandbox.json(&["outbox", "list", "--json"]);
    let is_held = |mail: &&Value| {
        mail["recipients"].as_array().unwrap().iter().any(|recipient| recipient["state"] == "held")
    };
    let text = |mail: &Value| sandbox.run(&["outbox", "show", &mail["mail"].to_string()]).stdout;
    open.as_array().unwrap().iter().filter(is_held).map(text).flat_map(|text| keys_in(&text)).collect()
}

/// No secret is in a file of the folder (but for the one it comes from), in a log or in a mail.
fn no_secrets(sandbox: &Sandbox, arrived: &[Mail]) {
    let mut secrets: Vec<String> =
        [azurite::KEY, mail_server::PASSWORD, "Y2FuYXJ5", "canary"].map(str::to_owned).to_vec();
    secrets.push(BASE64_STANDARD.encode(format!("\0{}\0{}", mail_server::USER, mail_server::PASSWORD)));
    secrets.push(BASE64_STANDARD.encode(mail_server::PASSWORD));
    let look = |place: &str, bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{secret} is in {place}");
        }
    };
    for file in files(&sandbox.path("")) {
        if !matches!(file.file_name().unwrap().to_str(), Some("mail-password" | "storage" | "database")) {
            look(&file.display().to_string(), &std::fs::read(&file).unwrap());
        }
    }
    look("the log", sandbox.logs().as_bytes());
    for mail in arrived {
        look("a mail", &mail.bytes);
        mail.message().parts.iter().for_each(|part| look("a part of a mail", part.contents()));
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
