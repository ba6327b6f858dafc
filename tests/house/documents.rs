//! What the documents for developers name is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::sources;

/// Folders of the repository: a path in a document begins with one of them.
const FOLDERS: [&str; 11] = [
    ".ci/",
    "benches/",
    "crates/",
    "debian/",
    "docs/",
    "examples/",
    "scripts/",
    "src/",
    "systemd/",
    "templates/",
    "tests/",
];
/// A path that ends so and begins with no folder is not complete.
const ENDINGS: [&str; 3] = [".rs", ".sql", ".snap"];

#[test]
fn every_path_in_the_documents_for_developers_is_there() {
    let mut paths = 0;
    let mut wrong = Vec::new();
    for document in documents() {
        for path in paths_in(&fs::read_to_string(root().join(&document)).unwrap()) {
            paths += 1;
            if !is_there(&path) {
                wrong.push(format!("{path} in {}", document.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "write paths from the root of the repository, and as they are now: {wrong:#?}");
    assert!(paths > 150, "{paths}");
}

#[test]
fn every_type_that_the_glossary_names_is_in_the_code() {
    let glossary = fs::read_to_string(root().join("GLOSSARY.md")).unwrap();
    let types: BTreeSet<_> = glossary.lines().flat_map(types_in).collect();
    let code: Vec<_> = sources().into_iter().map(|source| source.text).collect();
    let is_defined = |name: &str| {
        let starts = ["struct", "enum", "trait", "type"].map(|kind| format!("{kind} {name}"));
        let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        let defines = |text: &String, start: &String| text.split(start.as_str()).skip(1).any(ends);
        code.iter().any(|text| starts.iter().any(|start| defines(text, start)))
    };
    let unknown: Vec<_> = types.iter().filter(|name| !is_defined(name)).collect();
    assert!(unknown.is_empty(), "GLOSSARY.md names types that the code does not have: {unknown:?}");
    assert!(types.len() > 30, "{types:?}");
}

#[test]
fn paths_and_types_are_found_in_a_text() {
    let text =
        "See `src/cli/run.rs`, `tests/configs/*.toml` and `src/store/`; `and/or`, `/var/lib`, `flow/mod.rs`.";
    assert_eq!(paths_in(text), ["src/cli/run.rs", "tests/configs/*.toml", "src/store/", "flow/mod.rs"]);
    assert_eq!(
        ["src/cli/run.rs", "src/cli/*.rs", "src/store/", "src/cli/away.rs", "flow/mod.rs", "src/*.xyz"]
            .map(is_there),
        [true, true, true, false, false, false]
    );
    let row = "| word | What it is. | JSON `run`, code `Run`, `RunFilter` | |";
    assert_eq!(types_in(row), ["Run", "RunFilter"]);
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The documents for who changes leadflow, below the root.
fn documents() -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("CONTRIBUTING.md"), PathBuf::from("GLOSSARY.md")];
    let mut folders = vec![PathBuf::from("docs/development")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let path = folder.join(entry.unwrap().file_name());
            if root().join(&path).is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}

/// What stands between backticks and is a path of the repository.
fn paths_in(text: &str) -> Vec<String> {
    let is_path = |code: &&str| {
        let is_one_word = !code.contains(char::is_whitespace) && code.contains('/') && !code.starts_with('/');
        is_one_word
            && (FOLDERS.iter().any(|folder| code.starts_with(folder))
                || ENDINGS.iter().any(|ending| code.ends_with(ending)))
    };
    let lines = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    lines.filter(is_path).map(str::to_owned).collect()
}

/// Whether there is a file or a folder of that path; `*` in its last part is any text.
fn is_there(path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let Some((start, end)) = name.split_once('*') else {
        let in_the_tree = FOLDERS.iter().any(|folder| path.starts_with(folder));
        return in_the_tree && root().join(path).exists();
    };
    let entries = fs::read_dir(root().join(folder)).into_iter().flatten().flatten();
    let mut names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.any(|name| name.starts_with(start) && name.ends_with(end))
}

/// The types in a row of the glossary: what follows `code` in its third cell.
fn types_in(row: &str) -> Vec<&str> {
    let shows_as = row.split('|').nth(3).unwrap_or_default();
    let code = shows_as.split_once("code `").map_or("", |(_, names)| names);
    code.split('`').step_by(2).filter(|name| name.starts_with(char::is_uppercase)).collect()
}
