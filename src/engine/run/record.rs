//! What a run notes of its steps on the way.

use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::history::Step;

/// The steps so far; each takes from the end of the one before.
#[derive(Debug)]
pub(super) struct Record {
    steps: Vec<Step>,
    since: Instant,
    facts: Facts,
}

/// What the run's line in the log tells of its steps; `None` where it did not come so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    pub(super) past_time: Option<String>,
    pub(super) pages: Option<u64>,
    pub(super) scanned: Option<u64>,
    pub(super) new: Option<u64>,
    pub(super) mails: Option<u64>,
}

impl Default for Record {
    fn default() -> Self {
        Self { steps: Vec::new(), since: Instant::now(), facts: Facts::default() }
    }
}

impl Record {
    pub(super) fn step(&mut self, name: &str, inputs: Value, outputs: Value) {
        self.facts.add(name, &outputs);
        let took = SignedDuration::try_from(self.since.elapsed()).unwrap_or_default();
        self.steps.push(Step { name: name.to_owned(), inputs, outputs, took });
        self.since = Instant::now();
    }

    /// The run has waited for its turn; a moment of it is not worth a step.
    pub(super) fn turn(&mut self, waited: SignedDuration) {
        if waited >= SignedDuration::from_secs(1) {
            self.steps.push(Step {
                name: "turn".to_owned(),
                inputs: json!({}),
                outputs: json!({}),
                took: waited,
            });
        }
    }

    pub(super) fn take_steps(&mut self) -> Vec<Step> {
        std::mem::take(&mut self.steps)
    }

    pub(super) fn facts(&self) -> Facts {
        self.facts.clone()
    }
}

impl Facts {
    fn add(&mut self, step: &str, outputs: &Value) {
        match step {
            "window" => self.past_time = outputs["past_time"].as_str().map(str::to_owned),
            "query" => {
                (self.pages, self.scanned) = (outputs["pages"].as_u64(), outputs["rows"].as_u64());
            }
            "new rows" => self.new = outputs["new"].as_u64(),
            "commit" => self.mails = outputs["mails"].as_u64(),
            _ => {}
        }
    }
}
