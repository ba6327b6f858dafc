//! The `leadflow` command: parses, dispatches, exits.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let _crash_points = fail::has_failpoints().then(fail::FailScenario::setup);
    match cli::Arguments::try_parse() {
        Ok(arguments) => cli::main(arguments),
        Err(error) => cli::complain_of_arguments(&error),
    }
}
