//! Any rows as mails: each is in them, none of them breaks out of its place, and none is too large.

use mail_parser::{MessageParser, MimeHeaders as _};
use proptest::collection::vec;
use proptest::prelude::*;

use super::tests::{flow, input};
use super::*;
use crate::rows::columns::Cell;
use crate::rows::row::Row;
use leadflow_core::testing::hostile::config;

/// What could break out of a header, an attribute, an element, a cell or a line.
const ODD: [&str; 36] = [
    "",
    "x",
    "\u{202e}gnp",
    "\r\nBcc: canary@other.example\r\n\r\n",
    "\n",
    "\t",
    "\0",
    "\u{1b}[31m",
    "<script>alert(1)</script>",
    "\"><img src=x onerror=canary>",
    "' onmouseover='canary",
    "</td></table>",
    "{{length}}",
    "{{{rows}}}",
    "&lt;",
    "&#60;script>",
    "=HYPERLINK(\"http://canary\")",
    "+1",
    "-",
    "@SUM(A1)",
    "＝1+1",
    "+82 10-1234-5678",
    "x;=1+1",
    "\r5 new leads in leads\r--\r",
    "\u{2029}  Email     canary@other.example",
    "\u{b}\u{c}* Ana",
    ",\";'",
    "\u{feff}",
    "\u{2028}",
    "\u{85}",
    "민준 김",
    "😀",
    "\u{61c}",
    "javascript:alert(1)",
    "a@b.example?bcc=c@d.example",
    "\r\n.\r\nMAIL FROM:<x>",
];

const NAMES: [&str; 15] = [
    "CustomerInfo",
    "customerinfo",
    "lead",
    "lead_",
    "LeadSource",
    "ActionCode",
    "Description",
    "OfferDisplayName",
    "Note",
    "A",
    "rows",
    "this",
    "length",
    "N@odata.type",
    "odata.etag",
];

