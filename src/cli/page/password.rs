//! `leadflow page password`.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Read as _};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use leadflow::flow::Role;
use leadflow::platform::passwords::{self, LONGEST, SHORTEST};

use super::RoleArgument;
use crate::cli::output;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Who signs in with it: also print the table of that user
    #[arg(long, value_name = "NAME", value_parser = super::name)]
    user: Option<String>,
    /// What the user may [default: view, with --user]
    #[arg(long)]
    role: Option<RoleArgument>,
}

pub(super) fn password(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let password = if io::stdin().is_terminal() { asked()? } else { piped()? };
    let hash = passwords::hash(&password)?;
    output::eprint("for flows.toml:");
    output::print(&lines(arguments, &hash))?;
    Ok(ExitCode::SUCCESS)
}

fn lines(arguments: &Arguments, hash: &str) -> String {
    let mut lines = String::new();
    if let Some(user) = &arguments.user {
        let _ = writeln!(lines, "{}", super::table("users", user));
    }
    let _ = writeln!(lines, "password = \"{hash}\"");
    let role = arguments.role.map(Role::from).or(arguments.user.as_ref().map(|_| Role::View));
    if let Some(role) = role {
        let _ = writeln!(lines, "role = \"{}\"", role.as_str());
    }
    lines
}

/// Of who sits at the terminal, which does not show it.
fn asked() -> anyhow::Result<String> {
    let read = |prompt: &str| rpassword::prompt_password(prompt).context("cannot read from the terminal");
    let first = read("password: ")?;
    check(&first)?;
    if read("the same again: ")? != first {
        bail!("the two passwords differ; run the command again");
    }
    Ok(first)
}

/// The first line of standard input, which is bounded.
fn piped() -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(LONGEST)? + 3;
    io::stdin().lock().take(limit).read_to_end(&mut bytes).context("cannot read standard input")?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let Ok(password) = String::from_utf8(line.to_vec()) else { bail!("the password is not UTF-8 text") };
    check(&password)?;
    Ok(password)
}

fn check(password: &str) -> anyhow::Result<()> {
    let length = password.chars().count();
    if length == 0 {
        bail!("there is no password; type one, or pipe it in: leadflow page password < FILE");
    }
    if length < SHORTEST {
        bail!(
            "the password has fewer than {SHORTEST} characters, and can be guessed; use a longer one, as four random words"
        );
    }
    if password.len() > LONGEST {
        bail!("the password has more than {LONGEST} bytes; use a shorter one");
    }
    if password.chars().any(char::is_control) {
        bail!("the password has a control character, which a browser cannot send; use another one");
    }
    Ok(())
}
