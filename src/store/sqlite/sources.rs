//! The tables that a flow reads or has read, and how far it has read each.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use super::flows::see;
use super::nodes::check_owner;
use super::{Database, Failure, from_db, to_db};
use crate::schedule::window::Progress;
use crate::store::{Source, SourceRequest};

/// `begin` is the baseline, `looked_back` the last deep scan.
const COLUMNS: &str = "sources.id, identity, first_due, begin, watermark, looked_back";
/// Keys that are deleted in one transaction, which the runs wait for.
const DELETED_TOGETHER: u32 = 10_000;

impl Database {
    /// The source of that identity, which is made if the flow has never read it.
    pub(crate) fn open_source(&mut self, request: &SourceRequest) -> Result<Source, Failure> {
        let clock = self.lease_now();
        let tx = self.db.transaction()?;
        check_owner(&tx, &self.owner, clock)?;
        let flow: i64 =
            tx.query_row("SELECT id FROM flows WHERE name = ?1", [&request.flow], |row| row.get(0))?;
        let found = tx
            .query_row(
                &format!(
                    "SELECT {COLUMNS} FROM sources WHERE flow = ?1 AND (identity = ?2 OR id = ?3)
                     AND coalesce(left_since, 1) != 0 ORDER BY identity != ?2 LIMIT 1"
                ),
                params![flow, request.identity, request.known],
                |row| source_of(row, 0),
            )
            .optional()?;
        let source = match found {
            Some(known) => {
                let put = "UPDATE sources SET identity = ?2 WHERE id = ?1 AND identity != ?2";
                tx.execute(put, params![known.id, request.identity])?;
                Source { identity: request.identity.clone(), ..known }
            }
            None => insert(&tx, flow, request)?,
        };
        if request.is_to_stay {
            tx.execute(
                "UPDATE sources SET left_since = iif(id = ?2, NULL, coalesce(left_since, ?3)) WHERE flow \
                 = ?1",
                params![flow, source.id, to_db(request.now)],
            )?;
            tx.execute("UPDATE flows SET source_id = ?2 WHERE id = ?1", [flow, source.id])?;
        }
        tx.commit()?;
        Ok(source)
    }

    /// Rows of the source from before this moment are not mailed.
    pub(crate) fn set_baseline(&mut self, source: i64, baseline: Timestamp) -> Result<(), Failure> {
        let clock = self.lease_now();
        let tx = self.db.transaction()?;
        check_owner(&tx, &self.owner, clock)?;
        tx.execute(
            "UPDATE sources SET begin = ?2, watermark = NULL, looked_back = NULL WHERE id = ?1",
            params![source, to_db(baseline)],
        )?;
        let done = "UPDATE flows SET preset_begin = NULL WHERE id = (SELECT flow FROM sources WHERE id = \
                    ?1)";
        tx.execute(done, [source])?;
        tx.commit()?;
        Ok(())
    }

    /// Gives flows that have read nothing yet this baseline.
    pub(crate) fn preset_baseline(
        &mut self,
        flows: &[String],
        baseline: Timestamp,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let tx = self.db.transaction()?;
        let put = "UPDATE flows SET preset_begin = ?2 WHERE name = ?1 AND source_id IS NULL";
        for flow in flows {
            see(&tx, flow, now)?;
            tx.execute(put, params![flow, to_db(baseline)])?;
        }
        tx.commit()?;
        Ok(())
    }

    /// The baseline that the flow's next source gets, if `recover` has said so.
    pub(crate) fn preset_baseline_of(&self, flow: &str) -> Result<Option<Timestamp>, Failure> {
        let ask = "SELECT preset_begin FROM flows WHERE name = ?1";
        let baseline: Option<Option<i64>> = self.db.query_row(ask, [flow], |row| row.get(0)).optional()?;
        Ok(baseline.flatten().map(from_db))
    }

