//! Whether a daemon runs, and how it is started.

use leadflow::config::{self, Loaded};
use leadflow::store::Lock;

/// Whether a daemon works on the state, which is there.
pub(super) fn is_running(loaded: &Loaded) -> anyhow::Result<bool> {
    Ok(Lock::is_taken(&loaded.config.settings.state)?)
}

/// What to type to start it.
pub(super) fn how_to_start(loaded: &Loaded) -> &'static str {
    if config::is_packaged(&loaded.config.path) { "sudo systemctl start leadflow" } else { "leadflow run" }
}
