//! The 30 cases of `docs/reliability.md`: `cargo test --test it case_17` reruns one of them. Those
//! about rows and a driven clock are in `rows.rs`, those that need root in `tests/root`.

mod crashes;
mod disk;
mod edits;
mod mails;
mod network;
mod services;
mod soak;
mod time;
mod volume;

use crate::support::azurite::Table;
use crate::support::flows_toml::guide;
use crate::support::leadflow::Sandbox;
use crate::support::leads::leads;

/// The guide's flow each second.
fn every_second(table: &Table, port: u16) -> Sandbox {
    Sandbox::with_azurite(guide(&table.name, port).every("second").more("per_hour = 100000"))
}

fn create_table() -> Table {
    Table::create_here()
}

fn insert(table: &Table, numbers: std::ops::Range<usize>) {
    table.insert_here(&leads(numbers));
}
