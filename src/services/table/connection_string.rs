//! Connection strings of storage accounts, in every form that people paste.

#[cfg(test)]
mod hostile;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::flow::Cloud;

/// Where a table account is and how to sign in.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Account name.
    pub account: String,
    /// The account's address; tables lie under its path.
    pub url: Url,
    /// Key or signature.
    pub credential: Credential,
}

/// What requests are signed with.
#[derive(Debug, Clone)]
pub enum Credential {
    /// The account's key, base64.
    Key(SecretString),
    /// A shared access signature, a query string.
    Sas(SecretString),
    /// A token of Microsoft Entra ID, which is fetched when it is needed.
    Token,
}

/// Why a text is not a connection string. No part of its values is ever in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionStringError {
    /// A part without `=`.
    #[error("part {0} of the connection string has no `=`")]
    NoValue(usize),
    /// Something is missing.
    #[error("the connection string has no {0}")]
    Missing(&'static str),
    /// The key is not base64.
    #[error("the AccountKey is not complete: it is not valid base64")]
    BadKey,
    /// The endpoint is not an address.
    #[error("the TableEndpoint is not the address of a table account")]
    BadEndpoint,
    /// The account's name cannot be one.
    #[error("the account name must be 3 to 24 lower case letters and digits")]
    BadAccount,
    /// `http:` to another machine.
    #[error("the endpoint is not encrypted: http is allowed for this machine only")]
    Unprotected,
    /// An endpoint of the second region.
    #[error("the endpoint is a secondary one, which lags behind by minutes: rows would be missed")]
    Secondary,
}

impl ConnectionStringError {
    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Unprotected => "write https",
            Self::Secondary => "use the primary endpoint, without -secondary",
            Self::BadAccount => "write only the name of the storage account, not its address",
            _ => {
                "copy the whole connection string from the portal: Security + networking → Access keys → Connection \
                 string"
            }
        }
    }
}

/// The emulator's published account and key:
/// <https://learn.microsoft.com/azure/storage/common/storage-connect-azurite>.
const EMULATOR: [&str; 2] = [
    "devstoreaccount1",
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
];
const EMULATOR_URL: &str = "http://127.0.0.1:10002/devstoreaccount1";

impl Endpoint {
    /// Parses a connection string.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub fn parse(text: &SecretString) -> Result<Self, ConnectionStringError> {
        let text = text.expose_secret().trim().trim_matches(['"', '\'']);
        let parts = parts(text)?;
        let find =
            |name: &str| parts.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| *value);
        if find("UseDevelopmentStorage").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            let key = Credential::Key(SecretString::from(EMULATOR[1]));
            return Self::at(EMULATOR_URL, Some(EMULATOR[0]), key);
        }
        let account = find("AccountName");
        let credential = match (find("AccountKey"), find("SharedAccessSignature")) {
            (Some(key), _) => Credential::Key(SecretString::from(key)),
            (None, Some(sas)) => Credential::Sas(SecretString::from(sas)),
            (None, None) => return Err(ConnectionStringError::Missing("AccountKey")),
        };
        if let Some(endpoint) = find("TableEndpoint") {
            return Self::at(endpoint, account, credential);
        }
        let account = account.ok_or(ConnectionStringError::Missing("AccountName"))?;
        let protocol = find("DefaultEndpointsProtocol").unwrap_or("https").to_ascii_lowercase();
        let suffix = find("EndpointSuffix").unwrap_or(Cloud::Public.storage_suffix());
        check_account(account)?;
        Self::at(&format!("{protocol}://{account}.table.{suffix}"), Some(account), credential)
    }

    /// The endpoint of an account in a cloud.
    ///
    /// # Errors
    /// When the name cannot be one or the key is not base64.
    pub fn from_account(
        account: &str,
        cloud: Cloud,
        credential: Credential,
    ) -> Result<Self, ConnectionStringError> {
        check_account(account)?;
        let suffix = cloud.storage_suffix();
        Self::at(&format!("https://{account}.table.{suffix}"), Some(account), credential)
    }

    fn at(url: &str, account: Option<&str>, credential: Credential) -> Result<Self, ConnectionStringError> {
        if let Credential::Key(key) = &credential
            && BASE64_STANDARD.decode(key.expose_secret()).is_err()
        {
            return Err(ConnectionStringError::BadKey);
        }
        let url = Url::parse(url.trim()).map_err(|_| ConnectionStringError::BadEndpoint)?;
        let host = url.host_str().ok_or(ConnectionStringError::BadEndpoint)?.to_owned();
        let is_here = is_loopback(&url);
        match url.scheme() {
            "https" => {}
            "http" if is_here => {}
            "http" => return Err(ConnectionStringError::Unprotected),
            _ => return Err(ConnectionStringError::BadEndpoint),
        }
        // The address is shown and recorded: no password, no signature, no part that has lost its `;`.
        if url.as_str().contains(['@', '?', '#', '=', '&']) {
            return Err(ConnectionStringError::BadEndpoint);
        }
        let in_path = url.path_segments().and_then(|mut path| path.next()).filter(|name| !name.is_empty());
        let in_host = host.split('.').next().filter(|_| !is_here);
        let account =
            account.or(in_path).or(in_host).ok_or(ConnectionStringError::Missing("AccountName"))?.to_owned();
        let is_secondary = |name: &str| name.ends_with("-secondary");
        if in_host.is_some_and(is_secondary) || in_path.is_some_and(is_secondary) {
            return Err(ConnectionStringError::Secondary);
        }
        Ok(Self { account, url, credential })
    }

    /// Host and port, for messages.
    pub fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

