//! A value of each document with every key filled, so that what is seldom printed is held against
//! docs/json.md as well.

use jiff::{SignedDuration, Timestamp};
use leadflow::flow::condition::Verdict;
use leadflow::history::{
    CommitInputs, CommitOutputs, ConditionInputs, ConditionOutputs, CoveringInputs, NewRowsInputs,
    NewRowsOutputs, QueryInputs, QueryOutputs, RecordedStep, RenderInputs, RenderOutputs, RenderedMail, Step,
    WindowInputs, WindowOutputs,
};
use leadflow::views::api::{FailureView, PerformedView};
use leadflow::views::check::{CheckView, FindingView, ProblemView};
use leadflow::views::erasure::{ErasedView, ErasureView, LeftView, LookedAtView, LookedForView, TableView};
use leadflow::views::flows::FlowView;
use leadflow::views::health::{AlarmView, HealthView};
use leadflow::views::leads::{
    LeadProofView, LeadRowView, LeadView, OtherView, ProvenanceView, RowView, RunOrNumberView,
};
use leadflow::views::nodes::NodeView;
use leadflow::views::outbox::{MailView, OutboxMailView, RecipientView};
use leadflow::views::page::NewTokenView;
use leadflow::views::preview::{AttachmentView, MessageView, PreviewView};
use leadflow::views::runs::{RunDetailView, RunView, StepView};
use leadflow::views::schedule::SlotView;
use leadflow::views::stats::{DayView, FlowStatsView, StatsView, TallyView};
use serde::Serialize;
use serde_json::Value;

