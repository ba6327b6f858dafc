//! A state with a past: runs of every kind, as many minutes ago as they say.

use jiff::{SignedDuration, Timestamp};
use leadflow::alarm::{Alarm, AlarmKind, AlarmUpdate};
use leadflow::history::{
    Cause, CoveringInputs, Outcome, QueryInputs, QueryOutputs, RecordedStep, RunOrder, Step, WindowInputs,
    WindowOutputs,
};
use leadflow::outbox::{Receipt, Recipient};
use leadflow::schedule::window::Progress;
use leadflow::store::{
    AttemptRecord, Claim, FailedRun, NewMessage, NewNode, NewRun, Retention, ScanResult, SendLimits,
    SourceRequest, Store,
};
use serde_json::json;

use super::done;
use super::flows_toml::FlowsToml;
use super::leadflow::Sandbox;
use super::now;

const FLOWS: [&str; 2] = ["marketplace-leads", "renewals"];
const RECIPIENTS: [&str; 2] = ["sales@contoso.example", "partners@contoso.example"];

/// Two flows whose connections nobody asks.
pub(crate) fn flows() -> FlowsToml {
    let flows = FlowsToml::demo().settings(&format!("time_zone = \"{}\"", zone()));
    let flows = flows.flow(FLOWS[0]).to(&RECIPIENTS.join("; ")).flow(FLOWS[1]).to(&RECIPIENTS.join("; "));
    flows.reads("demo", "renewals")
}

/// A zone where noon is near, so that nothing of the last hours lies on another day.
fn zone() -> String {
    // Without daylight saving time, from twelve hours ahead to eleven behind; each is abbreviated with three signs.
    const ZONES: [&str; 24] = [
        "Pacific/Tarawa",
        "Pacific/Noumea",
        "Pacific/Port_Moresby",
        "Asia/Tokyo",
        "Asia/Singapore",
        "Asia/Bangkok",
        "Asia/Dhaka",
        "Asia/Karachi",
        "Asia/Dubai",
        "Africa/Nairobi",
        "Africa/Harare",
        "Africa/Lagos",
        "UTC",
        "Atlantic/Cape_Verde",
        "America/Noronha",
        "America/Belem",
        "America/La_Paz",
        "America/Lima",
        "America/Managua",
        "America/Phoenix",
        "Pacific/Pitcairn",
        "Pacific/Gambier",
        "Pacific/Honolulu",
        "Pacific/Niue",
    ];
    let hour = now().to_zoned(jiff::tz::TimeZone::UTC).hour();
    ZONES[usize::try_from(hour).unwrap()].to_owned()
}

/// The state of a sandbox, and the moment that its past counts from.
pub(crate) struct PastState {
    pub(crate) store: Store,
    now: Timestamp,
    /// What every text is instead of what it says ordinarily.
    says: Option<String>,
    /// That were taken.
    slots: i64,
}

impl PastState {
    /// Runs 1 to 6: sent, nothing new, failed, condition false, partly sent, waiting.
    pub(crate) fn make(sandbox: &Sandbox) {
        Self::open(sandbox, &FLOWS).fill();
    }

    /// As [`Self::make`], where every text says this.
    pub(crate) fn make_saying(sandbox: &Sandbox, text: &str) -> Self {
        let mut past = Self { says: Some(text.to_owned()), ..Self::open(sandbox, &FLOWS) };
        past.fill();
        past
    }

    fn fill(&mut self) {
        let [leads, renewals] = FLOWS;
        self.mailed(
            (leads, 50),
            420,
            "3 new rows in 1 mail",
            &[Receipt::Accepted("250 2.0.0 queued".into())],
        );
        self.scanned((renewals, 45), 1_200, Outcome::NothingNew, "no new rows");
        let words = "the table service cannot be reached: no answer from contosoleads.table.core.windows.net within 30 s";
        let steps = self.says.as_deref().map_or_else(|| vec![window("watermark − overlap")], steps_saying);
        self.failed((leads, 40), 31_000, words, steps);
        let gather = "2 new rows, but length >= 5 is false: they gather until it holds";
        self.scanned((renewals, 35), 90, Outcome::ConditionFalse, gather);
        let refused = Receipt::Refused("550 5.1.1 no such user".into());
        self.mailed(
            (leads, 30),
            75_000,
            "12 new rows in 1 mail",
            &[Receipt::Accepted("250".into()), refused],
        );
        self.mailed((renewals, 25), 80, "1 new row in 1 mail", &[]);
    }

