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
use crate::platform::secrets;
use crate::text::foreign;

/// The readable part of a shared access signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// When it begins, where it says so.
    pub begins: Option<Timestamp>,
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
    pub fn from_connection(connection: &TableConnection) -> Option<Self> {
        let TableConnection::Azure(azure) = connection else { return None };
        let source = match &azure.login {
            AzureLogin::Sas { sas: source, .. } | AzureLogin::ConnectionString(source) => source,
            AzureLogin::SharedKey { .. } | AzureLogin::Entra { .. } => return None,
        };
        let secret = secrets::read(source).ok()?;
        let query = match &azure.login {
            AzureLogin::ConnectionString(_) => match Endpoint::parse(&secret).ok()?.credential {
                Credential::Sas(sas) => sas,
                Credential::Key(_) | Credential::Token => return None,
            },
            _ => secret,
        };
        let is_one = fault(query.expose_secret().trim(), "").is_none();
        is_one.then(|| Self::parse(&query, source.place()))
    }

    fn parse(query: &SecretString, place: String) -> Self {
        let query = query.expose_secret().trim().trim_start_matches('?');
        let find = |name: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        let is_of_a_range = ["spk", "srk", "epk", "erk"].iter().any(|name| find(name).is_some());
        Self {
            begins: find("st").as_deref().and_then(moment),
            ends: find("se").as_deref().and_then(moment),
            permissions: find("sp"),
            is_of_a_range,
            place,
        }
    }
}

/// Why a text cannot be a signature for this table, or for whichever where it has no name, and what to do; `None`
/// where it may be one.
pub(super) fn fault(query: &str, table: &str) -> Option<(&'static str, String)> {
    let help = |words: &str| words.to_owned();
    if query.starts_with(['"', '\'']) || query.ends_with(['"', '\'']) {
        return Some(("is in quotes", help("remove the quotes")));
    }
    if query.contains("://") {
        return Some(("is a whole URL", help("remove everything up to and including the `?`")));
    }
    if query.contains("&amp;") {
        return Some(("was copied from a web page: it contains `&amp;`", help("write & for each &amp;")));
    }
    if query.trim_start_matches('?').contains(char::is_whitespace) {
        return Some(("contains a space or a line break", help("copy it again as one line")));
    }
    let find = |name: &str| {
        let mut pairs = form_urlencoded::parse(query.trim_start_matches('?').as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let again = "make one for the table, see docs/azure.md";
    if find("sig").is_none_or(|sig| sig.is_empty()) {
        let words = if find("AccountKey").is_some() || query.contains("AccountKey=") {
            "give a connection string as connection_string = …, not as sas"
        } else {
            "copy it as a whole, to its end: the last part is the signature itself"
        };
        return Some(("has no `sig`", help(words)));
    }
    if find("ss").is_some_and(|services| !services.contains('t')) || find("sr").is_some() {
        return Some(("is for another service than tables", help(again)));
    }
    if find("srt").is_some_and(|types| !types.contains('o')) {
        return Some((
            "is not for rows",
            help("make one with Allowed resource types: Object, see docs/azure.md"),
        ));
    }
    let other = find("tn").filter(|name| !table.is_empty() && !name.eq_ignore_ascii_case(table))?;
    let other = foreign::line(&other, 63);
    Some((
        "is for another table",
        format!("it is for `{other}`: make one for `{table}`, or name that table in the flow"),
    ))
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

    #[test]
    fn what_cannot_be_a_signature_is_reported_before_any_request() {
        let good = "sv=2019-02-02&se=2027-12-31&sp=r&tn=leads&sig=canary%3D";
        for query in
            [good, "?sv=1&tn=LEADS&sig=c", "si=readers&sig=c", "ss=bt&srt=sco&sig=c", "ss=t&srt=o&sig=c"]
        {
            assert_eq!(fault(query, "leads"), None, "{query}");
        }
        for (query, message) in [
            (format!("\"{good}\""), "is in quotes"),
            (format!("https://contoso.table.core.windows.net/leads?{good}"), "is a whole URL"),
            (good.replace('&', "&amp;"), "was copied from a web page: it contains `&amp;`"),
            (good.replace("&sp", "\n&sp"), "contains a space or a line break"),
            ("sv=2019-02-02&se=2027-12-31&sp=r&tn=leads".to_owned(), "has no `sig`"),
            ("AccountName=contoso;AccountKey=canary".to_owned(), "has no `sig`"),
            ("ss=b&srt=o&sig=canary".to_owned(), "is for another service than tables"),
            ("sr=c&sp=r&sig=canary".to_owned(), "is for another service than tables"),
            ("ss=t&srt=sc&sig=canary".to_owned(), "is not for rows"),
            (good.replace("leads", "orders"), "is for another table"),
        ] {
            let (found, help) = fault(&query, "leads").unwrap();
            assert_eq!(found, message, "{query}");
            assert!(!help.contains("canary") && !help.is_empty());
        }
    }
}
