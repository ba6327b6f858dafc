use super::*;
use crate::rows::row::Row;

const ROW: &str = r#"{
    "PartitionKey": "9:2F28:2F2026", "RowKey": "r1", "Timestamp": "2026-03-01T08:00:00.1234567Z",
    "Name": "o'hara", "Count": 5, "Ratio": 1.5, "Open": true,
    "Big@odata.type": "Edm.Int64", "Big": "9000000000",
    "Seen@odata.type": "Edm.DateTime", "Seen": "2026-02-01T00:00:00Z",
    "Id@odata.type": "Edm.Guid", "Id": "A455C695-DF98-5678-AAAA-81D3367E5A34",
    "Blob@odata.type": "Edm.Binary", "Blob": "ChsA",
    "Most@odata.type": "Edm.Double", "Most": "Infinity", "length": 3
}"#;

fn matches(text: &str) -> bool {
    let row = Row::from_text(ROW.to_owned()).unwrap();
    Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).matches(&row)
}

#[test]
fn every_operator_and_literal() {
    for text in [
        "PartitionKey eq '9:2F28:2F2026' and RowKey ge 'r1'",
        "Timestamp gt datetime'2026-03-01T08:00:00.1234566Z'",
        "Timestamp le datetime'2026-03-01T08:00:00.1234567Z'",
        "not (Timestamp gt datetime'2026-03-01T08:00:00.1234567')",
        "Name eq 'o''hara'",
        "Count eq 5 and Count lt 6 and Count ne 4 and Count gt -1",
        "Ratio gt 1.4 and Ratio lt 1.5e1 and Ratio ge 1 and Ratio eq 1.5e+0",
        "Most gt 1.5 and length eq 3",
        "Open and Open eq true and not (Open eq false)",
        "Big eq 9000000000L",
        "Seen lt datetime'2026-02-02T00:00:00Z'",
        "Id eq guid'a455c695-df98-5678-aaaa-81d3367e5a34'",
        "Blob eq X'0a1b00' or Name eq ''",
        "Name eq 'x' and Name eq 'y' or Count eq 5",
        "not Missing",
    ] {
        assert!(matches(text), "{text}");
    }
    for text in ["Missing ne 1", "Name eq 5", "Count eq '5'", "Name eq 'x' and (Name eq 'y' or Count eq 5)"] {
        assert!(!matches(text), "{text}");
    }
}

#[test]
fn covering_is_a_matter_of_the_top_level() {
    for (text, covering) in [
        ("Timestamp gt datetime'{{past_time}}'", true),
        ("(Timestamp ge datetime'{{ past_time }}') and Name eq 'a'", true),
        ("Name eq 'a' and (Open and Timestamp ge datetime'{{past_time}}')", true),
        ("Timestamp gt datetime'{{past_time}}' or Name eq 'a'", false),
        ("not (Timestamp le datetime'{{past_time}}')", false),
        ("Seen gt datetime'{{past_time}}'", false),
        ("Timestamp lt datetime'{{past_time}}'", false),
    ] {
        assert_eq!(Filter::parse(text).unwrap().is_covering(), covering, "{text}");
    }
    let past_time = "2026-03-01T08:00:00.500000999Z".parse().unwrap();
    let filled = fill("Timestamp gt datetime'{{ past_time }}' and Name eq '{{x}}'", past_time);
    assert_eq!(filled, "Timestamp gt datetime'2026-03-01T08:00:00.5Z' and Name eq '{{x}}'");
}

#[test]
fn a_partition_is_named_where_each_match_lies_in_it() {
    for (text, named) in [
        ("PartitionKey eq 'a'", true),
        ("PartitionKey ge 'a' and Name eq 'b'", true),
        ("Name eq 'b' and PartitionKey lt 'a'", true),
        ("PartitionKey eq 'a' or PartitionKey eq 'b'", true),
        ("PartitionKey eq 'a' or Name eq 'b'", false),
        ("PartitionKey ne 'a'", false),
        ("RowKey eq 'a'", false),
        ("not (PartitionKey eq 'a')", false),
        ("Open", false),
    ] {
        assert_eq!(Filter::parse(text).unwrap().names_partitions(), named, "{text}");
    }
}

