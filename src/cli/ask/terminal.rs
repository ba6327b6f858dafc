//! What a person at a terminal is asked and shown.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use indicatif::ProgressBar;

use super::PAUSE;

/// Whether somebody sits at a terminal and can be asked.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal()
}

/// Asks on the terminal whether to continue.
pub(crate) fn is_agreed(before: &str) -> anyhow::Result<bool> {
    write!(io::stderr(), "{before}go on? [y/N] ")?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// A sign on a terminal that something is under way; elsewhere nothing.
pub(crate) fn spinner(message: &'static str) -> ProgressBar {
    let bar = if io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    bar.set_message(message);
    bar.enable_steady_tick(PAUSE);
    bar
}
