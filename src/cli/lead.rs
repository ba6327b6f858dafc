//! `leadflow lead list|show|export|add|forget`.

mod add;
mod export;
mod forget;
mod list;
mod show;

use std::process::ExitCode;
use std::sync::Arc;

use leadflow::config::Loaded;
use leadflow::flow::Flow;
use leadflow::services::table::Table;
use leadflow::tasks::leads::{self, LeadError};
use leadflow::views::leads::LeadView;

use super::table::with_help;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the leads in the flow's table, newest first: sent, waiting, held, uncertain or not mailed
    List(list::Arguments),
    /// Show the proof of one lead: when it appeared, which run saw it, which mail carried it, who accepted it
    Show(show::Arguments),
    /// Export the leads of the flow's table as CSV, JSON or one JSON object per line, for a CRM
    Export(export::Arguments),
    /// Write a test lead into the flow's table, as Validate in Partner Center does
    Add(add::Arguments),
    /// Erase a person from the state, its history and its kept mails, and verify it
    Forget(forget::Arguments),
}

pub(super) async fn lead(loaded: Loaded, arguments: Arguments) -> anyhow::Result<ExitCode> {
    if matches!(arguments.command, Command::Export(_) | Command::Add(_)) {
        super::warn_lost(&loaded);
    }
    match arguments.command {
        Command::List(arguments) => list::list(&loaded, &arguments).await,
        Command::Show(arguments) => show::show(&loaded, &arguments).await,
        Command::Export(arguments) => export::export(&loaded, &arguments).await,
        Command::Add(arguments) => add::add(&loaded, &arguments).await,
        Command::Forget(arguments) => forget::forget(&loaded, &arguments).await,
    }
}

/// The table of a flow.
async fn table_of(loaded: &Loaded, flow: &Arc<Flow>) -> anyhow::Result<Table> {
    leads::open_table(&loaded.config, flow).await.map_err(explained)
}

/// With what to do about it, where the table is at fault.
fn explained(error: LeadError) -> anyhow::Error {
    match error {
        LeadError::Table(error) => with_help(error),
        other => other.into(),
    }
}

/// A lead in a few words.
fn words_of(lead: &LeadView) -> String {
    lead.in_words().unwrap_or_else(|| "(no name given)".to_owned())
}
