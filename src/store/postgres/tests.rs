//! The conformance suite on a server, and what is particular to it.

use leadflow_test_postgres::{Database, SUPERUSER, shared};

use crate::flow::{PostgresConnection, PostgresCredential, PostgresServer};
use crate::store::Store;
use crate::store::conformance::{State, conforms, conforms_for_nodes};

/// A database of the tests' server.
pub(in crate::store) struct Place(Database);

impl Place {
    pub(in crate::store) fn new() -> Self {
        Self(shared().database())
    }

    /// As its superuser has it.
    pub(super) fn database(&self) -> &Database {
        &self.0
    }

    /// The way to it.
    pub(super) fn connection(&self) -> PostgresConnection {
        let server = PostgresServer::Named {
            host: self.0.cluster().socket().display().to_string(),
            port: self.0.cluster().port,
            database: self.0.name.clone(),
            user: SUPERUSER.to_owned(),
            credential: PostgresCredential::None,
        };
        PostgresConnection { server, ca_file: None, node: "here".to_owned() }
    }
}

impl State for Place {
    async fn open(&self) -> Store {
        Store::connect(&self.connection(), None).await.unwrap()
    }
}

conforms!(Place::new());
conforms_for_nodes!(Place::new());
