//! What the commands look at: runs by flow, outcome and time.

use jiff::{SignedDuration, Timestamp};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::runs::{RUNS, run_of};
use super::{Client, Failure, from_db, rows, text, to_db};
use crate::history::{Outcome, Run};
use crate::stats::Sample;
use crate::store::RunFilter;

impl Client {
    /// The runs that are asked for, newest first.
    pub(in crate::store) async fn find_runs(&self, filter: &RunFilter) -> Result<Vec<Run>, Failure> {
        let flow = filter.flow.as_deref().map(text);
        let moment = |at: Option<Timestamp>| at.map(to_db);
        let (since, until) = (moment(filter.since), moment(filter.until));
        let outcomes: Vec<&str> = filter.outcomes.iter().map(|outcome| outcome.as_str()).collect();
        let outcomes = (!outcomes.is_empty()).then_some(outcomes);
        let limit = filter.limit.map(i64::from);
        let mut conditions = vec!["true".to_owned()];
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![&limit];
        for (condition, value) in [
            (
                "runs.flow = (SELECT id FROM flows WHERE name = $?)",
                flow.as_ref().map(|it| it as &(dyn ToSql + Sync)),
            ),
            ("started >= $?", since.as_ref().map(|it| it as _)),
            ("started < $?", until.as_ref().map(|it| it as _)),
            ("runs.id < $?", filter.before.as_ref().map(|it| it as _)),
            ("runs.id > $?", filter.after.as_ref().map(|it| it as _)),
            ("outcome = ANY($?)", outcomes.as_ref().map(|it| it as _)),
        ] {
            if let Some(value) = value {
                values.push(value);
                conditions.push(condition.replace('?', &values.len().to_string()));
            }
        }
        let ask = format!("{RUNS} WHERE {} ORDER BY runs.id DESC LIMIT $1", conditions.join(" AND "));
        Ok(rows(self, &ask, &values).await?.iter().map(run_of).collect())
    }

    /// The names of every flow that was ever seen.
    pub(in crate::store) async fn flow_names(&self) -> Result<Vec<String>, Failure> {
        let found = rows(self, "SELECT name FROM flows ORDER BY name COLLATE \"C\"", &[]).await?;
        found.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// What the statistics need of each run of a flow that began at `since` or later.
    pub(in crate::store) async fn samples(
        &self,
        flow: &str,
        since: Timestamp,
    ) -> Result<Vec<Sample>, Failure> {
        const SAMPLES: &str = "SELECT started, ended, outcome, rows, mails FROM runs
            WHERE flow = (SELECT id FROM flows WHERE name = $1) AND started >= $2 ORDER BY started, id";
        let found = rows(self, SAMPLES, &[&text(flow), &to_db(since)]).await?;
        found.iter().map(|row| sample(row, 0)).collect()
    }

    /// The runs of all flows that began at `since` or later and have made a mail, each with its flow.
    pub(in crate::store) async fn mailed_samples(
        &self,
        since: Timestamp,
    ) -> Result<Vec<(String, Sample)>, Failure> {
        const MAILED: &str = "SELECT name, started, ended, outcome, rows, mails FROM flows
            JOIN runs ON runs.flow = flows.id AND started >= $1 WHERE mails > 0";
        let found = rows(self, MAILED, &[&to_db(since)]).await?;
        found.iter().map(|row| Ok((row.try_get(0)?, sample(row, 1)?))).collect()
    }
}

/// A run from five columns that begin at this one.
fn sample(row: &Row, first: usize) -> Result<Sample, Failure> {
    let started: i64 = row.try_get(first)?;
    let ended: Option<i64> = row.try_get(first + 1)?;
    Ok(Sample {
        started: from_db(started),
        took: ended.map(|ended| SignedDuration::from_micros(ended - started)),
        is_failed: row.try_get::<_, &str>(first + 2)? == Outcome::Failed.as_str(),
        rows: row.try_get::<_, i64>(first + 3)?.unsigned_abs(),
        mails: row.try_get::<_, i64>(first + 4)?.unsigned_abs(),
    })
}
