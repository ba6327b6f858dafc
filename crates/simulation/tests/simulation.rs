//! Simulated histories against the promise, and faults that the oracle must find.

use std::io;

use leadflow_simulation::{Break, Kind, Nodes, Options, Report, Violation};
use tokio::runtime::{Builder, Runtime};

fn paused() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_time().start_paused(true).build()
}

fn play(seed: u64, options: Options) -> Result<Report, Violation> {
    leadflow_simulation::play(seed, options, paused)
}

/// Plays these seeds until one breaks the promise.
fn first_violation(seeds: std::ops::Range<u64>, options: Options) -> Result<Report, (u64, Violation)> {
    let mut sum = Report::default();
    for seed in seeds {
        sum.add(&play(seed, options).map_err(|violation| (seed, violation))?);
    }
    Ok(sum)
}

#[test]
fn the_promise_holds_in_some_hundred_histories() {
    let result = first_violation(0..250, Options::default());
    let sum = result.unwrap_or_else(|(seed, violation)| {
        panic!(
            "seed {seed}: {violation}\n{}\ncargo run -p leadflow-simulation --example simulate -- --seed {seed} \
             --verbose",
            violation.events.join("\n")
        )
    });
    // A simulation in which nothing happens would hold as well.
    assert!(sum.owed > 500 && sum.crashes > 100 && sum.endured > 50, "{sum:?}");
    assert!(sum.uncertain > 20 && sum.repeats > 10 && sum.held > 20 && sum.broken > 2, "{sum:?}");
}

#[test]
fn every_fault_is_found() {
    let kinds = [
        Kind::Lost,
        Kind::Lost,
        Kind::Repeated,
        Kind::Repeated,
        Kind::Lost,
        Kind::Repeated,
        Kind::Broken,
        // A mail that would go through waits behind one that breaks each session.
        Kind::Broken,
        // A run that a kill has broken off is not done again.
        Kind::Broken,
    ];
    for ((name, fault), kind) in Break::ALL.into_iter().zip(kinds) {
        let options = Options { break_it: Some(fault), ..Options::default() };
        let found = first_violation(0..300, options).expect_err(name);
        assert_eq!(found.1.kind, kind, "{name}: {}", found.1);
        assert!(!found.1.events.is_empty(), "{name}");
        assert_eq!(play(found.0, options).unwrap_err(), found.1, "{name}: seed {} plays otherwise", found.0);
    }
}

#[test]
fn a_seed_plays_the_same_history_again() {
    let options = Options { log: true, ..Options::default() };
    for seed in 0..60 {
        let first = play(seed, options).unwrap();
        let second = play(seed, options).unwrap();
        assert_eq!(first, second, "seed {seed}");
        assert!(first.events.len() > 5, "seed {seed}");
        assert_eq!(Report { events: Vec::new(), ..first }, play(seed, Options::default()).unwrap());
    }
}

#[test]
fn the_promise_holds_where_nodes_share_the_state() {
    let options = Options { nodes: Some(Nodes::Any), ..Options::default() };
    let sum = first_violation(0..60, options).unwrap_or_else(|(seed, violation)| {
        panic!(
            "seed {seed}: {violation}\n{}\nsimulate --seed {seed} --nodes any",
            violation.events.join("\n")
        )
    });
    assert!(sum.owed > 100 && sum.crashes > 20 && sum.stalls > 20 && sum.cuts > 20, "{sum:?}");
    assert!(sum.lapses > 40 && sum.uncertain > 5 && sum.repeats > 2, "{sum:?}");
}

#[test]
fn every_fault_of_nodes_is_found() {
    let faults = Break::OF_NODES.into_iter().zip([
        "commits after its lease has ended",
        "takes over before a lease has ended",
        "sends a message after its lease has ended",
        "runs a flow beside itself",
    ]);
    for ((name, fault), words) in faults {
        let options = Options { break_it: Some(fault), nodes: Some(Nodes::Any), log: false };
        let found = first_violation(0..100, options).expect_err(name);
        assert_eq!(found.1.kind, Kind::Broken, "{name}: {}", found.1);
        assert!(found.1.message.contains(words), "{name}: {}", found.1);
        assert_eq!(play(found.0, options).unwrap_err(), found.1, "{name}: seed {} plays otherwise", found.0);
    }
}

#[test]
fn a_seed_plays_the_same_history_of_nodes_again() {
    let options = Options { nodes: Some(Nodes::Exactly(3)), log: true, ..Options::default() };
    for seed in 0..12 {
        let first = play(seed, options).unwrap();
        assert_eq!(first, play(seed, options).unwrap(), "seed {seed}");
    }
}
