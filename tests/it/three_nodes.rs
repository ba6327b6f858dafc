//! Three daemons on one PostgreSQL, rows that come all the time, and faults: a node that is killed, stands still, or is cut
//! off, and a database that ends, starts again, or is another one from now on.
//!
//! `LEADFLOW_FAULTS=200 cargo test --release --test it three_nodes -- --nocapture` plays as many.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use std::{env, thread};

use leadflow_test_postgres::{Cluster, Database, SUPERUSER, Stop, shared};
use serde_json::Value;

use crate::support::azurite::{self, Table};
use crate::support::daemon::Daemon;
use crate::support::flows_toml::{FlowsToml, SINCE};
use crate::support::leadflow::Sandbox;
use crate::support::leads::leads;
use crate::support::mail::Mail;
use crate::support::mail_server::MailServer;
use crate::support::oracle;
use crate::support::way::Way;
use crate::support::{eventually, has};

const NODES: usize = 3;
/// Faults where nothing else is said: a few of each kind of a node's, and the database's.
const FAULTS: usize = 8;
/// Leads that come at a time, to one of the tables.
const AT_A_TIME: usize = 2;

/// A machine, and its ways to the servers.
struct Node {
    sandbox: Sandbox,
    daemon: Option<Daemon>,
    database: Way,
    table: Way,
    mail: Way,
    /// When it is well again, and how.
    heals: Option<(Instant, Heal)>,
}

#[derive(Clone, Copy)]
enum Heal {
    Start,
    Continue,
    Connect,
}

/// The server that is in force, and the one that follows it.
struct Servers {
    primary: Cluster,
    standby: Cluster,
}

impl Node {
    fn new(number: usize, servers: &Servers, mail: &MailServer, tables: &[Table]) -> Self {
        let (database, table, relay) =
            (Way::to(servers.primary.port), Way::as_proxy(azurite::port()), Way::to(mail.port));
        let settings = format!("url = {{ file = \"database\" }}\nnode = \"node{number}\"");
        let mut flows = FlowsToml::new()
            .section("settings.postgres", &settings)
            .azure("marketplace")
            .relay("relay", relay.port);
        for (number, table) in tables.iter().enumerate() {
            flows = flows
                .flow(&format!("flow{number}"))
                .every("second")
                .interval(2)
                .reads("marketplace", &table.name)
                .filter(SINCE)
                .to("sales@contoso.example; partners@contoso.example")
                .more("template = \"marketplace-leads\"\nper_hour = 100000");
        }
        let sandbox = Sandbox::with_azurite(flows);
        let url = format!("postgres://leads:canary-database@127.0.0.1:{}/leads", database.port);
        sandbox.write("database", &url);
        Self { sandbox, daemon: None, database, table, mail: relay, heals: None }
    }

    fn start(&mut self) {
        // The table has the same address for each of them.
        let proxy = format!("http://127.0.0.1:{}", self.table.port);
        self.daemon = Some(self.sandbox.daemon_with(&[("HTTP_PROXY", &proxy), ("NO_PROXY", "")]));
    }

    /// As systemd does where it has ended by itself.
    fn supervise(&mut self) {
        if self.heals.is_none() && self.daemon.as_mut().is_none_or(Daemon::has_ended) {
            self.start();
        }
    }

    fn heal(&mut self, how: Heal) {
        match how {
            Heal::Start => self.start(),
            Heal::Continue => self.daemon.iter().for_each(|daemon| daemon.signal("CONT")),
            Heal::Connect => [&self.database, &self.table, &self.mail].iter().for_each(|way| way.cut(false)),
        }
        self.heals = None;
    }
}

impl Servers {
    fn start() -> Self {
        let primary = Cluster::start("", &[]);
        primary.sql("postgres", "CREATE ROLE leads LOGIN PASSWORD 'canary-database'");
        primary.sql("postgres", "CREATE DATABASE leads OWNER leads");
        let standby = primary.standby();
        Self { primary, standby }
    }

    /// The server is gone for good, and the one that followed it takes its place.
    fn fail_over(self, nodes: &[Node]) -> Self {
        self.primary.stop(Stop::Immediate);
        self.standby.promote();
        for node in nodes {
            node.database.lead_to(self.standby.port);
        }
        let standby = self.standby.standby();
        Self { primary: self.standby, standby }
    }
}

/// What was played.
#[derive(Debug, Default)]
struct Played {
    killed: usize,
    stopped: usize,
    cut_from_database: usize,
    cut_from_table: usize,
    cut_from_mail: usize,
    restarted: usize,
    crashed: usize,
    failed_over: usize,
}

