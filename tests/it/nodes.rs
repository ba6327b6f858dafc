//! Several machines that share their state in PostgreSQL: each is a folder of its own.

use std::time::Duration;

use serde_json::Value;

use crate::json::documented;
use crate::support::daemon::Daemon;
use crate::support::embedded::{Embedded, row};
use crate::support::flows_toml::{FlowsToml, KEYS, SINCE};
use crate::support::leadflow::Sandbox;
use crate::support::mail_server::MailServer;
use crate::support::postgres::SharedState;
use crate::support::{eventually, has, within};

/// A table and a mail server that every machine reaches.
struct World {
    state: SharedState,
    folder: tempfile::TempDir,
    server: MailServer,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { state: SharedState::new(), folder, server: MailServer::start(&[]) }
    }

    fn table(&self) -> Embedded {
        Embedded::open(&self.folder.path().join("demo.db"), "leads")
    }

    /// A flow that runs every second.
    fn flows(&self) -> FlowsToml {
        let file = format!("file = \"{}\"", self.folder.path().join("demo.db").display());
        let flows = FlowsToml::new().table_connection("demo", "embedded_table", &file);
        flows.relay("relay", self.server.port).flow("leads").every("second").filter(SINCE).body(KEYS)
    }

    fn machine(&self, node: &str) -> Sandbox {
        Sandbox::on_postgres(self.flows(), &self.state.on(node))
    }

    /// The `RowKey`s of every mail so far, each as often as it came.
    fn mailed(&self) -> Vec<String> {
        let text = |mail: &crate::support::mail::Mail| mail.text();
        let texts: Vec<String> = self.server.mails().iter().map(text).collect();
        let mut keys: Vec<String> =
            texts.iter().flat_map(|text| text.split_whitespace()).map(str::to_owned).collect();
        keys.sort();
        keys
    }

    fn wait_for(&self, keys: &[&str]) {
        eventually(&format!("the leads {keys:?}"), || {
            let mailed = self.mailed();
            keys.iter().all(|key| mailed.iter().any(|known| known == key)).then_some(())
        });
    }
}

fn node<'a>(nodes: &'a Value, name: &str) -> &'a Value {
    nodes.as_array().unwrap().iter().find(|node| node["node"] == name).unwrap_or(&Value::Null)
}

fn ends_well(daemons: impl IntoIterator<Item = Daemon>) {
    for mut daemon in daemons {
        daemon.signal("TERM");
        let status = daemon.wait();
        assert!(status.success(), "{status}: {}", daemon.log());
    }
}

#[test]
fn two_machines_run_each_slot_once_and_mail_each_lead_once() {
    let world = World::new();
    let (first, second) = (world.machine("vm-1"), world.machine("vm-2"));
    let daemons = [first.daemon(), second.daemon()];
    let table = world.table();
    for key in 0..20 {
        table.insert(&[row(format!("r{key:02}"))]);
        std::thread::sleep(Duration::from_millis(150));
    }
    world.wait_for(&["r19"]);
    let nodes: Value = serde_json::from_str(&documented(&second, "nodes --json", "nodes")).unwrap();
    for name in ["vm-1", "vm-2"] {
        let node = node(&nodes, name);
        assert_eq!((&node["alive"], &node["has_same_files"]), (&true.into(), &true.into()), "{nodes}");
    }
    has(&first.exits(0, &["nodes"]).stdout, &["vm-1", "vm-2", "alive", "as here"]);
    ends_well(daemons);
    let expected: Vec<String> = (0..20).map(|key| format!("r{key:02}")).collect();
    assert_eq!(world.mailed(), expected);
    let twice = world.state.sql("SELECT count(*) FROM (SELECT flow, due FROM runs WHERE due IS NOT NULL GROUP BY 1, 2 HAVING count(*) > 1) AS twice");
    assert_eq!(twice, "0", "a slot was run twice");
    assert_eq!(first.json(&["nodes", "--json"]), serde_json::json!([]), "both have left in order");
}

#[test]
fn a_flow_that_one_machine_has_runs_there_whoever_hears_of_it() {
    let world = World::new();
    let flows = world.flows().flow("new").every("hour").filter(SINCE);
    let first = Sandbox::on_postgres(flows, &world.state.on("vm-1"));
    let second = world.machine("vm-2");
    let daemons = [first.daemon(), second.daemon()];
    // Each of them has looked first at one or the other.
    for _ in 0..5 {
        first.exits(0, &["trigger", "new"]);
    }
    let requested = |sandbox: &Sandbox| sandbox.logs().matches("a run is requested by command").count();
    assert_eq!((requested(&first), requested(&second)), (5, 0));
    let [knows_it, does_not] = daemons;
    ends_well([knows_it]);
    let refused = first.exits(1, &["trigger", "new"]);
    has(&refused.stderr, &["does not know the flow `new`", "flows.toml was not reloaded"]);
    ends_well([does_not]);
}