/// `Name=value` pairs between semicolons; values hold `=` themselves.
fn parts(text: &str) -> Result<Vec<(&str, &str)>, ConnectionStringError> {
    let parts = text.split(';').map(str::trim).enumerate().filter(|(_, part)| !part.is_empty());
    let pair =
        |(index, part): (usize, &'_ str)| -> Option<(usize, usize)> { part.find('=').map(|at| (index, at)) };
    parts
        .map(|(index, part)| match pair((index, part)) {
            Some((_, at)) => Ok((part[..at].trim(), part[at + 1..].trim())),
            None => Err(ConnectionStringError::NoValue(index + 1)),
        })
        .collect()
}

fn check_account(name: &str) -> Result<(), ConnectionStringError> {
    if name.ends_with("-secondary") {
        return Err(ConnectionStringError::Secondary);
    }
    let fits =
        (3..=24).contains(&name.len()) && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if fits { Ok(()) } else { Err(ConnectionStringError::BadAccount) }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Endpoint, ConnectionStringError> {
        Endpoint::parse(&SecretString::from(text))
    }

    #[test]
    fn every_form_that_people_paste() {
        for (text, account, url) in [
            (
                "DefaultEndpointsProtocol=https;AccountName=contoso;AccountKey=a2V5;EndpointSuffix=core.windows.net",
                "contoso",
                "https://contoso.table.core.windows.net/",
            ),
            (
                "\"AccountName=contoso;AccountKey=a2V5;\"\n",
                "contoso",
                "https://contoso.table.core.windows.net/",
            ),
            (
                "accountname=contoso;ACCOUNTKEY=a2V5;endpointsuffix=core.chinacloudapi.cn",
                "contoso",
                "https://contoso.table.core.chinacloudapi.cn/",
            ),
            (
                "TableEndpoint=https://contoso.table.core.windows.net/;SharedAccessSignature=sv=2020&sig=a%3D",
                "contoso",
                "https://contoso.table.core.windows.net/",
            ),
            (
                "BlobEndpoint=https://x/;TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;AccountKey=a2V5",
                "devstoreaccount1",
                "http://127.0.0.1:10002/devstoreaccount1",
            ),
            ("UseDevelopmentStorage=true", "devstoreaccount1", "http://127.0.0.1:10002/devstoreaccount1"),
        ] {
            let endpoint = parse(text).unwrap();
            assert_eq!((endpoint.account.as_str(), endpoint.url.as_str()), (account, url), "{text}");
        }
        let sas = parse("TableEndpoint=https://c.table.core.windows.net;SharedAccessSignature=sv=1&sig=a%3D")
            .unwrap();
        let Credential::Sas(sas) = sas.credential else { panic!("not a SAS") };
        assert_eq!(sas.expose_secret(), "sv=1&sig=a%3D");
    }

    #[test]
    fn says_what_is_wrong_and_never_the_key() {
        use ConnectionStringError::{
            BadAccount, BadEndpoint, BadKey, Missing, NoValue, Secondary, Unprotected,
        };
        for (text, expected) in [
            ("contoso", NoValue(1)),
            ("AccountName=contoso", Missing("AccountKey")),
            ("AccountKey=a2V5", Missing("AccountName")),
            ("AccountName=contoso;AccountKey=s3cret!", BadKey),
            ("AccountName=Con toso;AccountKey=a2V5", BadAccount),
            ("TableEndpoint=contoso;AccountKey=a2V5", BadEndpoint),
            ("TableEndpoint=http://contoso.example;AccountKey=a2V5", Unprotected),
            ("TableEndpoint=https://contoso.table.core.windows.net/?sig=s3cret;AccountKey=a2V5", BadEndpoint),
            ("TableEndpoint=https://a:s3cret@contoso.table.core.windows.net/;AccountKey=a2V5", BadEndpoint),
            (
                "AccountName=contoso;AccountKey=a2V5;EndpointSuffix=core.windows.netSharedAccessSignature=sig=s3cret",
                BadEndpoint,
            ),
            ("TableEndpoint=https://contoso-secondary.table.core.windows.net;AccountKey=a2V5", Secondary),
            ("AccountName=contoso-secondary;AccountKey=a2V5", Secondary),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains("s3cret") && !error.help().is_empty());
        }
        assert!(!format!("{:?}", parse("AccountName=contoso;AccountKey=a2V5").unwrap()).contains("a2V5"));
    }
}