#[test]
fn nothing_is_lost_and_each_repeat_is_marked_whatever_befalls_three_nodes_and_their_database() {
    let faults: usize = env::var("LEADFLOW_FAULTS").map_or(FAULTS, |count| count.parse().unwrap());
    let seed: u64 = env::var("LEADFLOW_SEED").map_or(7, |seed| seed.parse().unwrap());
    let mut dice = fastrand::Rng::with_seed(seed);
    let server = MailServer::start(&["--delay-data", "150"]);
    let tables: Vec<Table> = (0..NODES).map(|_| Table::create_here()).collect();
    let mut servers = Servers::start();
    let mut nodes: Vec<Node> =
        (0..NODES).map(|number| Node::new(number, &servers, &server, &tables)).collect();
    nodes.iter_mut().for_each(Node::start);
    eventually("the nodes", || nodes.iter().all(|node| node.sandbox.logs().contains("ready")).then_some(()));
    let mut written = 0;
    let mut played = Played::default();
    for _ in 0..faults {
        let until = Instant::now() + Duration::from_millis(dice.u64(1_000..5_000));
        while Instant::now() < until {
            write(&tables, &mut written);
            heal_due(&mut nodes);
            thread::sleep(Duration::from_millis(200));
        }
        servers = befall(&mut dice, &mut nodes, servers, &mut played);
    }
    for node in &mut nodes {
        node.heals.take().into_iter().for_each(|(_, how)| node.heal(how));
    }
    write(&tables, &mut written);
    heal_due(&mut nodes);
    let keys: Vec<String> = (0..written).map(|number| format!("lead-{number:05}")).collect();
    wait_for(&keys, &server, &nodes);
    for node in &mut nodes {
        let stopped = node.daemon.take().map(Daemon::stop);
        assert!(stopped.is_some_and(|status| status.success()), "{}", node.sandbox.logs());
    }
    let tally = oracle::check_history(&nodes[0].sandbox, &keys, &server.mails());
    eprintln!("seed {seed}, {faults} times: {played:?}\n{tally:?}");
}

#[test]
fn a_daemon_waits_for_a_database_that_is_away_when_it_starts() {
    let database = shared().database();
    database.sql("CREATE ROLE waits LOGIN PASSWORD 'canary-database'");
    database.sql(&format!("ALTER DATABASE {} OWNER TO waits", database.name));
    // Nobody listens there.
    let way = Way::to(1);
    let flows = FlowsToml::new()
        .section("settings.postgres", "url = { file = \"database\" }")
        .embedded("demo")
        .folder("folder")
        .flow("leads");
    let sandbox = Sandbox::new(flows);
    let url = format!("postgres://waits:canary-database@127.0.0.1:{}/{}", way.port, database.name);
    sandbox.write("database", &url);
    let daemon = sandbox.daemon_with(&[]);
    daemon.wait_for_log("trying again");
    way.lead_to(shared().port);
    daemon.wait_for_log("ready");
    let checked = sandbox.run(&["check", "--online"]).stdout;
    has(&checked, &["signed in to the database", "and the state is there"]);
    assert!(daemon.stop().success());
    way.lead_to(1);
    has(&sandbox.exits(1, &["health"]).stdout, &["cannot use the state database", "check"]);
    let daemon = sandbox.daemon_with(&[]);
    daemon.wait_for_log("trying again");
    assert!(daemon.stop().success(), "it can be stopped while it waits");
}

#[test]
fn a_command_that_runs_a_flow_on_a_new_machine_makes_the_folder_for_what_is_too_large_for_memory() {
    let database = shared().database();
    let table = Table::create_here();
    let flows = FlowsToml::new()
        .section("settings.postgres", "url = { file = \"database\" }")
        .azure("marketplace")
        .folder("folder")
        .flow("leads")
        .reads("marketplace", &table.name)
        .filter(SINCE);
    let sandbox = Sandbox::with_azurite(flows);
    sandbox.write("database", &by_socket(&database));
    sandbox.exits(0, &["trigger", "leads"]);
    // More than a mebibyte.
    let mut rows = leads(0..40);
    for row in &mut rows {
        row["Description"] = "x".repeat(30_000).into();
    }
    table.insert_here(&rows);
    sandbox.exits(0, &["trigger", "leads"]);
    assert_eq!(sandbox.mails().len(), 1);
}

