//! The SMTP server of `tests/servers/mail.mjs`, and what it has taken.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::certificates::certificates;
use super::eventually;
use super::mail::Mail;
use super::servers::Server;

pub(crate) const USER: &str = "leads";
pub(crate) const PASSWORD: &str = "canary-mail-password";

/// A running server with a journal of its own.
pub(crate) struct MailServer {
    _server: Server,
    pub(crate) port: u16,
    journal: tempfile::TempDir,
}

impl MailServer {
    /// With STARTTLS of the private authority and AUTH; `more` are options of mail.mjs.
    pub(crate) fn start(more: &[&str]) -> Self {
        Self::start_on(0, more)
    }

    pub(crate) fn start_on(port: u16, more: &[&str]) -> Self {
        let journal = tempfile::tempdir().unwrap();
        let files = certificates();
        let (port, auth) = (port.to_string(), format!("{USER}:{PASSWORD}"));
        let path = |path: &Path| path.display().to_string();
        let mut arguments = vec!["mail.mjs".to_owned(), "--journal".to_owned(), path(journal.path())];
        arguments.extend([
            "--cert".to_owned(),
            path(&files.certificate),
            "--key".to_owned(),
            path(&files.key),
        ]);
        arguments.extend(["--auth".to_owned(), auth, "--port".to_owned(), port]);
        arguments.extend(more.iter().map(|option| (*option).to_owned()));
        let server = Server::start(&arguments);
        let greeting: Value = serde_json::from_str(&server.greeting).unwrap();
        let port = u16::try_from(greeting["port"].as_u64().unwrap()).unwrap();
        Self { _server: server, port, journal }
    }

    /// Every mail so far, in the order they came.
    pub(crate) fn mails(&self) -> Vec<Mail> {
        let mut entries: Vec<_> =
            std::fs::read_dir(self.journal.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
        entries.sort();
        let read = |path: &std::path::PathBuf| {
            let entry: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            Mail {
                to: entry["to"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|to| to.as_str().unwrap().to_owned())
                    .collect(),
                secure: entry["secure"].as_bool().unwrap(),
                user: entry["user"].as_str().map(str::to_owned),
                sha256: entry["sha256"].as_str().unwrap().to_owned(),
                bytes: std::fs::read(path.with_extension("eml")).unwrap(),
            }
        };
        entries.iter().map(read).collect()
    }

    /// Waits until so many mails have come.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Mail> {
        eventually(&format!("{count} mails"), || Some(self.mails()).filter(|mails| mails.len() >= count))
    }

    /// Waits until the mails carry all of these `RowKey`s.
    pub(crate) fn wait_for_keys(&self, keys: &[String]) -> Vec<Mail> {
        eventually(&format!("the leads {keys:?}"), || {
            let mails = self.mails();
            let all: BTreeSet<String> = mails.iter().flat_map(Mail::row_keys).collect();
            keys.iter().all(|key| all.contains(key)).then_some(mails)
        })
    }
}
