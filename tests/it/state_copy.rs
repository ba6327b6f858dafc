//! A state is moved from its folder into a database, and back, and nobody sees a difference.

use std::fs;

use crate::support::has;
use crate::support::leadflow::Sandbox;
use crate::support::past::{self, PastState};
use crate::support::postgres::SharedState;

/// What commands show of the state.
fn shown(sandbox: &Sandbox) -> Vec<String> {
    let lines = ["history --json", "outbox list --json", "stats --json", "list --json"];
    let mut lines: Vec<String> = lines.map(str::to_owned).to_vec();
    lines.extend((1..=6).map(|run| format!("history show {run} --json")));
    lines.extend((1..=3).map(|mail| format!("outbox show {mail}")));
    let show = |line: &String| sandbox.exits(0, &line.split(' ').collect::<Vec<_>>()).stdout;
    lines.iter().map(show).collect()
}

#[test]
fn a_state_that_is_copied_to_a_database_and_back_shows_the_same() {
    let sandbox = Sandbox::on_sqlite(past::flows());
    PastState::make(&sandbox);
    let before = shown(&sandbox);
    let of_folder = past::flows().to_string();
    has(&sandbox.exits(1, &["state", "copy", "--to", "postgres"]).stderr, &["write [settings.postgres]"]);

    let state = SharedState::new();
    sandbox.write("flows.toml", &format!("{of_folder}{}", state.section()));
    has(
        &sandbox.exits(1, &["history"]).stderr,
        &["has no state", "says that there was one since", "leadflow state copy --to postgres"],
    );
    let copied = sandbox.exits(0, &["state", "copy", "--to", "postgres"]).stdout;
    has(&copied, &["the state was copied to the database", "in 14 tables", "start leadflow on each machine"]);
    assert_eq!(shown(&sandbox), before);
    // As after a copy that was killed before it had compared.
    sandbox.exits(0, &["state", "copy", "--to", "postgres"]);

    // What was left behind is not used by mistake.
    sandbox.write("flows.toml", &of_folder);
    has(&sandbox.exits(1, &["history"]).stderr, &["the state was moved", "in a PostgreSQL database"]);

    sandbox.write("flows.toml", &format!("{of_folder}{}", state.section()));
    for file in ["leadflow.db", "leadflow.db-wal", "leadflow.db-shm"] {
        let _ = fs::remove_file(sandbox.path("state").join(file));
    }
    let copied = sandbox.exits(0, &["state", "copy", "--to", "sqlite"]).stdout;
    has(&copied, &["remove [settings.postgres] from flows.toml"]);
    has(&sandbox.exits(1, &["history"]).stderr, &["the state was moved", "in the state folder"]);
    sandbox.write("flows.toml", &of_folder);
    assert_eq!(shown(&sandbox), before);
    let run = sandbox.json(&["trigger", "renewals", "--json"]);
    assert_eq!(run["run"], 7, "numbers go on: {run}");

    // The two are not the same any more.
    sandbox.write("flows.toml", &format!("{of_folder}{}", state.section()));
    let refused = |to: &str| sandbox.exits(1, &["state", "copy", "--to", to]).stderr;
    has(&refused("postgres"), &["there is another state already", "drop this one"]);
    has(&refused("sqlite"), &["there is another state already", "move leadflow.db"]);
}

#[test]
fn a_state_that_somebody_works_on_is_not_copied() {
    let state = SharedState::new();
    let (first, second) = (
        Sandbox::on_postgres(past::flows(), &state.on("vm-1")),
        Sandbox::on_postgres(past::flows(), &state.on("vm-2")),
    );
    has(
        &second.exits(1, &["state", "copy", "--to", "sqlite"]).stderr,
        &["there is no state in the database"],
    );
    has(
        &second.exits(1, &["state", "copy", "--to", "postgres"]).stderr,
        &["there is no state in the state folder"],
    );
    let daemon = first.daemon();
    let refused = second.exits(1, &["state", "copy", "--to", "sqlite"]).stderr;
    has(&refused, &["stop leadflow on every machine first; still at work: vm-1"]);
    assert!(!second.path("state/leadflow.db").exists());
    assert!(daemon.stop().success());
    second.exits(0, &["state", "copy", "--to", "sqlite"]);
}

#[test]
fn a_database_without_its_state_is_noticed_and_starts_again_by_recover() {
    let state = SharedState::new();
    let sandbox = Sandbox::on_postgres(past::flows(), &state);
    sandbox.run_once();
    has(&sandbox.exits(1, &["recover", "--since", "1 hour"]).stderr, &["is complete"]);
    sandbox.write("flows.toml", &format!("{}{}", past::flows(), SharedState::new().section()));
    for line in [&["history"][..], &["run", "--once"], &["trigger", "renewals"]] {
        has(&sandbox.exits(1, line).stderr, &["has no state", "leadflow recover --since TIME"]);
    }
    has(&sandbox.exits(0, &["recover", "--since", "1 hour"]).stdout, &["every flow begins at"]);
    sandbox.run_once();
    // The other one is there, and is not this one.
    sandbox.write("flows.toml", &format!("{}{}", past::flows(), state.section()));
    has(&sandbox.exits(1, &["history"]).stderr, &["is not the one that", "name the right database"]);
    has(&sandbox.exits(1, &["recover", "--since", "1 hour"]).stderr, &["is not the one that"]);
}