#[test]
fn what_is_read_as_the_past_time_is_filled() {
    let past_time = "2026-03-01T08:00:00Z".parse().unwrap();
    let filled = fill("Name eq '{{' and Timestamp gt datetime'{{past_time}}'", past_time);
    assert_eq!(filled, "Name eq '{{' and Timestamp gt datetime'2026-03-01T08:00:00Z'");
    for text in ["datetime' {{past_time}} '", "datetime'{ {past_time}}'", "datetime'{{past_ time}}'"] {
        assert!(Filter::parse(&format!("Timestamp gt {text}")).is_err(), "{text}");
    }
}

#[test]
fn says_where_it_is_wrong() {
    for (text, wrong, message) in [
        ("Name == 'a'", "==", "`==` is not valid in a filter"),
        ("Name eq \"a\"", "\"", "`\"` is not valid in a filter"),
        ("Name eq 'a", "'a", "the text is not closed"),
        ("Name EQ 'a'", "EQ", "`EQ` is not a comparison"),
        ("Timestamp gt '{{past_time}}'", "'{{past_time}}'", "Timestamp is a date"),
        ("Timestamp gt datetime'yesterday'", "datetime'yesterday'", "`yesterday` is not a valid date"),
        ("Timestamp gt {{past_time}}", "{{past_time}}", "`{{past_time}}` is not valid in a filter"),
        ("RowKey eq 5", "5", "RowKey is text"),
        ("startswith(Name, 'a')", "startswith", "Azure Tables has no function `startswith`"),
        ("'a' eq Name", "'a'", "there is a constant where a property belongs"),
        ("(Name eq 'a'", "", "a bracket is not closed"),
        ("Name eq 'a' Count eq 1", "Count", "the filter should end here"),
        ("Count eq 12x", "12x", "`12x` is not a valid number"),
        ("Count eq 1.5L", "1.5L", "`1.5L` is not a valid number"),
        ("Count eq 1+2", "+", "`+` is not valid in a filter"),
        ("not and", "and", "expected a comparison"),
        ("eq eq 5", "eq", "expected a comparison"),
        ("Name ('a')", "(", "expected a comparison"),
        ("Count eq 9000000000", "9000000000", "9000000000 needs 64 bits"),
        ("", "", "expected a comparison"),
    ] {
        let error = Filter::parse(text).unwrap_err();
        assert_eq!((&text[error.span], error.message.as_str()), (wrong, message), "{text}");
    }
}

#[test]
fn says_what_to_write_instead() {
    const COMPARISONS: &str = "comparisons are eq ne gt ge lt le";
    for (text, help) in [
        ("Name EQ 'a'", "write eq"),
        ("Open AND Name", "write and"),
        ("Open Or Name", "write or"),
        ("Name is 'a'", COMPARISONS),
        ("Name = 'a'", "write eq"),
        ("Name eq “a”", "write text in single quotes: 'text'"),
        ("Timestamp gt {{past_time}} and Open", "write datetime'{{past_time}}'"),
        ("Open § Name", "remove it"),
    ] {
        assert_eq!(Filter::parse(text).unwrap_err().help, help, "{text}");
    }
}

#[test]
fn fifteen_comparisons_and_a_hundred_brackets_are_the_most() {
    let many = |count: usize, brackets: usize| {
        let one = format!("{}Count eq 1{}", "(".repeat(brackets), ")".repeat(brackets));
        Filter::parse(&vec![one; count].join(" or ")).map_err(|error| error.message)
    };
    assert!(many(15, 8).is_ok());
    assert_eq!(many(16, 0).unwrap_err(), "the table service accepts at most 15 comparisons in a filter");
    assert!(many(1, 99).is_ok());
    for brackets in [100, 100_000] {
        assert_eq!(many(1, brackets).unwrap_err(), "the filter is nested too deeply", "{brackets}");
    }
}