    /// The state of these flows.
    pub(crate) fn open(sandbox: &Sandbox, flows: &[&str]) -> Self {
        let store = sandbox.state();
        let past = Self { store, now: now(), says: None, slots: 0 };
        let flows = flows.iter().map(|flow| ((*flow).to_owned(), true)).collect();
        let node = NewNode { name: "past (test)".to_owned(), ..NewNode::default() };
        done(past.store.take_over(node, past.now)).unwrap();
        done(past.store.schedule_states(flows, past.ago(50))).unwrap();
        past
    }

    fn text(&self, ordinary: &str) -> String {
        self.says.clone().unwrap_or_else(|| ordinary.to_owned())
    }

    fn ago(&self, minutes: i64) -> Timestamp {
        self.now - SignedDuration::from_mins(minutes)
    }

    fn source(&mut self, flow: &str) -> i64 {
        let (flow, identity, now) = (flow.to_owned(), "here/leads".to_owned(), self.now);
        let request = SourceRequest { flow, identity, known: None, due: now, now, is_to_stay: true };
        done(self.store.open_source(request)).unwrap().id
    }

    fn begun(&mut self, (flow, minutes): (&str, i64)) -> (i64, Timestamp) {
        let started = self.ago(minutes);
        // Each has a slot of its own, the first one 50 minutes ago.
        self.slots += 1;
        let slot = self.ago(50) + SignedDuration::from_secs(self.slots - 1);
        let order = RunOrder::new(Cause::Schedule, Some(slot));
        let run = NewRun { flow: flow.to_owned(), order, started };
        match done(self.store.claim_runs(vec![run])).unwrap().remove(0) {
            Claim::Won(claimed) => (claimed.run, started),
            other => panic!("{other:?}"),
        }
    }

    /// A run that has read the table and has nothing to mail.
    pub(crate) fn scanned(&mut self, when: (&str, i64), millis: i64, outcome: Outcome, summary: &str) {
        let (run, started) = self.begun(when);
        let source = self.source(when.0);
        let ended = started + SignedDuration::from_millis(millis);
        let scanned = ScanResult { summary: self.text(summary), ..scanned(source, ended, outcome, summary) };
        done(self.store.commit_run(run, scanned, std::iter::empty())).unwrap();
    }

    /// A run that has failed after these steps.
    pub(crate) fn failed(&mut self, when: (&str, i64), millis: i64, summary: &str, steps: Vec<Step>) {
        let (run, started) = self.begun(when);
        let help = "check the network, DNS and the firewall of this machine and of the storage account; the next run starts again";
        let recorded = |step: Step| RecordedStep { step, took: SignedDuration::from_millis(1) };
        let steps: Vec<_> = steps.into_iter().map(recorded).collect();
        let failed =
            FailedRun { summary: self.text(summary), help: self.text(help), steps, due_since: started };
        done(self.store.fail_run(run, failed, started + SignedDuration::from_millis(millis))).unwrap();
    }

