//! A new token of the page.

use serde::Serialize;

/// A token, which is shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewTokenView {
    /// Its name in flows.toml.
    pub name: String,
    /// The token itself, for the program that uses it.
    pub token: String,
    /// Its hash, for flows.toml.
    pub hash: String,
    /// What the program may.
    pub role: String,
    /// When it ends, as flows.toml has it: a date, or a moment.
    pub until: String,
}
