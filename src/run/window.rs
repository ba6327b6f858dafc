//! Step 2: how far back a run reads.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tracing::{info, warn};

use super::query::{filled, key_of};
use super::record::Record;
use super::{RunError, Workplace};
use crate::flow::Flow;
use crate::row::Key;
use crate::store::Reading;
use crate::table::{Query, Table};
use crate::window::{Mode, Past};

/// What a run reads, and what it already knows.
#[derive(Debug)]
pub(super) struct Opened {
    /// Rows with a later `Timestamp` are read.
    pub(super) past_time: Timestamp,
    /// Begin, watermark and deep scan before this run; `None` for a fixed window.
    pub(super) reading: Option<Reading>,
    /// The table is read for the first time by this flow.
    pub(super) is_first: bool,
    /// Rows from before begin, which are never mailed.
    pub(super) before_begin: HashSet<Key>,
    /// This is the deep scan of the day.
    pub(super) looks_back: bool,
}

/// The earliest moment the service knows.
const EVER: Timestamp = Timestamp::constant(-11_644_473_600, 0);

/// Beyond this the machine's clock or the server's is wrong.
pub(super) const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(5);

pub(super) async fn open(
    place: &Workplace,
    flow: &Flow,
    table: &Table,
    record: &mut Record,
) -> Result<Opened, RunError> {
    if flow.window.mode == Mode::Fixed {
        return open_fixed(place, flow, table, record).await;
    }
    let name = flow.name.clone();
    let known = place.store.call(move |store| store.reading(&name)).await?;
    match known.filter(|reading| reading.source == table.identity()) {
        Some(reading) => Ok(open_again(place, flow, reading, record)),
        None => open_first(place, flow, table, record).await,
    }
}

/// Power Automate's way: the server's time minus the window, and no memory.
async fn open_fixed(
    place: &Workplace,
    flow: &Flow,
    table: &Table,
    record: &mut Record,
) -> Result<Opened, RunError> {
    let now = table.ask_time().await?.date.unwrap_or_else(|| place.clock.now());
    let past_time = flow.window.length_before(now);
    let inputs =
        json!({ "mode": "fixed", "window_s": flow.window.length.as_secs(), "server_time": now.to_string() });
    record.step("window", inputs, json!({ "past_time": past_time.to_string(), "reason": "now − window" }));
    Ok(Opened { past_time, reading: None, is_first: false, before_begin: HashSet::new(), looks_back: false })
}

fn open_again(place: &Workplace, flow: &Flow, reading: Reading, record: &mut Record) -> Opened {
    let now = place.clock.now();
    let found = flow.window.past_time(now, &reading.past);
    let looks_back = flow.window.look_back_is_due(now, &reading.past);
    let Past { begin, watermark, .. } = reading.past;
    let inputs = json!({
        "mode": "covering", "window_s": flow.window.length.as_secs(), "overlap_s": flow.window.overlap.as_secs(),
        "begin": begin.to_string(), "watermark": watermark.map(|at| at.to_string()),
    });
    record.step(
        "window",
        inputs,
        json!({ "past_time": found.at.to_string(), "reason": found.reason.words() }),
    );
    Opened {
        past_time: found.at,
        reading: Some(reading),
        is_first: false,
        before_begin: HashSet::new(),
        looks_back,
    }
}

/// The flow's begin: what lies before it is known from now on, so that a later write to an old
/// row is no news.
async fn open_first(
    place: &Workplace,
    flow: &Flow,
    table: &Table,
    record: &mut Record,
) -> Result<Opened, RunError> {
    let served = table.ask_time().await?;
    let now = served.date.unwrap_or_else(|| place.clock.now());
    let begin = flow.window.length_before(now);
    let mut before_begin = HashSet::new();
    let select = Some(vec!["PartitionKey".to_owned(), "RowKey".to_owned()]);
    let mut scan = table.scan(Query { filter: filled(flow, EVER), select });
    while let Some(page) = scan.next().await? {
        let old = page.rows.iter().filter(|row| row.timestamp.parse().is_ok_and(|at: Timestamp| at <= begin));
        before_begin.extend(old.map(|row| key_of(flow, row)));
    }
    info!(
        flow = flow.name,
        known = before_begin.len(),
        "the flow begins: rows before {begin} are not mailed"
    );
    if served.date.is_none() {
        warn!(flow = flow.name, "the table service tells no time; this machine's clock stands in for it");
    }
    let inputs = json!({
        "mode": "covering", "window_s": flow.window.length.as_secs(), "server_time": now.to_string(),
        "table": table.identity(),
    });
    let outputs = json!({
        "past_time": begin.to_string(), "reason": "the flow's first run: rows before it are not mailed",
        "rows_before": before_begin.len(),
    });
    record.step("window", inputs, outputs);
    // The deep scan of the day is counted from begin; it cannot reach further anyway.
    let past = Past { begin, watermark: None, looked_back: Some(place.clock.now()) };
    let reading = Some(Reading { source: table.identity(), past });
    Ok(Opened { past_time: begin, reading, is_first: true, before_begin, looks_back: false })
}
