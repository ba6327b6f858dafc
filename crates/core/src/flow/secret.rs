//! Where a secret lies: in the environment, a file or a systemd credential, never in flows.toml.

use std::path::PathBuf;

/// Where a secret lies. It is read when it is needed, so that a changed one is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable.
    Env(String),
    /// A file, absolute; one trailing line break is not part of the secret.
    File(PathBuf),
    /// A systemd credential (`LoadCredential=`).
    Credential(String),
}

impl SecretSource {
    /// Where the secret lies, in words.
    pub fn place(&self) -> String {
        match self {
            Self::Env(name) => format!("the environment variable {name}"),
            Self::File(path) => path.display().to_string(),
            Self::Credential(name) => format!("the systemd credential {name}"),
        }
    }
}
