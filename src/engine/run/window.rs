//! Step 2: how far back a run reads.

use jiff::Timestamp;
use tracing::{info, warn};

use super::RunError;
use super::recorder::StepRecorder;
use super::source::source_of;
use crate::engine::RunContext;
use crate::flow::Flow;
use crate::history::{CoveringInputs, RowRange, Step, WindowInputs, WindowOutputs};
use crate::platform::faults::crash_point;
use crate::rows::row::{RowId, RowMark, RowVersion};
use crate::schedule::window::{EVER, FirstAnswer, Mode, Progress, Reason};
use crate::services::table::TableReader;
use crate::store::{ClaimedRun, OldRows, Source, SourceRequest, StoreError};

/// What a run reads, and what is known of the table before.
#[derive(Debug)]
pub(super) struct ScanPlan {
    /// The number of the table that is read.
    pub(super) source: i64,
    /// Rows with a later `Timestamp` are read.
    pub(super) past_time: Timestamp,
    /// How far the table was read before this run; `None` for a fixed window.
    pub(super) progress: Option<Progress>,
    /// No scan of this table was committed yet.
    pub(super) is_first: bool,
    /// Of the first run, rows from before the baseline, which are never mailed.
    pub(super) old_rows: Option<Box<OldRows>>,
    /// This is the deep scan of the day.
    pub(super) is_deep_scan: bool,
    /// The range of the past that the run is about, and whether what was mailed is mailed again.
    pub(super) replay: Option<(Timestamp, bool)>,
}

impl ScanPlan {
    /// Which version of a row there was before the baseline.
    pub(super) fn old_version(&self, id: RowId) -> Result<Option<RowVersion>, StoreError> {
        Ok(self.old_rows.as_ref().map(|old| old.version(id)).transpose()?.flatten())
    }

    /// A scan after which baseline and watermark stay where they are.
    fn that_moves_nothing(source: i64, past_time: Timestamp, replay: Option<(Timestamp, bool)>) -> Self {
        Self {
            source,
            past_time,
            progress: None,
            is_first: false,
            old_rows: None,
            is_deep_scan: false,
            replay,
        }
    }
}

pub(super) async fn plan_scan(
    ctx: &RunContext,
    flow: &Flow,
    table: &dyn TableReader,
    (claim, started): (ClaimedRun, Timestamp),
    range: RowRange,
    recorder: &mut StepRecorder,
) -> Result<ScanPlan, RunError> {
    let due = (claim.due_since, claim.is_first_try);
    let source = match claim.source {
        Some(source) if source.identity == table.identity() => source,
        _ => Box::pin(open_source(ctx, flow, table, (due.0, started), range)).await?,
    };
    if let RowRange::Replay { from, to, again } = range {
        let inputs = WindowInputs::Replay { from, to, again };
        recorder.push(Step::Window { inputs, outputs: since(from, "the range that was asked for") });
        return Ok(ScanPlan::that_moves_nothing(source.id, from, Some((to, again))));
    }
    if flow.window.mode == Mode::Fixed {
        return Box::pin(plan_fixed_scan(ctx, flow, table, source.id, recorder)).await;
    }
    let progress = match source.progress {
        Some(progress) => progress,
        None => Box::pin(set_baseline(ctx, flow, table, &source, due)).await?,
    };
    // Until the first scan is committed, what lies before the baseline is not known.
    if progress.last_deep_scan.is_none() {
        return Box::pin(plan_first_scan(ctx, flow, table, source.id, progress, recorder)).await;
    }
    Ok(plan_later_scan(ctx, flow, source.id, progress, recorder))
}

/// The table that the flow reads now is another than the last one, or is written in another way.
async fn open_source(
    ctx: &RunContext,
    flow: &Flow,
    table: &dyn TableReader,
    (due, now): (Timestamp, Timestamp),
    range: RowRange,
) -> Result<Source, StoreError> {
    let identity = table.identity();
    let sources = ctx.store.sources(&flow.name).await?;
    let known = source_of(table, &sources).map(|source| source.id);
    let is_to_stay = range == RowRange::New;
    let request = SourceRequest { flow: flow.name.clone(), identity, known, due, now, is_to_stay };
    let source = ctx.store.open_source(request).await?;
    if let Some(Progress { watermark: Some(watermark), .. }) = source.progress.filter(|_| is_to_stay) {
        info!(
            flow = flow.name,
            "the flow has read this table before, up to {watermark}: it continues from there"
        );
    }
    Ok(source)
}

