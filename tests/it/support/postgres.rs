//! States in a PostgreSQL database of the tests' own server.

use std::sync::Arc;

use leadflow_test_postgres::{Database, SUPERUSER, shared};

/// `LEADFLOW_TEST_STATE=postgres`: the state of every sandbox lies in a database of its own.
const WANTED: &str = "LEADFLOW_TEST_STATE";

/// A database, and the name of a machine that works on its state; clones are the same database.
#[derive(Debug, Clone)]
pub(crate) struct SharedState {
    database: Arc<Database>,
    node: String,
}

impl SharedState {
    /// An empty database.
    pub(crate) fn new() -> Self {
        Self { database: Arc::new(shared().database()), node: "vm-1".to_owned() }
    }

    /// For every sandbox, where whoever runs the tests wants it so.
    pub(super) fn where_wanted() -> Option<Self> {
        (std::env::var(WANTED).as_deref() == Ok("postgres")).then(Self::new)
    }

    /// The same for another machine.
    pub(crate) fn on(&self, node: &str) -> Self {
        Self { node: node.to_owned(), ..self.clone() }
    }

    /// What a statement prints.
    pub(crate) fn sql(&self, statement: &str) -> String {
        self.database.sql(statement)
    }

    /// What flows.toml says of it.
    pub(crate) fn section(&self) -> String {
        let cluster = self.database.cluster();
        format!(
            "\n[settings.postgres]\nhost = \"{}\"\nport = {}\ndatabase = \"{}\"\nuser = \"{SUPERUSER}\"\nnode = \"{}\"\n",
            cluster.socket().display(),
            cluster.port,
            self.database.name,
            self.node
        )
    }
}
