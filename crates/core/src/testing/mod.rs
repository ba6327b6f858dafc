//! What tests build: flows and a configuration of plain values, and hostile texts.

#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a test that builds nonsense is to fail")]

pub mod hostile;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::SignedDuration;
use jiff::tz::TimeZone;

use crate::flow::condition::Condition;
use crate::flow::{
    Config, Each, Email, Flow, FlowTable, FolderConnection, MailConnection, Mailbox, NotifyOn, Separator,
    Settings, TableConnection, TestLeads,
};
use crate::schedule::recurrence::{Definition, Every, Frequency, Recurrence, Schedule};
use crate::schedule::window::{Mode, Window};
use crate::template::{Source, Sources, Templates};

/// A flow under construction: it reads the table `leads` of the connection `t`, and mails each run's rows to
/// `a@b.example` over the connection `m`, as a flows.toml says that has nothing but what it must.
#[derive(Debug)]
pub struct FlowBuilder {
    name: String,
    schedule: Schedule,
    time_zone: TimeZone,
    catch_up: bool,
    enabled: bool,
    condition: Condition,
    notify_on: NotifyOn,
}

/// `frequency` and `interval` alone.
pub fn every(frequency: Frequency, interval: u32) -> Every {
    Every {
        frequency,
        interval,
        start_time: None,
        hours: Vec::new(),
        minutes: Vec::new(),
        week_days: Vec::new(),
        month_days: Vec::new(),
    }
}

impl FlowBuilder {
    /// A flow of this name that runs so.
    pub fn new(name: &str, every: Every) -> Self {
        Self {
            name: name.to_owned(),
            schedule: Schedule::Every(every),
            time_zone: TimeZone::UTC,
            catch_up: true,
            enabled: true,
            condition: "length > 0".parse().expect("it is the default"),
            notify_on: NotifyOn::New,
        }
    }

    /// In this zone.
    #[must_use]
    pub fn time_zone(mut self, name: &str) -> Self {
        self.time_zone = TimeZone::get(name).expect("a zone with this name");
        self
    }

    /// `catch_up = false`.
    #[must_use]
    pub fn without_catch_up(mut self) -> Self {
        self.catch_up = false;
        self
    }

    /// `enabled = false`.
    #[must_use]
    pub fn disabled(mut self) -> Self {
        self.enabled = false;
        self
    }

    /// The flow.
    pub fn build(self) -> Arc<Flow> {
        let definition = Definition { schedule: self.schedule, time_zone: self.time_zone.clone() };
        let recurrence = Recurrence::new(definition).expect("a whole recurrence");
        let window = Window {
            mode: Mode::Covering,
            length: recurrence.length(),
            overlap: SignedDuration::from_mins(15),
            look_back: SignedDuration::from_hours(7 * 24),
        };
        Arc::new(Flow {
            name: self.name,
            description: None,
            enabled: self.enabled,
            condition: self.condition,
            recurrence: Arc::new(recurrence),
            catch_up: self.catch_up,
            window,
            table: table(self.notify_on),
            email: email(),
            time_zone: self.time_zone,
        })
    }
}

fn table(notify_on: NotifyOn) -> FlowTable {
    FlowTable {
        connection: "t".to_owned(),
        name: "leads".to_owned(),
        filter: None,
        covering: true,
        select: None,
        columns: Vec::new(),
        notify_on,
    }
}

fn email() -> Email {
    let subject = Source { text: "{{length}} new rows".to_owned(), ..Source::default() };
    let templates = Templates::compile(Sources { subject, ..Sources::default() });
    Email {
        connections: vec!["m".to_owned()],
        to: vec![Mailbox::bare("a@b.example")],
        cc: Vec::new(),
        bcc: Vec::new(),
        reply_to: None,
        importance: None,
        templates: Arc::new(templates.expect("a whole template")),
        each: Each::Run,
        max_rows: 200,
        attach_csv: false,
        per_hour: 60,
        test_leads: TestLeads::Mark,
        csv: None,
        csv_separator: Separator::default(),
    }
}

/// A configuration of these flows, with the connections that they name.
pub fn config(flows: impl IntoIterator<Item = Arc<Flow>>) -> Config {
    let settings = Settings {
        time_zone: TimeZone::UTC,
        state: PathBuf::from("/nonexistent/state"),
        history: SignedDuration::from_hours(90 * 24),
        log: "info".to_owned(),
        failures: None,
        heartbeat_url: None,
        page: None,
        postgres: None,
    };
    let table = TableConnection::Embedded { file: PathBuf::from("/nonexistent/t.db") };
    let mail = MailConnection::Folder(FolderConnection {
        path: PathBuf::from("/nonexistent/mail"),
        from: Mailbox::named("leadflow", "leadflow@localhost"),
    });
    Config {
        path: PathBuf::from("/nonexistent/flows.toml"),
        settings,
        tables: BTreeMap::from([("t".to_owned(), table)]),
        mails: BTreeMap::from([("m".to_owned(), mail)]),
        flows: flows.into_iter().map(|flow| (flow.name.clone(), flow)).collect(),
        digest: String::new(),
    }
}
