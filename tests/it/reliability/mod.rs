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
use crate::support::flows_toml::{MARKETPLACE, guide_flow, relay};
use crate::support::leadflow::Sandbox;
use crate::support::leads::leads;

/// The guide's flow each second.
fn every_second(table: &Table, port: u16) -> Sandbox {
    let flow = guide_flow(&table.name).replace("frequency = \"hour\"", "frequency = \"second\"");
    let flow = format!("{flow}per_hour = 100000\n");
    Sandbox::with_azurite(format!("{MARKETPLACE}{}{flow}", relay(port)))
}

fn create_table() -> Table {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(Table::create())
}

fn insert(table: &Table, numbers: std::ops::Range<usize>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(table.insert(&leads(numbers)));
}
