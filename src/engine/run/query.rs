//! Steps 3 and 4: every page to the clean end, and of each page the rows that are new.

use std::time::Duration;

use jiff::Timestamp;
use tracing::warn;

use super::RunError;
use super::marks::RowMarks;
use super::recorder::StepRecorder;
use super::window::ScanPlan;
use crate::compose::spool::Spool;
use crate::engine::RunContext;
use crate::flow::{Flow, TestLeads};
use crate::history::{NewRowsInputs, NewRowsOutputs, QueryInputs, QueryOutputs, Step};
use crate::platform::faults::crash_point;
use crate::rows::lead;
use crate::rows::row::{Row, RowMark, RowVersion};
use crate::schedule::window::CLOCKS_DIFFER;
use crate::services::table::{Page, TableReader};

/// The new rows of a run.
#[derive(Debug)]
pub(super) struct NewRows {
    /// The rows, in the order of the scan.
    pub(super) spool: Spool,
    /// Their marks, in the same order.
    pub(super) marks: RowMarks,
    /// New test leads that the flow does not mail.
    pub(super) hidden: RowMarks,
    /// Of a flow's first run, test leads among the rows: *Validate* wrote them before anybody listened.
    pub(super) tests: u64,
    /// The scan's start in the server's time, or why the watermark stays where it is.
    pub(super) watermark: Result<Timestamp, String>,
}

/// New rows of a run at most; their marks take 35 bytes each in memory.
const MOST_ROWS: usize = 1_000_000;
/// Bytes of new rows at most, which lie in the state folder.
const MOST_BYTES: u64 = 2 << 30;

/// What a scan without a page would say; every scan has one.
const NOTHING_READ: &str = "nothing was read";

pub(super) async fn new_rows(
    ctx: &RunContext,
    flow: &Flow,
    table: &dyn TableReader,
    plan: &ScanPlan,
    recorder: &mut StepRecorder,
) -> Result<NewRows, RunError> {
    let query = flow.table.query(plan.past_time);
    let inputs =
        QueryInputs { table: table.address(), filter: query.filter.clone(), select: query.select.clone() };
    let mut new_rows = NewRows {
        spool: Spool::new(&ctx.folder).knowing(flow.email.named_columns()),
        marks: RowMarks::default(),
        hidden: RowMarks::default(),
        tests: 0,
        watermark: Err(NOTHING_READ.to_owned()),
    };
    let mut outputs = QueryOutputs { pages: 0, rows: 0, service_ms: 0, failure: None };
    let mut waited = Duration::ZERO;
    let mut scan = table.scan(query);
    let mut next = scan.next().await;
    loop {
        let page = match next {
            Ok(Some(page)) => page,
            Ok(None) => break,
            Err(error) => {
                outputs.failure = Some(error.to_string());
                recorder.push(Step::Query { inputs, outputs });
                return Err(error.into());
            }
        };
        if outputs.pages == 0 {
            new_rows.watermark = watermark(ctx, flow, &page);
        }
        outputs.pages += 1;
        outputs.rows += page.rows.len() as u64;
        waited += page.served.took;
        outputs.service_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        // The service works on the next page while this one is looked through.
        let kept = keep_new(ctx, flow, plan, page, &mut new_rows);
        let (kept, following) = tokio::join!(kept, scan.next());
        kept?;
        crash_point("page-read");
        next = following;
    }
    let rows = outputs.rows;
    recorder.push(Step::Query { inputs, outputs });
    let new = new_rows.marks.len() as u64;
    let hidden = new_rows.hidden.len() as u64;
    let outputs = NewRowsOutputs {
        new,
        seen: rows - new - hidden,
        hidden_test_leads: Some((hidden > 0).then_some(hidden)),
    };
    recorder.push(Step::NewRows { inputs: NewRowsInputs { rows }, outputs });
    Ok(new_rows)
}

/// Appends the rows of the page that are not seen, and that this scan has not met before.
async fn keep_new(
    ctx: &RunContext,
    flow: &Flow,
    plan: &ScanPlan,
    page: Page,
    new_rows: &mut NewRows,
) -> Result<(), RunError> {
    let rows: Vec<Row> = page.rows.into_iter().filter(|row| is_of_range(plan, row)).collect();
    let marks: Vec<RowMark> = rows.iter().map(RowMark::new).collect();
    let seen = seen_versions(ctx, plan, &marks).await?;
    let hides = flow.email.test_leads == TestLeads::Hide;
    for ((row, mark), seen) in rows.iter().zip(marks).zip(seen) {
        let seen = plan.old_version(mark.id)?.or(seen);
        let is_in_scan = new_rows.marks.contains(mark.id) || new_rows.hidden.contains(mark.id);
        if flow.table.notify_on.is_seen(mark.version, seen) || is_in_scan {
            continue;
        }
        let is_test = (hides || plan.is_first) && lead::is_test(row);
        if hides && is_test {
            new_rows.hidden.push(mark);
        } else {
            new_rows.tests += u64::from(is_test);
            new_rows.spool.push(row)?;
            new_rows.marks.push(mark);
        }
        if new_rows.marks.len() + new_rows.hidden.len() > MOST_ROWS || new_rows.spool.size() > MOST_BYTES {
            return Err(RunError::TooMuch { rows: MOST_ROWS, bytes: MOST_BYTES });
        }
    }
    Ok(())
}

/// Of a replay, whether the row was written in its range; the filter may not look at time.
fn is_of_range(plan: &ScanPlan, row: &Row) -> bool {
    plan.replay.is_none_or(|(to, _)| row.is_within(plan.past_time, to))
}

/// Which version of each row is seen, and so is not to be processed again.
async fn seen_versions(
    ctx: &RunContext,
    plan: &ScanPlan,
    marks: &[RowMark],
) -> Result<Vec<Option<RowVersion>>, RunError> {
    if marks.is_empty() {
        return Ok(Vec::new());
    }
    let is_replay = match (plan.replay, &plan.progress) {
        (None, Some(_)) => false,
        // Rows from before the baseline, and skipped ones, were not mailed.
        (Some((_, false)), _) => true,
        (Some((_, true)), _) | (None, None) => return Ok(vec![None; marks.len()]),
    };
    let source = plan.source;
    let ids = marks.iter().map(|mark| mark.id).collect::<Vec<_>>();
    let store = &ctx.store;
    let found =
        if is_replay { store.mailed_rows(source, ids).await } else { store.seen_rows(source, ids).await };
    Ok(found?)
}

/// From where the next run may continue, or why the clocks cannot be trusted.
fn watermark(ctx: &RunContext, flow: &Flow, first: &Page) -> Result<Timestamp, String> {
    let found = match first.served.began() {
        None => Err("the table service sent no Date header".to_owned()),
        Some(began) => {
            let apart = ctx.clock.now().duration_since(began);
            if apart.abs() > CLOCKS_DIFFER {
                let ahead = if apart.is_positive() { "ahead of" } else { "behind" };
                let apart = apart.abs();
                let seconds = apart.as_secs();
                Err(format!(
                    "this machine's clock is {seconds} s {ahead} the table service's; set it (timedatectl)"
                ))
            } else {
                Ok(began)
            }
        }
    };
    if let Err(problem) = &found {
        warn!(
            flow = flow.name,
            "{problem}; the watermark is not advanced, so each run reads more than the last"
        );
    }
    found
}
