//! Makes a state with a past, to look at and to measure: `cargo run --example past -- STATE RUNS FLOW…`.

mod fill;

use std::env;
use std::path::Path;

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [state, runs, flows @ ..] = arguments.as_slice() else { anyhow::bail!("past STATE RUNS FLOW…") };
    anyhow::ensure!(!flows.is_empty(), "past STATE RUNS FLOW…: no flow is named");
    fill::fill(Path::new(state), flows, runs.parse().context("RUNS is not a number")?)
}
