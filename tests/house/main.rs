//! The house: which room may use which, and how large its files are.
//!
//! `docs/development/architecture.md` has the table of arrows; what stands there and what the code does are
//! the same, or this fails. What documents name is there, too. And words for people are for people: nothing is
//! decided by them.

#![expect(clippy::unwrap_used, reason = "a test fails where its sources cannot be read")]

mod arrows;
mod documents;
mod sizes;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

/// A source file: where it lies below the repository, and its text.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// The folders with code that users run, tests beside it included.
const ROOTS: [&str; 3] = ["crates/core/src", "crates/simulation/src", "src"];

/// Every source file of the program, in the order of their paths.
pub(crate) fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ROOTS {
        collect(root, &root.join(folder), &mut found);
    }
    assert!(found.len() > 100, "only {} source files were found", found.len());
    found.sort_by(|a: &Source, b| a.path.cmp(&b.path));
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push(Source { path: path.strip_prefix(root).unwrap().to_owned(), text });
        }
    }
}
