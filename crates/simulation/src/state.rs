//! The state seen from outside, and the faults that a broken leadflow could put into it: all the SQL of the
//! simulation.

use async_trait::async_trait;
use futures::FutureExt as _;
use jiff::Timestamp;
use leadflow::platform::blocking::Interruption;
use leadflow::store::{LEASE, MessageRecord, RunFilter, Store, StoreError};

/// `SQLite`'s own limit.
const NO_LIMIT: i64 = 4_294_967_294;

/// Who asks for what commands leave.
pub(super) const WHO_ASKS: &str = "anna";

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

/// The result of an operation on a state whose work is [`Undisturbed`]: it is done in place.
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

/// A request to turn a flow off or on that waits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    id: i64,
    pub(super) flow: String,
    pub(super) is_off: bool,
}

/// The requests that wait.
pub(super) fn waiting_requests(store: &Store) -> Vec<Waiting> {
    let ask = "SELECT group_concat(id || ' ' || flow || ' ' || kind, ';') FROM requests
               WHERE run IS NULL AND answer IS NULL";
    let of_row = |row: &str| {
        let mut parts = row.split(' ');
        let id = parts.next()?.parse().ok()?;
        let flow = parts.next()?.to_owned();
        Some(Waiting { id, flow, is_off: parts.next() == Some("off") })
    };
    rows(store, ask).iter().filter_map(|row| of_row(row)).collect()
}

/// Flows, each with the run that is under way for a slot which no run that has ended has taken.
pub(super) fn left_under_way(store: &Store) -> Vec<(String, i64)> {
    let ask = "SELECT group_concat(name || ' ' || runs.id, ';') FROM runs JOIN flows ON flows.id = runs.flow
               WHERE outcome = 'running' AND due IS NOT NULL AND NOT EXISTS (
                   SELECT 1 FROM runs AS other WHERE other.flow = runs.flow
                   AND other.outcome NOT IN ('running', 'interrupted') AND other.due >= runs.due)";
    let of_row = |row: &str| {
        let (flow, run) = row.split_once(' ')?;
        Some((flow.to_owned(), run.parse().ok()?))
    };
    rows(store, ask).iter().filter_map(|row| of_row(row)).collect()
}

/// Whether the flow has a run that was begun after this one.
pub(super) fn has_later_run(store: &Store, flow: &str, run: i64) -> bool {
    let ask = format!(
        "SELECT group_concat(id, ';') FROM runs
         WHERE id > {run} AND flow = (SELECT id FROM flows WHERE name = '{flow}')"
    );
    !rows(store, &ask).is_empty()
}

/// Whether `leadflow off` keeps the flow off.
pub(super) fn is_off(store: &Store, flow: &str) -> bool {
    let ask = format!("SELECT off_since FROM flows WHERE name = '{flow}'");
    !rows(store, &ask).is_empty()
}

/// What one text holds that puts rows together.
fn rows(store: &Store, ask: &str) -> Vec<String> {
    let all = store.raw(ask).ok().flatten().unwrap_or_default();
    all.split(';').filter(|row| !row.is_empty()).map(str::to_owned).collect()
}

/// A fault: the slots of runs count as taken while they are under way.
pub(super) fn take_slots(store: &Store) -> Result<(), StoreError> {
    let set = "UPDATE flows SET last_slot = max(coalesce(last_slot, runs.due), runs.due)
               FROM runs WHERE runs.flow = flows.id AND runs.outcome = 'running' AND runs.due IS NOT NULL";
    store.raw(set).map(drop)
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

/// A fault: what was seen is forgotten.
pub(super) fn forget_keys(store: &Store) -> Result<(), StoreError> {
    store.raw("DELETE FROM keys").map(drop)
}

/// A fault: what was being sent waits again, as if nothing could have arrived.
pub(super) fn forget_sending(store: &Store) -> Result<(), StoreError> {
    store.raw("UPDATE mails SET sending = 0").map(drop)
}

/// A node that is at rest has renewed its lease at this moment.
pub(super) fn renew_lease(store: &Store, node: &str, seen: i64) -> Result<(), StoreError> {
    let until = seen + i64::try_from(LEASE.as_micros()).unwrap_or_default();
    let set = format!(
        "UPDATE nodes SET seen = {seen}, lease_until = {until} WHERE name = '{node}' AND owner IS NOT NULL"
    );
    store.raw(&set).map(drop)
}
