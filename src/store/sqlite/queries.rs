//! What the commands look at: runs by flow, outcome and time.

use jiff::{SignedDuration, Timestamp};
use rusqlite::types::Value;
use rusqlite::{Row, params, params_from_iter};

use super::runs::{RUNS, run_of};
use super::{Database, Failure, from_db, to_db};
use crate::history::{Outcome, Run};
use crate::stats::Sample;
use crate::store::RunFilter;

impl Database {
    /// The runs that are asked for, newest first.
    pub(crate) fn find_runs(&self, filter: &RunFilter) -> Result<Vec<Run>, Failure> {
        let (text, values) = filter.sql();
        let mut ask = self.db.prepare_cached(&text)?;
        let found = ask.query_map(params_from_iter(values), run_of)?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// The names of every flow that was ever seen.
    pub(crate) fn flow_names(&self) -> Result<Vec<String>, Failure> {
        let mut ask = self.db.prepare_cached("SELECT name FROM flows ORDER BY name")?;
        Ok(ask.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }

    /// What the statistics need of each run of a flow that began at `since` or later.
    pub(crate) fn samples(&self, flow: &str, since: Timestamp) -> Result<Vec<Sample>, Failure> {
        let mut ask = self.db.prepare_cached(
            "SELECT started, ended, outcome, rows, mails FROM runs
             WHERE flow = (SELECT id FROM flows WHERE name = ?1) AND started >= ?2",
        )?;
        let found = ask.query_map(params![flow, to_db(since)], |row| sample(row, 0))?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// The runs of all flows that began at `since` or later and have made a mail, each with its flow.
    pub(crate) fn mailed_samples(&self, since: Timestamp) -> Result<Vec<(String, Sample)>, Failure> {
        // In this order, all that is asked is in one index.
        let mut ask = self.db.prepare_cached(
            "SELECT name, started, ended, outcome, rows, mails FROM flows
             CROSS JOIN runs ON runs.flow = flows.id AND started >= ?1 WHERE mails > 0",
        )?;
        let found = ask.query_map([to_db(since)], |row| Ok((row.get(0)?, sample(row, 1)?)))?;
        Ok(found.collect::<Result<_, _>>()?)
    }
}

/// A run from five columns that begin at this one.
fn sample(row: &Row<'_>, first: usize) -> rusqlite::Result<Sample> {
    let (started, ended): (i64, Option<i64>) = (row.get(first)?, row.get(first + 1)?);
    let outcome = row.get_ref(first + 2)?.as_str()?;
    Ok(Sample {
        started: from_db(started),
        took: ended.map(|ended| SignedDuration::from_micros(ended - started)),
        is_failed: outcome == Outcome::Failed.as_str(),
        rows: row.get::<_, i64>(first + 3)?.unsigned_abs(),
        mails: row.get::<_, i64>(first + 4)?.unsigned_abs(),
    })
}

impl RunFilter {
    fn sql(&self) -> (String, Vec<Value>) {
        let mut conditions = vec!["1".to_owned()];
        let mut values = Vec::new();
        let mut also = |condition: &str, value: Option<Value>| {
            if let Some(value) = value {
                conditions.push(condition.to_owned());
                values.push(value);
            }
        };
        let text = |text: &str| Value::from(text.to_owned());
        also("runs.flow = (SELECT id FROM flows WHERE name = ?)", self.flow.as_deref().map(text));
        also("started >= ?", self.since.map(|at| to_db(at).into()));
        also("started < ?", self.until.map(|at| to_db(at).into()));
        also("runs.id < ?", self.before.map(Value::from));
        also("runs.id > ?", self.after.map(Value::from));
        if !self.outcomes.is_empty() {
            conditions.push(format!("outcome IN ({})", vec!["?"; self.outcomes.len()].join(", ")));
            values.extend(self.outcomes.iter().map(|outcome| text(outcome.as_str())));
        }
        let limit = self.limit.map_or(-1, i64::from);
        values.push(limit.into());
        (format!("{RUNS} WHERE {} ORDER BY runs.id DESC LIMIT ?", conditions.join(" AND ")), values)
    }
}
