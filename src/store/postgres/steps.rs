//! The steps of runs.

use jiff::SignedDuration;

use super::{Client, Failure, rows};
use crate::history::{RecordedStep, StoredStep};

/// Steps of runs as columns.
#[derive(Default)]
pub(super) struct StepColumns {
    pub(super) runs: Vec<i64>,
    pub(super) positions: Vec<i64>,
    pub(super) names: Vec<String>,
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    /// Microseconds.
    pub(super) took: Vec<i64>,
}

impl StepColumns {
    /// Adds the steps of a run.
    pub(super) fn add(&mut self, run: i64, steps: &[RecordedStep]) {
        for (position, RecordedStep { step, took }) in (0_i64..).zip(steps) {
            let StoredStep { name, inputs, outputs } = step.into();
            self.runs.push(run);
            self.positions.push(position);
            self.names.push(name);
            self.inputs.push(inputs);
            self.outputs.push(outputs);
            self.took.push(i64::try_from(took.as_micros()).unwrap_or(i64::MAX));
        }
    }
}

impl Client {
    /// The steps of a run, in their order.
    pub(in crate::store) async fn steps(&self, run: i64) -> Result<Vec<RecordedStep>, Failure> {
        let ask = "SELECT name, inputs, outputs, took FROM steps WHERE run = $1 ORDER BY position";
        let found = rows(self, ask, &[&run]).await?;
        let step = |row: &tokio_postgres::Row| {
            let stored = StoredStep { name: row.get(0), inputs: row.get(1), outputs: row.get(2) };
            RecordedStep { step: stored.into(), took: SignedDuration::from_micros(row.get(3)) }
        };
        Ok(found.iter().map(step).collect())
    }
}
