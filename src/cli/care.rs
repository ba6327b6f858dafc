//! `leadflow backup FILE` and `leadflow rename OLD NEW`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use leadflow::config::Loaded;
use leadflow::store::{Lock, Store};

use super::output;

#[derive(clap::Args)]
pub(crate) struct BackupArguments {
    /// The file to write; it must not be there yet
    file: PathBuf,
}

#[derive(clap::Args)]
pub(crate) struct RenameArguments {
    /// The name that the state knows
    old: String,
    /// The flow's name in flows.toml
    new: String,
}

pub(super) fn backup(loaded: &Loaded, arguments: &BackupArguments) -> anyhow::Result<ExitCode> {
    let Some(store) = super::state_of(loaded)? else {
        bail!("there is no state yet: leadflow was never run")
    };
    let file = arguments.file.display();
    if arguments.file.exists() {
        bail!("{file} is there already; name another file");
    }
    store.back_up(&arguments.file)?;
    output::print(&format!(
        "the state is copied to {file}; to restore it, stop leadflow and put it in place of leadflow.db"
    ))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn rename(loaded: &Loaded, arguments: &RenameArguments) -> anyhow::Result<ExitCode> {
    let RenameArguments { old, new } = arguments;
    super::flow_named(&loaded.config, new)?;
    let state = &loaded.config.settings.state;
    let _lock = Lock::take(state)?;
    Store::open(state)?.rename(old, new)?;
    output::print(&format!("what is known of {old} is {new}'s now"))?;
    Ok(ExitCode::SUCCESS)
}
