//! Which table it is, whatever way its account and name are written.
//!
//! Names of accounts and tables are the same in any letter case
//! (<https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model>), and so are
//! hosts; only Cosmos DB distinguishes `Leads` from `leads` (<https://learn.microsoft.com/azure/cosmos-db/table/faq>).
//! `privatelink` is what a private endpoint adds to the name of the same account's host
//! (<https://learn.microsoft.com/azure/storage/common/storage-private-endpoints>).

use std::fs;
use std::path::Path;

use url::Url;

/// Begins the identity of a table in a `SQLite` file.
const EMBEDDED: &str = "embedded:";

/// The one text for a table of an account, by the address of the account.
pub(super) fn from_account(account: &Url, table: &str) -> String {
    let host = account.host_str().unwrap_or_default().trim_end_matches('.');
    let host = match host {
        "127.0.0.1" | "[::1]" => "localhost",
        other => other,
    };
    let host = host.replacen(".privatelink.", ".", 1);
    let port = match account.port() {
        // The default of either scheme is the same service: http is for this machine alone.
        None | Some(80 | 443) => String::new(),
        Some(port) => format!(":{port}"),
    };
    let path: Vec<_> = account.path().split('/').filter(|part| !part.is_empty()).collect();
    let path = path.iter().fold(String::new(), |path, part| path + "/" + part);
    let account = format!("{host}{port}{path}").to_ascii_lowercase();
    if account.contains(".table.cosmos.") {
        format!("{account}/{table}")
    } else {
        format!("{account}/{}", table.to_ascii_lowercase())
    }
}

/// The one text for a table of a file that is there.
pub(super) fn from_file(file: &Path, table: &str) -> String {
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    format!("{EMBEDDED}{}/{table}", file.display())
}

/// The one text for an identity that an earlier version recorded, as it was written then.
pub(super) fn from_recorded(recorded: &str) -> String {
    let Some((place, table)) = recorded.rsplit_once('/') else { return recorded.to_owned() };
    match (place.strip_prefix(EMBEDDED), Url::parse(place)) {
        (Some(file), _) => from_file(Path::new(file), table),
        (None, Ok(account)) if account.has_host() => from_account(&account, table),
        (None, _) => recorded.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(account: &str, table: &str) -> String {
        from_account(&Url::parse(account).unwrap(), table)
    }

    #[test]
    fn every_way_to_write_a_table_is_one_table() {
        let azure = "contosoleads.table.core.windows.net/marketplaceleads";
        for (account, table) in [
            ("https://contosoleads.table.core.windows.net", "marketplaceleads"),
            ("https://contosoleads.table.core.windows.net/", "MarketplaceLeads"),
            ("https://ContosoLeads.Table.Core.Windows.Net:443//", "marketplaceleads"),
            ("https://contosoleads.table.core.windows.net.", "marketplaceleads"),
            ("https://contosoleads.privatelink.table.core.windows.net", "marketplaceleads"),
        ] {
            assert_eq!(of(account, table), azure, "{account}");
        }
        let emulator = "localhost:10002/devstoreaccount1/leads";
        for account in [
            "http://127.0.0.1:10002/devstoreaccount1",
            "http://localhost:10002/devstoreaccount1/",
            "http://LOCALHOST:10002//devstoreaccount1",
            "https://127.0.0.1:10002/DevStoreAccount1",
            "http://[::1]:10002/devstoreaccount1",
        ] {
            assert_eq!(of(account, "Leads"), emulator, "{account}");
        }
    }

    #[test]
    fn another_account_table_cloud_or_port_is_another_table() {
        let all = [
            of("https://contosoleads.table.core.windows.net", "leads"),
            of("https://contosoleads.table.core.windows.net", "leads2"),
            of("https://contoso.table.core.windows.net", "leads"),
            of("https://contosoleads.table.core.chinacloudapi.cn", "leads"),
            of("https://contosoleads.table.cosmos.azure.com", "leads"),
            of("https://contosoleads.table.cosmos.azure.com", "Leads"),
            of("https://contosoleads.z01.table.storage.azure.net", "leads"),
            of("http://127.0.0.1:10002/contosoleads", "leads"),
            of("http://127.0.0.1:10003/contosoleads", "leads"),
            of("http://127.0.0.2:10002/contosoleads", "leads"),
        ];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len(), "{all:?}");
    }

    #[test]
    fn what_earlier_versions_recorded_is_understood() {
        assert_eq!(
            from_recorded("https://contosoleads.table.core.windows.net/Leads"),
            "contosoleads.table.core.windows.net/leads"
        );
        assert_eq!(
            from_recorded("http://127.0.0.1:10002/devstoreaccount1/leads"),
            "localhost:10002/devstoreaccount1/leads"
        );
        let known = "contosoleads.table.core.windows.net/leads";
        assert_eq!(from_recorded(known), known);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("demo.db");
        let link = folder.path().join("link.db");
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(from_recorded(&format!("embedded:{}/leads", link.display())), from_file(&file, "leads"));
    }
}