/// A sample of the document of each section.
pub(crate) fn samples() -> Vec<(&'static str, Value)> {
    vec![
        ("check", json(&check())),
        ("list", json(&flow())),
        ("history", json(&run(1_u64))),
        ("history-show", json(&run_detail())),
        ("outbox", json(&OutboxMailView { mail: mail(), flow: Some(text()), run: Some(1), created: at() })),
        ("lead-list", json(&lead_row())),
        ("lead-show", json(&lead_proof())),
        ("lead-forget", json(&erasure())),
        ("stats", json(&stats())),
        ("schedule", json(&SlotView { at: at(), local: text(), reads_from: at() })),
        ("preview", json(&preview())),
        ("health", json(&health())),
        ("nodes", json(&node())),
        ("page-token", json(&new_token())),
        ("an-action-of-the-api", json(&PerformedView { state: "begun", run: Some(1) })),
        ("a-refusal-of-the-api", json(&FailureView { message: text(), help: Some(text()) })),
    ]
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

fn text() -> String {
    "text".to_owned()
}

fn at() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn new_token() -> NewTokenView {
    NewTokenView { name: text(), token: text(), hash: text(), role: text(), until: text() }
}

fn check() -> CheckView {
    let (message, help) = (text(), Some(text()));
    let finding = FindingView { about: text(), ok: true, message: message.clone(), help: help.clone() };
    let problem =
        ProblemView { severity: "error", file: text(), line: Some(1), column: Some(1), message, help };
    CheckView { ok: true, problems: vec![problem], findings: vec![finding] }
}

fn flow() -> FlowView {
    FlowView {
        flow: text(),
        description: Some(text()),
        on: true,
        enabled_in_file: true,
        off_by_command_since: Some(at()),
        off_by: Some(text()),
        recurrence: text(),
        last_run: Some(run(1)),
        daemon_is_running: Some(true),
        next_run: Some(at()),
        waiting_mails: 1,
    }
}

fn run<M>(mails: M) -> RunView<M> {
    RunView {
        run: 1,
        flow: text(),
        cause: text(),
        asked_by: Some(text()),
        due: Some(at()),
        started: at(),
        ended: Some(at()),
        outcome: "failed",
        summary: text(),
        rows: 1,
        mails,
        help: Some(text()),
    }
}

fn run_detail() -> RunDetailView {
    let recorded = |step| StepView::from(&RecordedStep { step, took: SignedDuration::from_secs(1) });
    RunDetailView { run: run(vec![mail()]), steps: steps().into_iter().map(recorded).collect() }
}

fn steps() -> Vec<Step> {
    let first = CoveringInputs::First { window_s: 1, table: text() };
    let later = CoveringInputs::Later { window_s: 1, overlap_s: 1, baseline: at(), watermark: Some(at()) };
    let windows = [
        WindowInputs::Covering(first),
        WindowInputs::Covering(later),
        WindowInputs::Fixed { window_s: 1, server_time: at() },
        WindowInputs::Replay { from: at(), to: at(), again: true },
    ];
    let outputs = WindowOutputs { past_time: at(), reason: text(), rows_before: Some(1) };
    let window = |inputs| Step::Window { inputs, outputs: outputs.clone() };
    let mut steps: Vec<_> = windows.into_iter().map(window).collect();
    let made = RenderOutputs::Made {
        mails: vec![RenderedMail { subject: text(), rows: 1 }],
        bytes: 1,
        notes: vec![text()],
    };
    let renders = [made, RenderOutputs::Forgotten { forgotten: true }];
    let render = |outputs| Step::Render { inputs: RenderInputs { rows: 1, max_rows: 1 }, outputs };
    steps.extend(renders.map(render));
    steps.extend([
        Step::Turn,
        Step::Query {
            inputs: QueryInputs { table: text(), filter: Some(text()), select: Some(vec![text()]) },
            outputs: QueryOutputs { pages: 1, rows: 1, service_ms: 1, failure: Some(text()) },
        },
        Step::NewRows {
            inputs: NewRowsInputs { rows: 1 },
            outputs: NewRowsOutputs { new: 1, seen: 1, hidden_test_leads: Some(Some(1)) },
        },
        Step::Condition {
            inputs: ConditionInputs { condition: text(), length: 1 },
            outputs: ConditionOutputs { result: true, then: Verdict::Mail },
        },
        Step::Commit {
            inputs: CommitInputs { verdict: Verdict::Mail },
            outputs: CommitOutputs { watermark: Some(at()), mails: 1 },
        },
    ]);
    steps
}

fn mail() -> MailView {
    let recipient = RecipientView { address: text(), state: "sent", uncertain: 0, reply: Some(text()) };
    MailView {
        mail: 1,
        subject: text(),
        message_id: text(),
        bytes: Some(1),
        connections: vec![text()],
        connection: Some(text()),
        tries: 1,
        next_try: Some(at()),
        is_paced: true,
        asked_by: Some(text()),
        recipients: vec![recipient],
    }
}

fn lead() -> LeadView {
    let some = || Some(text());
    LeadView {
        first_name: some(),
        last_name: some(),
        company: some(),
        country: some(),
        email: some(),
        phone: some(),
        title: some(),
        name: some(),
        offer: some(),
        publisher: some(),
        product: some(),
        description: some(),
        source: some(),
        action_meaning: some(),
        action: some(),
        created: some(),
        is_test: true,
        do_not_contact: true,
        others: vec![OtherView { name: text(), value: text() }],
    }
}

fn lead_row() -> LeadRowView {
    LeadRowView {
        partition_key: text(),
        row_key: text(),
        timestamp: text(),
        state: text(),
        run: Some(1),
        mail: Some(1),
        lead: lead(),
    }
}

fn lead_proof() -> LeadProofView {
    let history = ProvenanceView { run: RunOrNumberView::Run(Box::new(run(1))), mail: Some(mail()) };
    LeadProofView {
        key: text(),
        row: Some(RowView { timestamp: text(), lead: lead() }),
        history: vec![history],
    }
}

fn erasure() -> ErasureView {
    let table = TableView { connection: text(), table: text() };
    ErasureView {
        person: text(),
        ok: false,
        erased: ErasedView { mails: vec![1], texts: 1, files: vec![text()], rows: 1 },
        looked_for: LookedForView { address: true, name: true },
        rows_that_stay: 1,
        looked_at: LookedAtView { tables: vec![table], rows: 1, mails: 1, files: 1, columns: None, bytes: 1 },
        left: vec![LeftView { what: text(), help: text() }],
        not_touched: String::new(),
    }
}

fn stats() -> StatsView {
    let tally = TallyView { runs: 1, failed: 1, rows: 1, mails: 1, median_ms: Some(1), longest_ms: Some(1) };
    let day = DayView { day: jiff::civil::date(2026, 11, 23), tally: tally.clone() };
    let flow = FlowStatsView { flow: text(), days: vec![day], total: tally.clone() };
    StatsView { days: 1, time_zone: text(), since: at(), flows: vec![flow], total: tally }
}

fn preview() -> PreviewView {
    let file = AttachmentView { name: Some(text()), bytes: 1 };
    let (subject, body) = (Some(text()), Some(text()));
    let message = MessageView { subject, text: body.clone(), html: body, attachments: vec![file] };
    PreviewView {
        rows: "new",
        is_first: true,
        left_out: 1,
        hidden_test_leads: 1,
        test_leads: 1,
        flow: text(),
        past_time: at(),
        length: 1,
        condition: text(),
        result: true,
        then: Verdict::Mail,
        notes: vec![text()],
        mails: vec![message],
    }
}

fn node() -> NodeView {
    NodeView {
        node: text(),
        alive: true,
        is_command: false,
        joined: at(),
        seen: at(),
        version: text(),
        has_same_files: true,
    }
}

fn health() -> HealthView {
    let alarm = AlarmView {
        kind: "late",
        about: text(),
        since: at(),
        times: 1,
        what: text(),
        help: text(),
        look: text(),
    };
    HealthView { ok: false, reasons: vec![text()], alarms: vec![alarm] }
}
