//! The command line: one file a command.

mod ask;
mod check;
mod columns;
mod daemon;
mod demo;
mod health;
mod history;
mod lead;
mod list;
mod maintenance;
mod moment;
mod nodes;
mod on_off;
mod outbox;
mod output;
mod page;
mod preview;
mod run;
mod schedule;
mod shell;
mod state;
mod stats;
mod stop;
mod table;
mod test_mail;
mod trigger;

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use leadflow::config::{self, ChoiceNote, ChosenFile, Loaded, Report};
use leadflow::flow::{Config, Flow};
use leadflow::platform::telemetry;
use leadflow::store::{Store, StoreError};

use stop::Stopped;

/// A scheduled polling daemon: reads an Azure Storage table and mails its new rows.
///
/// flows.toml defines what runs, when, and who is notified. Exit status: 0 done, 1 the work
/// failed, 2 the command line or flows.toml is wrong.
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
pub(crate) struct Arguments {
    /// The file to use [default: ./flows.toml, then /etc/leadflow/flows.toml; the latter while the
    /// packaged service runs]
    #[arg(long, global = true, env = "LEADFLOW_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Format of log lines
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people and the journal
    Text,
    /// One JSON object per line
    Json,
}

impl From<LogFormat> for telemetry::Format {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Text => Self::Text,
            LogFormat::Json => Self::Json,
        }
    }
}

#[derive(Subcommand)]
enum Command {
    /// Run the daemon until Ctrl-C or SIGTERM, or run the flows once
    ///
    /// The daemon reloads flows.toml when it or a template changes, and on SIGHUP. An invalid
    /// file changes nothing.
    Run(run::Arguments),
    /// Check flows.toml and its templates; show each problem, where it is, and how to fix it
    Check(check::Arguments),
    /// List the flows: on or off, last run, next run, waiting mails
    List(list::Arguments),
    /// Show the run history, newest first
    History(history::Arguments),
    /// Show runs, failures, rows, mails and durations by day, with a chart of the mailed rows
    Stats(stats::Arguments),
    /// Show the next slots of a flow and the window that each run reads
    Schedule(schedule::Arguments),
    /// Show the mail that a run of the flow would send now; nothing is sent or recorded
    Preview(preview::Arguments),
    /// Send a flow's mail with made-up rows, marked as a test
    TestMail(test_mail::Arguments),
    /// Run a flow now and show the result
    Trigger(trigger::TriggerArguments),
    /// Run a past run's window again and mail what it missed; the watermark does not move
    Resubmit(trigger::ResubmitArguments),
    /// Mail the rows of a past time range that were not mailed
    Replay(trigger::ReplayArguments),
    /// Show, retry, redirect or drop mails that are waiting, held or uncertain
    Outbox(outbox::Arguments),
    /// List and export leads, show the proof of one, add a test lead, erase a person
    Lead(lead::Arguments),
    /// List or create the tables of a connection
    Table(table::Arguments),
    /// Report whether anything is failing, late or held; exit status 1 with the reason if so
    Health(health::Arguments),
    /// Show the machines that share the state, or forget one that does not come back
    Nodes(nodes::Arguments),
    /// Make the password hashes and tokens of the daemon's page
    Page(page::Arguments),
    /// Copy the state; works beside a running daemon
    Backup(maintenance::BackupArguments),
    /// Copy the whole state from the state folder to a database, or back
    State(state::Arguments),
    /// Move the state of a flow to its new name; the daemon must be stopped
    Rename(maintenance::RenameArguments),
    /// Start over after the state was lost or damaged; the daemon must be stopped
    Recover(maintenance::RecoverArguments),
    /// Turn on a flow that `leadflow off` turned off
    On(on_off::Arguments),
    /// Turn a flow off until it is turned on again; waiting mails are still sent
    Off(on_off::Arguments),
    /// Run a self-contained demo (embedded table, mail folder)
    Demo(demo::Arguments),
    /// Print a shell completion script
    Completions(shell::CompletionsArguments),
    /// Print leadflow's manual page, or write the pages of all commands to a folder
    Man(shell::ManArguments),
}

impl Command {
    /// Whether it works by a flows.toml.
    fn reads_flows(&self) -> bool {
        !matches!(self, Self::Completions(_) | Self::Man(_) | Self::Demo(_) | Self::Page(_))
    }
}

