//! The `leadflow` command.

use clap::Parser;

/// Reads an Azure Storage table on schedule and mails its new rows.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {}

fn main() {
    let Arguments {} = Arguments::parse();
}
