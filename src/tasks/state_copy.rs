//! Copies the state from its folder into the database of settings.postgres, or back, and compares the two.

use jiff::Timestamp;

use crate::flow::Config;
use crate::store::state;
use crate::store::{Home, Lock, NodeRecord, Owner, Store, StoreError, TableDigest};

/// Why nothing was copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// One of the two states.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Only one of them is named.
    #[error("flows.toml names no database: write [settings.postgres], then run the command again")]
    NoDatabase,
    /// There is nothing to copy.
    #[error("there is no state {0}: leadflow has never run with it")]
    NoState(&'static str),
    /// Somebody works on one of them.
    #[error("stop leadflow on every machine first; still at work: {}", .0.join(", "))]
    AtWork(Vec<String>),
    /// What was written is not what was read.
    #[error("the copy differs from the original in {}: do not use it, empty it, and run the command again", .0.join(", "))]
    Differs(Vec<&'static str>),
}

/// Copies the state to there, all of it, and compares both. Returns what each table holds.
///
/// # Errors
/// Why not; then the state that there was is the one in use.
pub async fn copy(config: &Config, to: Home, now: Timestamp) -> Result<Vec<TableDigest>, CopyError> {
    let Some(postgres) = &config.settings.postgres else { return Err(CopyError::NoDatabase) };
    let lock = Lock::take(&config.settings.state, &Owner::command("state copy"))?;
    // What is to be copied is looked for first, so that nothing is made for nothing.
    let (from, target) = match to {
        Home::Database => {
            let from = state::of_folder(config, false)?.ok_or(CopyError::NoState("in the state folder"))?;
            (from, state::of_database(postgres, true).await?)
        }
        Home::Folder => {
            let from = state::of_database(postgres, false).await?;
            nobody_works(from.as_ref()).await?;
            (from.ok_or(CopyError::NoState("in the database"))?, state::of_folder(config, true)?)
        }
    };
    let target = target.ok_or(StoreError::Stopped)?;
    if to == Home::Database {
        nobody_works(Some(&target)).await?;
    }
    let not_empty = match target.copy_from(&from).await {
        // Perhaps with the copy of a command that was killed before it had compared.
        Err(error @ StoreError::NotEmpty(_)) => Some(error),
        copied => copied.map(|()| None)?,
    };
    let ((original, last), (copy, last_of_copy)) = (from.digests().await?, target.digests().await?);
    let differs = original.iter().zip(&copy).filter(|(original, copy)| original != copy);
    let mut differing: Vec<_> = differs.map(|(original, _)| original.table).collect();
    if last != last_of_copy {
        differing.push("the last numbers");
    }
    if !differing.is_empty() {
        return Err(not_empty.map_or(CopyError::Differs(differing), CopyError::Store));
    }
    state::note_home(config, &target.identity().await?, to, now);
    drop(lock);
    Ok(copy)
}

async fn nobody_works(store: Option<&Store>) -> Result<(), CopyError> {
    let Some(store) = store else { return Ok(()) };
    let alive = store.nodes().await?.into_iter().filter(|node| node.is_alive);
    let names: Vec<String> = alive.map(|NodeRecord { node, .. }| node.name).collect();
    if names.is_empty() { Ok(()) } else { Err(CopyError::AtWork(names)) }
}
