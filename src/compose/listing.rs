//! The plain listing of rows: the text part where a flow has no text template, and what goes out
//! when a template fails.

use std::fmt::Write as _;

use serde_json::Value;

use crate::template::cell::{indented, text_of};

/// Every field of every row that the body shows, one a line; absent ones are left out.
pub(super) fn plain(data: &Value) -> String {
    let mut text = String::new();
    let length = &data["length"];
    let flow = text_of(&data["flow"]["name"]);
    let noun = if length == 1 { "row" } else { "rows" };
    let _ = writeln!(text, "{flow}: {length} new {noun}");
    for (number, row) in (1..).zip(data["rows"].as_array().into_iter().flatten()) {
        let _ = writeln!(text, "\n{number}.");
        for (name, value) in row.as_object().into_iter().flatten() {
            if name != "lead" && !value.is_null() {
                let _ = writeln!(text, "  {}: {}", indented(name), indented(&text_of(value)));
            }
        }
    }
    if data["hidden"].as_u64().unwrap_or(0) > 0 {
        let _ = writeln!(text, "\n{} more in the attached CSV file", data["hidden"]);
    }
    if data["more_columns"] == true {
        let _ = writeln!(text, "\nThe rows have more columns than a mail shows");
    }
    text
}
