//! The real binary in a folder of its own.

use std::fmt::Display;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use leadflow::config;
use leadflow::store::{Store, state};
use serde_json::Value;

use super::daemon::Daemon;
use super::embedded::Embedded;
use super::mail::Mail;
use super::microsoft::{self, Microsoft};
use super::postgres::SharedState;
use super::{azurite, done, mail_server, now};

/// A folder with a flows.toml.
#[derive(Debug)]
pub(crate) struct Sandbox {
    folder: tempfile::TempDir,
    storage: String,
    /// What every daemon of this folder has logged.
    logs: Mutex<Vec<Arc<Mutex<String>>>>,
    /// Set last, for every command.
    environment: Vec<(&'static str, String)>,
    /// Where the state is, if it is not in the folder.
    database: Option<SharedState>,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    pub(crate) fn new(flows: impl Display) -> Self {
        Self::with_state(flows, SharedState::where_wanted())
    }

    /// With the state in its folder, whatever whoever runs the tests wants.
    pub(crate) fn on_sqlite(flows: impl Display) -> Self {
        Self::with_state(flows, None)
    }

    /// With the state in a database, which others may share.
    pub(crate) fn on_postgres(flows: impl Display, state: &SharedState) -> Self {
        Self::with_state(flows, Some(state.clone()))
    }

    fn with_state(flows: impl Display, database: Option<SharedState>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Self {
            folder,
            storage: String::new(),
            logs: Mutex::default(),
            environment: Vec::new(),
            database,
        };
        sandbox.write("flows.toml", &flows.to_string());
        sandbox.write("mail-password", mail_server::PASSWORD);
        sandbox
    }

    /// The state, as a process that works on it has it.
    pub(crate) fn state(&self) -> Store {
        let config = config::load_anyway(&self.path("flows.toml")).unwrap().config;
        done(async move { state::open(&config, now()).await }).unwrap()
    }

    /// Stays while the sandbox does not: a database, or nothing.
    pub(crate) fn database(&self) -> Option<&SharedState> {
        self.database.as_ref()
    }

    /// With a connection string for Azurite in `LEADS_STORAGE`.
    pub(crate) fn with_azurite(flows: impl Display) -> Self {
        Self { storage: azurite::connection_string(azurite::KEY), ..Self::new(flows) }
    }

    /// With another connection string in `LEADS_STORAGE`.
    pub(crate) fn with_storage(flows: impl Display, storage: String) -> Self {
        Self { storage, ..Self::new(flows) }
    }

    /// On a machine that sees this Microsoft; the application's secret lies in `client-secret`.
    pub(crate) fn with_microsoft(flows: impl Display, microsoft: &Microsoft) -> Self {
        let sandbox = Self { environment: microsoft.environment(), ..Self::new(flows) };
        sandbox.write("client-secret", microsoft::SECRET);
        sandbox
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file at once, as editors do.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let part = self.path(&format!("{name}.part"));
        std::fs::create_dir_all(part.parent().unwrap()).unwrap();
        let text = if name == "flows.toml" { self.in_full(text) } else { text.to_owned() };
        std::fs::write(&part, text).unwrap();
        std::fs::rename(part, self.path(name)).unwrap();
    }

    /// A flows.toml with the database of this sandbox, if it has one.
    pub(crate) fn in_full(&self, text: &str) -> String {
        let state = self.database.as_ref().filter(|_| !text.contains("[settings.postgres]"));
        format!("{text}{}", state.map_or_else(String::new, SharedState::section))
    }

    /// Replaces a piece of flows.toml, which must be there.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path("flows.toml")).unwrap();
        assert!(text.contains(from), "{from}");
        self.write("flows.toml", &text.replacen(from, to, 1));
    }

    /// The embedded table of most tests, `leads` of `demo.db`.
    pub(crate) fn table(&self) -> Embedded {
        self.embedded("leads")
    }

    /// Another table of `demo.db`.
    pub(crate) fn embedded(&self, name: &str) -> Embedded {
        Embedded::open(&self.path("state/demo.db"), name)
    }

    /// Makes `demo.db` unreadable; what it was.
    pub(crate) fn spoil_table(&self) -> Vec<u8> {
        let file = self.path("state/demo.db");
        let whole = std::fs::read(&file).unwrap_or_default();
        std::fs::create_dir_all(self.path("state")).unwrap();
        std::fs::write(file, "no database at all, but a text of some length").unwrap();
        whole
    }

