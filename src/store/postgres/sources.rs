//! The tables that a flow reads or has read, and how far it has read each.

use jiff::Timestamp;
use tokio_postgres::Row;

use super::flows::see_all;
use super::nodes::check_owner;
use super::{Client, Failure, Transaction, execute, from_db, maybe_row, row, rows, text, to_db};
use crate::schedule::window::Progress;
use crate::store::{Source, SourceRequest};

/// `begin` is the baseline, `looked_back` the last deep scan.
pub(super) const COLUMNS: &str =
    "sources.id, sources.identity, sources.first_due, sources.begin, sources.watermark, sources.looked_back";
/// Keys that are deleted in one transaction, which the runs wait for.
const DELETED_TOGETHER: i64 = 10_000;

impl Client {
    /// The source of that identity, which is made if the flow has never read it.
    pub(in crate::store) async fn open_source(&mut self, request: &SourceRequest) -> Result<Source, Failure> {
        let owner = self.owner.clone();
        let tx = self.transaction().await?;
        check_owner(&tx, &owner).await?;
        let lock = "SELECT id FROM flows WHERE name = $1 FOR NO KEY UPDATE";
        let flow: i64 = row(&tx, lock, &[&request.flow]).await?.get(0);
        let ask = format!(
            "SELECT {COLUMNS} FROM sources WHERE flow = $1 AND (identity = $2 OR id = $3)
             AND coalesce(left_since, 1) <> 0 ORDER BY identity <> $2 LIMIT 1"
        );
        let found = maybe_row(&tx, &ask, &[&flow, &request.identity, &request.known]).await?;
        let source = match found.map(|row| source_of(&row, 0)) {
            Some(known) => {
                let put = "UPDATE sources SET identity = $2 WHERE id = $1 AND identity <> $2";
                execute(&tx, put, &[&known.id, &request.identity]).await?;
                Source { identity: request.identity.clone(), ..known }
            }
            None => insert(&tx, flow, request).await?,
        };
        if request.is_to_stay {
            let leave = "UPDATE sources SET left_since = CASE WHEN id = $2 THEN NULL ELSE coalesce(left_since, $3) END
                 WHERE flow = $1";
            execute(&tx, leave, &[&flow, &source.id, &to_db(request.now)]).await?;
            execute(&tx, "UPDATE flows SET source_id = $2 WHERE id = $1", &[&flow, &source.id]).await?;
        }
        tx.commit().await?;
        Ok(source)
    }

    /// Rows of the source from before this moment are not mailed.
    pub(in crate::store) async fn set_baseline(
        &mut self,
        source: i64,
        baseline: Timestamp,
    ) -> Result<(), Failure> {
        let owner = self.owner.clone();
        let tx = self.transaction().await?;
        check_owner(&tx, &owner).await?;
        let put = "UPDATE sources SET begin = $2, watermark = NULL, looked_back = NULL WHERE id = $1";
        execute(&tx, put, &[&source, &to_db(baseline)]).await?;
        let done = "UPDATE flows SET preset_begin = NULL WHERE id = (SELECT flow FROM sources WHERE id = $1)";
        execute(&tx, done, &[&source]).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Gives flows that have read nothing yet this baseline.
    pub(in crate::store) async fn preset_baseline(
        &mut self,
        flows: &[String],
        baseline: Timestamp,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let names: Vec<&str> = flows.iter().map(String::as_str).collect();
        let tx = self.transaction().await?;
        see_all(&tx, &names, &vec![to_db(now); names.len()]).await?;
        let put = "UPDATE flows SET preset_begin = $2 WHERE name = ANY ($1::text[]) AND source_id IS NULL";
        execute(&tx, put, &[&names, &to_db(baseline)]).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The baseline that the flow's next source gets, if `recover` has said so.
    pub(in crate::store) async fn preset_baseline_of(
        &self,
        flow: &str,
    ) -> Result<Option<Timestamp>, Failure> {
        let found = maybe_row(self, "SELECT preset_begin FROM flows WHERE name = $1", &[&text(flow)]).await?;
        Ok(found.and_then(|row| row.get::<_, Option<i64>>(0)).map(from_db))
    }

    /// Every table that the flow reads or has read.
    pub(in crate::store) async fn sources(&self, flow: &str) -> Result<Vec<Source>, Failure> {
        let ask = format!(
            "SELECT {COLUMNS} FROM sources WHERE flow = (SELECT id FROM flows WHERE name = $1)
             AND coalesce(left_since, 1) <> 0 ORDER BY id"
        );
        Ok(rows(self, &ask, &[&text(flow)]).await?.iter().map(|row| source_of(row, 0)).collect())
    }

    /// Forgets some of the tables that were left before this moment. Returns whether there may be more to
    /// forget: other operations go first.
    pub(in crate::store) async fn prune_sources(&mut self, before: Timestamp) -> Result<bool, Failure> {
        let tx = self.transaction().await?;
        let left = "SELECT id FROM sources WHERE left_since < $1 LIMIT 1 FOR UPDATE SKIP LOCKED";
        let Some(found) = maybe_row(&tx, left, &[&to_db(before)]).await? else { return Ok(false) };
        let source: i64 = found.get(0);
        // Nobody comes back to what is half forgotten.
        let forget = "UPDATE sources SET identity = 'forgotten:' || id, left_since = 0, first_due = NULL, begin = NULL,
                 watermark = NULL, looked_back = NULL WHERE id = $1 AND left_since <> 0";
        execute(&tx, forget, &[&source]).await?;
        for table in ["earlier", "keys"] {
            let some = format!(
                "DELETE FROM {table} WHERE source = $1 AND key IN (SELECT key FROM {table} WHERE source = $1 LIMIT $2)"
            );
            if execute(&tx, &some, &[&source, &DELETED_TOGETHER]).await? > 0 {
                tx.commit().await?;
                return Ok(true);
            }
        }
        execute(&tx, "DELETE FROM sources WHERE id = $1", &[&source]).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// One that the flow has not read yet. Until it is to stay it counts as left.
async fn insert(tx: &Transaction<'_>, flow: i64, request: &SourceRequest) -> Result<Source, Failure> {
    let first_due = request.is_to_stay.then_some(request.due);
    let insert =
        "INSERT INTO sources (flow, identity, first_due, left_since) VALUES ($1, $2, $3, $4) RETURNING id";
    let id = row(tx, insert, &[&flow, &request.identity, &first_due.map(to_db), &to_db(request.now)])
        .await?
        .get(0);
    Ok(Source { id, identity: request.identity.clone(), first_due, progress: None })
}

/// The columns of [`COLUMNS`], from this one on.
pub(super) fn source_of(row: &Row, first: usize) -> Source {
    let moment = |column| row.get::<_, Option<i64>>(first + column).map(from_db);
    let (watermark, last_deep_scan) = (moment(4), moment(5));
    let progress = moment(3).map(|baseline| Progress { baseline, watermark, last_deep_scan });
    Source { id: row.get(first), identity: row.get(first + 1), first_due: moment(2), progress }
}
