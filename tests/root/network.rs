//! Three daemons on machines of their own, whose packets to the database are lost: no connection ends, nothing is refused,
//! and what was sent meanwhile may still arrive when the cable is in again.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use leadflow_test_postgres::Cluster;
use rcgen::{CertificateParams, KeyPair};

use crate::machines::{Machine, SWITCH};
use crate::support::azurite::{self, Table};
use crate::support::daemon::Daemon;
use crate::support::flows_toml::{FlowsToml, SINCE};
use crate::support::leadflow::Sandbox;
use crate::support::leads::{keys, leads};
use crate::support::mail::Mail;
use crate::support::mail_server::MailServer;
use crate::support::way::Way;
use crate::support::{eventually, oracle, within};

const NODES: usize = 3;
/// Leads that come at a time, to one of the tables.
const AT_A_TIME: usize = 2;
/// Between two times.
const BETWEEN: Duration = Duration::from_secs(1);

struct Node {
    machine: Machine,
    sandbox: Sandbox,
    daemon: Daemon,
    /// To what lies beyond the database.
    _ways: [Way; 2],
}

impl Node {
    fn start(number: usize, office: &Office) -> Self {
        let machine = office.machine.beside(number);
        let port = || TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let relay = Way::of_network(machine.inside(port), office.server.port);
        let proxy = Way::proxy_of_network(machine.inside(port), azurite::port());
        let settings =
            format!("url = {{ file = \"database\" }}\nca_file = \"authority.pem\"\nnode = \"node{number}\"");
        let mut flows = FlowsToml::new()
            .section("settings.postgres", &settings)
            .azure("marketplace")
            .relay("relay", relay.port);
        for (number, table) in office.tables.iter().enumerate() {
            flows = flows
                .flow(&format!("flow{number}"))
                .every("second")
                .reads("marketplace", &table.name)
                .filter(SINCE)
                .more("template = \"marketplace-leads\"\nper_hour = 100000");
        }
        let sandbox = Sandbox::with_azurite(flows);
        let url = format!("postgres://leads:canary-database@{SWITCH}:{}/leads", office.cluster.port);
        sandbox.write("database", &url);
        sandbox.write("authority.pem", &office.authority);
        let way = format!("http://127.0.0.1:{}", proxy.port);
        let daemon = machine.inside(|| sandbox.daemon_with(&[("HTTP_PROXY", &way), ("NO_PROXY", "")]));
        daemon.wait_for_log("ready");
        Self { machine, sandbox, daemon, _ways: [relay, proxy] }
    }
}

impl Node {
    /// Whether this one takes another for alive.
    fn is_alive(&self, number: usize) -> bool {
        let nodes = self.machine.inside(|| self.sandbox.json(&["nodes", "--json"]));
        let name = format!("node{number}");
        nodes.as_array().unwrap().iter().any(|node| node["node"] == name && node["alive"] == true)
    }
}

/// What the nodes share.
struct Office {
    machine: Machine,
    cluster: Cluster,
    /// Who vouches for the database.
    authority: String,
    tables: Vec<Table>,
    server: MailServer,
    written: usize,
}

impl Office {
    fn open() -> Self {
        let machine = Machine::with_switch();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![SWITCH.to_owned()]).unwrap().self_signed(&key).unwrap();
        let cluster = machine.inside(|| {
            Cluster::start(
                "listen_addresses = '*'\nssl = on",
                &[
                    ("server.crt", &certificate.pem()),
                    ("server.key", &key.serialize_pem()),
                    ("pg_hba.conf", "local all all trust\nhostssl all all 10.77.0.0/24 scram-sha-256\n"),
                ],
            )
        });
        cluster.sql("postgres", "CREATE ROLE leads LOGIN PASSWORD 'canary-database'");
        cluster.sql("postgres", "CREATE DATABASE leads OWNER leads");
        Self {
            machine,
            cluster,
            authority: certificate.pem(),
            tables: (0..NODES).map(|_| Table::create_here()).collect(),
            server: MailServer::start(&["--delay-data", "800"]),
            written: 0,
        }
    }

    /// Some leads, for one table after the other.
    fn write(&mut self) {
        let table = &self.tables[self.written / AT_A_TIME % NODES];
        table.insert_here(&leads(self.written..self.written + AT_A_TIME));
        self.written += AT_A_TIME;
    }

    /// Writes leads until those of now have arrived. Returns how long that took.
    fn write_until_mailed(&mut self) -> Duration {
        let began = Instant::now();
        self.write();
        let now = keys(0..self.written);
        let mut written = Instant::now();
        eventually("the mails of the others", || {
            if written.elapsed() > BETWEEN {
                written = Instant::now();
                self.write();
            }
            let arrived: BTreeSet<String> = self.server.mails().iter().flat_map(Mail::row_keys).collect();
            now.iter().all(|key| arrived.contains(key)).then_some(())
        });
        began.elapsed()
    }
}

#[test]
fn nothing_is_lost_and_the_others_go_on_when_the_packets_of_a_node_are_lost() {
    let mut office = Office::open();
    let nodes: Vec<Node> = (0..NODES).map(|number| Node::start(number, &office)).collect();
    let mut longest = Duration::ZERO;
    for cut in 0..NODES {
        office.write_until_mailed();
        office.write();
        office.machine.cut(cut, true);
        longest = longest.max(office.write_until_mailed());
        let other = &nodes[(cut + 1) % NODES];
        eventually("the end of its lease", || (!other.is_alive(cut)).then_some(()));
        office.machine.cut(cut, false);
        eventually("the node that is back", || other.is_alive(cut).then_some(()));
    }
    // Nobody reaches the database, and it ends meanwhile.
    (0..NODES).for_each(|number| office.machine.cut(number, true));
    office.write();
    office.cluster.stop(leadflow_test_postgres::Stop::Immediate);
    office.machine.inside(|| office.cluster.go_on());
    (0..NODES).for_each(|number| office.machine.cut(number, false));
    office.write_until_mailed();
    office.server.wait_for_keys(&keys(0..office.written));
    let Node { machine, sandbox, .. } = &nodes[0];
    within(Duration::from_mins(3), "an outbox in which nothing waits", || {
        let open = machine.inside(|| sandbox.json(&["outbox", "list", "--json"]));
        let states = open.as_array().unwrap().iter().flat_map(|mail| mail["recipients"].as_array().unwrap());
        states.into_iter().all(|recipient| recipient["state"] == "sent").then_some(())
    });
    let tally =
        machine.inside(|| oracle::check_history(sandbox, &keys(0..office.written), &office.server.mails()));
    for node in nodes {
        assert!(node.daemon.stop().success());
    }
    eprintln!("the others had mailed all within {longest:?}: {tally:?}");
}
