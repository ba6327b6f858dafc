//! docs/json.md read as paths and types, and JSON held against it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

const TEXT: &str = include_str!("../../../docs/json.md");

/// What a path holds.
#[derive(Debug, Clone)]
struct Type {
    kind: Kind,
    is_array: bool,
    or_null: bool,
}

#[derive(Debug, Clone)]
enum Kind {
    Text,
    Moment,
    Number,
    Boolean,
    /// Its keys stand in the same section.
    Object,
    /// Its keys stand in the section of this anchor.
    Link(String),
}

/// The paths of one section; `{step}: ` stands before those of the table of steps.
#[derive(Debug, Clone, Default)]
struct Section {
    rows: Vec<(String, Type)>,
    /// The section whose keys it has as well.
    base: Option<String>,
}

/// The document by the anchors of its headings.
pub(crate) struct Document(BTreeMap<String, Section>);

/// The table of what steps have, for which a key may be left out.
const STEPS: &str = "the-steps-of-a-run";

impl Document {
    pub(crate) fn read() -> Self {
        let mut sections = BTreeMap::new();
        let mut anchor = String::new();
        for line in TEXT.lines() {
            if let Some(title) = line.strip_prefix("## ").or_else(|| line.strip_prefix("### ")) {
                anchor = title.replace('`', "").to_lowercase().replace(' ', "-");
            }
            let section: &mut Section = sections.entry(anchor.clone()).or_default();
            if let Some((_, rest)) = line.split_once("he keys of a [")
                && line.ends_with(", and:")
            {
                section.base = Some(anchor_of(rest).to_owned());
            }
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            match cells.as_slice() {
                ["", "key" | "step" | "---", ..] => {}
                ["", step, keys, kind, _, ""] => {
                    let (step, kind) = (step.trim_matches('`'), Type::read(kind));
                    section.rows.extend(codes(keys).map(|key| (format!("{step}: {key}"), kind.clone())));
                }
                ["", keys, kind, _, ""] => {
                    let kind = Type::read(kind);
                    section.rows.extend(codes(keys).map(|key| (key.to_owned(), kind.clone())));
                }
                _ => assert!(!line.starts_with('|'), "a row that cannot be read: {line}"),
            }
        }
        Self(sections)
    }

    /// The paths of a section with those that it links to.
    fn paths(&self, anchor: &str) -> BTreeMap<String, Type> {
        let section = self.0.get(anchor).unwrap_or_else(|| panic!("docs/json.md has no section {anchor}"));
        let mut paths = section.base.as_ref().map(|base| self.paths(base)).unwrap_or_default();
        for (path, kind) in &section.rows {
            if let Kind::Link(of) = &kind.kind {
                let dot = if kind.is_array { "[]." } else { "." };
                paths.extend(
                    self.paths(of).into_iter().map(|(key, kind)| (format!("{path}{dot}{key}"), kind)),
                );
            }
            paths.insert(path.clone(), kind.clone());
        }
        if paths.contains_key("steps[].inputs") {
            paths.extend(self.paths(STEPS));
        }
        paths
    }

    /// Every path of a section.
    pub(crate) fn all(&self, anchor: &str) -> BTreeSet<String> {
        self.paths(anchor).into_keys().collect()
    }

    /// What of the JSON is not as its section says: paths that it does not have, other types, keys that are missing.
    pub(crate) fn faults(&self, anchor: &str, value: &Value) -> Vec<String> {
        let paths = self.paths(anchor);
        let mut faults = Vec::new();
        for value in elements(value).filter(|value| !value.is_null()) {
            if !paths.is_empty() && !value.is_object() {
                faults.push(format!("{value} has no keys"));
            }
            walk(value, "", &mut |path, value| match paths.get(path) {
                None => faults.push(format!("{path} is not in the document")),
                Some(kind) if !kind.is_of(value) => faults.push(format!("{path} is {value}, not {kind:?}")),
                Some(_) => {}
            });
            walk_objects(value, "", &mut |prefix, keys| {
                let is_missing = |path: &&String| {
                    let key = path.strip_prefix(prefix).unwrap_or_default();
                    !key.is_empty() && !key.contains(['.', '[', ':']) && !keys.contains(key)
                };
                faults.extend(paths.keys().filter(is_missing).map(|path| format!("{path} is not there")));
            });
        }
        faults
    }
}

impl Type {
    fn read(cell: &str) -> Self {
        let (cell, or_null) = cell.strip_suffix(" or null").map_or((cell, false), |cell| (cell, true));
        let (cell, is_array) = cell.strip_prefix("array of ").map_or((cell, false), |cell| (cell, true));
        let kind = match cell {
            "text" => Kind::Text,
            "moment" => Kind::Moment,
            "number" | "numbers" => Kind::Number,
            "boolean" => Kind::Boolean,
            "object" | "objects" => Kind::Object,
            link if link.starts_with('[') => Kind::Link(anchor_of(link).to_owned()),
            other => panic!("docs/json.md has a type `{other}`"),
        };
        Self { kind, is_array, or_null }
    }

    fn is_of(&self, value: &Value) -> bool {
        let is_one = |value: &Value| match self.kind {
            Kind::Text => value.is_string(),
            Kind::Moment => value.as_str().is_some_and(|text| text.parse::<Timestamp>().is_ok()),
            Kind::Number => value.is_number(),
            Kind::Boolean => value.is_boolean(),
            Kind::Object | Kind::Link(_) => value.is_object(),
        };
        match value {
            Value::Null => self.or_null,
            Value::Array(items) => self.is_array && items.iter().all(is_one),
            value => !self.is_array && is_one(value),
        }
    }
}

/// `a`, `b` of a cell.
fn codes(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn anchor_of(link: &str) -> &str {
    link.split_once("(#").and_then(|(_, rest)| rest.split_once(')')).map_or("", |(anchor, _)| anchor)
}

fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice).iter()
}

/// Calls with each path of a value, as the document writes it.
pub(crate) fn walk(value: &Value, prefix: &str, call: &mut dyn FnMut(&str, &Value)) {
    for (key, child, of_child) in children(value, prefix) {
        call(&format!("{prefix}{key}"), child);
        for element in elements(child) {
            walk(element, &of_child, call);
        }
    }
}

/// Calls with what stands before the keys of each object, and its keys; the halves of steps have no fixed keys.
fn walk_objects(value: &Value, prefix: &str, call: &mut dyn FnMut(&str, &BTreeSet<&str>)) {
    let Some(fields) = value.as_object() else { return };
    call(prefix, &fields.keys().map(String::as_str).collect());
    for (_, child, of_child) in
        children(value, prefix).into_iter().filter(|(.., prefix)| !prefix.contains(':'))
    {
        elements(child).for_each(|element| walk_objects(element, &of_child, call));
    }
}

/// Keys and values of an object, and what stands before the keys of the value.
fn children<'a>(value: &'a Value, prefix: &str) -> Vec<(&'a str, &'a Value, String)> {
    let step = value.get("step").and_then(Value::as_str).filter(|_| prefix == "steps[].");
    let of_child = |key: &str, child: &Value| match step {
        Some(step) if child.is_object() => format!("{step}: {key}."),
        _ if child.is_array() => format!("{prefix}{key}[]."),
        _ => format!("{prefix}{key}."),
    };
    let fields = value.as_object().into_iter().flatten();
    fields.map(|(key, child)| (key.as_str(), child, of_child(key, child))).collect()
}
