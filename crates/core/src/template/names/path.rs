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
                '[' if !is_raw => is_raw = true,
                ']' => is_raw = false,
                '.' | '/' if !is_raw => names.push(std::mem::take(&mut name)),
                _ => name.push(c),
            }
        }
        names.retain(|name| !name.is_empty() && name != "this");
        Some(Self { up, is_of_root, names })
    }
}

#[cfg(test)]
mod tests {
    use super::Path;

    #[test]
    fn a_path_is_its_names_and_where_they_are_looked_for() {
        for (text, up, is_of_root, names) in [
            ("length", 0, false, &["length"][..]),
            ("rows.0.[Last Name]", 0, false, &["rows", "0", "Last Name"]),
            ("[a.b/c]/d", 0, false, &["a.b/c", "d"]),
            ("this.a", 0, false, &["a"]),
            ("./a", 0, false, &["a"]),
            ("../../a", 2, false, &["a"]),
            ("@root", 0, true, &[]),
            ("@root.a", 0, true, &["a"]),
            ("@root/a", 0, true, &["a"]),
            ("[[a]", 0, false, &["[a"]),
        ] {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(Path::parse(text), Some(Path { up, is_of_root, names }), "{text}");
        }
        for text in ["@index", "@../key", "@rootless"] {
            assert_eq!(Path::parse(text), None, "{text}");
        }
    }
}
