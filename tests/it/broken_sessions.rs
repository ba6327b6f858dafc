//! Mails in the middle of which sessions break: they step aside, and nobody else waits for them.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use leadflow::config;
use leadflow::engine::delivery::Delivery;
use leadflow::engine::{RunContext, run};
use leadflow::flow::Config;
use leadflow::history::{Cause, RunOrder};
use leadflow::outbox::RecipientState;
use leadflow::platform::clock::{Clock, DrivenClock};
use leadflow::store::{OutboxEntry, OutboxFilter};
use serde_json::{Value, json};

use crate::support::breaking::{Breaking, Refusals, Script};
use crate::support::embedded::{Embedded, row};
use crate::support::flows_toml::FlowsToml;
use crate::support::leadflow::Sandbox;
use crate::support::postgres::{context, on_postgres};

const CALM: Script = |_, _| false;
/// The session is reset at the recipient of the second flow.
const AT_POISON: Script = |step, line| step == "RCPT" && line.contains("<poison@");

/// A mail a row, whose subject is the row's key, over these connections; rows whose key begins with
/// `poison` are those of a second flow of the same lane.
fn flows(servers: &[(&str, &Breaking)], to: &str) -> FlowsToml {
    let names: Vec<_> = servers.iter().map(|(name, _)| *name).collect();
    let connections = servers.iter().fold(FlowsToml::new(), |flows, (name, server)| {
        flows.smtp(name, server.port).more("per_minute = 10000")
    });
    let flow = |flows: FlowsToml, name: &str, to: &str| {
        let flow = flows.flow(name).reads("demo", name).mails_by_any(&names).to(to).body("{{length}}");
        let flow = flow.subject("{{#each rows}}{{RowKey}}{{/each}}");
        flow.more("each = \"row\"\nper_hour = 100000\nattach_csv = true")
    };
    flow(flow(connections.embedded("demo"), "poison", "poison@contoso.example"), "leads", to)
}

/// The tables of both flows.
struct Tables {
    poison: Embedded,
    leads: Embedded,
}

impl Tables {
    fn open(file: &Path) -> Self {
        let open = |name| Embedded::open(file, name);
        Self { poison: open("poison"), leads: open("leads") }
    }

    fn insert(&self, keys: &[impl AsRef<str>], now: Timestamp) {
        for key in keys.iter().map(AsRef::as_ref) {
            let mut row = row(key);
            if key.starts_with("large") {
                row["Text"] = "x".repeat(3 << 20).into();
            }
            let table = if key.starts_with("poison") { &self.poison } else { &self.leads };
            table.insert_at(&[row], now);
        }
    }
}

/// The command line on a state of its own.
struct Office {
    sandbox: Sandbox,
    tables: Tables,
}

impl Office {
    fn new(servers: &[(&str, &Breaking)], to: &str) -> Self {
        let sandbox = Sandbox::new(flows(servers, to));
        let tables = Tables::open(&sandbox.path("state/demo.db"));
        Self { sandbox, tables }
    }

    /// Rows of these keys are written, and a new process runs the flow and tries every mail.
    fn once(&self, keys: &[&str]) -> i32 {
        self.tables.insert(keys, Clock::System.now());
        self.sandbox.run(&["run", "--once"]).code
    }

    fn listed(&self) -> Value {
        self.sandbox.json(&["outbox", "list", "--json"])
    }
}

