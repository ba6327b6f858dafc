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

/// The codes of `ActionCode` and what they mean, in English and Korean.
const ACTIONS: [(&str, &str, &str); 5] = [
    ("INS", "acquired the offer", "제품을 받음"),
    ("PLT", "asked for a partner-led trial (contact me)", "파트너 주도 평가판 요청 (연락 요청)"),
    ("DNC", "do not contact", "연락 금지"),
    ("CREATE", "bought in the Azure portal", "Azure 포털에서 구매"),
    ("STARTTESTDRIVE", "started a test drive", "시험 사용 시작"),
];

/// Objects within `CustomerInfo`, and texts within its text, that are looked into.
const DEEPEST: usize = 3;

/// Whether the columns are those of a lead.
pub fn is_lead(columns: &[String]) -> bool {
    columns.iter().any(|name| name.eq_ignore_ascii_case("CustomerInfo"))
}

/// Whether the row's key is that of a test lead, as *Validate* in Partner Center writes it.
pub fn is_test(row_key: &str) -> bool {
    row_key.contains("MSFT_TEST")
}

/// The `lead` of a row's columns.
pub fn of_columns(columns: &Map<String, Value>) -> Map<String, Value> {
    let info = customer_info(columns);
    let customer = info.clone().unwrap_or_default();
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
    let meaning = action.as_str().and_then(|code| meaning_of(code, false));
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
    lead.insert("is_test".to_owned(), text(columns, "RowKey").as_str().is_some_and(is_test).into());
    lead.insert("do_not_contact".to_owned(), do_not_contact.into());
    lead.insert(OTHERS.to_owned(), others(columns, info.as_ref()).into());
    lead
}

/// The fields of a lead that are one value each, in their order: what a sheet has columns for.
pub fn fields() -> Vec<String> {
    of_columns(&Map::new()).keys().filter(|name| *name != OTHERS).cloned().collect()
}

/// The list of what a lead has beside its fields: `name` and `value`.
const OTHERS: &str = "others";

/// Columns and fields of `CustomerInfo` that no field of the lead tells, so that nothing is lost from
/// sight; all of `CustomerInfo` where it makes no sense.
fn others(columns: &Map<String, Value>, info: Option<&Map<String, Value>>) -> Vec<Value> {
    let is_known = |name: &str| COLUMNS.iter().any(|known| known.eq_ignore_ascii_case(name));
    let is_unread = |name: &str| info.is_none() && name.eq_ignore_ascii_case("CustomerInfo");
    let of_row = columns.iter().filter(|(name, _)| !is_known(name) || is_unread(name));
    let is_field = |name: &str| CUSTOMER.iter().any(|(_, field)| field.eq_ignore_ascii_case(name));
    let of_customer = info.into_iter().flatten().filter(|(name, _)| !is_field(name));
    let told = |(name, value): (&String, &Value)| {
        let text = match value {
            Value::Null => return None,
            Value::String(text) => text.trim().to_owned(),
            other => other.to_string(),
        };
        (!text.is_empty()).then(|| serde_json::json!({ "name": name, "value": text }))
    };
    of_row.chain(of_customer).filter_map(told).collect()
}

/// `CustomerInfo` is a JSON object written as a string; some write it twice over, or one object
/// deeper. `None` where there is something that makes no sense.
fn customer_info(columns: &Map<String, Value>) -> Option<Map<String, Value>> {
    match find(columns, "CustomerInfo") {
        None | Some(Value::Null) => Some(Map::new()),
        Some(Value::String(text)) if text.trim().is_empty() => Some(Map::new()),
        Some(value) => customer_of(value, DEEPEST),
    }
}

fn customer_of(value: &Value, depth: usize) -> Option<Map<String, Value>> {
    if depth == 0 {
        return None;
    }
    match value {
        Value::String(text) => customer_of(&serde_json::from_str(text).ok()?, depth - 1),
        Value::Object(fields) => {
            let has_field = CUSTOMER.iter().any(|(_, field)| find(fields, field).is_some());
            let inner = || fields.values().find_map(|value| customer_of(value, depth - 1));
            let found = if has_field { None } else { inner().filter(|inner| !inner.is_empty()) };
            Some(found.unwrap_or_else(|| fields.clone()))
        }
        _ => None,
    }
}

/// `SPZA-DNC|contoso.app`: the action's code and the offer.
fn parts_of_source(source: &str) -> (Value, Value) {
    let Some((head, offer)) = source.split_once('|') else { return (Value::Null, Value::Null) };
    let code = head.rsplit_once('-').map(|(_, code)| code).unwrap_or_default();
    (or_null(code.trim().to_owned()), or_null(offer.trim().to_owned()))
}

/// What a code of `ActionCode` means, in English or Korean; `None` for one that is not known.
pub fn meaning_of(code: &str, in_korean: bool) -> Option<&'static str> {
    let found = ACTIONS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(code));
    found.map(|(_, english, korean)| if in_korean { *korean } else { *english })
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
    fn customer_info_of_any_form_is_read_and_what_is_left_stays_visible() {
        let plain = json!({ "FirstName": "Ana", "Age": 7 });
        for customer in [
            plain.clone(),
            json!(plain.to_string()),
            json!(json!(plain.to_string()).to_string()),
            json!({ "Contact": plain }),
        ] {
            let lead = lead(&json!({ "RowKey": "1", "CustomerInfo": customer, "Extra": "x", "Empty": " " }));
            assert_eq!(lead["first_name"], "Ana", "{customer}");
            let others: Vec<_> =
                lead["others"].as_array().unwrap().iter().map(|o| (&o["name"], &o["value"])).collect();
            assert_eq!(others, [(&json!("Extra"), &json!("x")), (&json!("Age"), &json!("7"))], "{customer}");
        }
        for broken in ["{broken", "[1]", "Ana Silva"] {
            let lead = lead(&json!({ "CustomerInfo": broken }));
            assert_eq!(lead["others"], json!([{ "name": "CustomerInfo", "value": broken }]));
        }
        for empty in [json!(""), json!("{}"), json!(null)] {
            assert_eq!(lead(&json!({ "CustomerInfo": empty }))["others"], json!([]));
        }
        assert_eq!(meaning_of("dnc", true), Some("연락 금지"));
    }

    #[test]
    fn every_field_is_there_for_any_row() {
        let names: Vec<_> = lead(&json!({})).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), 19, "{names:?}");
        assert_eq!(fields().len(), 18, "a list is no column");
    }
}
