//! What the documents show must work.

use std::fs;
use std::path::Path;

use crate::support::leadflow::Sandbox;

/// Every whole flows.toml in a document, and every piece of one.
#[test]
fn every_example_passes_check() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> =
        fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.extend([root.join("README.md"), root.join("README.ko.md")]);
    files.retain(|path| path.extension().is_some_and(|ending| ending == "md"));
    let mut examples = 0;
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for block in text.split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            let lines: Vec<_> = block.lines().map(|line| line.strip_prefix("   ").unwrap_or(line)).collect();
            let block = lines.join(
                "
",
            );
            let sandbox = Sandbox::new(&whole(&block));
            let output = sandbox.run(&["check"]);
            assert_eq!(output.code, 0, "{}:\n{block}\n{}", file.display(), output.stderr);
            examples += 1;
        }
    }
    assert!(examples >= 7, "{examples}");
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