#[test]
fn a_poison_mail_steps_aside_is_held_in_the_end_and_gets_new_tries() {
    let server = Breaking::start(AT_POISON);
    let office = Office::new(&[("relay", &server)], "sales@contoso.example");
    assert_eq!(office.once(&["poison", "second", "third"]), 1);
    assert_eq!(server.subjects(), ["second", "third"], "they do not wait for the first");
    // Each is a process of its own, so what was counted outlives the one before.
    // The first break is not counted: it was the last try of its process.
    for number in 1..11 {
        assert_eq!(office.listed()[0]["recipients"][0]["state"], "waiting", "{number}");
        office.once(&[&format!("more{number}")]);
    }
    assert_eq!(server.subjects().len(), 12);
    let listed = office.listed();
    let recipient = &listed[0]["recipients"][0];
    assert_eq!((listed.as_array().unwrap().len(), &recipient["state"]), (1, &json!("held")), "{listed}");
    let reply = recipient["reply"].as_str().unwrap();
    let words = "this mail failed 10 times while others were sent; last: the session ended at a recipient:";
    assert!(reply.starts_with(words), "{reply}");
    let health = office.sandbox.exits(1, &["health"]);
    assert!(health.stdout.contains("1 mail is no longer retried"), "{}", health.stdout);

    assert_eq!(office.sandbox.run(&["outbox", "retry", "3"]).code, 0);
    office.once(&["later"]);
    assert_eq!(office.listed()[0]["recipients"][0]["state"], "waiting", "it has new tries");
    server.play(CALM);
    assert_eq!(office.once(&[]), 0);
    assert_eq!(server.subjects().last().unwrap(), "poison");
    assert_eq!(office.listed(), json!([]));
}

#[test]
fn a_recipient_that_breaks_the_session_keeps_nobody_from_the_mail() {
    let server = Breaking::start(|step, line| step == "RCPT" && line.contains("poison"));
    let to = "nobody@contoso.example; a@contoso.example; poison@contoso.example; b@contoso.example";
    let office = Office::new(&[("relay", &server)], to);
    assert_eq!(office.once(&["first"]), 1);
    assert_eq!(server.recipients(), ["a@contoso.example", "b@contoso.example"]);
    let listed = office.listed();
    let of = |at: usize| {
        let recipient = &listed[0]["recipients"][at];
        (recipient["state"].as_str().unwrap().to_owned(), recipient["reply"].as_str().unwrap().to_owned())
    };
    assert_eq!(of(0), ("held".to_owned(), "550 5.1.1 no such user".to_owned()), "heard before the break");
    assert_eq!((of(1).0, of(3).0), ("sent".to_owned(), "sent".to_owned()));
    let (state, reply) = of(2);
    assert!(state == "waiting" && reply.starts_with("the session ended at a recipient:"), "{reply}");
    server.play(CALM);
    office.once(&[]);
    assert_eq!(server.recipients(), ["a", "b", "poison"].map(|name| format!("{name}@contoso.example")));
}

#[test]
fn a_text_that_breaks_the_session_steps_aside_before_and_after_its_end() {
    let script: Script = |step, line| match step {
        "message" => line == "Subject: large-poison",
        "end" => line == "a-small-poison",
        _ => false,
    };
    let server = Breaking::start(script);
    let office = Office::new(&[("relay", &server)], "sales@contoso.example");
    assert_eq!(office.once(&["a-small-poison", "b-second", "large-poison", "third"]), 1);
    assert_eq!(server.subjects(), ["b-second", "third"]);
    let states = |listed: &Value| {
        let states = listed.as_array().unwrap().iter().map(|mail| mail["recipients"][0]["state"].clone());
        states.collect::<Vec<_>>()
    };
    assert_eq!(states(&office.listed()), ["uncertain", "waiting"]);
    for number in 1..11 {
        office.once(&[&format!("more{number}")]);
        assert_eq!(server.subjects().len(), 2 + number);
    }
    let listed = office.listed();
    assert_eq!(states(&listed), ["held", "held"], "{listed}");
    assert_eq!((&listed[0]["tries"], &listed[1]["tries"]), (&json!(3), &json!(10)), "{listed}");
}

#[test]
fn what_breaks_one_connection_goes_by_the_next() {
    let (first, second) = (Breaking::start(AT_POISON), Breaking::start(CALM));
    let office = Office::new(&[("first", &first), ("second", &second)], "sales@contoso.example");
    assert_eq!(office.once(&["a", "poison", "b"]), 0);
    assert_eq!((first.subjects(), second.subjects()), (vec!["a".into(), "b".into()], vec!["poison".into()]));
    assert_eq!(office.listed(), json!([]));
}

