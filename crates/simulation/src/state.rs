//! The state seen from outside, and the faults that a broken leadflow could put into it: all the SQL of the
//! simulation.

use jiff::Timestamp;
use leadflow::store::{MailRecord, Store, StoreError};
use rusqlite::params;

/// `SQLite`'s own limit.
const NO_LIMIT: i64 = 4_294_967_294;

/// A full disk has room for `pages` more pages; `None` heals it.
pub(super) fn limit(store: &Store, pages: Option<i64>) -> Result<(), StoreError> {
    let db = store.connection();
    let most = match pages {
        Some(more) => db.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0))? + more,
        None => NO_LIMIT,
    };
    let set = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
    db.query_row(&format!("PRAGMA max_page_count = {most}"), [], set)?;
    Ok(())
}

/// What `PRAGMA integrity_check` says: `ok`.
pub(super) fn integrity(store: &Store) -> Result<String, StoreError> {
    Ok(store.connection().query_row("PRAGMA integrity_check", [], |row| row.get(0))?)
}

/// The mails of every run, with what became of them.
pub(super) fn all_mails(store: &Store) -> Result<Vec<MailRecord>, StoreError> {
    let mut all = Vec::new();
    for run in store.runs(None, u32::MAX)? {
        all.extend(store.mails_of(run.id)?);
    }
    Ok(all)
}

/// A fault: the watermark moves though nothing is committed.
pub(super) fn move_watermark(store: &Store, flow: &str, at: Timestamp) -> Result<(), StoreError> {
    let set = "UPDATE sources SET watermark = max(watermark, ?2)
        WHERE id = (SELECT source_id FROM flows WHERE name = ?1) AND watermark IS NOT NULL";
    store.connection().execute(set, params![flow, at.as_microsecond()])?;
    Ok(())
}

/// A fault: a flow begins by the first answer, whenever that comes.
pub(super) fn forget_due(store: &mut Store) -> Result<(), StoreError> {
    store.connection().execute_batch(
        "UPDATE flows SET due_since = NULL; UPDATE sources SET first_due = NULL WHERE begin IS NULL",
    )?;
    Ok(())
}

/// A fault: of a table that the flow does not read any more nothing is kept.
pub(super) fn forget_left_sources(store: &mut Store) -> Result<(), StoreError> {
    store.connection().execute_batch(
        "DELETE FROM keys WHERE source IN (SELECT id FROM sources WHERE left_since IS NOT NULL);
         DELETE FROM sources WHERE left_since IS NOT NULL",
    )?;
    Ok(())
}

/// A fault: what was handed on is forgotten.
pub(super) fn forget_keys(store: &mut Store) -> Result<(), StoreError> {
    store.connection().execute("DELETE FROM keys", [])?;
    Ok(())
}

/// A fault: what was being sent waits again, as if nothing could have arrived.
pub(super) fn forget_sending(store: &mut Store) -> Result<(), StoreError> {
    store.connection().execute("UPDATE mails SET sending = 0", [])?;
    Ok(())
}