/// The flow's baseline, one window before it was first due unless `recover` has said otherwise; it is recorded
/// before anything is read, so that it stays where it is should this run fail.
async fn set_baseline(
    ctx: &RunContext,
    flow: &Flow,
    table: &dyn TableReader,
    source: &Source,
    (due, is_first_try): (Timestamp, bool),
) -> Result<Progress, RunError> {
    let served = table.ask_time().await?.began();
    // Read at once: the state may keep the run waiting.
    let now = ctx.clock.now();
    if served.is_none() {
        warn!(flow = flow.name, "the table service sent no Date header; using this machine's clock");
    }
    let preset = ctx.store.preset_baseline_of(&flow.name).await?;
    let due = source.first_due.map_or(due, |first| first.min(due));
    let first = FirstAnswer { due, now, served, is_first_try };
    let baseline = preset.unwrap_or_else(|| flow.window.baseline(&first));
    ctx.store.set_baseline(source.id, baseline).await?;
    crash_point("begin-recorded");
    info!(flow = flow.name, "the flow starts: rows before {baseline} are not mailed");
    Ok(Progress { baseline, watermark: None, last_deep_scan: None })
}

/// As Power Automate reads: the server's time minus the window, and no memory.
async fn plan_fixed_scan(
    ctx: &RunContext,
    flow: &Flow,
    table: &dyn TableReader,
    source: i64,
    recorder: &mut StepRecorder,
) -> Result<ScanPlan, RunError> {
    let now = table.ask_time().await?.date.unwrap_or_else(|| ctx.clock.now());
    let past_time = flow.window.length_before(now);
    let inputs = WindowInputs::Fixed { window_s: flow.window.length.as_secs(), server_time: now };
    recorder.push(Step::Window { inputs, outputs: since(past_time, Reason::Window.as_str()) });
    Ok(ScanPlan::that_moves_nothing(source, past_time, None))
}

fn plan_later_scan(
    ctx: &RunContext,
    flow: &Flow,
    source: i64,
    progress: Progress,
    recorder: &mut StepRecorder,
) -> ScanPlan {
    let now = ctx.clock.now();
    let found = flow.window.past_time(now, &progress);
    let is_deep_scan = flow.window.deep_scan_is_due(now, &progress);
    let Progress { baseline, watermark, .. } = progress;
    let inputs = WindowInputs::Covering(CoveringInputs::Later {
        window_s: flow.window.length.as_secs(),
        overlap_s: flow.window.overlap.as_secs(),
        baseline,
        watermark,
    });
    recorder.push(Step::Window { inputs, outputs: since(found.at, found.reason.as_str()) });
    ScanPlan {
        source,
        past_time: found.at,
        progress: Some(progress),
        is_first: false,
        old_rows: None,
        is_deep_scan,
        replay: None,
    }
}

/// Records as seen what lies before the baseline, so that a later write to an old row is not mailed.
async fn plan_first_scan(
    ctx: &RunContext,
    flow: &Flow,
    table: &dyn TableReader,
    source: i64,
    progress: Progress,
    recorder: &mut StepRecorder,
) -> Result<ScanPlan, RunError> {
    let baseline = progress.baseline;
    let mut old_rows = OldRows::new(&ctx.folder);
    let mut scan = table.scan(flow.table.query(EVER).keys_only());
    while let Some(page) = scan.next().await? {
        let old = page.rows.iter().filter(|row| !row.is_after(baseline));
        old_rows.extend(old.map(RowMark::new));
        if old_rows.is_full() {
            old_rows = settled(ctx, old_rows).await?;
        }
    }
    let old_rows = settled(ctx, old_rows).await?;
    let inputs = WindowInputs::Covering(CoveringInputs::First {
        window_s: flow.window.length.as_secs(),
        table: table.address(),
    });
    let rows_before = old_rows.count()?;
    let outputs = WindowOutputs {
        rows_before: Some(rows_before as u64),
        ..since(baseline, "the flow's first run: rows before it are not mailed")
    };
    recorder.push(Step::Window { inputs, outputs });
    Ok(ScanPlan {
        source,
        past_time: baseline,
        progress: Some(progress),
        is_first: true,
        // Without any, the run may be recorded with others.
        old_rows: (!old_rows.is_empty()).then(|| Box::new(old_rows)),
        is_deep_scan: false,
        replay: None,
    })
}

/// The outputs of the step, with the past time and why it is that.
fn since(past_time: Timestamp, reason: &str) -> WindowOutputs {
    WindowOutputs { past_time, reason: reason.to_owned(), rows_before: None }
}

/// The same, in order and, where they are many, in a file.
async fn settled(ctx: &RunContext, mut old: OldRows) -> Result<OldRows, RunError> {
    let work = move || old.settle().map(|()| old);
    Ok(ctx.runner.run(work).await.ok_or(RunError::Stopped)??)
}