/// A delivery whose clock is driven from one moment of a mail to the next.
struct Driven {
    _folder: tempfile::TempDir,
    config: std::sync::Arc<Config>,
    ctx: RunContext,
    clock: DrivenClock,
    tables: Tables,
    delivery: Delivery,
}

impl Driven {
    fn new(servers: &[(&str, &Breaking)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flows.toml");
        std::fs::write(&path, flows(servers, "sales@contoso.example").to_string()).unwrap();
        let config = config::load(&path).unwrap().config;
        let clock = DrivenClock::new("2026-03-02T08:00:00Z".parse().unwrap());
        let state = folder.path().join("state");
        let ctx = context(&clock, &state);
        let tables = Tables::open(&state.join("demo.db"));
        let delivery = Delivery::new(&ctx);
        Self { _folder: folder, config, ctx, clock, tables, delivery }
    }

    /// The flow runs on rows of these keys; nothing is sent yet.
    async fn run(&self, keys: &[String]) {
        self.tables.insert(keys, self.clock.now());
        self.clock.advance(SignedDuration::from_secs(5));
        for flow in ["poison", "leads"].map(|name| &self.config.flows[name]) {
            run::run(&self.ctx, &self.config, flow, &RunOrder::new(Cause::Schedule, None)).await.unwrap();
        }
    }

    /// Delivers for so long, at each moment at which a mail is due.
    async fn deliver(&self, minutes: i64) -> Rounds {
        let until: Timestamp = self.clock.now() + SignedDuration::from_mins(minutes);
        let mut rounds = Rounds(0);
        loop {
            rounds.0 += 1;
            let round = self.delivery.deliver(&self.config, || false).await.unwrap();
            match round.next_try.filter(|at| *at < until) {
                Some(at) => self.clock.set(at.max(self.clock.now())),
                None => break,
            }
        }
        self.clock.set(until);
        rounds
    }

    async fn listed(&self) -> Vec<OutboxEntry> {
        self.ctx.store.outbox(OutboxFilter::Open).await.unwrap()
    }
}

#[derive(Debug)]
struct Rounds(usize);

fn numbered(words: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("{words}{number:03}")).collect()
}

#[tokio::test]
async fn a_server_that_fails_for_every_mail_holds_none_and_is_not_asked_for_each() {
    let scripts: [(&str, Script); 5] = [
        ("connect", |step, _| step == "connect"),
        ("EHLO", |step, _| step == "EHLO"),
        ("MAIL", |step, _| step == "MAIL"),
        ("RCPT", |step, _| step == "RCPT"),
        ("DATA", |step, _| step == "DATA"),
    ];
    for (name, script) in scripts {
        let server = Breaking::start(script);
        let office = Driven::new(&[("relay", &server)]);
        office.run(&numbered("mail", 0..40)).await;
        let rounds = office.deliver(3 * 24 * 60).await;
        let open = office.listed().await;
        assert!(
            open.iter().all(|listed| listed.message.recipients[0].state == RecipientState::Waiting),
            "{name}"
        );
        // A round takes one or two sessions; a mail that is not the first waits by itself.
        assert!(
            rounds.0 > 100 && server.sessions() <= 3 * rounds.0,
            "{name}: {} in {rounds:?}",
            server.sessions()
        );
        assert!(server.sessions() < 1_500, "{name}: {} sessions in {rounds:?}", server.sessions());
        server.play(CALM);
        office.deliver(120).await;
        assert_eq!(server.subjects().len(), 40, "{name}");
        assert!(office.listed().await.is_empty(), "{name}");
    }
}

