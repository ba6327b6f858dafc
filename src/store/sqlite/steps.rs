//! The steps of runs.

use jiff::SignedDuration;
use rusqlite::{Transaction, params};
use serde_json::Value;

use super::{Store, StoreError};
use crate::history::Step;

impl Store {
    /// The steps of a run, in their order.
    ///
    /// # Errors
    /// When the database fails.
    pub fn steps(&self, run: i64) -> Result<Vec<Step>, StoreError> {
        let mut ask = self.db.prepare_cached(
            "SELECT name, inputs, outputs, took FROM steps WHERE run = ?1 ORDER BY position",
        )?;
        let json = |text: String| serde_json::from_str(&text).unwrap_or_default();
        let found = ask
            .query_map([run], |row| {
                Ok(Step {
                    name: row.get(0)?,
                    inputs: json(row.get(1)?),
                    outputs: json(row.get(2)?),
                    took: SignedDuration::from_micros(row.get(3)?),
                })
            })?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }
}

pub(super) fn insert_steps(tx: &Transaction<'_>, run: i64, steps: &[Step]) -> Result<(), StoreError> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO steps (run, position, name, inputs, outputs, took) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let json = |value: &Value| serde_json::to_string(value).unwrap_or_default();
    for (position, step) in (0_i64..).zip(steps) {
        let took = i64::try_from(step.took.as_micros()).unwrap_or(i64::MAX);
        insert.execute(params![run, position, step.name, json(&step.inputs), json(&step.outputs), took])?;
    }
    Ok(())
}
