//! Any text as a template: an error at a place within it, or a mail; never a panic, never for long.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::testing::hostile::{config, soup, spoilt};

const WORDS: [&str; 60] = [
    "{{",
    "}}",
    "{{{",
    "}}}",
    "{{{{",
    "}}}}",
    "{{#",
    "{{/",
    "{{^",
    "{{~",
    "~}}",
    "{{!",
    "{{!--",
    "--}}",
    "{{>",
    "{{*",
    "{{#*",
    "{{#>",
    "{{&",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "'",
    "\\",
    "|",
    "=",
    " as |a b|",
    "..",
    "../",
    "/",
    ".",
    "@",
    "@root.",
    "@key",
    "@index",
    "@partial-block",
    "this",
    "length",
    "rows",
    "rows.0.Company",
    "lead.email",
    "flow.name",
    "if ",
    "each ",
    "with ",
    "lookup ",
    "else",
    "date ",
    "truncate ",
    "json ",
    "_a",
    "inline ",
    "1",
    "-1e400",
    " ",
    "\n",
];
const CALLS: [&str; 28] = [
    "{{length}}",
    "{{#each rows}}",
    "{{/each}}",
    "{{#if length}}",
    "{{/if}}",
    "{{else}}",
    "{{else if length}}",
    "{{^if length}}",
    "{{#each this}}",
    "{{#with lead}}",
    "{{/with}}",
    "{{@key}}",
    "{{this}}",
    "{{../length}}",
    "{{date rows.0.Timestamp \"%Y%!%999999d\" \"Europe/Paris\"}}",
    "{{truncate lead.name 18446744073709551615}}",
    "{{lookup rows 0}}",
    "{{json (lookup rows 0)}}",
    "{{> _a}}",
    "{{#> _a}}",
    "{{/_a}}",
    "{{{{raw}}}} {{ {{{{/raw}}}}",
    "{{len rows}}",
    "{{lookup this (len rows)}}",
    "{{#each columns as |a b|}}",
    "{{a.b.c}}",
    "{{safe_url lead.email}}",
    "{{!-- x --}}",
];

fn whole() -> Vec<String> {
    [
        include_str!("../../../../templates/marketplace-leads.html.hbs"),
        include_str!("../../../../templates/rows.txt.hbs"),
        "{{#each rows}}{{#if Company}}{{Company}}{{else if Description}}-{{else}}{{default lead.name (default \
         lead.email \"x\")}}{{/if}}{{/each}}",
        "{{> _a length=1}}{{#with lead as |l|}}{{l.email}}{{/with}}{{date now '%d.%m.%Y' 'Asia/Seoul'}}",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Compiles and renders; returns the errors.
fn tried(text: &str) -> Vec<TemplateError> {
    let began = Instant::now();
    let source = |text: &str| Source { place: TemplateLocation::Body, text: text.to_owned() };
    let sources = Sources {
        subject: source("{{length}}"),
        html: Some(source(text)),
        text: Some(source(text)),
        html_partials: vec![("_a".to_owned(), source("{{length}}"))],
        text_partials: vec![("_a".to_owned(), source("{{length}}"))],
    };
    let errors = match Templates::compile(sources) {
        Ok(templates) => {
            let row = json!({ "Company": "c", "Timestamp": "2026-03-01T08:00:00Z", "lead": lead::from_columns(&Map::new()) });
            let mut data = trial_data(templates.columns());
            data["rows"] = vec![row; 20].into();
            templates.render(&data).err().into_iter().collect()
        }
        Err(errors) => errors,
    };
    for error in &errors {
        assert!(!error.message.is_empty());
        assert!(error.at.is_none_or(|(line, column)| line >= 1 && column >= 1), "{error:?}");
    }
    assert!(began.elapsed() < Duration::from_mins(2), "{:?} for {text}", began.elapsed());
    errors
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn words_in_any_order(text in soup(&WORDS)) {
        tried(&text);
    }

    #[test]
    fn calls_in_any_order(text in soup(&CALLS)) {
        tried(&text);
    }

    #[test]
    fn a_spoilt_template(bytes in spoilt(whole(), &CALLS)) {
        tried(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn what_repeats_itself_ends_soon() {
    for word in WORDS.into_iter().chain(CALLS) {
        for count in [40, 2_001.max(100_000 / word.len())] {
            tried(&word.repeat(count));
        }
    }
}

/// Each of these ended the process, or would not have ended.
#[test]
fn what_is_too_much_is_refused() {
    let deep = "the template is nested too deeply";
    let endless = "the template repeats endlessly";
    for (text, message) in [
        (format!("{{{{default\n{}1{}}}}}", "(not\n".repeat(3_000), ")".repeat(3_000)), deep),
        (format!("{{{{default \"}}}}\" {}1{}}}}}", "(not ".repeat(3_000), ")".repeat(3_000)), deep),
        (format!("{{{{#if length}}}}{}{{{{/if}}}}", "{{else if length}}x".repeat(3_000)), deep),
        (format!("{}{}", "{{\n#if length}}".repeat(3_000), "{{/if}}".repeat(3_000)), deep),
        (format!("{}{}", "{{#each columns}}".repeat(20), "{{/each}}".repeat(20)), endless),
        ("{{#each rows}}{{> _loops}}{{/each}}".to_owned(), endless),
        ("{{> _many}}".repeat(40), endless),
        (
            "{{#> _twice}}{{#> _twice}}x{{/_twice}}{{/_twice}}".to_owned(),
            "`@partial-block` appears twice, or in a loop",
        ),
        ("{{length}}\n".repeat(2_001), "the template has more than 2000 tags"),
        ("\\".repeat(100_000), "the template has a hundred backslashes in a row"),
    ] {
        let source = |text: &str| Source { place: TemplateLocation::Body, text: text.to_owned() };
        let partials = [
            ("_loops", "{{#each columns}}{{#each ../columns}}x{{/each}}{{/each}}".to_owned()),
            ("_many", "{{> _some}}".repeat(30)),
            ("_some", "x".to_owned()),
            ("_twice", "{{> @partial-block}}{{> @partial-block}}".to_owned()),
        ];
        let text_partials = partials.map(|(name, text)| (name.to_owned(), source(&text))).to_vec();
        let sources =
            Sources { subject: source("x"), text: Some(source(&text)), text_partials, ..Sources::default() };
        let errors = Templates::compile(sources).unwrap_err();
        assert!(errors.iter().any(|error| error.message.contains(message)), "{message}: {errors:?}");
    }
}

#[test]
fn fifty_blocks_two_loops_and_long_texts_are_fine() {
    for text in [
        format!("{}x{}", "{{#if length}}".repeat(50), "{{/if}}".repeat(50)),
        format!("{{{{or length {}1{}}}}}", "(not ".repeat(50), ")".repeat(50)),
        format!("{{{{#if hidden}}}}{}{{{{/if}}}}", "{{else if hidden}}x".repeat(49)),
        "{{#each rows}}{{#each ../columns}}{{this}}{{/each}}{{/each}}".to_owned(),
        format!("{}{{{{length}}}}", "a (long text \\ with \" and ' ".repeat(3_000)),
        "{{length}}".repeat(500),
    ] {
        assert_eq!(tried(&text), [], "{}", &text[..60]);
    }
}