/// As many as can be tried while the connection rests in between, and more.
#[tokio::test]
async fn a_flow_whose_mails_all_break_the_session_holds_up_no_other_flow() {
    let server = Breaking::start(AT_POISON);
    let office = Driven::new(&[("relay", &server)]);
    for hour in 0..12 {
        office.run(&numbered(&format!("poison{hour:02}-"), 0..6)).await;
        office.deliver(30).await;
        office.run(&numbered(&format!("good{hour:02}-"), 0..1)).await;
        office.deliver(31).await;
        assert_eq!(server.subjects().len(), 1 + hour, "hour {hour}");
    }
}

#[tokio::test]
async fn several_poison_mails_hold_up_no_other_and_are_held() {
    let server = Breaking::start(AT_POISON);
    let office = Driven::new(&[("relay", &server)]);
    office.run(&[numbered("poison", 0..4), numbered("z-good", 0..20)].concat()).await;
    office.deliver(10).await;
    assert_eq!(server.subjects(), numbered("z-good", 0..20), "in their order, within minutes");
    for hour in 0..60 {
        office.run(&numbered(&format!("hour{hour:02}-"), 0..2)).await;
        office.deliver(60).await;
        assert_eq!(server.subjects().len(), 22 + 2 * hour, "hour {hour}");
    }
    let open = office.listed().await;
    let states: Vec<_> = open.iter().map(|listed| listed.message.recipients[0].state).collect();
    assert_eq!(states, [RecipientState::Held; 4]);
}

/// The codes are those of the connection's login, sender or limits, and the server says them of one mail alone.
#[tokio::test]
async fn a_mail_that_is_refused_as_the_connections_fault_holds_up_no_other_and_is_held() {
    let refusals: [Refusals; 3] = [
        |step, line| (step == "end" && line.starts_with("poison")).then_some("554 5.7.9 policy reasons"),
        |step, line| (step == "end" && line.starts_with("poison")).then_some("552 5.2.2 quota"),
        |step, line| (step == "RCPT" && line.contains("<poison@")).then_some("550 5.7.26 unauthenticated"),
    ];
    for refusal in refusals {
        let server = Breaking::start(CALM);
        server.refuse(refusal);
        let office = Driven::new(&[("relay", &server)]);
        office.run(&[numbered("poison", 0..2), numbered("z-good", 0..3)].concat()).await;
        office.deliver(10).await;
        assert_eq!(server.subjects(), numbered("z-good", 0..3), "within minutes");
        for hour in 0..30 {
            // The server has had nothing else for most of the hour.
            office.deliver(50).await;
            office.run(&numbered(&format!("hour{hour:02}-"), 0..1)).await;
            office.deliver(6).await;
            assert_eq!(server.subjects().len(), 4 + hour, "hour {hour}");
        }
        let open = office.listed().await;
        let states: Vec<_> = open.iter().map(|listed| listed.message.recipients[0].state).collect();
        assert_eq!(states, [RecipientState::Held; 2]);
        let reply = open[0].message.recipients[0].reply.clone().unwrap();
        assert!(reply.starts_with("this mail failed 10 times while others were sent; last: "), "{reply}");
    }
}

/// The login, the sender or the quota of the whole: no mail is to blame, however long it lasts.
#[tokio::test]
async fn a_refusal_of_all_mails_holds_none() {
    let server = Breaking::start(CALM);
    let office = Driven::new(&[("relay", &server)]);
    for day in 0..12 {
        server.refuse(|step, _| (step == "end").then_some("550 5.4.5 Daily user sending limit exceeded"));
        office.run(&numbered(&format!("day{day:02}-"), 0..3)).await;
        office.deliver(12 * 60).await;
        assert_eq!(server.subjects().len(), 3 * day);
        server.refuse(|_, _| None);
        office.deliver(40).await;
        assert_eq!(server.subjects().len(), 3 * (day + 1), "day {day}");
    }
    assert!(office.listed().await.is_empty());
}

#[test]
fn broken_sessions_have_their_ends_in_a_database_as_well() {
    on_postgres(&[
        a_flow_whose_mails_all_break_the_session_holds_up_no_other_flow,
        several_poison_mails_hold_up_no_other_and_are_held,
    ]);
}
