//! Plays many simulated histories and holds each against the promise:
//! `cargo run --release --example simulate -- --seeds 100000`.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use indicatif::{ProgressBar, ProgressStyle};
use leadflow::simulation::{Break, Options, Report, Violation, play};

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
    /// Put a fault into leadflow, which must be found.
    #[arg(long = "break", value_parser = PossibleValuesParser::new(Break::ALL.map(|(name, _)| name)))]
    break_it: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let named = |name: &String| Break::ALL.iter().find(|(known, _)| known == name).map(|(_, it)| *it);
    let break_it = arguments.break_it.as_ref().and_then(named);
    let options = Options { break_it, tell: arguments.verbose };
    let (from, seeds) = arguments.seed.map_or((arguments.from, arguments.seeds), |seed| (seed, 1));
    let began = Instant::now();
    let (sum, played, violation) = play_all(from, seeds, options);
    let took = began.elapsed();
    sum.events.iter().for_each(|event| eprintln!("{event}"));
    eprintln!(
        "{played} histories in {:.1} s: {} writes, {} rows owed, {} runs, {} mails in {} tries, {} kills, {} restarts, {} failures of the state,\n\
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
        sum.uncertain,
        sum.repeats,
        sum.held,
        sum.broken,
    );
    let Some((seed, violation)) = violation else {
        eprintln!("0 lost, 0 unmarked repeats");
        return ExitCode::SUCCESS;
    };
    violation.events.iter().for_each(|event| eprintln!("{event}"));
    eprintln!("seed {seed}: {violation}");
    let fault = arguments.break_it.map_or_else(String::new, |name| format!(" --break {name}"));
    eprintln!("again: cargo run --release --example simulate -- --seed {seed} --verbose{fault}");
    ExitCode::FAILURE
}

/// On every core, until all are played or one breaks the promise; of several the lowest seed.
fn play_all(from: u64, seeds: u64, options: Options) -> (Report, u64, Option<(u64, Violation)>) {
    let bar = ProgressBar::new(seeds);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} histories, {eta} left") {
        bar.set_style(style);
    }
    let (next, end) = (AtomicU64::new(from), AtomicU64::new(from.saturating_add(seeds)));
    let found = Mutex::new((Report::default(), 0, None));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end.load(Ordering::Relaxed) {
                return;
            }
            let result = play(seed, options);
            bar.inc(1);
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            let (sum, played, violation) = &mut *found;
            *played += 1;
            match result {
                Ok(report) => {
                    sum.add(&report);
                    sum.events.extend(report.events);
                }
                Err(broken) => {
                    // What was begun before it is still played: it may be the first to fail.
                    end.fetch_min(seed, Ordering::Relaxed);
                    if violation.as_ref().is_none_or(|(first, _): &(u64, _)| seed < *first) {
                        *violation = Some((seed, broken));
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