/// Something that was typed is wrong, as a flow that is not there.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// Threads that may hang: DNS, a disk that is gone. A connection has a handful of them, and none takes another
/// one's.
const MOST_BLOCKED: usize = 4_096;
/// How long the blocking work of a stopped process may continue.
const FOR_BLOCKING_WORK: Duration = Duration::from_secs(3);

/// Tells what is wrong with what was typed, or the help that was asked for. What was typed may have been copied from
/// anywhere.
pub(crate) fn complain_of_arguments(error: &clap::Error) -> ExitCode {
    let words = error.render().to_string();
    if output::does_nothing(&words) {
        // With its colours; that nobody reads it is not an error.
        let _ = error.print();
    } else {
        output::eprint(&words);
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Runs the command and prints what went wrong.
pub(crate) fn main(arguments: Arguments) -> ExitCode {
    output::eprint_panics();
    let error = match dispatch(arguments) {
        Ok(code) => return code,
        Err(error) => error,
    };
    if let Some(report) = error.downcast_ref::<Report>() {
        output::eprint_colored(&report.shown(output::has_color_on_stderr(), output::width_of_stderr()));
        return ExitCode::from(2);
    }
    if let Some(stopped) = error.downcast_ref::<Stopped>() {
        output::eprint(&stopped.to_string());
        return ExitCode::from(stopped.code);
    }
    output::eprint(&format!("error: {error}"));
    if error.is::<Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}

fn dispatch(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { config, log_format, command } = arguments;
    let format = telemetry::Format::from(log_format);
    let path = file_of(config, &command)?;
    match command {
        Command::Run(arguments) => {
            let loaded = config::load(&path)?;
            telemetry::start(&loaded.config.settings.log, format)?;
            on_runtime(run::run(loaded, arguments))
        }
        Command::Check(arguments) => on_runtime(check::check(path, arguments)),
        Command::Schedule(arguments) => on_runtime(schedule::schedule(&load(&path)?, &arguments)),
        Command::Preview(arguments) => {
            telemetry::start("warn", format)?;
            on_runtime(preview::preview(load(&path)?, arguments))
        }
        Command::TestMail(arguments) => {
            telemetry::start("warn", format)?;
            on_runtime(test_mail::test_mail(load_beside(&path)?, arguments))
        }
        Command::List(arguments) => on_runtime(list::list(&load_anyway(&path)?, &arguments)),
        Command::History(arguments) => on_runtime(history::history(&load_anyway(&path)?, &arguments)),
        Command::Stats(arguments) => on_runtime(stats::stats(&load_anyway(&path)?, &arguments)),
        Command::Completions(arguments) => shell::completions(&arguments),
        Command::Man(arguments) => shell::man(&arguments),
        Command::Trigger(arguments) => {
            telemetry::start("warn", format)?;
            on_runtime(trigger::trigger(load_anyway(&path)?, arguments))
        }
        Command::Resubmit(arguments) => {
            telemetry::start("warn", format)?;
            on_runtime(trigger::resubmit(load_anyway(&path)?, arguments))
        }
        Command::Replay(arguments) => {
            telemetry::start("warn", format)?;
            on_runtime(trigger::replay(load(&path)?, arguments))
        }
        Command::Lead(arguments) => {
            telemetry::start("warn", format)?;
            on_runtime(lead::lead(load(&path)?, arguments))
        }
        Command::Table(arguments) => {
            telemetry::start("warn", format)?;
            on_runtime(table::table(load_beside(&path)?, arguments))
        }
        Command::Outbox(arguments) => on_runtime(outbox::outbox(&load_anyway(&path)?, &arguments)),
        // What is wrong with the file is among its reasons.
        Command::Health(arguments) => on_runtime(health::health(&config::load_anyway(&path)?, &arguments)),
        Command::Nodes(arguments) => on_runtime(nodes::nodes(&load_anyway(&path)?, &arguments)),
        Command::Page(arguments) => page::page(arguments),
        Command::Backup(arguments) => on_runtime(maintenance::backup(&load_anyway(&path)?, &arguments)),
        Command::State(arguments) => on_runtime(state::state(&load(&path)?, &arguments)),
        Command::Rename(arguments) => on_runtime(maintenance::rename(&load(&path)?, &arguments)),
        Command::Recover(arguments) => on_runtime(maintenance::recover(&load(&path)?, &arguments)),
        Command::On(arguments) => on_runtime(on_off::set_on(&load_anyway(&path)?, &arguments, true)),
        Command::Off(arguments) => on_runtime(on_off::set_on(&load_anyway(&path)?, &arguments, false)),
        Command::Demo(arguments) => {
            telemetry::start("warn", format)?;
            on_runtime(demo::demo(arguments))
        }
    }
}

/// The file that was named, or one that is found and not a stranger's. Says which one it is where that may be another
/// than is thought.
fn file_of(named: Option<PathBuf>, command: &Command) -> Result<PathBuf, Report> {
    if !command.reads_flows() {
        return Ok(PathBuf::new());
    }
    let ChosenFile { path, note } = config::find(named)?;
    match note {
        Some(ChoiceNote::PassedOver) => output::eprint(&format!(
            "using {}, the running service's; for the flows.toml of this folder add --config flows.toml",
            path.display()
        )),
        // The one says it in the log, the other in its last line.
        Some(ChoiceNote::Own) if matches!(command, Command::Run(_) | Command::Check(_)) => {}
        Some(ChoiceNote::Own) => {
            let path = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
            output::eprint(&format!("using {}", path.display()));
        }
        None => {}
    }
    Ok(path)
}

/// The file, whose warnings `check` prints.
fn load(path: &Path) -> anyhow::Result<Loaded> {
    Ok(config::load(path)?)
}

/// The file for a command that does not need the state; that it is lost is said all the same.
fn load_beside(path: &Path) -> anyhow::Result<Loaded> {
    let loaded = load(path)?;
    warn_lost(&loaded);
    Ok(loaded)
}

fn warn_lost(loaded: &Loaded) {
    if let Err(lost @ StoreError::Lost { .. }) = leadflow::store::state::is_there(&loaded.config) {
        output::eprint(&format!("warning: {lost}"));
    }
}

/// The file for a command that needs the state alone, which one with mistakes does not stop.
fn load_anyway(path: &Path) -> anyhow::Result<Loaded> {
    let loaded = config::load_anyway(path)?;
    if let Some(invalid) = &loaded.invalid {
        let what = output::line(&invalid.report.in_short());
        output::eprint(&format!(
            "warning: {what}\n  `leadflow check` shows all; a running daemon continues with the previous version of \
             the file"
        ));
    }
    Ok(loaded)
}

fn on_runtime(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().max_blocking_threads(MOST_BLOCKED).build()?;
    // One `block_on` for all of them: each of its own would hold all that it waits for once more.
    let work: Pin<Box<dyn Future<Output = _>>> = Box::pin(work);
    let result = runtime.block_on(work);
    runtime.shutdown_timeout(FOR_BLOCKING_WORK);
    result
}

/// An address on the command line.
fn address(text: &str) -> Result<String, String> {
    leadflow::config::address_of(text)
        .ok_or_else(|| "write an address such as sales@contoso.example".to_owned())
}

/// The flow of that name.
fn flow_named<'a>(config: &'a Config, name: &str) -> Result<&'a Arc<Flow>, Usage> {
    config.flows.get(name).ok_or_else(|| unknown(config, name))
}

