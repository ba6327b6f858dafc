//! What a shared access signature says of itself: until when, and for what.
//!
//! <https://learn.microsoft.com/rest/api/storageservices/create-service-sas>

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use secrecy::{ExposeSecret as _, SecretString};
use url::form_urlencoded;

use super::connection_string::{Credential, Endpoint};
use crate::flow::{AzureLogin, TableConnection};

/// The readable part of a shared access signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// When it ends; `None` where a stored access policy says so.
    pub ends: Option<Timestamp>,
    /// What it lets do, a letter each (`r` reads); `None` where a policy says so.
    pub permissions: Option<String>,
    /// It opens a range of the rows alone.
    pub is_of_a_range: bool,
    /// Where it lies, in words.
    pub place: String,
}

impl Signature {
    /// That of a connection, if it signs in with one that can be read now.
    pub fn of(connection: &TableConnection) -> Option<Self> {
        let TableConnection::Azure(azure) = connection else { return None };
        let source = match &azure.login {
            AzureLogin::Sas { sas: source, .. } | AzureLogin::ConnectionString(source) => source,
            AzureLogin::SharedKey { .. } | AzureLogin::Entra { .. } => return None,
        };
        let secret = source.read().ok()?;
        let query = match &azure.login {
            AzureLogin::ConnectionString(_) => match Endpoint::parse(&secret).ok()?.credential {
                Credential::Sas(sas) => sas,
                Credential::Key(_) | Credential::Token => return None,
            },
            _ => secret,
        };
        Some(Self::parse(&query, source.place()))
    }

    fn parse(query: &SecretString, place: String) -> Self {
        let query = query.expose_secret().trim().trim_start_matches('?');
        let find = |name: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        let is_of_a_range = ["spk", "srk", "epk", "erk"].iter().any(|name| find(name).is_some());
        Self { ends: find("se").as_deref().and_then(moment), permissions: find("sp"), is_of_a_range, place }
    }
}

/// `2027-12-31T00:00Z`, with or without seconds, or the day alone.
fn moment(text: &str) -> Option<Timestamp> {
    let of_day = || Some(text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp());
    text.parse().ok().or_else(of_day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_end() {
        let end: Timestamp = "2027-12-31T00:00:00Z".parse().unwrap();
        for (query, ends, permissions) in [
            ("?sv=2019-02-02&se=2027-12-31T00%3A00Z&sp=r&tn=leads&sig=canary", Some(end), Some("r")),
            ("se=2027-12-31T00:00:00Z&sp=raud&sig=canary", Some(end), Some("raud")),
            ("sv=2019-02-02&se=2027-12-31&sp=r&sig=canary", Some(end), Some("r")),
            ("si=readers&sig=canary", None, None),
            ("spk=a&epk=b&si=readers&sig=canary", None, None),
        ] {
            let signature = Signature::parse(&SecretString::from(query), "X".to_owned());
            assert_eq!((signature.ends, signature.permissions.as_deref()), (ends, permissions), "{query}");
            assert_eq!(signature.is_of_a_range, query.starts_with("spk"));
            assert!(!format!("{signature:?}").contains("canary"));
        }
    }
}
