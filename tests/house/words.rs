//! Words for people are for people: the program decides by kinds.

use super::arrows::program;

/// Fields that hold words for people, and what looks into them.
const FIELDS: [&str; 4] = [".message", ".help", ".summary", ".what"];
const LOOKS: [&str; 5] = [".starts_with(", ".ends_with(", ".contains(", ".find(", " == \""];

#[test]
fn no_decision_hangs_on_the_text_of_a_message() {
    let mut found = Vec::new();
    for source in program() {
        for (number, line) in source.text.lines().enumerate() {
            if looks_into_words(line) {
                found.push(format!("{}:{}: {}", source.path.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "give the error a kind and ask for that: {found:#?}");
}

#[test]
fn a_look_is_found_through_what_only_borrows() {
    for (line, expected) in [
        ("if error.message.starts_with(\"there is no table\") {", true),
        ("run.summary.as_str() == \"nothing new\"", true),
        ("advice.help.as_deref().is_some_and(|help| help.contains(\"x\"))", false),
        ("finding.help.as_deref().unwrap_or_default().contains(\"x\")", true),
        ("write!(f, \"{}\", error.message)", false),
        ("let message = error.message.clone();", false),
        ("request.message_id.contains('x')", false),
    ] {
        assert_eq!(looks_into_words(line), expected, "{line}");
    }
}

/// Whether a line looks into a field of words, perhaps through calls that only borrow it.
fn looks_into_words(line: &str) -> bool {
    FIELDS.iter().any(|field| {
        line.match_indices(field).any(|(at, _)| {
            let mut rest = &line[at + field.len()..];
            for call in [".as_ref()", ".as_str()", ".as_deref()", ".unwrap_or_default()"] {
                rest = rest.strip_prefix(call).unwrap_or(rest);
            }
            LOOKS.iter().any(|look| rest.starts_with(look))
        })
    })
}
