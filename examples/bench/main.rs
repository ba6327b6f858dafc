//! What `scripts/bench` measures leadflow against: a table service that has its answers ready, a
//! mail server that takes everything, and the floor, a program that does the bare job once.

#![expect(clippy::print_stdout, reason = "scripts/bench reads it")]

mod decode;
mod floor;
mod lead;
mod mail;
mod table;

use clap::Parser;

/// The parts of the benchmark; servers listen on a free port of 127.0.0.1 and print it.
#[derive(Debug, Parser)]
enum Part {
    /// A table service whose pages are rendered before the first request.
    Table(table::Arguments),
    /// A mail server that takes everything and keeps nothing.
    Mail,
    /// Decode a hundred pages, and the same by serde alone; prints the seconds of both.
    Decode,
    /// Fetch, decode, one row of HTML each, quoted-printable, one mail.
    Floor(floor::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Part::parse() {
        Part::Table(arguments) => table::serve(&arguments),
        Part::Mail => mail::serve(),
        Part::Decode => decode::run(),
        Part::Floor(arguments) => floor::run(&arguments),
    }
}
