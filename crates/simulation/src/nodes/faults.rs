//! Faults of leases and claims, put into the state for the time of one operation: all the SQL of nodes.

use super::super::Break;
use super::super::world::World;
use super::name_of;
use leadflow::store::{Store, StoreError};

/// Leases of four seconds, of which their owners believe that they are longer.
const END_EARLY: [&str; 2] = [
    "CREATE TEMP TRIGGER early_after_join AFTER INSERT ON nodes
     BEGIN UPDATE nodes SET lease_until = seen + 4000000 WHERE name = NEW.name AND owner IS NOT NULL; END",
    "CREATE TEMP TRIGGER early_after_beat AFTER UPDATE OF digest ON nodes
     BEGIN UPDATE nodes SET lease_until = seen + 4000000 WHERE name = NEW.name AND owner IS NOT NULL; END",
];

/// Owners whose lease was taken over, so that they can be raised.
const REMEMBER: [&str; 2] = [
    "CREATE TEMP TABLE gone (name TEXT PRIMARY KEY, owner TEXT)",
    "CREATE TEMP TRIGGER node_gone AFTER UPDATE OF owner ON nodes WHEN NEW.owner IS NULL
     BEGIN INSERT OR REPLACE INTO gone VALUES (OLD.name, OLD.owner); END",
];

/// Prepares the fault of a world.
pub(super) fn prepare(world: &World) -> Result<(), StoreError> {
    let make: &[&str] = match world.break_it {
        Some(Break::EarlyTakeover) => &END_EARLY,
        Some(Break::NoFence) => &REMEMBER,
        Some(Break::TwoRunners) => &["DROP INDEX one_run_at_a_time"],
        _ => &[],
    };
    make.iter().try_for_each(|make| world.store.raw(make).map(drop))
}

/// Before an operation of the process on this host.
pub(crate) fn begin_fault(world: &World, host: usize) {
    let name = name_of(host);
    let set: fn(&Store, &str) -> Result<(), StoreError> = match world.break_it {
        Some(Break::NoFence) => raise,
        Some(Break::TwoRunners) => hide,
        _ => return,
    };
    let _ = set(&world.store, &name);
}

/// After it.
pub(crate) fn end_fault(world: &World) {
    let set: &[&str] = match world.break_it {
        Some(Break::NoFence) => &[
            "DELETE FROM nodes WHERE name LIKE '% that is gone'",
            "UPDATE runs SET outcome = 'interrupted' WHERE outcome = 'running' AND owner IN (SELECT owner FROM gone)",
        ],
        Some(Break::TwoRunners) => &["UPDATE runs SET outcome = 'running' WHERE outcome = 'hidden'"],
        _ => return,
    };
    for set in set {
        let _ = world.store.raw(set);
    }
}

/// The lease of a node that was taken over holds, and so do its claims.
fn raise(store: &Store, name: &str) -> Result<(), StoreError> {
    store.raw(&format!(
        "INSERT INTO nodes SELECT name || ' that is gone', owner, 9000000000000000, 0, 0, '', '' FROM gone
         WHERE name = '{name}' AND NOT EXISTS (SELECT 1 FROM nodes WHERE name = '{name}' AND owner IS NOT NULL)"
    ))?;
    let again = format!(
        "UPDATE OR IGNORE runs SET outcome = 'running' WHERE outcome = 'interrupted'
         AND owner = (SELECT owner FROM gone WHERE name = '{name}')
         AND owner IN (SELECT owner FROM nodes)
         AND id = (SELECT max(id) FROM runs AS newest WHERE newest.owner = runs.owner AND newest.flow = runs.flow)"
    );
    store.raw(&again).map(drop)
}

/// Nobody sees the runs of others.
fn hide(store: &Store, name: &str) -> Result<(), StoreError> {
    let hide = format!(
        "UPDATE runs SET outcome = 'hidden' WHERE outcome = 'running'
         AND owner IN (SELECT owner FROM nodes WHERE name != '{name}' AND owner IS NOT NULL)"
    );
    store.raw(&hide).map(drop)
}
