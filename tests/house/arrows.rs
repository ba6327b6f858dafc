//! Which room uses which.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Source, sources};

/// Rooms, each with those that it uses.
type Arrows = BTreeMap<String, BTreeSet<String>>;

const TABLE: &str = include_str!("../../docs/development/architecture.md");
/// What stands before the name of a room.
const STARTS: [&str; 5] =
    ["crate::", "leadflow::", "leadflow_core::", "leadflow_simulation::", "super::super::"];

#[test]
fn rooms_use_only_what_the_architecture_document_allows() {
    let allowed = allowed();
    let sources = program();
    let rooms: BTreeSet<String> = sources.iter().map(|source| room_of(&source.path)).collect();
    let unknown: Vec<_> = rooms.symmetric_difference(&allowed.keys().cloned().collect()).cloned().collect();
    assert!(unknown.is_empty(), "rooms that only the code or only the document has: {unknown:?}");
    let mut wrong = BTreeMap::new();
    let mut found = Arrows::new();
    for source in sources {
        let room = room_of(&source.path);
        for (line, used) in uses(&source, &rooms) {
            if used == room {
                continue;
            }
            if !allowed[&room].contains(&used) {
                let place = format!("{}:{line}", source.path.display());
                wrong.entry(format!("`{room}` uses `{used}`")).or_insert(place);
            }
            found.entry(room.clone()).or_default().insert(used);
        }
    }
    assert!(wrong.is_empty(), "the document does not allow (first places): {wrong:#?}");
    for (room, may) in &allowed {
        let unused: Vec<_> = may.difference(found.get(room).unwrap_or(&BTreeSet::new())).cloned().collect();
        assert!(unused.is_empty(), "the document allows {room} to use {unused:?}, which it does not");
    }
}

#[test]
fn no_room_uses_one_that_uses_it() {
    let mut left = allowed();
    while let Some(free) = left.iter().find(|(_, used)| used.is_empty()).map(|(room, _)| room.clone()) {
        left.remove(&free);
        for used in left.values_mut() {
            used.remove(&free);
        }
    }
    assert!(left.is_empty(), "these go round in a circle: {left:?}");
}

#[test]
fn a_use_is_found_however_it_is_written() {
    let text = "use crate::flow::Config;\n// crate::daemon\nlet x = leadflow_core::rows::row::Row;\n\
                use crate::{store, tasks};\npub(in crate::web) fn f() {}\nmod tests { use super::super::engine; }\n";
    let source = Source { path: "src/cli/run.rs".into(), text: text.to_owned() };
    let rooms = ["daemon", "engine", "flow", "rows", "store", "tasks", "web"].map(str::to_owned).into();
    let found: Vec<_> = uses(&source, &rooms).into_iter().map(|(_, used)| used).collect();
    assert_eq!(found, ["flow", "rows", "store", "tasks", "web", "engine"]);
    assert_eq!(room_of(Path::new("crates/core/src/rows/lead.rs")), "rows");
    assert_eq!(room_of(Path::new("src/history.rs")), "history");
    assert!(is_of_no_room(Path::new("crates/core/src/lib.rs")));
}

/// The rows of the document's table `| room | may use | … |`.
fn allowed() -> Arrows {
    let rows = TABLE.lines().skip_while(|line| !line.starts_with("| room | may use |")).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let row = |line: &str| {
        let mut cells = line.trim_matches('|').split('|');
        let rooms = names(cells.next().unwrap_or_default());
        assert_eq!(rooms.len(), 1, "a row of the table names one room: {line}");
        (rooms[0].clone(), names(cells.next().unwrap_or_default()).into_iter().collect())
    };
    let arrows: Arrows = rows.map(row).collect();
    assert!(arrows.len() > 10, "the table of rooms is not where it is looked for");
    arrows
}

/// The folder or the file under a crate's `src/` that a file belongs to.
fn room_of(path: &Path) -> String {
    let mut parts = path.iter().map(|part| part.to_string_lossy().into_owned());
    let of_simulation = path.starts_with("crates/simulation");
    parts.by_ref().find(|part| part == "src");
    let first = parts.next().unwrap_or_default();
    match first.strip_suffix(".rs").unwrap_or(&first) {
        _ if of_simulation => "simulation".to_owned(),
        room => room.to_owned(),
    }
}

/// The sources without their tests, which may use every room, and without the maps of the crates.
pub(super) fn program() -> Vec<Source> {
    let all = sources();
    let tests: BTreeSet<_> = all.iter().flat_map(test_modules).collect();
    let is_program = |source: &Source| {
        let module = source.path.with_extension("");
        !is_of_no_room(&source.path) && !module.ancestors().any(|part| tests.contains(part))
    };
    let mut program: Vec<_> = all.into_iter().filter(is_program).collect();
    for source in &mut program {
        if let Some((before, _)) = source.text.split_once("#[cfg(test)]\nmod tests {") {
            source.text = before.to_owned();
        }
    }
    program.retain(|source| room_of(&source.path) != "testing");
    program
}

/// The modules that a file has for tests alone, as paths without an ending.
fn test_modules(source: &Source) -> Vec<PathBuf> {
    let folder = match source.path.file_name().and_then(|name| name.to_str()) {
        Some("mod.rs" | "lib.rs" | "main.rs") => source.path.with_file_name(""),
        _ => source.path.with_extension(""),
    };
    let declared = source.text.split("#[cfg(test)]\nmod ").skip(1);
    let names = declared.filter_map(|rest| rest.split_once(';')).map(|(name, _)| name);
    names.filter(|name| !name.contains(char::is_whitespace)).map(|name| folder.join(name)).collect()
}

/// The maps of the crates, and the program's first lines.
fn is_of_no_room(path: &Path) -> bool {
    path.ends_with("src/lib.rs") || path.ends_with("src/main.rs")
}

/// Rooms that a file names, each with its line: after the name of a crate, or after `super::` up to its root.
fn uses(source: &Source, rooms: &BTreeSet<String>) -> Vec<(usize, String)> {
    let lines = source.text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let code = lines.collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for start in STARTS {
        for (at, _) in code.match_indices(start) {
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let rest = code[at + start.len()..].trim_start_matches("super::");
            let line = code[..at].matches('\n').count() + 1;
            let names = if rest.starts_with('{') { names_of_group(rest) } else { vec![name_of(rest)] };
            found.extend(names.into_iter().filter(|name| rooms.contains(name)).map(|name| (line, name)));
        }
    }
    found.sort();
    found
}

fn name_of(path: &str) -> String {
    path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The first names of the paths between the braces that the text begins with.
fn names_of_group(text: &str) -> Vec<String> {
    let (mut depth, mut names, mut begin) = (0, Vec::new(), 1);
    for (at, sign) in text.char_indices() {
        match sign {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || depth == 1 && sign == ',' {
            names.push(name_of(&text[begin..at]));
            begin = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    names
}
