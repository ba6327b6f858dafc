//! What the next run of a flow would read, and which of these rows it would process.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::engine::run::{RunError, source_of};
use crate::flow::Flow;
use crate::platform::clock::Clock;
use crate::rows::row::{Row, RowId, RowMark};
use crate::schedule::window::{FirstAnswer, Mode, Progress};
use crate::services::table::{Table, TableReader as _};
use crate::store::{Source, Store, StoreError};

/// What the next run of a flow would start from, if it began now.
#[derive(Debug)]
pub(crate) struct NextRun {
    /// Rows with a later `Timestamp` are read.
    pub(crate) past_time: Timestamp,
    /// The flow has not read this table yet.
    pub(crate) is_first: bool,
    /// The number of the table whose rows it remembers; `None` where it remembers none.
    source: Option<i64>,
    seen: HashSet<RowId>,
}

impl NextRun {
    /// By the state, which is only read.
    ///
    /// # Errors
    /// As a run.
    pub(crate) async fn read(
        flow: &Flow,
        table: &Table,
        clock: &Clock,
        store: Option<&Store>,
    ) -> Result<Self, RunError> {
        let seen = HashSet::new();
        if flow.window.mode == Mode::Fixed {
            let now = table.ask_time().await?.date.unwrap_or_else(|| clock.now());
            let past_time = flow.window.length_before(now);
            return Ok(Self { past_time, is_first: false, source: None, seen });
        }
        let known = match store {
            Some(store) => store.sources(&flow.name).await?,
            None => Vec::new(),
        };
        let known = source_of(table, &known);
        let past_time = match known.and_then(|source| source.progress) {
            Some(progress @ Progress { last_deep_scan: Some(_), .. }) => {
                flow.window.past_time(clock.now(), &progress).at
            }
            Some(progress) => progress.baseline,
            None => baseline(flow, table, clock, store, known).await?,
        };
        let is_first = known.is_none_or(|source| source.progress.is_none());
        Ok(Self { past_time, is_first, source: known.map(|source| source.id), seen })
    }

    /// Of the rows of a page, those that the run would process; the others are counted.
    ///
    /// # Errors
    /// When the state fails.
    pub(crate) async fn new_rows(
        &mut self,
        flow: &Flow,
        rows: Vec<Row>,
        store: Option<&Store>,
        left_out: &mut u64,
    ) -> Result<Vec<Row>, StoreError> {
        let marks: Vec<_> = rows.iter().map(RowMark::new).collect();
        let ids: Vec<_> = marks.iter().map(|mark| mark.id).collect();
        let seen = match (self.source, store) {
            (Some(source), Some(store)) => store.seen_rows(source, ids).await?,
            _ => vec![None; marks.len()],
        };
        let mut new_rows = Vec::new();
        for ((row, mark), seen) in rows.into_iter().zip(marks).zip(seen) {
            if !self.seen.insert(mark.id) {
                continue;
            }
            let is_of_before = self.is_first && !row.is_after(self.past_time);
            if is_of_before || flow.table.notify_on.is_seen(mark.version, seen) {
                *left_out += 1;
            } else {
                new_rows.push(row);
            }
        }
        Ok(new_rows)
    }
}

/// The baseline that the flow would get.
async fn baseline(
    flow: &Flow,
    table: &Table,
    clock: &Clock,
    store: Option<&Store>,
    known: Option<&Source>,
) -> Result<Timestamp, RunError> {
    if let Some(store) = store
        && let Some(preset) = store.preset_baseline_of(&flow.name).await?
    {
        return Ok(preset);
    }
    let served = table.ask_time().await?.began();
    let now = clock.now();
    let due = known.and_then(|source| source.first_due).map_or(now, |first| first.min(now));
    Ok(flow.window.baseline(&FirstAnswer { due, now, served, is_first_try: known.is_none() }))
}
