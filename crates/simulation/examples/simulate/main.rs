//! Plays many simulated histories and holds each against the promise:
//! `cargo run --release -p leadflow-simulation --example simulate -- --seeds 100000`.

#![expect(clippy::print_stdout, reason = "the digest is for scripts")]

mod digest;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use indicatif::{ProgressBar, ProgressStyle};
use leadflow_simulation::{Break, Nodes, Options, Report, Violation, play};
use tokio::runtime::{Builder, Runtime};

use digest::Digests;

/// Plays many simulated histories and holds each against the promise.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many histories.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// This one alone.
    #[arg(long)]
    seed: Option<u64>,
    /// Tell all that happens; with --seed.
    #[arg(long, requires = "seed")]
    verbose: bool,
    /// Print a digest of all that happens, which is the same as long as the same histories are played.
    #[arg(long)]
    digest: bool,
    /// Write the digest of each seed's history here, a line each.
    #[arg(long, value_name = "FILE")]
    digest_file: Option<PathBuf>,
    /// Put a fault into leadflow, which must be found.
    #[arg(long = "break", value_parser = PossibleValuesParser::new(faults().map(|(name, _)| name).collect::<Vec<_>>()))]
    break_it: Option<String>,
    /// Nodes that share the state: 1 to 3, or any, as the seed says. Without it one process has it for itself.
    #[arg(long, value_parser = nodes)]
    nodes: Option<Nodes>,
}

fn nodes(text: &str) -> Result<Nodes, String> {
    match text {
        "any" => Ok(Nodes::Any),
        "1" | "2" | "3" => Ok(Nodes::Exactly(text.parse().map_err(|_| "a number")?)),
        _ => Err("1, 2, 3 or any".to_owned()),
    }
}

/// Those of one process, and those of nodes.
fn faults() -> impl Iterator<Item = (&'static str, Break)> {
    Break::ALL.into_iter().chain(Break::OF_NODES)
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let named = |name: &String| faults().find(|(known, _)| known == name).map(|(_, it)| it);
    let break_it = arguments.break_it.as_ref().and_then(named);
    let has_digests = arguments.digest || arguments.digest_file.is_some();
    let is_of_nodes = break_it.is_some_and(|it| Break::OF_NODES.iter().any(|(_, other)| *other == it));
    let nodes = arguments.nodes.or(is_of_nodes.then_some(Nodes::Any));
    let options = Options { break_it, log: arguments.verbose || has_digests, nodes };
    let (from, seeds) = arguments.seed.map_or((arguments.from, arguments.seeds), |seed| (seed, 1));
    let began = Instant::now();
    let Played { count, sum, violation, digests } = play_all(from, seeds, options, arguments.verbose);
    let took = began.elapsed();
    sum.events.iter().for_each(|event| eprintln!("{event}"));
    eprintln!(
        "{count} histories in {:.1} s: {} writes, {} rows owed, {} runs, {} mails in {} tries, {} kills, {} restarts, {} failures of the state,\n\
         {} stalls, {} cuts, {} leases taken over,\n\
         {} uncertain marks, {} repeats (all marked), {} refused or held, {} held since they broke each session",
        took.as_secs_f64(),
        sum.writes,
        sum.owed,
        sum.runs,
        sum.mails,
        sum.tries,
        sum.crashes,
        sum.restarts,
        sum.endured,
        sum.stalls,
        sum.cuts,
        sum.lapses,
        sum.uncertain,
        sum.repeats,
        sum.held,
        sum.broken,
    );
    let Some((seed, violation)) = violation else {
        eprintln!("0 lost, 0 unmarked repeats");
        return show(&digests, &arguments);
    };
    violation.events.iter().for_each(|event| eprintln!("{event}"));
    eprintln!("seed {seed}: {violation}");
    let fault = arguments.break_it.map_or_else(String::new, |name| format!(" --break {name}"));
    let nodes = match nodes {
        None => String::new(),
        Some(Nodes::Any) => " --nodes any".to_owned(),
        Some(Nodes::Exactly(count)) => format!(" --nodes {count}"),
    };
    eprintln!(
        "again: cargo run --release -p leadflow-simulation --example simulate -- --seed {seed} \
         --verbose{fault}{nodes}"
    );
    ExitCode::FAILURE
}

/// The time of a process passes when nothing else is to be done.
fn paused() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_time().start_paused(true).build()
}

/// What was asked for of them.
fn show(digests: &Digests, arguments: &Arguments) -> ExitCode {
    if let Some(file) = &arguments.digest_file
        && let Err(error) = fs::write(file, digests.lines())
    {
        eprintln!("cannot write {}: {error}", file.display());
        return ExitCode::FAILURE;
    }
    if arguments.digest {
        println!("{}", digests.total());
    }
    ExitCode::SUCCESS
}

/// What was played.
#[derive(Default)]
struct Played {
    count: u64,
    sum: Report,
    /// The lowest seed whose history broke the promise.
    violation: Option<(u64, Violation)>,
    digests: Digests,
}

/// On every core, until all are played or one breaks the promise; of several the lowest seed.
fn play_all(from: u64, seeds: u64, options: Options, keeps_events: bool) -> Played {
    let bar = ProgressBar::new(seeds);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} histories, {eta} left") {
        bar.set_style(style);
    }
    let next = AtomicU64::new(from);
    let end = AtomicU64::new(from.saturating_add(seeds));
    let found = Mutex::new(Played::default());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end.load(Ordering::Relaxed) {
                return;
            }
            let result = play(seed, options, paused);
            bar.inc(1);
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            found.count += 1;
            match result {
                Ok(report) => {
                    found.sum.add(&report);
                    if options.log {
                        found.digests.add(seed, &report.events);
                    }
                    if keeps_events {
                        found.sum.events.extend(report.events);
                    }
                }
                Err(broken) => {
                    // What was begun before it is still played: it may be the first to fail.
                    end.fetch_min(seed, Ordering::Relaxed);
                    if found.violation.as_ref().is_none_or(|(first, _)| seed < *first) {
                        found.violation = Some((seed, broken));
                    }
                }
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    bar.finish_and_clear();
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}
