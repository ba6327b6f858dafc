//! What the documents show must work.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::certificates::certificates;
use crate::support::leadflow::Sandbox;

/// Every whole flows.toml in a document, and every piece of one.
#[test]
fn every_example_passes_check() {
    let mut examples: BTreeMap<String, usize> = BTreeMap::new();
    for file in documents() {
        let text = fs::read_to_string(&file).unwrap();
        for block in text.split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            let lines: Vec<_> = block.lines().map(|line| line.strip_prefix("   ").unwrap_or(line)).collect();
            let block = lines.join(
                "
",
            );
            let sandbox = Sandbox::new(whole(&block));
            // The certificate of a page, which `check` reads.
            fs::copy(&certificates().certificate, sandbox.path("page.crt")).unwrap();
            let output = sandbox.run(&["check"]);
            assert_eq!(output.code, 0, "{}:\n{block}\n{}", file.display(), output.stderr);
            *examples.entry(name_of(&file)).or_default() += 1;
        }
    }
    for (name, count) in [("README", 1), ("flows", 3), ("from-power-automate", 5), ("getting-started", 2)] {
        let found = |ending: &str| examples.get(&format!("{name}{ending}")).copied();
        assert_eq!(found(".md"), Some(count), "{name}: {examples:?}");
        assert!(name == "flows" || found(".ko.md") == Some(count), "{name}: {examples:?}");
    }
}

#[test]
fn the_korean_documents_have_the_sections_and_the_commands_of_the_english_ones() {
    let mut pairs = 0;
    for korean in documents().into_iter().filter(|path| name_of(path).ends_with(".ko.md")) {
        let english = korean.with_file_name(name_of(&korean).replace(".ko.md", ".md"));
        let [korean_text, english_text] = [&korean, &english].map(|path| fs::read_to_string(path).unwrap());
        for mark in
            ["](docs/", "\n## ", "\n|", "\n![", "`leadflow ", "\n    leadflow ", "\n    sudo ", "\n    az "]
        {
            let [korean_count, english_count] =
                [&korean_text, &english_text].map(|text| text.matches(mark).count());
            assert_eq!(korean_count, english_count, "{mark:?} in {}", korean.display());
        }
        pairs += 1;
    }
    assert!(pairs >= 3, "{pairs}");
}

#[test]
fn every_link_leads_to_a_file_and_a_section() {
    for file in documents() {
        for link in fs::read_to_string(&file).unwrap().split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            if link.contains("://") {
                continue;
            }
            let (path, section) = link.split_once('#').unwrap_or((link, ""));
            let place = if path.is_empty() { file.clone() } else { file.parent().unwrap().join(path) };
            assert!(place.exists(), "{link} in {}", file.display());
            if !section.is_empty() {
                let there = sections(&fs::read_to_string(&place).unwrap());
                assert!(there.iter().any(|name| name == section), "{link} in {}: {there:?}", file.display());
            }
        }
    }
}

/// The package has the documents in the folders of the sources.
#[test]
fn every_link_of_the_installed_documents_leads_to_an_installed_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest: toml::Table = fs::read_to_string(root.join("Cargo.toml")).unwrap().parse().unwrap();
    let mut installed: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for asset in manifest["package"]["metadata"]["deb"]["assets"].as_array().unwrap() {
        let [from, to] = [0, 1].map(|at| asset[at].as_str().unwrap());
        let (folder, pattern) = from.rsplit_once('/').unwrap_or(("", from));
        let (start, end) = pattern.split_once('*').unwrap_or((pattern, ""));
        for entry in fs::read_dir(root.join(folder)).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == pattern || (pattern.contains('*') && name.starts_with(start) && name.ends_with(end)) {
                let place = if to.ends_with('/') { Path::new(to).join(&name) } else { PathBuf::from(to) };
                installed.insert(place, entry.path());
            }
        }
    }
    let mut links = 0;
    let is_document = |path: &Path| path.extension().is_some_and(|ending| ending == "md");
    for (place, file) in installed.iter().filter(|(place, _)| is_document(place)) {
        for link in fs::read_to_string(file).unwrap().split("](").skip(1) {
            let link = link.split([')', '#']).next().unwrap();
            if link.is_empty() || link.contains("://") {
                continue;
            }
            let mut target = place.parent().unwrap().to_owned();
            for part in link.split('/') {
                if part == ".." {
                    target.pop();
                } else {
                    target.push(part);
                }
            }
            assert!(installed.contains_key(&target), "{link} in {}", place.display());
            links += 1;
        }
    }
    assert!(links > 50, "{links}");
}