    /// Makes `demo.db` what it was; where it was nothing, it is gone.
    pub(crate) fn mend_table(&self, whole: &[u8]) {
        std::fs::write(self.path("state/demo.db"), whole).unwrap();
    }

    /// The mails in the mail folder, oldest first.
    pub(crate) fn mails(&self) -> Vec<Mail> {
        Mail::in_folder(&self.path("state/mail"))
    }

    /// The texts of the mails in the mail folder.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.mails().iter().map(|mail| mail.text().trim().to_owned()).collect()
    }

    /// Every run of the history, the newest first.
    pub(crate) fn runs(&self) -> Vec<Value> {
        let runs = self.json(&["history", "--limit", "1000000", "--json"]);
        runs.as_array().unwrap().clone()
    }

    /// A run as `history show` has it.
    pub(crate) fn shown(&self, run: impl Display) -> Value {
        self.json(&["history", "show", &run.to_string(), "--json"])
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let built = || env!("CARGO_BIN_EXE_leadflow").into();
        let binary = std::env::var_os("LEADFLOW_BINARY").unwrap_or_else(built);
        let mut command = Command::new(binary);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("RUST_LOG")
            .env_remove("LEADFLOW_CONFIG")
            .env_remove("COLUMNS");
        command
            .env("LEADS_STORAGE", &self.storage)
            .env("NO_COLOR", "1")
            .env("NO_PROXY", "*")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// Runs on a terminal where somebody types an answer; what the terminal shows.
    pub(crate) fn on_a_terminal(&self, arguments: &str, answer: &str) -> (i32, String) {
        let plain = self.command(&[]);
        let mut command = Command::new("script");
        let line = format!("{} {arguments}", plain.get_program().display());
        command.args(["-qec", &line, "/dev/null"]).current_dir(self.folder.path());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(format!("{answer}\n").as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        for secret in [azurite::KEY, mail_server::PASSWORD, "canary"] {
            assert!(
                !stdout.contains(secret) && !stderr.contains(secret),
                "a secret is shown: {stdout}{stderr}"
            );
        }
        assert!(!stderr.contains("panicked"), "{stderr}");
        // Which flows.toml is used, which a test of its own looks at.
        let stderr = match stderr.split_once('\n') {
            Some((using, rest)) if using.starts_with("using ") => rest.to_owned(),
            _ => stderr,
        };
        Output { code: output.status.code().expect("an exit status"), stdout, stderr }
    }

    /// Runs to this exit status.
    #[track_caller]
    pub(crate) fn exits(&self, code: i32, arguments: &[&str]) -> Output {
        let output = self.run(arguments);
        assert_eq!(output.code, code, "{arguments:?}: {}{}", output.stdout, output.stderr);
        output
    }

    /// Runs and takes the output apart as JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }

    /// No secret or token is in anything that leadflow keeps.
    pub(crate) fn keeps_no_canary(&self) {
        let mut folders = vec![self.path("state")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                    continue;
                }
                let bytes = std::fs::read(entry.path()).unwrap();
                let found = bytes.windows(6).any(|window| window == b"canary");
                assert!(!found, "a secret is in {}", entry.path().display());
            }
        }
    }

    /// `run --once`, which must do all it has to.
    pub(crate) fn run_once(&self) -> Output {
        self.exits(0, &["run", "--once"])
    }

    /// Starts the daemon and waits until it is ready.
    pub(crate) fn daemon(&self) -> Daemon {
        let daemon = self.daemon_with(&[]);
        daemon.wait_for_log("ready");
        daemon
    }

    /// Starts the daemon with more environment variables, and does not wait.
    pub(crate) fn daemon_with(&self, more: &[(&str, &str)]) -> Daemon {
        let mut command = self.command(&["run"]);
        command.envs(more.iter().copied());
        self.daemon_by(command)
    }

    /// Starts a daemon by this command, and does not wait.
    pub(crate) fn daemon_by(&self, command: Command) -> Daemon {
        let log = Arc::new(Mutex::new(String::new()));
        self.logs.lock().unwrap().push(Arc::clone(&log));
        Daemon::start(command, log)
    }

    /// What every daemon so far has logged.
    pub(crate) fn logs(&self) -> String {
        self.logs.lock().unwrap().iter().map(|log| log.lock().unwrap().clone()).collect()
    }
}