#[test]
fn a_machine_that_is_killed_is_replaced_within_20_seconds_and_joins_again() {
    let world = World::new();
    let (first, second) = (world.machine("vm-1"), world.machine("vm-2"));
    let mut killed = first.daemon();
    let daemon = second.daemon();
    world.table().insert(&[row("before")]);
    world.wait_for(&["before"]);
    // Else the mail is uncertain, and is sent again.
    eventually("the reply to be recorded", || {
        (second.json(&["outbox", "list", "--json"]) == serde_json::json!([])).then_some(())
    });
    killed.signal("KILL");
    killed.wait();
    world.table().insert(&[row("after")]);
    within(Duration::from_secs(20), "the other machine to mail", || {
        world.mailed().contains(&"after".to_owned()).then_some(())
    });
    let gone = eventually("the lease to end", || {
        let nodes = second.json(&["nodes", "--json"]);
        (node(&nodes, "vm-1")["alive"] == false).then_some(nodes)
    });
    assert_eq!(node(&gone, "vm-2")["alive"], true);
    has(&second.exits(1, &["health"]).stdout, &["the node vm-1 is gone", "leadflow nodes --forget vm-1"]);
    has(&second.exits(1, &["nodes", "--forget", "vm-2"]).stderr, &["vm-2 is alive"]);
    has(&second.exits(1, &["nodes", "--forget", "vm-3"]).stderr, &["no node `vm-3`; there is vm-1, vm-2"]);

    let again = first.daemon();
    second.exits(0, &["health"]);
    let nodes = second.json(&["nodes", "--json"]);
    assert_eq!(node(&nodes, "vm-1")["alive"], true, "{nodes}");
    ends_well([again, daemon]);
    assert_eq!(world.mailed(), ["after", "before"]);
}

#[test]
fn a_node_that_does_not_come_back_is_forgotten() {
    let world = World::new();
    let (first, second) = (world.machine("vm-1"), world.machine("vm-2"));
    let _daemon = second.daemon();
    let mut killed = first.daemon();
    killed.signal("KILL");
    killed.wait();
    let forgotten = eventually("the node to be forgotten", || {
        let output = second.run(&["nodes", "--forget", "vm-1"]);
        (output.code == 0).then_some(output.stdout)
    });
    assert_eq!(forgotten, "vm-1 is forgotten\n");
    second.exits(0, &["health"]);
}

#[test]
fn commands_of_every_machine_reach_the_daemon_of_one() {
    let world = World::new();
    let (first, second) = (world.machine("vm-1"), world.machine("vm-2"));
    has(&second.exits(1, &["health"]).stdout, &["there is no state yet"]);
    let daemon = first.daemon();
    second.exits(0, &["health"]);
    second.exits(0, &["off", "leads"]);
    assert!(first.json(&["list", "--json"])[0]["off_by_command_since"].is_string());
    world.table().insert(&[row("a")]);
    let run = second.json(&["trigger", "leads", "--json"]);
    assert_eq!(run["mails"], 1, "{run}");
    world.wait_for(&["a"]);
    second.exits(0, &["on", "leads"]);
    assert_eq!(second.json(&["list", "--json"])[0]["daemon_is_running"], true);
    has(&first.exits(1, &["backup", "copy.db"]).stderr, &["pg_dump", "docs/high-availability.md"]);
    let refused = second.exits(1, &["rename", "leads", "leads"]).stderr;
    has(&refused, &["stop leadflow on every machine first; still at work: vm-1"]);
    ends_well([daemon]);

    // Nobody is there any more: the command does it itself, and leaves nothing behind.
    has(&second.exits(1, &["health"]).stdout, &["no daemon is running on any machine"]);
    world.table().insert(&[row("b")]);
    let run = second.json(&["trigger", "leads", "--json"]);
    assert_eq!((&run["mails"], &run["outcome"]), (&1.into(), &"sent".into()), "{run}");
    second.run_once();
    assert_eq!(second.json(&["nodes", "--json"]), serde_json::json!([]));
    assert_eq!(world.mailed(), ["a", "b"]);
}

#[test]
fn a_state_on_one_machine_has_no_nodes() {
    let sandbox = Sandbox::new(FlowsToml::demo().flow("leads"));
    if sandbox.database().is_some() {
        return;
    }
    has(&sandbox.exits(0, &["nodes"]).stdout, &["the state is on this machine alone", "high-availability"]);
    assert_eq!(sandbox.json(&["nodes", "--json"]), serde_json::json!([]));
}
