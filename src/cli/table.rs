//! `leadflow table list|create`.

use std::process::ExitCode;

use leadflow::config::Loaded;
use leadflow::platform::clock::Clock;
use leadflow::services::OnlineServices;
use leadflow::services::table::{Table, TableError};

use super::{Usage, output};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the tables of a connection
    List {
        /// A table connection of flows.toml
        connection: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Create a table
    Create {
        /// A table connection of flows.toml
        connection: String,
        /// 3 to 63 letters and digits, starting with a letter
        name: String,
    },
}

pub(super) async fn table(loaded: Loaded, arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::List { connection, json } => {
            let names = opened(&loaded, &connection, "").await?.names().await.map_err(with_help)?;
            if json {
                output::print_json(&names)?;
            } else if names.is_empty() {
                output::print(&format!(
                    "{connection} has no table yet; create one with `leadflow table create {connection} \
                     NAME`"
                ))?;
            } else {
                let lines: Vec<_> = names.iter().map(|name| output::line(name)).collect();
                output::print(&lines.join("\n"))?;
            }
        }
        Command::Create { connection, name } => {
            let fits = (3..=63).contains(&name.len())
                && name.chars().all(|c| c.is_ascii_alphanumeric())
                && name.starts_with(|c: char| c.is_ascii_alphabetic());
            if !fits {
                return Err(Usage(format!(
                    "`{name}` is not a valid table name: use 3 to 63 letters and digits, starting with a letter"
                ))
                .into());
            }
            opened(&loaded, &connection, &name).await?.create().await.map_err(with_help)?;
            output::print(&format!("the table {name} was created; name it in the flow's [table]"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn opened(loaded: &Loaded, connection: &str, name: &str) -> anyhow::Result<Table> {
    let Ok(found) = loaded.config.table(connection, name) else {
        let known = loaded.config.tables.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        return Err(Usage(format!("there is no table connection `{connection}`; there is {known}")).into());
    };
    OnlineServices::new(Clock::System).open_table(found).await.map_err(with_help)
}

/// The error with what to do about it.
pub(super) fn with_help(error: TableError) -> anyhow::Error {
    match &error.advice.help {
        Some(help) => anyhow::anyhow!("{error}\n  {help}"),
        None => error.into(),
    }
}
