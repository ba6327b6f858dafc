//! The state seen from outside, and the faults that a broken leadflow could put into it: all the SQL of the
//! simulation.

use async_trait::async_trait;
use futures::FutureExt as _;
use jiff::Timestamp;
use leadflow::platform::blocking::Interruption;
use leadflow::store::{MessageRecord, RunFilter, Store, StoreError};

/// `SQLite`'s own limit.
const NO_LIMIT: i64 = 4_294_967_294;

/// Nothing befalls who looks from outside.
#[derive(Debug)]
pub(super) struct Undisturbed;

#[async_trait]
impl Interruption for Undisturbed {
    async fn point(&self) {}

    fn is_state_busy(&self) -> bool {
        false
    }
}

/// What an operation comes to on a state whose work is [`Undisturbed`]: it is done in place.
pub(super) fn at_once<T>(operation: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    operation.now_or_never().unwrap_or(Err(StoreError::Stopped))
}

/// A full disk has room for `pages` more pages; `None` heals it.
pub(super) fn limit(store: &Store, pages: Option<i64>) -> Result<(), StoreError> {
    let most = match pages {
        Some(more) => {
            let count = store.raw("PRAGMA page_count")?.and_then(|count| count.parse::<i64>().ok());
            count.unwrap_or_default() + more
        }
        None => NO_LIMIT,
    };
    store.raw(&format!("PRAGMA max_page_count = {most}")).map(drop)
}

/// What `PRAGMA integrity_check` says: `ok`.
pub(super) fn integrity(store: &Store) -> Result<String, StoreError> {
    Ok(store.raw("PRAGMA integrity_check")?.unwrap_or_default())
}

/// The mails of every run, with what became of them.
pub(super) fn all_mails(store: &Store) -> Result<Vec<MessageRecord>, StoreError> {
    let mut all = Vec::new();
    for run in at_once(store.find_runs(RunFilter::default()))? {
        all.extend(at_once(store.mails_of(run.id))?);
    }
    Ok(all)
}

/// A fault: the watermark moves though nothing is committed.
pub(super) fn move_watermark(store: &Store, flow: &str, at: Timestamp) -> Result<(), StoreError> {
    let at = at.as_microsecond();
    let set = format!(
        "UPDATE sources SET watermark = max(watermark, {at})
         WHERE id = (SELECT source_id FROM flows WHERE name = '{flow}') AND watermark IS NOT NULL"
    );
    store.raw(&set).map(drop)
}

/// A fault: a flow begins by the first answer, whenever that comes.
pub(super) fn forget_due(store: &Store) -> Result<(), StoreError> {
    store.raw("UPDATE flows SET due_since = NULL")?;
    store.raw("UPDATE sources SET first_due = NULL WHERE begin IS NULL").map(drop)
}

/// A fault: of a table that the flow does not read any more nothing is kept.
pub(super) fn forget_left_sources(store: &Store) -> Result<(), StoreError> {
    store.raw("DELETE FROM keys WHERE source IN (SELECT id FROM sources WHERE left_since IS NOT NULL)")?;
    store.raw("DELETE FROM sources WHERE left_since IS NOT NULL").map(drop)
}

/// A fault: what was handed on is forgotten.
pub(super) fn forget_keys(store: &Store) -> Result<(), StoreError> {
    store.raw("DELETE FROM keys").map(drop)
}

/// A fault: what was being sent waits again, as if nothing could have arrived.
pub(super) fn forget_sending(store: &Store) -> Result<(), StoreError> {
    store.raw("UPDATE mails SET sending = 0").map(drop)
}
