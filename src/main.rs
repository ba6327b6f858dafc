//! The `leadflow` command: parses, dispatches, exits.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    cli::main(cli::Arguments::parse())
}
