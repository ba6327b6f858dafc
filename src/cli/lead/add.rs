//! `leadflow lead add FLOW --test`.

use std::process::ExitCode;

use jiff::Timestamp;
use leadflow::config::Loaded;
use leadflow::platform::clock::Clock;
use serde_json::json;

use super::{table_of, with_help};
use crate::cli::{Usage, flow_named, output};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The flow's name in flows.toml
    flow: String,
    /// Marked as a test, as every lead that was not written by the marketplace is to be
    #[arg(long)]
    test: bool,
}

pub(super) async fn add(loaded: &Loaded, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if !arguments.test {
        return Err(Usage("only test leads are written; say --test".to_owned()).into());
    }
    let flow = flow_named(&loaded.config, &arguments.flow)?;
    let row = lead(Clock::System.now());
    let table = table_of(loaded, flow)?;
    let row_key = row["RowKey"].as_str().unwrap_or_default();
    table.insert(&row).await.map_err(with_help)?;
    output::print(&format!(
        "the test lead {}/{row_key} is written to {}; `leadflow trigger {2}` mails it, `leadflow lead show {2} {row_key}` tells what becomes of it",
        row["PartitionKey"].as_str().unwrap_or_default(),
        flow.table.name,
        flow.name,
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// A lead as public samples show those of *Validate*: the keys' form, and `MSFT_TEST` with .NET ticks.
fn lead(now: Timestamp) -> serde_json::Map<String, serde_json::Value> {
    let ticks = now.as_microsecond() * 10 + 621_355_968_000_000_000;
    let customer = json!({
        "FirstName": "Test", "LastName": "Lead", "Email": "test@contoso.example", "Phone": "+1 425 555 0100",
        "Country": "US", "Company": "Contoso", "Title": "Developer",
    });
    let row = json!({
        "PartitionKey": now.strftime("%-m:2F%-d:2F%Y").to_string(), "RowKey": format!("MSFT_TEST_{ticks}"),
        "ActionCode": "INS", "LeadSource": "AzureMarketplace-INS|contoso.app", "OfferDisplayName": "Test offer",
        "PublisherDisplayName": "leadflow", "ProductId": "contoso.app", "Description": "Written by leadflow lead add --test",
        "CreatedTime": now.to_string(), "CustomerInfo": customer.to_string(),
    });
    row.as_object().cloned().unwrap_or_default()
}
