//! Leads that nobody has left: for a table that is to be tried, and for the demo.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// A row of a table as the marketplace writes it.
#[derive(Debug, Clone, PartialEq)]
pub struct MadeUpLead {
    /// Its `PartitionKey`.
    pub partition_key: String,
    /// Its `RowKey`.
    pub row_key: String,
    /// All its columns.
    pub columns: Map<String, Value>,
}

/// Customers of the demo, their companies, what they did.
const DEMO: [(&str, &str, &str, &str, &str); 3] = [
    ("Ana", "Silva", "Fabrikam", "BR", "INS"),
    ("민준", "김", "한빛소프트", "KR", "PLT"),
    ("Maren", "O'Hara <Dev>", "Tailspin Toys", "DE", "DNC"),
];

impl MadeUpLead {
    /// As public samples show those of *Validate*: the keys' form, and `MSFT_TEST` with .NET ticks.
    pub fn from_validate(now: Timestamp) -> Self {
        let ticks = now.as_microsecond() * 10 + 621_355_968_000_000_000;
        let customer = json!({
            "FirstName": "Test", "LastName": "Lead", "Email": "test@contoso.example", "Phone": "+1 425 555 0100",
            "Country": "US", "Company": "Contoso", "Title": "Developer",
        });
        let keys = (now.strftime("%-m:2F%-d:2F%Y").to_string(), format!("MSFT_TEST_{ticks}"));
        Self::new(
            keys,
            json!({
                "ActionCode": "INS", "LeadSource": "AzureMarketplace-INS|contoso.app", "OfferDisplayName": "Test offer",
                "PublisherDisplayName": "leadflow", "ProductId": "contoso.app",
                "Description": "Written by leadflow lead add --test",
                "CreatedTime": now.to_string(), "CustomerInfo": customer.to_string(),
            }),
        )
    }

    /// The one of that number of the demo.
    pub fn for_demo(number: usize, now: Timestamp) -> Self {
        let (first, last, company, country, action) = DEMO[number % DEMO.len()];
        let customer = json!({
            "FirstName": first, "LastName": last,
            "Email": format!("customer{number}@{}.example", country.to_lowercase()),
            "Phone": format!("+1 425 555 01{:02}", number % 100), "Country": country, "Company": company,
            "Title": "Developer",
        });
        let keys = ("11:2F24:2F2026".to_owned(), format!("MSFT_TEST_{number:018}"));
        Self::new(
            keys,
            json!({
                "ActionCode": action, "LeadSource": format!("AzureMarketplace-{action}|contoso.app"),
                "OfferDisplayName": "Contoso App", "PublisherDisplayName": "Contoso", "ProductId": "contoso.app",
                "CreatedTime": now.to_string(), "Description": "Campaigns: ", "CustomerInfo": customer.to_string(),
            }),
        )
    }

    fn new((partition_key, row_key): (String, String), others: Value) -> Self {
        let mut columns = Map::new();
        columns.insert("PartitionKey".to_owned(), partition_key.clone().into());
        columns.insert("RowKey".to_owned(), row_key.clone().into());
        if let Value::Object(others) = others {
            columns.extend(others);
        }
        Self { partition_key, row_key, columns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::lead;

    #[test]
    fn every_made_up_lead_is_a_test_lead_with_a_key_of_its_own() {
        let now: Timestamp = "2026-03-01T08:00:00Z".parse().unwrap();
        let validate = MadeUpLead::from_validate(now);
        assert_eq!(validate.row_key, "MSFT_TEST_639079488000000000");
        assert_eq!(validate.partition_key, "3:2F1:2F2026");
        assert_eq!(validate.columns["RowKey"], *validate.row_key);
        let leads = (0..4).map(|number| MadeUpLead::for_demo(number, now)).chain([validate]);
        let read: Vec<_> = leads.map(|lead| lead::from_columns(&lead.columns)).collect();
        assert!(read.iter().all(|lead| lead["is_test"] == true && lead["created"] == "2026-03-01T08:00:00Z"));
        let names: Vec<_> = read.iter().map(|lead| lead["name"].clone()).collect();
        assert_eq!(names, ["Ana Silva", "김민준", "Maren O'Hara <Dev>", "Ana Silva", "Test Lead"]);
    }
}
