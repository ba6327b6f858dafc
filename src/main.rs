//! The `leadflow` command: parses, dispatches, exits.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let _crash_points = fail::has_failpoints().then(fail::FailScenario::setup);
    cli::main(cli::Arguments::parse())
}