/// JSON text of a value as a hostile service would send it.
fn values() -> impl Strategy<Value = String> {
    let text = || {
        prop_oneof![
            6 => prop::sample::select(&ODD[..]).prop_map(|text| Value::from(text).to_string()),
            2 => any::<String>().prop_map(|text| Value::from(text).to_string()),
            1 => (prop::sample::select(vec!["x", "<", "가", "\"", "=", "\\ud83d", "\\u0001"]), 1_usize..4_000)
                .prop_map(|(sign, count)| if sign.starts_with('\\') { format!("\"{}\"", sign.repeat(count)) } else { Value::from(sign.repeat(count)).to_string() }),
            1 => prop::sample::select(vec![r#""\ud83d""#, r#""\udc00\ud800x""#, r#""\\ud83d""#, r#""\ud83d\ude00""#]).prop_map(str::to_owned),
        ]
    };
    let number = prop::sample::select(vec![
        "0",
        "-0",
        "1e999",
        "-1e-999",
        "9223372036854775808",
        "-9223372036854775809",
        "1.0000000000000000001",
        "1E400",
        "12345678901234567890123",
    ]);
    let nested = (prop::sample::select(vec![("[", "]"), ("{\"a\":", "}")]), 1_usize..300)
        .prop_map(|((open, close), depth)| format!("{}1{}", open.repeat(depth), close.repeat(depth)));
    prop_oneof![
        12 => text(),
        2 => number.prop_map(str::to_owned),
        1 => prop::sample::select(vec!["null", "true", "false", "[]", "{}", "{\"a\":{\"b\":[null,\"<b>\"]}}"]).prop_map(str::to_owned),
        1 => nested,
        1 => (any::<i64>(), any::<f64>()).prop_map(|(whole, broken)| Value::from(vec![Value::from(whole), Value::from(broken)]).to_string()),
    ]
}

fn rows() -> impl Strategy<Value = Vec<String>> {
    let name = prop_oneof![
        6 => prop::sample::select(&NAMES[..]).prop_map(str::to_owned),
        1 => prop::sample::select(&ODD[..]).prop_map(str::to_owned),
        1 => "\\PC{0,10}",
    ];
    let customer = values()
        .prop_map(|value| Value::from(format!("{{\"FirstName\":{value},\"Email\":{value}}}")).to_string());
    let column = prop_oneof![
        6 => (name, values()).prop_map(|(name, value)| (name, value)),
        2 => customer.prop_map(|value| ("CustomerInfo".to_owned(), value)),
    ];
    let row = vec(column, 0..8).prop_filter_map("a key twice", |columns| {
        let names: std::collections::HashSet<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        (!names.contains("PartitionKey") && !names.contains("RowKey")).then_some(columns)
    });
    let wide = (row.clone(), 900_usize..2_100).prop_map(|(mut row, count)| {
        row.extend((0..count).map(|number| (format!("Column{number}"), number.to_string())));
        row
    });
    let rows = prop_oneof![30 => vec(row, 0..6), 1 => vec(wide, 1..2)];
    rows.prop_map(|rows| rows.iter().enumerate().map(|(number, columns)| text_of(number, columns)).collect())
}

fn text_of(number: usize, columns: &[(String, String)]) -> String {
    let columns: Vec<String> = columns
        .iter()
        .filter(|(name, _)| name != "Timestamp")
        .map(|(name, value)| format!(",{}:{value}", Value::from(name.as_str())))
        .collect();
    let columns = columns.concat();
    format!(
        "{{\"PartitionKey\":\"p\",\"RowKey\":\"row{number}\",\"Timestamp\":\"2026-03-01T08:00:00.1234567Z\"{columns}}}"
    )
}

/// What the flow's `[email]` says.
fn emails() -> impl Strategy<Value = String> {
    let subject = prop::sample::select(vec![
        "",
        "subject = \"{{length}} {{rows.0.RowKey}}\"",
        "subject = \"{{lead.name}}{{lead.source}}{{lead.description}}\"",
    ]);
    let template = prop::sample::select(vec![
        "",
        "template = \"marketplace-leads\"",
        "body = \"{{#each rows}}{{RowKey}} {{#each this}}{{@key}}={{this}}\\n{{/each}}{{/each}}\"",
    ]);
    let rest = prop::sample::select(vec![
        "",
        "attach_csv = true",
        "each = \"row\"",
        "max_rows = 1",
        "max_rows = 2\nattach_csv = true",
    ]);
    (subject, template, rest).prop_map(|(subject, template, rest)| format!("{subject}\n{template}\n{rest}\n"))
}

fn is_well_composed(email: &str, rows: &[String], max_bytes: usize) {
    let flow = flow(email);
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::new(folder.path()).knowing(flow.email.named_columns());
    let rows: Vec<Row> = rows.iter().map(|row| Row::from_text(row.clone()).unwrap()).collect();
    for row in &rows {
        spool.push(row).unwrap();
    }
    let columns = spool.columns().to_vec();
    let from = Mailbox::named("Leads", "leads@contoso.example");
    let mails = compose(&input(&flow, &from, max_bytes), &mut spool, folder.path()).unwrap();
    let mut next = 0;
    for (mail, bytes) in mails.read().map(Result::unwrap) {
        assert!(bytes.len() <= max_bytes, "{} bytes", bytes.len());
        assert_eq!(mail.rows.start, next);
        next = mail.rows.end;
        headers_are_ours(&mail, &bytes);
        rows_are_there(&bytes, &rows[mail.rows.clone()], &columns);
    }
    assert_eq!(next, rows.len());
}

/// Every line of the head is one that leadflow writes, and has no sign that does anything.
fn headers_are_ours(mail: &ComposedMail, bytes: &[u8]) {
    const OURS: [&str; 13] = [
        "From",
        "To",
        "Date",
        "Message-ID",
        "Subject",
        "Auto-Submitted",
        "X-Leadflow-Flow",
        "X-Leadflow-Run",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
        "Content-Disposition",
        "",
    ];
    let text = String::from_utf8_lossy(bytes);
    let head = text.split("\r\n\r\n").next().unwrap();
    for line in head.split("\r\n").filter(|line| !line.starts_with([' ', '\t'])) {
        assert!(OURS.contains(&line.split(':').next().unwrap()), "{head}");
    }
    assert!(
        head.is_ascii() && head.chars().all(|c| c == '\r' || c == '\n' || c == '\t' || !c.is_control()),
        "{head:?}"
    );
    assert!(
        !mail.subject.contains(|c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c)),
        "{:?}",
        mail.subject
    );
    assert!(mail.subject.chars().count() <= 170);
    super::lines::has_good_lines(bytes);
}

/// In the CSV cell by cell, or in the body.
fn rows_are_there(bytes: &[u8], rows: &[Row], columns: &[String]) {
    let message = MessageParser::default().parse(bytes).unwrap();
    let text = message.body_text(0).unwrap().into_owned();
    for html in message.parts.iter().filter(|part| part.is_content_type("text", "html")) {
        has_only_our_markup(&String::from_utf8_lossy(html.contents()));
    }
    let csv = message.attachments().find(|part| part.attachment_name().is_some());
    let Some(csv) = csv else {
        // Each of the templates shows the key or, of a lead, when it was created.
        let created = text.matches("\n  Created  ").count();
        let keys = rows.iter().filter(|row| text.contains(&row.row_key)).count();
        assert!(created.max(keys) >= rows.len(), "{text}");
        return;
    };
    let csv = csv.contents().strip_prefix("\u{feff}".as_bytes()).unwrap();
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(csv);
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let has_more = records[0].iter().next_back() == Some("more columns");
    let of_lead = records[0].len() - columns.len() - usize::from(has_more);
    assert_eq!(records.len(), rows.len() + 1);
    for (record, row) in records[1..].iter().zip(rows) {
        let values = row.columns();
        assert!(!values.is_empty());
        for (cell, name) in record.iter().skip(of_lead).zip(columns) {
            let whole = values.get(name).unwrap_or(&Cell::NULL).text();
            let bare = |text: &str| text.replace('\'', "");
            assert_eq!(bare(cell), bare(&whole), "{name}");
            assert!(!cell.split([',', ';', '\t', '\r', '\n']).any(is_formula), "{cell:?}");
        }
    }
}

/// Whether a spreadsheet would work it out.
fn is_formula(cell: &str) -> bool {
    let cell = cell.trim_matches(|c: char| c.is_whitespace() || c == '"');
    cell.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) && cell.parse::<f64>().is_err()
}

