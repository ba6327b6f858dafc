//! What a run notes of its steps on the way.

use jiff::SignedDuration;
use serde_json::Value;
use tokio::time::Instant;

use crate::history::Step;

/// The steps so far; each takes from the end of the one before.
#[derive(Debug)]
pub(super) struct Record {
    steps: Vec<Step>,
    since: Instant,
}

impl Default for Record {
    fn default() -> Self {
        Self { steps: Vec::new(), since: Instant::now() }
    }
}

impl Record {
    pub(super) fn step(&mut self, name: &str, inputs: Value, outputs: Value) {
        let took = SignedDuration::try_from(self.since.elapsed()).unwrap_or_default();
        self.steps.push(Step { name: name.to_owned(), inputs, outputs, took });
        self.since = Instant::now();
    }

    pub(super) fn into_steps(self) -> Vec<Step> {
        self.steps
    }
}
