//! Who may change flows.toml and its templates, and so who gets the leads.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What is wrong, and what to type.
type Finding = (String, String);

/// Looks at the file, its folder, and the templates.
///
/// # Errors
/// When every user of the machine may change one of them. What a group may change that is not its
/// owner's private one deserves a warning.
pub(super) fn check(path: &Path) -> Result<Vec<Finding>, Finding> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let templates = folder.join("templates");
    let mut all: Vec<PathBuf> = vec![path.to_owned(), folder.to_owned(), templates.clone()];
    all.extend(fs::read_dir(templates).into_iter().flatten().flatten().map(|entry| entry.path()));
    let mut warnings = Vec::new();
    for path in all {
        let Ok(found) = fs::metadata(&path) else { continue };
        let name = path.display();
        // In a folder with the sticky bit nobody can rename another's file.
        let is_sticky = found.is_dir() && found.mode() & 0o1000 != 0;
        if found.mode() & 0o002 != 0 && !is_sticky {
            let message = format!("every user of this machine can change {name}, and so who gets the leads");
            return Err((message, format!("type: chmod o-w {name}")));
        }
        if found.mode() & 0o020 != 0 && found.gid() != found.uid() {
            let message = format!("the group {} can change {name}, and so who gets the leads", found.gid());
            warnings.push((message, format!("if it should not: chmod g-w {name}")));
        }
    }
    Ok(warnings)
}
