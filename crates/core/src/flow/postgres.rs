//! `[settings.postgres]`: the database that several machines share their state in.

use std::path::PathBuf;

use super::identity::Entra;
use super::secret::SecretSource;

/// How the database is reached, and the name of this machine in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresConnection {
    /// Where it is, and as whom.
    pub server: PostgresServer,
    /// One's own authorities; the system's without it.
    pub ca_file: Option<PathBuf>,
    /// The name of this machine among those that share the state.
    pub node: String,
}

/// Where the database is, and who signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostgresServer {
    /// All in one text, `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, which is a secret.
    Url(SecretSource),
    /// Each by its own.
    Named {
        /// A host's name or address, or the folder of a Unix socket.
        host: String,
        /// The port.
        port: u16,
        /// The database.
        database: String,
        /// The role that signs in.
        user: String,
        /// What it proves itself by.
        credential: PostgresCredential,
    },
}

/// What a role proves itself by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostgresCredential {
    /// Nothing: the server knows who is at the other end of a Unix socket.
    None,
    /// A password.
    Password(SecretSource),
    /// A token of Microsoft Entra ID.
    Entra(Entra),
}

impl PostgresConnection {
    /// The port of a server that names none.
    pub const PORT: u16 = 5432;

    /// Which database it is, in words.
    pub fn in_words(&self) -> String {
        match &self.server {
            PostgresServer::Url(secret) => format!("of the URL in {}", secret.place()),
            PostgresServer::Named { host, database, .. } => format!("`{database}` on {host}"),
        }
    }

    /// Where its secret lies, if it has one.
    pub fn secret(&self) -> Option<&SecretSource> {
        match &self.server {
            PostgresServer::Url(secret) => Some(secret),
            PostgresServer::Named { credential, .. } => match credential {
                PostgresCredential::None => None,
                PostgresCredential::Password(secret) => Some(secret),
                PostgresCredential::Entra(entra) => entra.secret(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_named_and_its_secret_found() {
        let secret = SecretSource::File("database".into());
        let by_url = PostgresConnection {
            server: PostgresServer::Url(secret.clone()),
            ca_file: None,
            node: "one".to_owned(),
        };
        assert_eq!(by_url.secret(), Some(&secret));
        let server = PostgresServer::Named {
            host: "db.contoso.example".to_owned(),
            port: 5432,
            database: "leads".to_owned(),
            user: "leads".to_owned(),
            credential: PostgresCredential::Password(secret.clone()),
        };
        let named = PostgresConnection { server, ..by_url };
        assert_eq!(named.secret(), Some(&secret));
        let words = named.in_words();
        assert!(words.contains("`leads`") && words.contains("db.contoso.example"), "{words}");
    }
}