/// README and the guides show the file of the package.
#[test]
fn the_guides_flow_is_the_same_everywhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap();
    let values = |text: &str| -> toml::Table {
        let mut values: toml::Table = text.parse().unwrap();
        values["flows"]["marketplace-leads"].as_table_mut().unwrap().remove("description");
        values
    };
    let first_block = |file: &str| {
        let text = read(file);
        let block = text.split("```toml\n").nth(1).unwrap().split("```").next().unwrap().to_owned();
        let lines: Vec<_> = block.lines().map(|line| line.strip_prefix("   ").unwrap_or(line)).collect();
        lines.join("\n")
    };
    let packaged = values(&read("debian/flows.toml"));
    for file in ["README.md", "docs/getting-started.md"] {
        assert_eq!(values(&first_block(file)), packaged, "{file}");
    }
    let in_korean = |text: &str| {
        let korean = text
            .replace("\"Asia/Seoul\"", "\"UTC\"")
            .replace("새로운 잠재 고객! ({{length}})", "New marketplace leads ({{length}})");
        values(&korean.replace("\"marketplace-leads.ko\"", "\"marketplace-leads\""))
    };
    for file in ["README.ko.md", "docs/getting-started.ko.md"] {
        assert_eq!(in_korean(&first_block(file)), packaged, "{file}");
    }
    let [own, packaged] = [values(&read("flows.toml")), packaged];
    let flow = |values: &toml::Table, table: &str| values["flows"]["marketplace-leads"][table].clone();
    for table in ["recurrence", "window", "condition"] {
        assert_eq!(flow(&own, table), flow(&packaged, table), "{table}");
    }
    for (table, key) in
        [("table", "name"), ("table", "filter"), ("email", "to"), ("email", "subject"), ("email", "template")]
    {
        assert_eq!(flow(&own, table)[key], flow(&packaged, table)[key], "{table}.{key}");
    }
}

/// The Markdown files of the root and of `docs`.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["", "docs", "docs/development", "docs/development/adr"].map(|folder| root.join(folder));
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "md"));
    files.sort();
    files
}

fn name_of(file: &Path) -> String {
    file.file_name().unwrap().to_string_lossy().into_owned()
}

/// The anchors of a document's headings, as GitHub makes them.
fn sections(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings
        .map(|line| line.trim_start_matches('#').trim().to_lowercase())
        .map(|title| title.chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect())
        .collect()
}

/// A piece of a file, with what it leaves out.
fn whole(block: &str) -> String {
    let mut text = block.to_owned();
    let mut needs = |table: &str, rest: &str| {
        if !text.contains(table) {
            text += &["\n", table, "\n", rest, "\n"].concat();
        }
    };
    if block.contains("[flows.marketplace-leads") {
        needs("[connections.marketplace.", "");
        needs("[flows.marketplace-leads.recurrence]", "frequency = \"hour\"");
        needs("[flows.marketplace-leads.table]", "connection = \"marketplace\"\nname = \"marketplaceleads\"");
        needs("[flows.marketplace-leads.email]", "connection = \"relay\"\nto = \"sales@contoso.example\"");
        needs("[connections.relay.", "");
    }
    if block.contains("[settings.failures]") && !block.contains("[connections.") {
        needs("[connections.relay.mail_folder]", "[connections.backup.mail_folder]");
    }
    text.replace(
        "[connections.marketplace.\n",
        "[connections.marketplace.embedded_table]\nfile = \"demo.db\"\n",
    )
    .replace("[connections.relay.\n", "[connections.relay.mail_folder]\n")
}
