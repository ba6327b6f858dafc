//! Who sends a mail or gets one.

/// A mail address, perhaps with a name before it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mailbox {
    /// The name, of any letters; no line break.
    pub name: Option<String>,
    /// The address in ASCII; a domain in other letters is punycode.
    pub address: String,
}

impl Mailbox {
    /// An address alone.
    pub fn bare(address: impl Into<String>) -> Self {
        Self { name: None, address: address.into() }
    }

    /// An address with a name.
    pub fn named(name: impl Into<String>, address: impl Into<String>) -> Self {
        Self { name: Some(name.into()), address: address.into() }
    }

    /// What follows the `@`.
    pub fn domain(&self) -> &str {
        self.address.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}
