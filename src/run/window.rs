//! Step 2: how far back a run reads.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tracing::{info, warn};

use super::query::filled;
use super::record::Record;
use super::{RunError, Workplace};
use crate::crash_point::crash_point;
use crate::flow::Flow;
use crate::history::Range;
use crate::row::{Key, Mark, Version};
use crate::store::{Begun, Reading, StoreError};
use crate::table::{Query, Table};
use crate::window::{EVER, Mode, Past};

/// What a run reads, and what it already knows.
#[derive(Debug)]
pub(super) struct Opened {
    /// Rows with a later `Timestamp` are read.
    pub(super) past_time: Timestamp,
    /// Begin, watermark and deep scan before this run; `None` for a fixed window.
    pub(super) reading: Option<Reading>,
    /// No scan of this table was committed yet.
    pub(super) is_first: bool,
    /// Rows from before begin, which are never mailed; in the order of their keys.
    pub(super) before_begin: Vec<Mark>,
    /// This is the deep scan of the day.
    pub(super) looks_back: bool,
    /// The range of the past that the run is about, and whether what was mailed is mailed again.
    pub(super) past: Option<(Timestamp, bool)>,
}

impl Opened {
    /// Which version of a row there was before begin.
    pub(super) fn version_before_begin(&self, key: Key) -> Option<Version> {
        let at = self.before_begin.binary_search_by_key(&key, |mark| mark.key).ok()?;
        Some(self.before_begin[at].version)
    }

    /// One that moves nothing.
    fn standing(past_time: Timestamp, past: Option<(Timestamp, bool)>) -> Self {
        Self { past_time, reading: None, is_first: false, before_begin: Vec::new(), looks_back: false, past }
    }
}

/// Beyond this the machine's clock or the server's is wrong.
pub(crate) const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(5);

pub(super) async fn open(
    place: &Workplace,
    flow: &Flow,
    table: &Table,
    begun: Begun,
    range: Range,
    record: &mut Record,
) -> Result<Opened, RunError> {
    if let Range::Past { from, to, again } = range {
        let inputs =
            json!({ "mode": "past", "from": from.to_string(), "to": to.to_string(), "again": again });
        record.step("window", inputs, json!({ "past_time": from.to_string(), "reason": "as it was asked" }));
        return Ok(Opened::standing(from, Some((to, again))));
    }
    let is_same = begun.source.as_deref() == Some(&table.identity());
    if flow.window.mode == Mode::Fixed {
        if !is_same {
            Box::pin(begin_reading(place, flow, table, None)).await?;
        }
        return Box::pin(open_fixed(place, flow, table, record)).await;
    }
    let reading = match begun.past.filter(|_| is_same) {
        Some(past) => Reading { source: table.identity(), past },
        None => Box::pin(begin(place, flow, table)).await?,
    };
    // Until the first scan is committed, what lies before begin is not known.
    if reading.past.looked_back.is_none() {
        return Box::pin(open_first(flow, table, reading, record)).await;
    }
    Ok(open_again(place, flow, reading, record))
}

/// The flow's begin, one window before now unless `recover` has said otherwise; it is recorded before anything is read, so that it
/// stays where it is should this run fail.
async fn begin(place: &Workplace, flow: &Flow, table: &Table) -> Result<Reading, RunError> {
    let date = table.ask_time().await?.date;
    // Read at once: the state may keep the run waiting.
    let now = date.unwrap_or_else(|| place.clock.now());
    if date.is_none() {
        warn!(flow = flow.name, "the table service tells no time; this machine's clock stands in for it");
    }
    let name = flow.name.clone();
    let preset = place.store.call(move |store| store.begin_preset(&name)).await?;
    let begin = preset.unwrap_or_else(|| flow.window.length_before(now));
    begin_reading(place, flow, table, Some(begin)).await?;
    crash_point("begin-recorded");
    info!(flow = flow.name, "the flow begins: rows before {begin} are not mailed");
    let past = Past { begin, watermark: None, looked_back: None };
    Ok(Reading { source: table.identity(), past })
}

async fn begin_reading(
    place: &Workplace,
    flow: &Flow,
    table: &Table,
    begin: Option<Timestamp>,
) -> Result<(), StoreError> {
    let (name, source) = (flow.name.clone(), table.identity());
    place.store.call(move |store| store.begin_reading(&name, &source, begin)).await
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
    Ok(Opened::standing(past_time, None))
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
        before_begin: Vec::new(),
        looks_back,
        past: None,
    }
}

/// What lies before begin is known from now on, so that a later write to an old row is no news.
async fn open_first(
    flow: &Flow,
    table: &Table,
    reading: Reading,
    record: &mut Record,
) -> Result<Opened, RunError> {
    let begin = reading.past.begin;
    let mut before_begin = Vec::new();
    let select = Some(vec!["PartitionKey".to_owned(), "RowKey".to_owned()]);
    let mut scan = table.scan(Query { filter: filled(flow, EVER), select });
    while let Some(page) = scan.next().await? {
        let old = page.rows.iter().filter(|row| row.timestamp.parse().is_ok_and(|at: Timestamp| at <= begin));
        before_begin.extend(old.map(Mark::of));
    }
    // Of a row that came twice the later version counts.
    before_begin.reverse();
    before_begin.sort_by_key(|mark| mark.key);
    before_begin.dedup_by_key(|mark| mark.key);
    let inputs = json!({
        "mode": "covering", "window_s": flow.window.length.as_secs(), "table": table.identity(),
    });
    let outputs = json!({
        "past_time": begin.to_string(), "reason": "the flow's first run: rows before it are not mailed",
        "rows_before": before_begin.len(),
    });
    record.step("window", inputs, outputs);
    Ok(Opened {
        past_time: begin,
        reading: Some(reading),
        is_first: true,
        before_begin,
        looks_back: false,
        past: None,
    })
}
