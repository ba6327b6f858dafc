//! Runs of the past: which range a run has read, and what a replay would mail, counted before it does.

use std::sync::Arc;

use jiff::Timestamp;

use crate::engine::run::{RunError, source_of};
use crate::flow::{Config, Flow};
use crate::history::{RecordedStep, Run, Step, WindowInputs};
use crate::platform::clock::Clock;
use crate::rows::row::{RowMark, RowVersion};
use crate::services::OnlineServices;
use crate::store::{Store, StoreError};

/// The rows of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReplayPreview {
    /// Rows that were written in the range and match the filter.
    pub rows: u64,
    /// Those of them that were mailed.
    pub mailed: u64,
}

/// What a run read, or wanted to: from its past time to its end. `None` where it has read nothing.
///
/// # Errors
/// When the state fails.
pub async fn window_of(store: &Store, run: &Run) -> Result<Option<(Timestamp, Timestamp)>, StoreError> {
    for RecordedStep { step, .. } in store.steps(run.id).await? {
        let Step::Window { inputs, outputs } = step else { continue };
        let to = match inputs {
            WindowInputs::Replay { to, .. } => Some(to),
            WindowInputs::Covering(_) | WindowInputs::Fixed { .. } => run.ended,
        };
        return Ok(Some(outputs.past_time).zip(to));
    }
    Ok(None)
}

/// Reads the range and counts; `progress` gets the number of rows so far after each page.
///
/// # Errors
/// As a run.
pub async fn count_rows(
    config: &Config,
    flow: &Arc<Flow>,
    (from, to): (Timestamp, Timestamp),
    store: Option<&Store>,
    mut progress: impl FnMut(u64),
) -> Result<ReplayPreview, RunError> {
    let table = OnlineServices::new(Clock::System).open_table(config.table_of(flow)?).await?;
    let source = match store {
        Some(store) => {
            let sources = store.sources(&flow.name).await?;
            source_of(&table, &sources).map(|source| (store, source.id))
        }
        None => None,
    };
    let mut preview = ReplayPreview::default();
    let mut scan = table.scan(flow.table.query(from).keys_only());
    while let Some(page) = scan.next().await? {
        let rows = page.rows.iter().filter(|row| row.is_within(from, to));
        let marks: Vec<RowMark> = rows.map(RowMark::new).collect();
        let ids: Vec<_> = marks.iter().map(|mark| mark.id).collect();
        let mailed = match source {
            Some((store, source)) => store.mailed_rows(source, ids).await?,
            None => Vec::new(),
        };
        let is_done = |(mark, mailed): &(&RowMark, Option<RowVersion>)| {
            flow.table.notify_on.is_seen(mark.version, *mailed)
        };
        preview.rows += marks.len() as u64;
        preview.mailed += marks.iter().zip(mailed).filter(is_done).count() as u64;
        progress(preview.rows);
    }
    Ok(preview)
}
