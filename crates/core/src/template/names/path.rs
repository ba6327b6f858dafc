//! The paths of a template, taken apart.

/// `../rows.0.[Last Name]`, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Path {
    /// How many blocks further out.
    pub(super) up: usize,
    pub(super) is_of_root: bool,
    pub(super) names: Vec<String>,
}

impl Path {
    /// `None` of what the loops say: `@index`, `@../key`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        let mut up = 0;
        let is_of_root = rest == "@root" || rest.starts_with("@root.") || rest.starts_with("@root/");
        if is_of_root {
            rest = &rest["@root".len()..];
        } else if rest.starts_with('@') {
            return None;
        }
        loop {
            if let Some(after) = rest.strip_prefix("../") {
                (rest, up) = (after, up + 1);
            } else if rest == ".." {
                (rest, up) = ("", up + 1);
            } else if let Some(after) = rest.strip_prefix("./") {
                rest = after;
            } else {
                break;
            }
        }
        let mut names = Vec::new();
        let mut name = String::new();
        let mut is_raw = false;
        for c in rest.chars().chain(['.']) {
            match c {
                '[' if name.is_empty() && !is_raw => is_raw = true,
                ']' if is_raw => is_raw = false,
                '.' | '/' if !is_raw => names.push(std::mem::take(&mut name)),
                _ => name.push(c),
            }
        }
        names.retain(|name| !name.is_empty() && name != "this");
        Some(Self { up, is_of_root, names })
    }
}
