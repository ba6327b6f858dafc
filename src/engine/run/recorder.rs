//! What a run records of its steps on the way.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::flow::condition::Verdict;
use crate::history::{RecordedStep, Step};

/// The steps so far; each takes from the end of the one before.
#[derive(Debug)]
pub(super) struct StepRecorder {
    steps: Vec<RecordedStep>,
    since: Instant,
    facts: RunFacts,
}

/// What the run's line in the log shows of its steps; `None` where it did not come so far.
#[derive(Debug, Clone, Default)]
pub(super) struct RunFacts {
    pub(super) past_time: Option<Timestamp>,
    pub(super) pages: Option<u64>,
    pub(super) scanned: Option<u64>,
    pub(super) new: Option<u64>,
    pub(super) mails: Option<u64>,
    /// New rows that are mailed or skipped.
    pub(super) processed: u64,
}

impl Default for StepRecorder {
    fn default() -> Self {
        Self { steps: Vec::new(), since: Instant::now(), facts: RunFacts::default() }
    }
}

impl StepRecorder {
    pub(super) fn push(&mut self, step: Step) {
        self.facts.add(&step);
        let took = SignedDuration::try_from(self.since.elapsed()).unwrap_or_default();
        self.steps.push(RecordedStep { step, took });
        self.since = Instant::now();
    }

    /// The run has waited for its turn; a moment of it is not worth a step.
    pub(super) fn record_turn(&mut self, waited: SignedDuration) {
        if waited >= SignedDuration::from_secs(1) {
            self.steps.push(RecordedStep { step: Step::Turn, took: waited });
        }
    }

    pub(super) fn take_steps(&mut self) -> Vec<RecordedStep> {
        std::mem::take(&mut self.steps)
    }

    pub(super) fn facts(&self) -> RunFacts {
        self.facts.clone()
    }
}

impl RunFacts {
    fn add(&mut self, step: &Step) {
        match step {
            Step::Window { outputs, .. } => self.past_time = Some(outputs.past_time),
            Step::Query { outputs, .. } => {
                self.pages = Some(outputs.pages);
                self.scanned = Some(outputs.rows);
            }
            Step::NewRows { outputs, .. } => self.new = Some(outputs.new),
            Step::Commit { inputs, outputs } => {
                self.mails = Some(outputs.mails);
                if matches!(inputs.verdict, Verdict::Mail | Verdict::Skip) {
                    self.processed = self.new.unwrap_or_default();
                }
            }
            Step::Turn | Step::Condition { .. } | Step::Render { .. } | Step::Other { .. } => {}
        }
    }
}