fn unknown(config: &Config, name: &str) -> Usage {
    let known = config.flows.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let known = if known.is_empty() { "none".to_owned() } else { known };
    Usage(format!("there is no flow `{name}` in {}; there is {known}", config.path.display()))
}

/// Whether there is such a flow: in the file, or, where that has mistakes, in the state. Returns whether the file has
/// it on, so far as it says.
async fn is_on_in_file(loaded: &Loaded, name: &str) -> anyhow::Result<bool> {
    let Some(invalid) = &loaded.invalid else { return Ok(flow_named(&loaded.config, name)?.enabled) };
    let in_file = loaded.config.flows.get(name).map(|flow| flow.enabled);
    if let Some(is_on) = in_file.or_else(|| invalid.flows.get(name).copied()) {
        return Ok(is_on);
    }
    let seen = match state_of(loaded).await? {
        Some(store) => store.seen(name).await?,
        None => None,
    };
    if seen.is_some() { Ok(true) } else { Err(unknown(&loaded.config, name).into()) }
}

/// The state of a file's flows, for a command that changes it: one of an earlier version is brought on, so that it can be
/// looked at from then on.
async fn state_to_change(loaded: &Loaded) -> anyhow::Result<Option<Store>> {
    Ok(leadflow::store::state::open_to_change(&loaded.config).await?)
}

/// The state of a file's flows, for looking; `None` before the first run.
async fn state_of(loaded: &Loaded) -> anyhow::Result<Option<Store>> {
    Ok(leadflow::store::state::open_to_read(&loaded.config).await?)
}
