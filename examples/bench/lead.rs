//! The rows of the benchmark: leads of about 640 bytes, as the service sends them.

use std::fmt::Write as _;

/// The row with this number, written at this moment (`2026-11-24T18:33:35.0000000Z`).
pub(crate) fn write(page: &mut String, number: u64, timestamp: &str) {
    let id = mixed(number);
    let _ = write!(
        page,
        r#"{{"odata.etag":"W/\"datetime'2026-11-24T18%3A33%3A35.{number:07}Z'\"","PartitionKey":"{:02}:2F{:02}:2F2026","RowKey":"{id:016x}-{number:08}","Timestamp":"{timestamp}","ActionCode":"INS","CreatedTime":"{timestamp}","CustomerInfo":"{{\"FirstName\":\"Jiwoo {}\",\"LastName\":\"Kim-Schröder\",\"Email\":\"jiwoo.{id:x}@fabrikam.example\",\"Phone\":\"+82 2 {:04} {:04}\",\"Country\":\"KR\",\"Company\":\"Fabrikam & Söhne {}\",\"Title\":\"IT Manager\"}}","Description":"Campaigns:","LeadSource":"SPZA-INS|contoso.app","OfferDisplayName":"Contoso App {}","ProductId":"contoso.app","PublisherDisplayName":"Contoso"}}"#,
        number % 12 + 1,
        number % 28 + 1,
        number % 97,
        id % 10_000,
        (id >> 16) % 10_000,
        number % 1_000,
        number % 5,
    );
}

/// Spreads the numbers, so that keys do not come in the order in which they are made.
fn mixed(number: u64) -> u64 {
    let mixed = (number ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 29)
}
