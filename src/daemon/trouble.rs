//! A state that cannot be used for a while, in the log: at once, then now and then, and when it is over.

use std::time::Duration;

use tracing::{error, info};

use crate::store::StoreError;

/// Between two lines of the log that say the same.
const SAY_SO_EVERY: Duration = Duration::from_secs(30);

/// What keeps the daemon from its work, if anything does.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// Since when, by the steady clock.
    since: Option<Duration>,
    /// What was logged last, and when.
    said: Option<(String, Duration)>,
}

impl Trouble {
    /// Logs it, unless that was done a moment ago.
    pub(super) fn log(&mut self, error: &StoreError, now: Duration) {
        self.since.get_or_insert(now);
        let text = error.to_string();
        let is_new =
            |(said, at): &(String, Duration)| *said != text || now.saturating_sub(*at) >= SAY_SO_EVERY;
        if self.said.as_ref().is_none_or(is_new) {
            error!("{text}; trying again");
            self.said = Some((text, now));
        }
    }

    /// All is well again.
    pub(super) fn end(&mut self, now: Duration) {
        self.said = None;
        if let Some(since) = self.since.take() {
            let seconds = now.saturating_sub(since).as_secs();
            info!(seconds, "the state can be used again");
        }
    }
}
