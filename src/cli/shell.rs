//! `leadflow completions SHELL` and `leadflow man`.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::anyhow;
use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;
use leadflow::platform::ownership::{self, Draft, Readers};

use super::output;

#[derive(clap::Args)]
pub(crate) struct CompletionsArguments {
    /// The shell
    shell: Shell,
}

#[derive(clap::Args)]
pub(crate) struct ManArguments {
    /// Write one page per command into this folder
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
}

pub(super) fn completions(arguments: &CompletionsArguments) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::Arguments::command(), "leadflow", &mut text);
    output::print(&String::from_utf8(text)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Puts a page into its place, and not where a link leads.
fn put(path: &Path, page: &[u8]) -> io::Result<()> {
    let mut draft = Draft::replacing(path, Readers::All)?;
    draft.write_all(page)?;
    draft.keep()
}

pub(super) fn man(arguments: &ManArguments) -> anyhow::Result<ExitCode> {
    let command = super::Arguments::command();
    if let Some(folder) = &arguments.to {
        let place = folder.display();
        ownership::make_folder(folder).map_err(|error| anyhow!("cannot make the folder {place}: {error}"))?;
        let pages = tempfile::tempdir()?;
        clap_mangen::generate_to(command, pages.path())?;
        for page in fs::read_dir(pages.path())? {
            let page = page?;
            put(&folder.join(page.file_name()), &fs::read(page.path())?)
                .map_err(|error| anyhow!("cannot write into {place}: {error}"))?;
        }
        output::print(&format!("the pages are in {place}; read one with: man {place}/leadflow.1"))?;
    } else {
        let mut text = Vec::new();
        Man::new(command.disable_help_subcommand(true)).render(&mut text)?;
        output::print(&String::from_utf8(text)?)?;
    }
    Ok(ExitCode::SUCCESS)
}
