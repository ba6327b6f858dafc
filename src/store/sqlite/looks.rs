//! What the commands look at: runs by flow, outcome and time.

use jiff::{SignedDuration, Timestamp};
use rusqlite::types::Value;
use rusqlite::{params, params_from_iter};

use super::runs::{RUNS, run_of};
use super::{Store, StoreError, from_db, to_db};
use crate::history::{Outcome, Run};
use crate::stats::Sample;

/// Which runs of the history are wanted; what is not said does not matter.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunsAsked<'a> {
    /// Of this flow.
    pub flow: Option<&'a str>,
    /// With one of these outcomes; none named is any.
    pub outcomes: &'a [Outcome],
    /// Begun at this moment or later.
    pub since: Option<Timestamp>,
    /// Begun before this moment.
    pub until: Option<Timestamp>,
    /// With a lower number.
    pub before: Option<i64>,
    /// With a higher number.
    pub after: Option<i64>,
    /// At most so many.
    pub limit: Option<u32>,
}

impl Store {
    /// The newest runs, newest first, of one flow or of all.
    ///
    /// # Errors
    /// When the database fails.
    pub fn runs(&self, flow: Option<&str>, limit: u32) -> Result<Vec<Run>, StoreError> {
        self.find_runs(&RunsAsked { flow, limit: Some(limit), ..RunsAsked::default() })
    }

    /// The runs that are asked for, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn find_runs(&self, asked: &RunsAsked<'_>) -> Result<Vec<Run>, StoreError> {
        let (text, values) = asked.sql();
        let mut ask = self.db.prepare_cached(&text)?;
        let found = ask.query_map(params_from_iter(values), run_of)?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// The names of every flow that was ever seen.
    ///
    /// # Errors
    /// When the database fails.
    pub fn flow_names(&self) -> Result<Vec<String>, StoreError> {
        let mut ask = self.db.prepare_cached("SELECT name FROM flows ORDER BY name")?;
        Ok(ask.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }

    /// What the statistics need of each run of a flow that began at `since` or later.
    ///
    /// # Errors
    /// When the database fails.
    pub fn samples(&self, flow: &str, since: Timestamp) -> Result<Vec<Sample>, StoreError> {
        let mut ask = self.db.prepare_cached(
            "SELECT started, ended, outcome, rows, mails FROM runs
             WHERE flow = (SELECT id FROM flows WHERE name = ?1) AND started >= ?2",
        )?;
        let found = ask.query_map(params![flow, to_db(since)], |row| {
            let (started, ended): (i64, Option<i64>) = (row.get(0)?, row.get(1)?);
            let outcome = row.get_ref(2)?.as_str()?;
            Ok(Sample {
                started: from_db(started),
                took: ended.map(|ended| SignedDuration::from_micros(ended - started)),
                is_failed: outcome == Outcome::Failed.word(),
                rows: row.get::<_, i64>(3)?.unsigned_abs(),
                mails: row.get::<_, i64>(4)?.unsigned_abs(),
            })
        })?;
        Ok(found.collect::<Result<_, _>>()?)
    }
}

impl RunsAsked<'_> {
    fn sql(&self) -> (String, Vec<Value>) {
        let (mut conditions, mut values) = (vec!["1".to_owned()], Vec::new());
        let mut also = |condition: &str, value: Option<Value>| {
            if let Some(value) = value {
                conditions.push(condition.to_owned());
                values.push(value);
            }
        };
        let text = |text: &str| Value::from(text.to_owned());
        also("runs.flow = (SELECT id FROM flows WHERE name = ?)", self.flow.map(text));
        also("started >= ?", self.since.map(|at| to_db(at).into()));
        also("started < ?", self.until.map(|at| to_db(at).into()));
        also("runs.id < ?", self.before.map(Value::from));
        also("runs.id > ?", self.after.map(Value::from));
        if !self.outcomes.is_empty() {
            conditions.push(format!("outcome IN ({})", vec!["?"; self.outcomes.len()].join(", ")));
            values.extend(self.outcomes.iter().map(|outcome| text(outcome.word())));
        }
        let limit = self.limit.map_or(-1, i64::from);
        values.push(limit.into());
        (format!("{RUNS} WHERE {} ORDER BY runs.id DESC LIMIT ?", conditions.join(" AND ")), values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Cause, Order};
    use crate::store::{Failed, NewRun};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_770_000_000 + second).unwrap()
    }

    #[test]
    fn runs_are_found_by_flow_outcome_time_and_number() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        for flow in ["leads", "other"] {
            store.anchor(flow, at(0)).unwrap();
        }
        // Runs 1 to 6, a minute apart, of either flow in turn; the even ones fail, the last goes on.
        for (number, flow) in (1..).zip(["leads", "other", "leads", "other", "leads", "leads"]) {
            let started = at(number * 60);
            let order = Order::new(Cause::Schedule, None);
            let run = store.begin_runs(&[NewRun { flow, order, started }]).unwrap()[0].run;
            let failed = Failed { summary: "no", help: "wait", steps: &[], due_since: started };
            if number % 2 == 0 && number < 6 {
                store.fail_run(run, &failed, at(number * 60 + 1)).unwrap();
            }
        }
        let all = RunsAsked::default();
        let (failed, or_running) =
            ([Outcome::Failed].as_slice(), [Outcome::Failed, Outcome::Running].as_slice());
        for (asked, expected) in [
            (all, vec![6, 5, 4, 3, 2, 1]),
            (RunsAsked { flow: Some("other"), ..all }, vec![4, 2]),
            (RunsAsked { flow: Some("nothere"), ..all }, vec![]),
            (RunsAsked { outcomes: failed, ..all }, vec![4, 2]),
            (RunsAsked { outcomes: or_running, ..all }, vec![6, 4, 2]),
            (RunsAsked { since: Some(at(180)), until: Some(at(300)), ..all }, vec![4, 3]),
            (RunsAsked { before: Some(3), ..all }, vec![2, 1]),
            (RunsAsked { after: Some(4), ..all }, vec![6, 5]),
            (RunsAsked { flow: Some("leads"), before: Some(6), limit: Some(2), ..all }, vec![5, 3]),
        ] {
            let found: Vec<_> = store.find_runs(&asked).unwrap().iter().map(|run| run.id).collect();
            assert_eq!(found, expected, "{asked:?}");
        }
        assert_eq!(store.flow_names().unwrap(), ["leads", "other"]);
        let samples = store.samples("other", at(240)).unwrap();
        let [sample] = samples.as_slice() else { panic!("{samples:?}") };
        assert!(sample.is_failed && sample.took == Some(SignedDuration::from_secs(1)), "{sample:?}");
    }
}