    /// A run with a mail for two recipients; the last receipt is that of all further ones.
    pub(crate) fn mailed(&mut self, when: (&str, i64), millis: i64, summary: &str, receipts: &[Receipt]) {
        let (run, started) = self.begun(when);
        let ended = started + SignedDuration::from_millis(millis);
        let recipients = RECIPIENTS.map(|address| self.text(address));
        let mail = NewMessage {
            connections: vec!["folder".to_owned()],
            sender: "leads@contoso.example".to_owned(),
            recipients: recipients.clone().into(),
            subject: self.text(summary),
            message_id: self.text(&format!("<{run}@contoso.example>")),
            bytes: b"Subject: leads\r\n\r\n".to_vec(),
            rows: Vec::new(),
        };
        let source = self.source(when.0);
        let scanned =
            ScanResult { summary: self.text(summary), ..scanned(source, ended, Outcome::Waiting, summary) };
        done(self.store.commit_run(run, scanned, std::iter::once(Ok(mail)))).unwrap();
        let Some(last) = receipts.last() else { return };
        let id = done(self.store.next_message(&["folder".to_owned()], ended)).unwrap().unwrap().id;
        let limits = SendLimits::default();
        done(self.store.begin_sending(id, &self.text("folder"), limits, ended)).unwrap();
        let said = |receipt: &Receipt| match (receipt, &self.says) {
            (Receipt::Accepted(_), Some(text)) => Receipt::Accepted(text.clone()),
            (Receipt::Refused(_), Some(text)) => Receipt::Refused(text.clone()),
            _ => receipt.clone(),
        };
        let receipt = |at: usize| said(receipts.get(at).unwrap_or(last));
        let after: Vec<_> = recipients
            .iter()
            .enumerate()
            .map(|(at, address)| Recipient::new(address.clone()).after(receipt(at)))
            .collect();
        let attempt = AttemptRecord {
            message: id,
            recipients: after,
            next_try: ended,
            broke_over: None,
            defer_lane: None,
        };
        done(self.store.record_attempt(attempt, ended)).unwrap();
    }

    /// An alarm that was raised.
    pub(crate) fn alarm(&mut self, kind: AlarmKind, about: &str, what: &str) {
        let (about, what) = (about.to_owned(), what.to_owned());
        let (help, look) = (String::new(), String::new());
        let alarm = Alarm { kind, about, since: self.ago(50), times: 1, what, help, look };
        let update = AlarmUpdate { raised: vec![alarm], ..AlarmUpdate::default() };
        done(self.store.commit_alarms(update, None, self.now)).unwrap();
    }

    /// As if a week had gone by: the bytes of what was sent are not kept any more.
    pub(crate) fn purge(&mut self) {
        let kept = Retention { history: Timestamp::MIN, message_bytes: self.now, answers: Timestamp::MIN };
        done(self.store.prune(kept)).unwrap();
        assert!(done(self.store.kept_messages()).unwrap().len() < 3);
    }
}

fn scanned(source: i64, now: Timestamp, outcome: Outcome, summary: &str) -> ScanResult {
    let progress = Progress { baseline: now, watermark: Some(now), last_deep_scan: Some(now) };
    ScanResult {
        source,
        progress: Some(progress),
        skipped: Vec::new(),
        old_rows: None,
        rows: summary.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or_default(),
        outcome,
        summary: summary.to_owned(),
        clock_problem: None,
        steps: Vec::new(),
        now,
    }
}

/// How far back a run reads, and why.
fn window(reason: &str) -> Step {
    let at = |text: &str| text.parse().unwrap();
    let inputs = WindowInputs::Covering(CoveringInputs::Later {
        window_s: 3_600,
        overlap_s: 900,
        baseline: at("2026-01-01T08:00:00Z"),
        watermark: Some(at("2026-01-05T08:15:00Z")),
    });
    let outputs =
        WindowOutputs { past_time: at("2026-01-05T08:00:00Z"), reason: reason.to_owned(), rows_before: None };
    Step::Window { inputs, outputs }
}

/// A scan of this table with this filter.
pub(crate) fn query(table: &str, filter: &str) -> Step {
    let inputs = QueryInputs { table: table.to_owned(), filter: Some(filter.to_owned()), select: None };
    let outputs = QueryOutputs { pages: 0, rows: 0, service_ms: 0, failure: Some(filter.to_owned()) };
    Step::Query { inputs, outputs }
}

/// Steps whose texts all are this; the last one is of another version.
fn steps_saying(text: &str) -> Vec<Step> {
    let any = json!({ "filter": text, "table": text, "note": text, text: [text], "notes": [text] });
    let other = Step::Other { name: text.to_owned(), inputs: any.clone(), outputs: any };
    vec![window(text), query(text, text), other]
}
