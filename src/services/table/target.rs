//! What the errors of a table name.

use std::fmt;
use std::path::PathBuf;

/// A table of an account, and who asks it.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) account: String,
    pub(super) table: String,
    pub(super) sign_in: SignIn,
    /// The only authorities to trust.
    pub(super) ca_file: Option<PathBuf>,
}

/// What requests are signed with, in words.
#[derive(Debug, Clone)]
pub(super) enum SignIn {
    /// A key or signature, and where it lies.
    Secret(String),
    /// An identity of Entra ID.
    Entra(String),
}

impl fmt::Display for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Secret(words) | Self::Entra(words)) = self;
        f.write_str(words)
    }
}
