//! A lead: what the marketplace writes into a row, as `lead.*` of the templates.
//!
//! Microsoft publishes no list of the columns; these are the ones that public samples of Partner
//! Center's leads show. Every field is present, and null where the row has nothing for it.

use serde_json::{Map, Value};

/// The columns of a lead, as public samples show them.
pub const COLUMNS: [&str; 11] = [
    "PartitionKey",
    "RowKey",
    "Timestamp",
    "ActionCode",
    "CreatedTime",
    "CustomerInfo",
    "Description",
    "LeadSource",
    "OfferDisplayName",
    "ProductId",
    "PublisherDisplayName",
];

/// The fields of `CustomerInfo` and their names in templates.
const CUSTOMER: [(&str, &str); 7] = [
    ("first_name", "FirstName"),
    ("last_name", "LastName"),
    ("company", "Company"),
    ("country", "Country"),
    ("email", "Email"),
    ("phone", "Phone"),
    ("title", "Title"),
];

/// The codes of `ActionCode` and what they mean.
const ACTIONS: [(&str, &str); 5] = [
    ("INS", "acquired the offer"),
    ("PLT", "asked for a partner-led trial (contact me)"),
    ("DNC", "do not contact"),
    ("CREATE", "bought in the Azure portal"),
    ("STARTTESTDRIVE", "started a test drive"),
];

/// Whether the columns are those of a lead.
pub fn is_lead(columns: &[String]) -> bool {
    columns.iter().any(|name| name.eq_ignore_ascii_case("CustomerInfo"))
}

/// The `lead` of a row's columns.
pub fn of_columns(columns: &Map<String, Value>) -> Map<String, Value> {
    let customer = customer_info(columns);
    let mut lead = Map::new();
    for (name, field) in CUSTOMER {
        lead.insert(name.to_owned(), text(&customer, field));
    }
    let name = [&lead["first_name"], &lead["last_name"]].into_iter().filter_map(Value::as_str);
    let name = name.collect::<Vec<_>>().join(" ");
    lead.insert("name".to_owned(), or_null(name));

    let source = text(columns, "LeadSource");
    let (code_of_source, offer_of_source) = parts_of_source(source.as_str().unwrap_or_default());
    let action = first([text(columns, "ActionCode"), code_of_source]);
    let meaning = action.as_str().and_then(meaning_of);
    let offer = first([text(columns, "OfferDisplayName"), text(columns, "ProductId"), offer_of_source]);
    lead.insert("offer".to_owned(), offer);
    lead.insert("publisher".to_owned(), text(columns, "PublisherDisplayName"));
    lead.insert("product".to_owned(), text(columns, "ProductId"));
    lead.insert("description".to_owned(), description(columns));
    lead.insert("source".to_owned(), source);
    lead.insert("action_meaning".to_owned(), meaning.map_or_else(|| action.clone(), Value::from));
    let do_not_contact = action.as_str().is_some_and(|code| code.eq_ignore_ascii_case("DNC"));
    lead.insert("action".to_owned(), action);
    lead.insert("created".to_owned(), first([text(columns, "CreatedTime"), text(columns, "Timestamp")]));
    let is_test = text(columns, "RowKey").as_str().is_some_and(|key| key.contains("MSFT_TEST"));
    lead.insert("is_test".to_owned(), is_test.into());
    lead.insert("do_not_contact".to_owned(), do_not_contact.into());
    lead
}

/// `CustomerInfo` is a JSON object written as a string.
fn customer_info(columns: &Map<String, Value>) -> Map<String, Value> {
    match find(columns, "CustomerInfo") {
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
        Some(Value::Object(object)) => object.clone(),
        _ => Map::new(),
    }
}

/// `SPZA-DNC|contoso.app`: the action's code and the offer.
fn parts_of_source(source: &str) -> (Value, Value) {
    let Some((head, offer)) = source.split_once('|') else { return (Value::Null, Value::Null) };
    let code = head.rsplit_once('-').map(|(_, code)| code).unwrap_or_default();
    (or_null(code.trim().to_owned()), or_null(offer.trim().to_owned()))
}

fn meaning_of(code: &str) -> Option<&'static str> {
    ACTIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(code)).map(|(_, meaning)| *meaning)
}

/// The free text, without the empty `Campaigns:` that many leads carry.
fn description(columns: &Map<String, Value>) -> Value {
    match text(columns, "Description") {
        Value::String(text) if text == "Campaigns:" => Value::Null,
        other => other,
    }
}

fn first<const N: usize>(values: [Value; N]) -> Value {
    values.into_iter().find(|value| !value.is_null()).unwrap_or_default()
}

/// The trimmed text of a column, null where there is none.
fn text(columns: &Map<String, Value>, name: &str) -> Value {
    match find(columns, name) {
        Some(Value::String(text)) => or_null(text.trim().to_owned()),
        Some(Value::Null) | None => Value::Null,
        Some(other) => Value::String(other.to_string()),
    }
}

fn find<'a>(columns: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    columns.get(name).or_else(|| columns.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v))
}

fn or_null(text: String) -> Value {
    if text.is_empty() { Value::Null } else { Value::String(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lead(row: &Value) -> Map<String, Value> {
        of_columns(row.as_object().unwrap())
    }

    #[test]
    fn a_plain_lead() {
        let lead = lead(&json!({
            "RowKey": "MSFT_TEST_636737558587117715", "CreatedTime": "2026-03-01T08:00:00Z",
            "ActionCode": "INS", "LeadSource": "SPZA-INS|contoso.app", "OfferDisplayName": "Contoso App",
            "PublisherDisplayName": "Contoso", "Description": "Campaigns: ",
            "CustomerInfo": r#"{"FirstName":"민준","LastName":"김","Email":"kim@contoso.example"}"#,
        }));
        assert_eq!(lead["name"], "민준 김");
        assert_eq!(lead["offer"], "Contoso App");
        assert_eq!(lead["action_meaning"], "acquired the offer");
        assert_eq!((&lead["phone"], &lead["description"]), (&Value::Null, &Value::Null));
        assert_eq!((&lead["is_test"], &lead["do_not_contact"]), (&json!(true), &json!(false)));
    }

    #[test]
    fn what_is_missing_or_broken_is_null_and_unknown_codes_pass() {
        for (customer, email) in [
            (json!("{broken"), Value::Null),
            (json!(null), Value::Null),
            (json!({"email": "a@b.example"}), json!("a@b.example")),
        ] {
            let lead = lead(&json!({"RowKey": "1", "customerinfo": customer, "ActionCode": "XYZ"}));
            assert_eq!(lead["email"], email);
            assert_eq!((&lead["action"], &lead["action_meaning"]), (&json!("XYZ"), &json!("XYZ")));
        }
        let lead = lead(&json!({"LeadSource": "SPZA-DNC|contoso.app", "Timestamp": "2026-03-01T08:00:00Z"}));
        assert_eq!((&lead["offer"], &lead["do_not_contact"]), (&json!("contoso.app"), &json!(true)));
        assert_eq!(lead["created"], "2026-03-01T08:00:00Z");
    }

    #[test]
    fn every_field_is_there_for_any_row() {
        let names: Vec<_> = lead(&json!({})).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), 18, "{names:?}");
    }
}
