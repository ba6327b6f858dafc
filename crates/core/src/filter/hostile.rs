//! Any text as a filter: an error within the text, or a filter that means the same once it is filled.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::rows::row::Row;
use crate::testing::hostile::{config, soup, spoilt};

const WORDS: [&str; 42] = [
    " ",
    " ",
    " ",
    "(",
    ")",
    ",",
    "'",
    "''",
    "and",
    "or",
    "not",
    "eq",
    "ne",
    "gt",
    "ge",
    "lt",
    "le",
    "Timestamp",
    "PartitionKey",
    "RowKey",
    "Name",
    "Count",
    "true",
    "datetime'",
    "{{past_time}}",
    "{{ past_time }}",
    "datetime'{{past_time}}'",
    "datetime'2026-03-01T08:00:00Z'",
    "guid'a455c695-df98-5678-aaaa-81d3367e5a34'",
    "X'0a'",
    "'a'",
    "1",
    "-5",
    "9e9",
    "1.5",
    "7L",
    "{{",
    "}}",
    " and Name eq '{{' ",
    "Timestamp gt datetime'{{past_time}}'",
    "Name eq 'o''hara'",
    "startswith(",
];

fn whole() -> Vec<String> {
    [
        "Timestamp gt datetime'{{past_time}}'",
        "(Timestamp ge datetime'{{ past_time }}') and (Name eq 'o''hara' or not (Count lt -5L))",
        "PartitionKey ge 'a' and PartitionKey lt 'b' and Timestamp gt datetime'{{past_time}}' and Open",
        "Id eq guid'a455c695-df98-5678-aaaa-81d3367e5a34' or Blob eq X'0a1b' or Ratio le 1.5e3",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The expression with this moment as its past time, in texts too.
fn with(expression: Expression, past_time: Timestamp) -> Expression {
    let inner = |expression: Box<Expression>| Box::new(with(*expression, past_time));
    match expression {
        Expression::And(a, b) => Expression::And(inner(a), inner(b)),
        Expression::Or(a, b) => Expression::Or(inner(a), inner(b)),
        Expression::Not(a) => Expression::Not(inner(a)),
        Expression::Compare { property, comparison, constant } => {
            let constant = match constant {
                Constant::PastTime => Constant::Moment(past_time),
                Constant::Text(text) => Constant::Text(fill(&text, past_time)),
                other => other,
            };
            Expression::Compare { property, comparison, constant }
        }
        holds @ Expression::Holds(_) => holds,
    }
}

fn is_well_read(text: &str) {
    let past_time = "2026-03-01T08:00:00.5Z".parse().unwrap();
    match Filter::parse(text) {
        Ok(filter) => {
            let filled = fill(text, past_time);
            let again = Filter::parse(&filled).unwrap_or_else(|error| panic!("{filled}: {error}"));
            assert_eq!(again.expression, with(filter.expression, past_time), "{filled}");
            let row = r#"{"PartitionKey":"a","RowKey":"b","Timestamp":"2026-03-01T08:00:00Z","Name":1e999}"#;
            again.matches(&Row::from_text(row.to_owned()).unwrap());
        }
        Err(error) => {
            assert!(text.get(error.span.clone()).is_some(), "{:?} of {text:?}", error.span);
            assert!(!error.message.is_empty() && !error.help.is_empty());
        }
    }
}

/// What the parser takes, with signs of the placeholder wherever they may be.
fn valid() -> impl Strategy<Value = String> {
    let text = prop::collection::vec(
        prop::sample::select(vec![
            "{{",
            "}}",
            "{",
            "}",
            " ",
            "''",
            "past_time",
            "{{past_time}}",
            "é",
            "(",
            "x",
        ]),
        0..5,
    );
    let text = text.prop_map(|parts| parts.concat());
    let comparison = prop_oneof![
        text.clone().prop_map(|text| format!("Name eq '{text}'")),
        text.prop_map(|text| format!("Timestamp gt datetime'{text}'")),
        Just("Timestamp gt datetime'{{past_time}}'".to_owned()),
        Just("Timestamp ge datetime'{{ past_time }}'".to_owned()),
        Just("Open".to_owned()),
    ];
    comparison.prop_recursive(4, 12, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} and {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} or {b})")),
            inner.prop_map(|a| format!("not ({a})")),
        ]
    })
}

proptest! {
    #![proptest_config(config(1_000))]

    #[test]
    fn a_valid_filter_is_filled_where_it_names_the_past_time(text in valid()) {
        is_well_read(&text);
    }

    #[test]
    fn words_in_any_order(text in soup(&WORDS)) {
        is_well_read(&text);
    }

    #[test]
    fn a_spoilt_filter(bytes in spoilt(whole(), &WORDS)) {
        is_well_read(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn a_long_text_takes_no_time() {
    let began = Instant::now();
    for word in WORDS.into_iter().chain(["not ", "not(", "a eq 1 and ", "((a eq 1) or ", "'a' ", "é", "9"]) {
        is_well_read(&word.repeat(100_000 / word.len()));
    }
    assert!(began.elapsed() < Duration::from_mins(2), "{:?}", began.elapsed());
}
