//! `leadflow backup FILE`, `leadflow rename OLD NEW` and `leadflow recover --since TIME`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use leadflow::config::Loaded;
use leadflow::platform::clock::Clock;
use leadflow::store::state;
use leadflow::store::{Lock, Owner, StoreError};

use super::{daemon, moment, output};

#[derive(clap::Args)]
pub(crate) struct BackupArguments {
    /// The file to write; it must not exist yet
    file: PathBuf,
}

#[derive(clap::Args)]
pub(crate) struct RenameArguments {
    /// The flow's old name, as the state has it
    old: String,
    /// The flow's name in flows.toml
    new: String,
}

#[derive(clap::Args)]
pub(crate) struct RecoverArguments {
    /// Every flow starts here: earlier rows are not mailed, later ones are, including those that were
    /// mailed already: 2026-11-20, 2026-11-20T08:00 (in `settings.time_zone`), 2026-11-20T08:00:00Z,
    /// or how long ago: "3 days"
    #[arg(long, value_name = "TIME")]
    since: String,
}

pub(super) async fn backup(loaded: &Loaded, arguments: &BackupArguments) -> anyhow::Result<ExitCode> {
    let Some(store) = super::state_to_change(loaded).await? else {
        bail!("there is no state yet: leadflow has never run")
    };
    let file = arguments.file.display();
    store.back_up(&arguments.file).await?;
    output::print(&format!(
        "the state was copied to {file}; to restore it, stop leadflow and put the copy in place of \
         leadflow.db"
    ))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn rename(loaded: &Loaded, arguments: &RenameArguments) -> anyhow::Result<ExitCode> {
    let RenameArguments { old, new } = arguments;
    super::flow_named(&loaded.config, new)?;
    let _lock = Lock::take(&loaded.config.settings.state, &Owner::command("rename"))?;
    let store = state::open(&loaded.config, Clock::System.now()).await?;
    daemon::nobody_may_work(loaded, &store).await?;
    store.rename(old, new).await?;
    output::print(&format!("the state of {old} now belongs to {new}"))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn recover(loaded: &Loaded, arguments: &RecoverArguments) -> anyhow::Result<ExitCode> {
    let config = &loaded.config;
    let now = Clock::System.now();
    let since = moment::parse(&arguments.since, &config.settings.time_zone, now)?;
    let _lock = Lock::take(&config.settings.state, &Owner::command("recover"))?;
    match state::is_whole(config, now).await {
        Ok(true) => {
            let place = config.settings.state_in_words();
            bail!("the state in {place} is complete; there is nothing to recover")
        }
        Ok(false)
        | Err(
            StoreError::Lost { .. }
            | StoreError::LostDatabase { .. }
            | StoreError::Foreign { .. }
            | StoreError::Damaged { .. }
            | StoreError::Later { .. }
            | StoreError::Migration(_),
        ) => {}
        Err(other) => return Err(other.into()),
    }
    let aside = state::recover(config, since, now).await?;
    let zone = &config.settings.time_zone;
    let mut text = format!(
        "leadflow starts again: every flow begins at {} ({}); rows written since then are mailed, including those \
         that were mailed before",
        output::moment(since, zone),
        zone.iana_name().unwrap_or("UTC"),
    );
    if let Some(aside) = aside {
        let _ = write!(
            text,
            "\nthe old database was moved to {}; mails that were waiting in it are not sent",
            aside.display()
        );
    }
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
