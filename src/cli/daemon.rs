//! Whether a daemon runs, and how it is started.

use leadflow::config::{self, Loaded};
use leadflow::store::{Lock, StoreError};

/// Whether a daemon works on the state, which is there.
pub(super) fn is_running(loaded: &Loaded) -> anyhow::Result<bool> {
    match Lock::take(&loaded.config.settings.state) {
        Ok(_) => Ok(false),
        Err(StoreError::Busy(_)) => Ok(true),
        Err(other) => Err(other.into()),
    }
}

/// What to type to start it.
pub(super) fn how_to_start(loaded: &Loaded) -> &'static str {
    if config::is_packaged(&loaded.config.path) { "sudo systemctl start leadflow" } else { "leadflow run" }
}
