//! Leads as the marketplace writes them.

use serde_json::{Value, json};

/// The lead of that number; its `RowKey` is `lead-NNNNN`.
pub(crate) fn lead(number: usize) -> Value {
    let customer = json!({
        "FirstName": "Ana", "LastName": format!("Silva {number}"), "Email": format!("customer{number}@fabrikam.example"),
        "Phone": "+1 425 555 0100", "Country": "BR", "Company": "Fabrikam & <Co>", "Title": "Developer",
    });
    json!({
        "PartitionKey": format!("11:2F{}:2F2026", number % 28 + 1), "RowKey": format!("lead-{number:05}"),
        "ActionCode": "INS", "LeadSource": "SPZA-INS|contoso.app", "OfferDisplayName": "Contoso App",
        "PublisherDisplayName": "Contoso", "ProductId": "contoso.app", "Description": "Campaigns: ",
        "CreatedTime": "2026-11-23T08:00:00Z", "CustomerInfo": customer.to_string(),
    })
}

/// Leads of these numbers.
pub(crate) fn leads(numbers: std::ops::Range<usize>) -> Vec<Value> {
    numbers.map(lead).collect()
}

/// The `RowKey`s of these numbers.
pub(crate) fn keys(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("lead-{number:05}")).collect()
}
