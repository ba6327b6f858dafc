//! Whether a daemon runs, and how it is started.

use leadflow::config::{self, Loaded};
use leadflow::store::{Lock, Owner};

use super::output;

/// Who works on the state, which is there; `None` for nobody. It fails for who may not look.
pub(super) fn owner(loaded: &Loaded) -> anyhow::Result<Option<Owner>> {
    Ok(Lock::owner(&loaded.config.settings.state)?)
}

/// That no daemon is running, with what to type; a command that works on the state now is none.
pub(super) fn none_is_running(loaded: &Loaded, owner: Option<&Owner>, consequence: &str) -> String {
    let start = how_to_start(loaded);
    match owner {
        Some(command) => format!(
            "no daemon is running{consequence}; {command} works on the state now: when it has ended, \
             start one: {start}"
        ),
        None => format!("no daemon is running{consequence}; start it: {start}"),
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
