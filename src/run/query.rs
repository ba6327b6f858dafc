//! Steps 3 and 4: every page to the clean end, and of each page the rows that are new.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tracing::warn;

use super::record::Record;
use super::window::{CLOCKS_DIFFER, Opened};
use super::{RunError, Workplace};
use crate::filter;
use crate::flow::{Flow, NotifyOn};
use crate::row::{Key, Row};
use crate::spool::Spool;
use crate::table::{Page, Query, Table};

/// The new rows of a run.
#[derive(Debug)]
pub(super) struct Found {
    /// The rows, in the order of the scan.
    pub(super) spool: Spool,
    /// Their keys, in the same order.
    pub(super) keys: Vec<Key>,
    /// The scan's start in the server's time; `None` leaves the watermark where it is.
    pub(super) watermark: Option<Timestamp>,
}

/// The flow's filter with a past time filled in.
pub(super) fn filled(flow: &Flow, past_time: Timestamp) -> Option<String> {
    flow.table.filter.as_ref().map(|text| filter::fill(text, past_time))
}

/// The name under which the flow remembers the row.
pub(super) fn key_of(flow: &Flow, row: &Row) -> Key {
    match flow.table.notify_on {
        NotifyOn::New => Key::of_row(row),
        NotifyOn::Change => Key::of_version(row),
    }
}

pub(super) async fn new_rows(
    place: &Workplace,
    flow: &Flow,
    table: &Table,
    window: &Opened,
    record: &mut Record,
) -> Result<Found, RunError> {
    let query = Query { filter: filled(flow, window.past_time), select: flow.table.select.clone() };
    let inputs = json!({ "table": table.identity(), "filter": query.filter, "select": query.select });
    let mut found = Found { spool: Spool::new(&place.folder), keys: Vec::new(), watermark: None };
    let (mut pages, mut scanned, mut waited) = (0_u64, 0_usize, Duration::ZERO);
    let mut seen = HashSet::new();
    let mut scan = table.scan(query);
    while let Some(page) = scan.next().await? {
        if pages == 0 {
            found.watermark = watermark(place, flow, &page);
        }
        pages += 1;
        scanned += page.rows.len();
        waited += page.served.took;
        keep_new(place, flow, window, page, &mut seen, &mut found).await?;
    }
    let outputs = json!({ "pages": pages, "rows": scanned, "service_ms": waited.as_millis() });
    record.step("query", inputs, outputs);
    let known = scanned - found.keys.len();
    record.step("new rows", json!({ "rows": scanned }), json!({ "new": found.keys.len(), "known": known }));
    Ok(found)
}

/// Appends those rows of the page that the flow has not handed on, and that this scan has not seen.
async fn keep_new(
    place: &Workplace,
    flow: &Flow,
    window: &Opened,
    page: Page,
    seen: &mut HashSet<Key>,
    found: &mut Found,
) -> Result<(), RunError> {
    let keys: Vec<Key> = page.rows.iter().map(|row| key_of(flow, row)).collect();
    let known = if window.reading.is_none() || window.is_first {
        vec![false; keys.len()]
    } else {
        let (name, keys) = (flow.name.clone(), keys.clone());
        place.store.call(move |store| store.known(&name, &keys)).await?
    };
    for ((row, key), known) in page.rows.iter().zip(keys).zip(known) {
        if !known && !window.before_begin.contains(&key) && seen.insert(key) {
            found.spool.push(row)?;
            found.keys.push(key);
        }
    }
    Ok(())
}

/// Where the next run may go on, if the clocks can be trusted.
fn watermark(place: &Workplace, flow: &Flow, first: &Page) -> Option<Timestamp> {
    let Some(began) = first.served.began() else {
        warn!(
            flow = flow.name,
            "the table service tells no time: the watermark stays, so runs read more and more"
        );
        return None;
    };
    let apart = place.clock.now().duration_since(began).abs();
    if apart > CLOCKS_DIFFER {
        warn!(
            flow = flow.name,
            seconds = apart.as_secs(),
            "this machine's clock and the table service's differ: the watermark stays; set this machine's clock (timedatectl)"
        );
        return None;
    }
    Some(began)
}
