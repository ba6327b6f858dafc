//! Which flows.toml is meant when nobody names one.

use std::path::{Path, PathBuf};

use super::report::{Problem, Report};
use super::rights;
use crate::platform::ownership::Finding;

/// The one in the folder where the command is typed.
const HERE: &str = "flows.toml";
/// The packaged service's.
pub(super) const OF_PACKAGE: &str = "/etc/leadflow/flows.toml";
/// There while the packaged service runs, under either version of control groups.
const RUNNING: [&str; 2] =
    ["/sys/fs/cgroup/system.slice/leadflow.service", "/sys/fs/cgroup/systemd/system.slice/leadflow.service"];

/// The file to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenFile {
    /// Where it is.
    pub path: PathBuf,
    /// What people learn about the choice.
    pub note: Option<ChoiceNote>,
}

/// What people learn about the choice of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChoiceNote {
    /// It is not the packaged service's.
    Own,
    /// It is the running service's, and there is one in this folder, too.
    PassedOver,
}

/// The named file; else `./flows.toml`, unless the packaged service runs; else the packaged service's.
///
/// # Errors
/// When nobody has named it, and it belongs neither to the one who typed the command nor to root.
pub fn find(named: Option<PathBuf>) -> Result<ChosenFile, Report> {
    let is_named = named.is_some();
    let is_running = || RUNNING.iter().any(|place| Path::new(place).exists());
    let found = choose(named, Path::exists, is_running);
    if !is_named {
        rights::check_found(&found.path).map_err(|Finding { message, help }| {
            let name = found.path.display().to_string();
            Report { problems: vec![Problem::without_place(&name, message, &help)], is_unread: false }
        })?;
    }
    Ok(found)
}

/// Whether it is the one that is taken when nobody names one, and there is no other to take.
pub(super) fn is_nowhere(path: &Path) -> bool {
    path == Path::new(HERE) && !Path::new(OF_PACKAGE).exists()
}

/// Whether it is the packaged service's file.
pub fn is_packaged(path: &Path) -> bool {
    std::path::absolute(path).is_ok_and(|path| path == Path::new(OF_PACKAGE))
}

fn choose(
    named: Option<PathBuf>,
    is_there: impl Fn(&Path) -> bool,
    is_running: impl FnOnce() -> bool,
) -> ChosenFile {
    let here = Path::new(HERE);
    let packaged = Path::new(OF_PACKAGE);
    let own = |path: PathBuf| {
        let is_own = !is_packaged(&path);
        ChosenFile { path, note: is_own.then_some(ChoiceNote::Own) }
    };
    match (named, is_there(here), is_there(packaged)) {
        (Some(path), ..) => own(path),
        (None, true, true) if own(here.to_owned()).note.is_some() && is_running() => {
            ChosenFile { path: packaged.to_owned(), note: Some(ChoiceNote::PassedOver) }
        }
        (None, false, true) => own(packaged.to_owned()),
        (None, true, _) | (None, false, false) => own(here.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_services_file_goes_before_the_one_of_this_folder() {
        let packaged = Path::new(OF_PACKAGE);
        for (named, here, there, running, path, note) in [
            (None, true, false, false, HERE, Some(ChoiceNote::Own)),
            (None, true, true, false, HERE, Some(ChoiceNote::Own)),
            (None, true, true, true, OF_PACKAGE, Some(ChoiceNote::PassedOver)),
            (None, true, false, true, HERE, Some(ChoiceNote::Own)),
            (None, false, true, true, OF_PACKAGE, None),
            (None, false, true, false, OF_PACKAGE, None),
            (None, false, false, false, HERE, Some(ChoiceNote::Own)),
            (Some(HERE), true, true, true, HERE, Some(ChoiceNote::Own)),
            (Some("/srv/f.toml"), false, true, true, "/srv/f.toml", Some(ChoiceNote::Own)),
            (Some(OF_PACKAGE), true, true, true, OF_PACKAGE, None),
        ] {
            let is_there = |path: &Path| if path == packaged { there } else { here };
            let found = choose(named.map(PathBuf::from), is_there, || running);
            let expected = ChosenFile { path: path.into(), note };
            assert_eq!(found, expected, "{named:?} here {here} there {there} running {running}");
        }
    }
}
