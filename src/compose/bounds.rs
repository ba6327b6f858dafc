//! Whatever the rows are, a mail has a largest size, and no row is lost.

use mail_parser::MessageParser;

use super::tests::{composed, text_of};
use super::*;
use serde_json::json;

/// The records of all CSVs, by the names of their columns.
fn records(mails: &[(ComposedMail, Vec<u8>)]) -> Vec<Vec<(String, String)>> {
    let mut found = Vec::new();
    for (_, bytes) in mails {
        let message = MessageParser::default().parse(bytes).unwrap();
        let csv = message.attachments().next().unwrap().contents().to_vec();
        let mut reader =
            csv::ReaderBuilder::new().from_reader(csv.strip_prefix("\u{feff}".as_bytes()).unwrap());
        let names = reader.headers().unwrap().clone();
        for record in reader.records().map(Result::unwrap) {
            let cells = names.iter().zip(record.iter());
            found.push(cells.map(|(name, cell)| (name.to_owned(), cell.to_owned())).collect());
        }
    }
    found
}

#[test]
fn ever_new_columns_take_as_much_as_they_hold_and_are_all_there() {
    // 2 MB of JSON, of which 150 MB of mail were made.
    let of_row =
        |row: usize| (0..250).map(move |column| (format!("Column{}", row * 250 + column), json!(row)));
    let rows: Vec<Value> = (0..400).map(|row| Value::Object(of_row(row).collect())).collect();
    for (email, each) in [("", 1), ("template = \"marketplace-leads\"", 1), ("each = \"row\"", 1)] {
        let (mails, notes) = composed(email, &rows, 8_000_000);
        let size: usize = mails.iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(size < 16_000_000 && mails.len() >= each, "{email}: {size} bytes");
        assert!(
            notes.iter().any(|note| note.contains("the mail knows 256 of them, the last column")),
            "{notes:?}"
        );
        assert!(text_of(&mails[0].1).contains("the others are in the last column of the CSV"), "{email}");
        let records = records(&mails);
        assert_eq!(records.len(), 400);
        for (number, record) in records.iter().enumerate() {
            let more: Value = serde_json::from_str(&record.last().unwrap().1).unwrap();
            let is_kept = |(name, cell): &&(String, String)| name.starts_with("Column") && !cell.is_empty();
            let kept = record.iter().filter(is_kept).count();
            assert_eq!(kept + more.as_object().unwrap().len(), 250, "{number}");
        }
    }
}

#[test]
fn a_column_that_is_named_is_there_however_many_come_before() {
    let of_row =
        |row: usize| (0..250).map(move |column| (format!("Column{}", row * 250 + column), json!(row)));
    let mut rows: Vec<Value> = (0..3).map(|row| Value::Object(of_row(row).collect())).collect();
    rows.push(json!({ "Late": "here I am", "CustomerInfo": "{\"Email\":\"a@b.example\"}" }));
    let body = "body = \"{{#each rows}}{{default Late ''}}{{default lead.email ''}}{{/each}}\"";
    let (mails, _) = composed(body, &rows, 8_000_000);
    assert_eq!(text_of(&mails[0].1).trim(), "here I ama@b.example");
}

#[test]
fn a_row_that_is_larger_than_a_mail_is_cut_and_the_mail_says_so() {
    let wide = |size: usize| json!({ "A": "x".repeat(size), "B": "\"".repeat(size), "C": "small" });
    for each in ["run", "row"] {
        let rows = [json!({ "C": "first" }), wide(400_000), json!({ "C": "last" })];
        let email = format!("each = \"{each}\"");
        let (mails, notes) = composed(&email, &rows, 200_000);
        assert!(mails.iter().all(|(_, bytes)| bytes.len() <= 200_000));
        assert_eq!(mails.last().unwrap().0.rows.end, 3, "no row is lost");
        assert!(notes.iter().any(|note| note.starts_with("1 row is larger than a mail")), "{notes:?}");
        let texts: Vec<String> = mails.iter().map(|(_, bytes)| text_of(bytes)).collect();
        assert!(texts.iter().any(|text| text.contains("1 row is larger than a mail")), "{texts:?}");
        let records = records(&mails);
        let keys: Vec<&str> = records
            .iter()
            .flatten()
            .filter(|(name, _)| name == "RowKey")
            .map(|(_, key)| key.as_str())
            .collect();
        assert_eq!(keys, ["0", "1", "2"]);
        assert!(records[1].iter().any(|(_, cell)| cell.ends_with('…') && cell.len() > 1_000));
        assert!(records[1].iter().any(|(_, cell)| cell == "small"));
    }
}

#[test]
fn no_mail_is_larger_than_it_may_be() {
    let large = "x".repeat(300_000);
    let of_columns: serde_json::Map<String, Value> =
        (0..250).map(|column| (format!("Column{column}"), json!("<&\"".repeat(600)))).collect();
    let many_columns = Value::Object(of_columns);
    let names: Vec<String> = (0..1_000).map(|number| format!("somebody-{number}@contoso.example")).collect();
    for (email, rows) in [
        (format!("body = \"<p>{large}</p>\""), vec![json!({ "A": 1 })]),
        (format!("body = \"{large}\"\neach = \"row\""), vec![json!({ "A": 1 }); 3]),
        ("subject = \"{{rows.0.A}}\"".to_owned(), vec![json!({ "A": large })]),
        ("each = \"row\"".to_owned(), vec![many_columns.clone(); 3]),
        (String::new(), vec![many_columns; 30]),
        (format!("cc = {names:?}"), vec![json!({ "A": large })]),
    ] {
        let (mails, _) = composed(&email, &rows, 250_000);
        let largest = mails.iter().map(|(_, bytes)| bytes.len()).max().unwrap();
        assert!(largest <= 250_000, "{largest} bytes: {}", &email[..email.len().min(60)]);
        assert_eq!(mails.last().unwrap().0.rows.end, rows.len());
    }
}

#[test]
#[should_panic(expected = "TooLarge")]
fn a_mail_whose_recipients_alone_are_too_large_is_refused() {
    let names: Vec<String> = (0..4_000).map(|number| format!("somebody-{number}@contoso.example")).collect();
    composed(&format!("cc = {names:?}"), &[json!({ "A": 1 })], 100_000);
}

/// Twenty mails, each of which fails at another place.
#[test]
fn notes_are_not_without_end() {
    let rows: Vec<Value> =
        (0..60).map(|row| json!({ "Seen": "2026-03-01T08:00:00Z", "Format": format!("%!{row}") })).collect();
    let (mails, notes) =
        composed("each = \"row\"\nbody = \"{{date rows.0.Seen rows.0.Format}}\"", &rows, 1_000_000);
    assert_eq!((mails.len(), notes.len()), (60, MOST_NOTES));
}