    /// Every table that the flow reads or has read.
    pub(crate) fn sources(&self, flow: &str) -> Result<Vec<Source>, Failure> {
        let mut ask = self.db.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM sources WHERE flow = (SELECT id FROM flows WHERE name = ?1)
             AND coalesce(left_since, 1) != 0 ORDER BY id"
        ))?;
        Ok(ask.query_map([flow], |row| source_of(row, 0))?.collect::<Result<_, _>>()?)
    }

    /// Forgets some of the tables that were left before this moment. Returns whether there may be more to
    /// forget: other operations go first.
    pub(crate) fn prune_sources(&mut self, before: Timestamp) -> Result<bool, Failure> {
        let tx = self.db.transaction()?;
        let left = "SELECT id FROM sources WHERE left_since < ?1 LIMIT 1";
        let Some(source) = tx.query_row(left, [to_db(before)], |row| row.get::<_, i64>(0)).optional()? else {
            return Ok(false);
        };
        // Nobody comes back to what is half forgotten.
        tx.execute(
            "UPDATE sources SET identity = 'forgotten:' || id, left_since = 0, first_due = NULL, begin = NULL,
                 watermark = NULL, looked_back = NULL WHERE id = ?1 AND left_since != 0",
            [source],
        )?;
        for table in ["earlier", "keys"] {
            let some = format!(
                "DELETE FROM {table} WHERE source = ?1 AND key IN (SELECT key FROM {table} WHERE source = \
                 ?1 LIMIT ?2)"
            );
            if tx.execute(&some, params![source, DELETED_TOGETHER])? > 0 {
                tx.commit()?;
                return Ok(true);
            }
        }
        tx.execute("DELETE FROM sources WHERE id = ?1", [source])?;
        tx.commit()?;
        Ok(true)
    }
}

/// One that the flow has not read yet. Until it is to stay it counts as left.
fn insert(tx: &Transaction<'_>, flow: i64, request: &SourceRequest) -> rusqlite::Result<Source> {
    tx.execute(
        "INSERT INTO sources (flow, identity, first_due, left_since) VALUES (?1, ?2, ?3, ?4)",
        params![flow, request.identity, request.is_to_stay.then(|| to_db(request.due)), to_db(request.now)],
    )?;
    Ok(Source {
        id: tx.last_insert_rowid(),
        identity: request.identity.clone(),
        first_due: request.is_to_stay.then_some(request.due),
        progress: None,
    })
}

/// The table that a flow reads, from the columns of a row from `first` on.
pub(super) fn source_at(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<Source>> {
    if row.get_ref(first)? == rusqlite::types::ValueRef::Null {
        Ok(None)
    } else {
        source_of(row, first).map(Some)
    }
}

fn source_of(row: &Row<'_>, first: usize) -> rusqlite::Result<Source> {
    let moment = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(first + column)?.map(from_db));
    let watermark = moment(4)?;
    let last_deep_scan = moment(5)?;
    let progress = moment(3)?.map(|baseline| Progress { baseline, watermark, last_deep_scan });
    Ok(Source { id: row.get(first)?, identity: row.get(first + 1)?, first_due: moment(2)?, progress })
}

/// Notes how far a source has been read.
pub(super) fn move_on(db: &Connection, source: i64, progress: Option<Progress>) -> rusqlite::Result<()> {
    let moment = |at: Option<Timestamp>| at.map(to_db);
    match progress {
        Some(Progress { baseline, watermark, last_deep_scan }) => db
            .prepare_cached(
                "UPDATE sources SET first_due = NULL, begin = ?2, watermark = ?3, looked_back = ?4 WHERE \
                 id = ?1",
            )?
            .execute(params![source, to_db(baseline), moment(watermark), moment(last_deep_scan)])?,
        // Should the window become a covering one, the baseline is set then.
        None => db
            .prepare_cached("UPDATE sources SET first_due = NULL WHERE id = ?1 AND first_due IS NOT NULL")?
            .execute([source])?,
    };
    Ok(())
}