/// Elements and attributes are those of the templates: whatever a row holds is text.
fn has_only_our_markup(html: &str) {
    const ELEMENTS: [&str; 15] = [
        "html", "head", "style", "meta", "title", "body", "table", "tr", "td", "div", "span", "a",
        "!DOCTYPE", "br", "p",
    ];
    for (at, _) in html.match_indices('<') {
        let tag = html[at + 1..].split('>').next().unwrap();
        let name = tag.trim_start_matches('/').split([' ', '\n', '\r', '=']).next().unwrap();
        assert!(ELEMENTS.contains(&name), "<{tag}> in {html}");
        let mut rest = tag;
        while let Some((name, after)) = rest.split_once("=\"") {
            let name = name.rsplit(' ').next().unwrap();
            assert!(!name.starts_with("on") && !name.contains(['<', '"', '\'']), "<{tag}>");
            rest = after.split_once('"').unwrap().1;
        }
        assert!(!rest.contains("on") || rest == "!DOCTYPE html" || !rest.contains('='), "<{tag}>");
    }
}

proptest! {
    #![proptest_config(config(80))]

    #[test]
    fn any_rows(rows in rows(), email in emails()) {
        is_well_composed(&email, &rows, 8_000_000);
    }

    #[test]
    fn any_rows_in_small_mails(rows in rows(), email in emails()) {
        is_well_composed(&email, &rows, 200_000);
    }
}

/// The largest row that the service takes: 1 MiB, of at most 32,768 letters a column.
#[test]
fn the_largest_row_fits_into_a_mail() {
    for sign in ["\"", "가"] {
        let names = [&crate::rows::lead::COLUMNS[3..], &["A", "B", "C", "D", "E", "F", "G", "H"]].concat();
        let value = Value::from(sign.repeat(32_700)).to_string();
        let columns: Vec<_> = names.iter().map(|name| ((*name).to_owned(), value.clone())).collect();
        is_well_composed("", &[text_of(0, &columns)], 8_000_000);
    }
}
