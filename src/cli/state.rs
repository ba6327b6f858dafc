//! `leadflow state copy`.

use std::process::ExitCode;

use clap::ValueEnum;
use leadflow::config::Loaded;
use leadflow::platform::clock::Clock;
use leadflow::store::Home;
use leadflow::tasks::state_copy;

use super::{daemon, output};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Copy the state to the database of settings.postgres, or back; leadflow must be stopped on every machine
    Copy {
        /// Where the state is to lie
        #[arg(long, value_name = "PLACE")]
        to: To,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum To {
    /// The database of settings.postgres
    Postgres,
    /// The state folder
    Sqlite,
}

/// Copies the state, and compares the two.
pub(super) async fn state(loaded: &Loaded, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Command::Copy { to } = arguments.command;
    let home = match to {
        To::Postgres => Home::Database,
        To::Sqlite => Home::Folder,
    };
    let tables = state_copy::copy(&loaded.config, home, Clock::System.now()).await?;
    let rows: u64 = tables.iter().map(|table| table.rows).sum();
    let start = daemon::how_to_start(loaded);
    let settings = &loaded.config.settings;
    let (place, then) = match to {
        To::Postgres => (settings.state_in_words(), format!("start leadflow on each machine: {start}")),
        To::Sqlite => (
            settings.state.display().to_string(),
            format!(
                "remove [settings.postgres] from flows.toml, then start leadflow on this machine alone: {start}"
            ),
        ),
    };
    output::print(&format!(
        "the state was copied to {place}: {} in {} tables, each compared with its original\n{then}",
        output::counted(rows, "row"),
        tables.len()
    ))?;
    Ok(ExitCode::SUCCESS)
}
