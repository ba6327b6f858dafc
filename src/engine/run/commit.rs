//! Steps 6 and 7: the final bytes, and the one transaction that records them.

use std::sync::Arc;

use super::query::NewRows;
use super::recorder::StepRecorder;
use super::window::ScanPlan;
use super::{RunError, StepsResult};
use crate::compose::{ComposeInput, ComposedMail, ComposedMails, compose};
use crate::engine::RunContext;
use crate::flow::condition::Verdict;
use crate::flow::{Config, Flow, NoConnection};
use crate::history::{CommitInputs, CommitOutputs, Outcome, RenderInputs, RenderOutputs, RenderedMail, Step};
use crate::platform::faults::crash_point;
use crate::schedule::window::Progress;
use crate::store::{NewMessage, ScanResult};
use crate::text::counted::counted;

/// What a run found and what it decided about it.
pub(super) struct RunDecision {
    pub(super) plan: ScanPlan,
    pub(super) new_rows: NewRows,
    pub(super) verdict: Verdict,
    /// The mails, where the condition holds.
    pub(super) mails: Option<ComposedMails>,
}

/// Renders the mails on a thread that may block.
pub(super) async fn render(
    ctx: &RunContext,
    config: &Config,
    flow: &Arc<Flow>,
    run: i64,
    plan: &ScanPlan,
    mut new_rows: NewRows,
    recorder: &mut StepRecorder,
) -> Result<(Option<ComposedMails>, NewRows), RunError> {
    let name = flow.email.connections.first().cloned().unwrap_or_default();
    let connection = config.mails.get(&name).cloned().ok_or(NoConnection(name))?;
    let max_bytes = config.max_message_bytes(&flow.email.connections);
    let past_time = plan.past_time;
    let now = ctx.clock.now();
    let folder = ctx.folder.clone();
    let hidden_tests = new_rows.hidden.len() as u64;
    let of_flow = Arc::clone(flow);
    let work = move || {
        let from = connection.from();
        let input = ComposeInput {
            flow: &of_flow,
            run,
            past_time,
            now,
            from,
            max_bytes,
            is_test: false,
            hidden_tests,
        };
        let mails = compose(&input, &mut new_rows.spool, &folder)?;
        Ok::<_, RunError>((mails, new_rows))
    };
    let (mails, new_rows) = ctx.runner.run(work).await.ok_or(RunError::Stopped)??;
    let of_mail =
        |mail: &ComposedMail| RenderedMail { subject: mail.subject.clone(), rows: mail.rows.len() as u64 };
    let inputs = RenderInputs { rows: new_rows.marks.len() as u64, max_rows: flow.email.max_rows as u64 };
    let outputs = RenderOutputs::Made {
        mails: mails.list().iter().map(of_mail).collect(),
        bytes: mails.size(),
        notes: mails.notes().to_vec(),
    };
    recorder.push(Step::Render { inputs, outputs });
    Ok((Some(mails), new_rows))
}

/// Commits all or nothing, or says what there is to commit where that is no row.
pub(super) async fn commit(
    ctx: &RunContext,
    flow: &Arc<Flow>,
    run: i64,
    decided: RunDecision,
    recorder: &mut StepRecorder,
) -> Result<StepsResult, RunError> {
    let now = ctx.clock.now();
    let count = decided.mails.as_ref().map_or(0, |mails| mails.list().len());
    let (outcome, summary) = words(flow, &decided, count);
    let RunDecision { plan, new_rows, verdict, mails } = decided;
    let progress = moved(&plan, &new_rows, verdict, now);
    let outputs =
        CommitOutputs { watermark: progress.and_then(|progress| progress.watermark), mails: count as u64 };
    recorder.push(Step::Commit { inputs: CommitInputs { verdict }, outputs });
    let mut skipped = Vec::new();
    let marks = new_rows.marks.into_vec();
    if plan.replay.is_none() {
        skipped.extend(new_rows.hidden.into_vec());
    }
    if verdict == Verdict::Skip && plan.replay.is_none() {
        skipped.extend(&marks);
    }
    let scanned = ScanResult {
        source: plan.source,
        progress,
        skipped,
        old_rows: plan.old_rows,
        rows: new_rows.spool.len(),
        outcome,
        summary: summary.clone(),
        clock_problem: new_rows.watermark.err(),
        steps: recorder.take_steps(),
        now,
    };
    if mails.is_none() && scanned.skipped.is_empty() && scanned.old_rows.is_none() {
        return Ok(StepsResult::Empty(scanned));
    }
    let connections = flow.email.connections.clone();
    let sender = mails.as_ref().map(|mails| mails.sender().to_owned()).unwrap_or_default();
    let recipients = flow.email.recipients();
    let messages = mails.into_iter().flat_map(ComposedMails::read).map(move |mail| {
        let (mail, bytes) = mail?;
        Ok(NewMessage {
            connections: connections.clone(),
            sender: sender.clone(),
            recipients: recipients.clone(),
            subject: mail.subject,
            message_id: mail.message_id,
            bytes,
            rows: marks.get(mail.rows).unwrap_or_default().to_vec(),
        })
    });
    Box::pin(ctx.store.commit_run(run, scanned, messages)).await?;
    crash_point("after-commit");
    Ok(StepsResult::Committed(outcome, summary))
}

/// How far the table is read after the run.
fn moved(plan: &ScanPlan, new_rows: &NewRows, verdict: Verdict, now: jiff::Timestamp) -> Option<Progress> {
    let mut progress = plan.progress?;
    if plan.is_first {
        progress.last_deep_scan = Some(progress.baseline);
    }
    // Rows that gather must be found again, the deep scan's too.
    if verdict == Verdict::Gather {
        return Some(progress);
    }
    // Without a watermark the clocks cannot be trusted, and this machine's clock decides when the deep scan is due.
    if let Ok(watermark) = &new_rows.watermark {
        progress.watermark = Some(*watermark);
        if plan.is_first || plan.is_deep_scan {
            progress.last_deep_scan = Some(now);
        }
    }
    Some(progress)
}

fn words(flow: &Flow, decided: &RunDecision, mails: usize) -> (Outcome, String) {
    let rows = counted(decided.new_rows.spool.len(), "new row");
    let tests = match decided.new_rows.tests {
        0 => String::new(),
        tests => format!(", {} among them", counted(tests, "test lead")),
    };
    let hidden = match decided.new_rows.hidden.len() as u64 {
        0 => String::new(),
        hidden => format!(", {} hidden", counted(hidden, "test lead")),
    };
    let (outcome, words) = match decided.verdict {
        Verdict::Mail => (Outcome::Waiting, format!("{rows} in {}", counted(mails as u64, "mail"))),
        Verdict::NothingNew => (Outcome::NothingNew, "no new rows".to_owned()),
        Verdict::Gather => (
            Outcome::ConditionFalse,
            format!("{rows}, but {} is false: they gather until it is true", flow.condition),
        ),
        Verdict::Skip => {
            (Outcome::ConditionFalse, format!("{rows}, but {} is false: they are skipped", flow.condition))
        }
    };
    (outcome, words + &tests + &hidden)
}
