//! `leadflow completions SHELL` and `leadflow man`.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;

use super::output;

#[derive(clap::Args)]
pub(crate) struct CompletionsArguments {
    /// The shell that completes
    shell: Shell,
}

#[derive(clap::Args)]
pub(crate) struct ManArguments {
    /// Write a page for each command into this folder
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
}

pub(super) fn completions(arguments: &CompletionsArguments) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::Arguments::command(), "leadflow", &mut text);
    output::print(&String::from_utf8(text)?)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn man(arguments: &ManArguments) -> anyhow::Result<ExitCode> {
    let command = super::Arguments::command();
    if let Some(folder) = &arguments.to {
        let place = folder.display();
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {place}"))?;
        clap_mangen::generate_to(command, folder).with_context(|| format!("cannot write into {place}"))?;
        output::print(&format!("the pages are in {place}; read one with: man {place}/leadflow.1"))?;
    } else {
        let mut text = Vec::new();
        Man::new(command.disable_help_subcommand(true)).render(&mut text)?;
        output::print(&String::from_utf8(text)?)?;
    }
    Ok(ExitCode::SUCCESS)
}
