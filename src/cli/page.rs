//! `leadflow page password` and `leadflow page token`: what flows.toml holds of who may see the page. They need no flows.toml.

mod password;
mod token;

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use leadflow::flow::Role;
use leadflow::platform::passwords;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: PageCommand,
}

#[derive(Subcommand)]
enum PageCommand {
    /// Hash a password, and print the lines for flows.toml
    ///
    /// It is asked for twice; where standard input is not a terminal, it is the line that comes from there.
    Password(password::Arguments),
    /// Make a token for a program, which is shown this once
    ///
    /// The token goes to standard output, the lines for flows.toml go to standard error.
    Token(token::Arguments),
}

/// What somebody may.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleArgument {
    /// Look
    View,
    /// Also run flows, turn them on and off, and decide about mails
    Operate,
}

impl From<RoleArgument> for Role {
    fn from(role: RoleArgument) -> Self {
        match role {
            RoleArgument::View => Self::View,
            RoleArgument::Operate => Self::Operate,
        }
    }
}

pub(super) fn page(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        PageCommand::Password(arguments) => password::password(&arguments),
        PageCommand::Token(arguments) => token::token(&arguments),
    }
}

/// A name of a user or a token.
fn name(text: &str) -> Result<String, String> {
    if passwords::is_name(text) { Ok(text.to_owned()) } else { Err(passwords::NAMES.to_owned()) }
}

/// The name of a table of flows.toml, in quotes where it needs them.
fn table(kind: &str, name: &str) -> String {
    let is_bare = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if is_bare {
        format!("[settings.page.{kind}.{name}]")
    } else {
        format!("[settings.page.{kind}.\"{name}\"]")
    }
}
