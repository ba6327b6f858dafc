//! The steps of runs.

use jiff::SignedDuration;
use rusqlite::{Transaction, params};

use super::{Database, Failure};
use crate::history::{RecordedStep, StoredStep};

impl Database {
    /// The steps of a run, in their order.
    pub(crate) fn steps(&self, run: i64) -> Result<Vec<RecordedStep>, Failure> {
        let mut ask = self.db.prepare_cached(
            "SELECT name, inputs, outputs, took FROM steps WHERE run = ?1 ORDER BY position",
        )?;
        let found = ask
            .query_map([run], |row| {
                let stored = StoredStep { name: row.get(0)?, inputs: row.get(1)?, outputs: row.get(2)? };
                Ok(RecordedStep { step: stored.into(), took: SignedDuration::from_micros(row.get(3)?) })
            })?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }
}

pub(super) fn insert_steps(tx: &Transaction<'_>, run: i64, steps: &[RecordedStep]) -> Result<(), Failure> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO steps (run, position, name, inputs, outputs, took) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (position, RecordedStep { step, took }) in (0_i64..).zip(steps) {
        let StoredStep { name, inputs, outputs } = step.into();
        let took = i64::try_from(took.as_micros()).unwrap_or(i64::MAX);
        insert.execute(params![run, position, name, inputs, outputs, took])?;
    }
    Ok(())
}
