//! Who may change flows.toml, what it names and the state, and so who gets the leads.

use std::fs;
use std::path::{Path, PathBuf};

use crate::flow::Config;
use crate::flow::SecretSource;
use crate::platform::ownership::{self, Finding, Reader, Refusal};
use crate::platform::package;

/// Looks at every folder and link on the way to flows.toml, its templates, its secrets and authorities, and the state.
/// Without a `config`, as of a file with mistakes, at the first two.
///
/// # Errors
/// When somebody may change one of them who is neither root, nor the user that leadflow runs as, nor the owner of the
/// state folder. What a group may change that is not its owner's private one deserves a warning.
pub(super) fn check(path: &Path, config: Option<&Config>) -> Result<Vec<Finding>, Finding> {
    let service = match config {
        Some(config) => ownership::owner_of(&config.settings.state),
        // Whose file it is does not matter while it does nothing.
        None => ownership::owner_of(path),
    };
    let templates = path.with_file_name("templates");
    let mut all: Vec<(PathBuf, &str)> = vec![(path.to_owned(), LEADS), (templates.clone(), LEADS)];
    let entries = fs::read_dir(templates).into_iter().flatten().flatten();
    all.extend(entries.map(|entry| (entry.path(), LEADS)));
    if let Some(config) = config {
        let files = config.secrets().filter_map(|source| match source {
            SecretSource::File(path) => Some(path),
            SecretSource::Env(_) | SecretSource::Credential(_) => None,
        });
        all.extend(files.map(|path| (path.clone(), "a secret")));
        all.extend(config.authorities().map(|path| (path.clone(), "which servers are trusted")));
        // What is not a folder is reported where the state is used.
        if fs::metadata(&config.settings.state).map_or(true, |state| state.is_dir()) {
            all.push((config.settings.state.clone(), "what is mailed"));
        }
    }
    let mut warnings: Vec<Finding> = Vec::new();
    for (path, loss) in all {
        for finding in ownership::check(&path, service, loss)? {
            let is_known = |known: &Finding| known.help == finding.help;
            if !warnings.iter().any(is_known) {
                warnings.push(finding);
            }
        }
    }
    Ok(warnings)
}

/// Whether the service can read flows.toml and its templates, when root asks.
///
/// # Errors
/// The first one that it cannot read.
pub(super) fn check_for_service(path: &Path, config: &Config) -> Result<(), Finding> {
    let Some(service) = Reader::for_service(&config.settings.state, package::is_of_package(path)) else {
        return Ok(());
    };
    let templates = fs::read_dir(path.with_file_name("templates")).into_iter().flatten().flatten();
    let files = [path.to_owned()].into_iter().chain(templates.map(|entry| entry.path()));
    for file in files {
        if let Some(Refusal { why, shut }) = service.refusal(&file) {
            let shut = shut.unwrap_or_else(|| file.clone());
            return Err(Finding {
                message: format!("the service cannot read {}: {why}", file.display()),
                help: format!("type: sudo chmod a+rX {}", shut.display()),
            });
        }
    }
    Ok(())
}

/// Refuses a file that nobody named and that lies in the folder where the command was typed, when it is a stranger's;
/// the one of the package lies where only root may put it.
///
/// # Errors
/// When it is not of the one who typed the command, nor root's.
pub(super) fn check_found(path: &Path) -> Result<(), Finding> {
    if path.is_absolute() {
        return Ok(());
    }
    let Some(owner) = ownership::owner_of(path).filter(|owner| !ownership::asks_for_it(*owner)) else {
        return Ok(());
    };
    let name = path.display();
    Err(Finding {
        message: format!(
            "{name} in this folder belongs to {}, and was not named on the command line",
            ownership::name_of(owner)
        ),
        help: format!("if it is the right file, add --config {name}, or type: sudo chown root: {name}"),
    })
}

const LEADS: &str = "who gets the leads";
