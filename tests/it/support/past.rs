//! A state with a past: runs of every kind, as many minutes ago as they say.

use jiff::{SignedDuration, Timestamp};
use leadflow::history::{
    Cause, CoveringInputs, Order, Outcome, RecordedStep, Step, WindowInputs, WindowOutputs,
};
use leadflow::outbox::{Receipt, Recipient};
use leadflow::platform::clock::Clock;
use leadflow::schedule::window::Past;
use leadflow::store::{Failed, NewMail, NewRun, Scanned, Store, Visit};

use super::leadflow::Sandbox;

/// Two flows whose connections nobody asks.
pub(crate) fn flows() -> String {
    let flow = |name: &str, table: &str| {
        format!(
            "[flows.{name}.recurrence]\nfrequency = \"hour\"\n[flows.{name}.table]\nconnection = \"demo\"\n\
             name = \"{table}\"\n[flows.{name}.email]\nconnection = \"folder\"\n\
             to = \"sales@contoso.example; partners@contoso.example\"\n"
        )
    };
    format!(
        "[settings]\ntime_zone = \"{}\"\n[connections.demo.embedded_table]\nfile = \"demo.db\"\n\
         [connections.folder.mail_folder]\n{}{}",
        zone(),
        flow("marketplace-leads", "leads"),
        flow("renewals", "renewals"),
    )
}

/// A zone where noon is near, so that nothing of the last hours lies on another day.
fn zone() -> String {
    // Without daylight saving time, from twelve hours ahead to eleven behind.
    const ZONES: [&str; 24] = [
        "Pacific/Tarawa",
        "Pacific/Noumea",
        "Australia/Brisbane",
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
    let hour = Clock::System.now().to_zoned(jiff::tz::TimeZone::UTC).hour();
    ZONES[usize::try_from(hour).unwrap()].to_owned()
}

/// The state of a sandbox, and the moment that its past counts from.
pub(crate) struct PastState {
    store: Store,
    now: Timestamp,
}

impl PastState {
    /// Runs 1 to 6: sent, nothing new, failed, condition false, partly sent, waiting.
    pub(crate) fn make(sandbox: &Sandbox) {
        let (leads, renewals) = ("marketplace-leads", "renewals");
        let mut past = Self::open(sandbox);
        past.mailed(
            (leads, 50),
            420,
            "3 new rows in 1 mail",
            &[Receipt::Accepted("250 2.0.0 queued".into())],
        );
        past.scanned((renewals, 45), 1_200, Outcome::NothingNew, "no new rows");
        past.failed((leads, 40), 31_000);
        let gather = "2 new rows, but length >= 5 is false: they gather until it holds";
        past.scanned((renewals, 35), 90, Outcome::ConditionFalse, gather);
        let refused = Receipt::Refused("550 5.1.1 no such user".into());
        past.mailed(
            (leads, 30),
            75_000,
            "12 new rows in 1 mail",
            &[Receipt::Accepted("250".into()), refused],
        );
        past.mailed((renewals, 25), 80, "1 new row in 1 mail", &[]);
    }

    pub(crate) fn open(sandbox: &Sandbox) -> Self {
        let mut past = Self { store: Store::open(&sandbox.path("state")).unwrap(), now: Clock::System.now() };
        for flow in ["marketplace-leads", "renewals"] {
            past.store.anchor(flow, past.ago(50)).unwrap();
        }
        past
    }

    fn ago(&self, minutes: i64) -> Timestamp {
        self.now - SignedDuration::from_mins(minutes)
    }

    fn source(&mut self, flow: &str) -> i64 {
        let (identity, now) = ("here/leads", self.now);
        let visit = Visit { flow, identity, known_as: None, due: now, now, is_to_stay: true };
        self.store.visit(&visit).unwrap().id
    }

    fn begun(&mut self, (flow, minutes): (&str, i64)) -> (i64, Timestamp) {
        let started = self.ago(minutes);
        let order = Order::new(Cause::Schedule, Some(self.ago(50)));
        let run = NewRun { flow, order, started };
        (self.store.begin_runs(&[run]).unwrap()[0].run, started)
    }

    /// A run that has read the table and has nothing to mail.
    pub(crate) fn scanned(&mut self, when: (&str, i64), millis: i64, outcome: Outcome, summary: &str) {
        let (run, started) = self.begun(when);
        let source = self.source(when.0);
        let scanned = scanned(source, started + SignedDuration::from_millis(millis), outcome, summary);
        self.store.commit_scan(run, &scanned, std::iter::empty()).unwrap();
    }

    fn failed(&mut self, when: (&str, i64), millis: i64) {
        let (run, started) = self.begun(when);
        let at = |text: &str| text.parse().unwrap();
        let inputs = WindowInputs::Covering(CoveringInputs::Later {
            window_s: 3_600,
            overlap_s: 900,
            begin: at("2026-01-01T08:00:00Z"),
            watermark: Some(at("2026-01-05T08:15:00Z")),
        });
        let outputs = WindowOutputs {
            past_time: at("2026-01-05T08:00:00Z"),
            reason: "watermark − overlap".to_owned(),
            rows_before: None,
        };
        let step = Step::Window { inputs, outputs };
        let steps = [RecordedStep { step, took: SignedDuration::from_millis(1) }];
        let failed = Failed {
            summary: "the table service cannot be reached: no answer from contosoleads.table.core.windows.net within 30 s",
            help: "look at the network, at DNS and at the firewall of this machine and of the storage account; the next run begins anew",
            steps: &steps,
            due_since: started,
        };
        self.store.fail_run(run, &failed, started + SignedDuration::from_millis(millis)).unwrap();
    }

    /// A run with a mail for two recipients; the last receipt is that of all further ones.
    fn mailed(&mut self, when: (&str, i64), millis: i64, summary: &str, receipts: &[Receipt]) {
        let (run, started) = self.begun(when);
        let ended = started + SignedDuration::from_millis(millis);
        let recipients = ["sales@contoso.example", "partners@contoso.example"].map(str::to_owned);
        let mail = NewMail {
            connections: &["folder".to_owned()],
            sender: "leads@contoso.example",
            recipients: &recipients,
            subject: summary.to_owned(),
            message_id: format!("<{run}@contoso.example>"),
            bytes: b"Subject: leads\r\n\r\n".to_vec(),
            rows: &[],
        };
        let scanned = scanned(self.source(when.0), ended, Outcome::Waiting, summary);
        self.store.commit_scan(run, &scanned, std::iter::once(Ok(mail))).unwrap();
        let Some(last) = receipts.last() else { return };
        let id = self.store.mails_of(run).unwrap()[0].id;
        self.store.begin_sending(id, "folder", ended).unwrap();
        let receipt = |at: usize| receipts.get(at).unwrap_or(last).clone();
        let after: Vec<_> = recipients
            .iter()
            .enumerate()
            .map(|(at, address)| Recipient::new(address.clone()).after(receipt(at)))
            .collect();
        self.store.record_replies(id, &after, ended).unwrap();
    }
}

fn scanned(source: i64, now: Timestamp, outcome: Outcome, summary: &str) -> Scanned {
    let past = Past { begin: now, watermark: Some(now), looked_back: Some(now) };
    Scanned {
        source,
        past: Some(past),
        passed_over: Vec::new(),
        before_begin: None,
        rows: summary.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or_default(),
        outcome,
        summary: summary.to_owned(),
        clock_problem: None,
        steps: Vec::new(),
        now,
    }
}
