//! Whether a daemon runs, and how it is started.

use std::fmt;

use anyhow::bail;
use leadflow::config::{self, Loaded};
use leadflow::store::{Lock, NodeRecord, Owner, Store};

use super::output;

/// Who works on the state now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Worker {
    /// A daemon, which hears commands; of a state in a database, on whatever machine.
    Daemon,
    /// A command that does its work itself, in words.
    Command(String),
}

impl fmt::Display for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Daemon => f.write_str("the daemon"),
            Self::Command(words) => f.write_str(words),
        }
    }
}

impl From<Owner> for Worker {
    fn from(owner: Owner) -> Self {
        match owner {
            Owner::Daemon => Self::Daemon,
            command @ Owner::Command { .. } => Self::Command(command.to_string()),
        }
    }
}

/// Who works on the state, which is there; `None` for nobody. It fails for who may not look.
pub(super) async fn worker(loaded: &Loaded, store: &Store) -> anyhow::Result<Option<Worker>> {
    if loaded.config.settings.postgres.is_none() {
        return Ok(Lock::owner(&loaded.config.settings.state)?.map(Worker::from));
    }
    let mut alive = store.nodes().await?;
    alive.retain(|node| node.is_alive);
    if alive.iter().any(|node| !node.is_command()) {
        return Ok(Some(Worker::Daemon));
    }
    Ok(alive.pop().map(|node| Worker::Command(output::line(&node.node.name))))
}

/// That nobody works on a state in a database, from whatever machine.
///
/// # Errors
/// Who does.
pub(super) async fn nobody_may_work(loaded: &Loaded, store: &Store) -> anyhow::Result<()> {
    if loaded.config.settings.postgres.is_none() {
        // Who asks has the lock.
        return Ok(());
    }
    let alive = store.nodes().await?.into_iter().filter(|node| node.is_alive);
    let names: Vec<String> = alive.map(|NodeRecord { node, .. }| output::line(&node.name)).collect();
    if !names.is_empty() {
        bail!("stop leadflow on every machine first; still at work: {}", names.join(", "));
    }
    Ok(())
}

/// That no daemon is running, with what to type; a command that works on the state now is none.
pub(super) fn none_is_running(loaded: &Loaded, worker: Option<&Worker>, consequence: &str) -> String {
    let start = how_to_start(loaded);
    let is_shared = loaded.config.settings.postgres.is_some();
    let place = if is_shared { " on any machine, or none can use the database" } else { "" };
    match worker {
        Some(command) if place.is_empty() => format!(
            "no daemon is running{consequence}; {command} works on the state now: when it has ended, \
             start one: {start}"
        ),
        _ => format!("no daemon is running{place}{consequence}; start it: {start}"),
    }
}

/// Says that what was asked for waits for a daemon.
pub(super) fn warn_no_delivery(loaded: &Loaded) {
    output::eprint(&none_is_running(loaded, None, ", so no mail is sent until one starts"));
}

/// What to type to start it.
pub(super) fn how_to_start(loaded: &Loaded) -> &'static str {
    if config::is_packaged(&loaded.config.path) { "sudo systemctl start leadflow" } else { "leadflow run" }
}
