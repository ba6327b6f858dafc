//! What keeps a database from being used, as commands and daemons tell it.

use leadflow_test_postgres::{Cluster, Stop};

use crate::support::embedded::row;
use crate::support::flows_toml::{FlowsToml, KEYS, SINCE};
use crate::support::leadflow::Sandbox;
use crate::support::postgres::SharedState;
use crate::support::{eventually, has};

fn flows() -> FlowsToml {
    FlowsToml::demo().flow("leads").every("second").filter(SINCE).body(KEYS)
}

/// A way over TCP, as a role of this name whose password is in the file `password`.
fn section(cluster: &Cluster, database: &str, user: &str) -> String {
    format!(
        "[settings.postgres]\nhost = \"127.0.0.1\"\nport = {}\ndatabase = \"{database}\"\nuser = \"{user}\"\n\
         password = {{ file = \"password\" }}\nnode = \"vm-1\"\n",
        cluster.port
    )
}

/// Commands and the daemon end with exit status 1 and these words; `health` has them as its reason.
#[track_caller]
fn refused(sandbox: &Sandbox, words: &[&str]) {
    has(&sandbox.exits(1, &["history"]).stderr, words);
    has(&sandbox.exits(1, &["health"]).stdout, words);
    has(sandbox.json(&["health", "--json"])["reasons"][0].as_str().unwrap(), words);
    has(&sandbox.exits(1, &["run"]).stderr, words);
    has(&sandbox.exits(1, &["trigger", "leads"]).stderr, words);
    let checked = sandbox.exits(1, &["check", "--online"]).stdout;
    has(&checked.split_whitespace().collect::<Vec<_>>().join(" "), words);
}

#[test]
fn who_may_not_come_in_is_told_what_to_do() {
    let state = SharedState::new();
    let name = state.name();
    state.sql(&format!("CREATE ROLE {name} LOGIN PASSWORD 'right'; ALTER DATABASE {name} OWNER TO {name}"));
    let sandbox = Sandbox::on_sqlite("");
    let write = |section: String| sandbox.write("flows.toml", &format!("{}{section}", flows()));
    sandbox.write("password", "not-this-one");
    write(section(state.cluster(), name, name));
    refused(&sandbox, &[&format!("the password of `{name}` is wrong"), "correct the secret"]);
    sandbox.write("password", "right");
    write(section(state.cluster(), "nothere", name));
    let create = format!("create it: CREATE DATABASE nothere OWNER {name}");
    refused(&sandbox, &["there is no database `nothere`", &create]);
    write(section(state.cluster(), name, name));
    sandbox.run_once();
    state.sql("INSERT INTO refinery_schema_history (version) VALUES (99)");
    refused(&sandbox, &["written by a later leadflow", "install the later leadflow on this machine, too"]);
}

#[test]
fn a_server_that_is_away_is_waited_for() {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start("", &[])));
    let state = SharedState::on_cluster(cluster);
    let sandbox = Sandbox::on_postgres(flows(), &state);
    let daemon = sandbox.daemon();
    sandbox.table().insert(&[row("before")]);
    eventually("the first mail", || (sandbox.texts() == ["before"]).then_some(()));
    cluster.stop(Stop::Fast);
    let reason = sandbox.exits(1, &["health"]).stdout;
    has(&reason, &["cannot use the state database", "no connection", "check that the server runs"]);
    sandbox.table().insert(&[row("meanwhile")]);
    daemon.wait_for_log("trying again");
    cluster.go_on();
    eventually("the daemon to go on", || sandbox.texts().contains(&"meanwhile".to_owned()).then_some(()));
    assert!(daemon.stop().success());
    let mut texts = sandbox.texts();
    texts.sort();
    texts.dedup();
    assert_eq!(texts, ["before", "meanwhile"]);
}