#[test]
fn a_command_that_takes_longer_than_a_lease_keeps_it() {
    let database = shared().database();
    // Longer than the lease.
    let server = MailServer::start(&["--delay-data", "12000"]);
    let flows = FlowsToml::new()
        .section("settings.postgres", "url = { file = \"database\" }")
        .embedded("demo")
        .relay("relay", server.port)
        .flow("leads");
    let sandbox = Sandbox::new(flows);
    sandbox.write("database", &by_socket(&database));
    sandbox.exits(0, &["trigger", "leads"]);
    sandbox.table().insert(&leads(0..1));
    sandbox.exits(0, &["trigger", "leads"]);
    let run = sandbox.shown(2);
    assert_eq!(run["mails"][0]["recipients"][0]["state"], "sent", "{run}");
    assert_eq!((run["mails"][0]["recipients"][0]["uncertain"].as_u64(), server.mails().len()), (Some(0), 1));
}

/// The URL of a database for the superuser.
fn by_socket(database: &Database) -> String {
    let socket = shared().socket().display().to_string().replace('/', "%2F");
    format!("postgres://{SUPERUSER}@{socket}:{}/{}", shared().port, database.name)
}

/// Some more leads, to one table after the other.
fn write(tables: &[Table], written: &mut usize) {
    tables[*written / AT_A_TIME % tables.len()].insert_here(&leads(*written..*written + AT_A_TIME));
    *written += AT_A_TIME;
}

/// Until all of these leads have arrived, and nothing waits any more.
fn wait_for(keys: &[String], server: &MailServer, nodes: &[Node]) {
    let began = Instant::now();
    loop {
        let arrived: BTreeSet<String> = server.mails().iter().flat_map(Mail::row_keys).collect();
        let missing: Vec<_> = keys.iter().filter(|key| !arrived.contains(*key)).collect();
        let open = nodes[0].sandbox.json(&["outbox", "list", "--json"]);
        let is_open =
            |recipient: &Value| recipient["state"] == "waiting" || recipient["state"] == "uncertain";
        let waits = |mail: &Value| mail["recipients"].as_array().unwrap().iter().any(is_open);
        if missing.is_empty() && !open.as_array().unwrap().iter().any(waits) {
            return;
        }
        let logs = || nodes.iter().map(|node| node.sandbox.logs()).collect::<Vec<_>>().join("\n----\n");
        assert!(began.elapsed() < Duration::from_mins(3), "lost: {missing:?}, {open}\n{}", logs());
        thread::sleep(Duration::from_millis(500));
    }
}

fn heal_due(nodes: &mut [Node]) {
    for node in nodes {
        if let Some((_, how)) = node.heals.filter(|(at, _)| Instant::now() >= *at) {
            node.heal(how);
        }
        node.supervise();
    }
}

/// One fault; the servers that are there after it.
fn befall(dice: &mut fastrand::Rng, nodes: &mut [Node], servers: Servers, played: &mut Played) -> Servers {
    match dice.u8(0..20) {
        0 => {
            played.restarted += 1;
            servers.primary.stop(Stop::Fast);
            servers.primary.go_on();
            servers
        }
        1 => {
            played.crashed += 1;
            servers.primary.stop(Stop::Immediate);
            thread::sleep(Duration::from_millis(dice.u64(0..12_000)));
            servers.primary.go_on();
            servers
        }
        2 => {
            played.failed_over += 1;
            servers.fail_over(nodes)
        }
        kind => {
            let well: Vec<usize> = (0..nodes.len()).filter(|number| nodes[*number].heals.is_none()).collect();
            // One goes on.
            if well.len() > 1 {
                let node = &mut nodes[*dice.choice(&well).unwrap()];
                strike(dice, kind, node, played);
            }
            servers
        }
    }
}

fn strike(dice: &mut fastrand::Rng, kind: u8, node: &mut Node, played: &mut Played) {
    let (how, least, most) = match kind {
        3..=8 => {
            played.killed += 1;
            let mut daemon = node.daemon.take().unwrap();
            daemon.signal("KILL");
            daemon.wait();
            (Heal::Start, 500, 14_000)
        }
        9..=12 => {
            played.stopped += 1;
            node.daemon.iter().for_each(|daemon| daemon.signal("STOP"));
            (Heal::Continue, 1_000, 16_000)
        }
        13..=16 => {
            played.cut_from_database += 1;
            node.database.cut(true);
            (Heal::Connect, 1_000, 16_000)
        }
        17..=18 => {
            played.cut_from_mail += 1;
            node.mail.cut(true);
            (Heal::Connect, 500, 8_000)
        }
        _ => {
            played.cut_from_table += 1;
            node.table.cut(true);
            (Heal::Connect, 500, 8_000)
        }
    };
    node.heals = Some((Instant::now() + Duration::from_millis(dice.u64(least..most)), how));
}
