//! States in a PostgreSQL database of the tests' own server.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use leadflow::engine::RunContext;
use leadflow::flow::{PostgresConnection, PostgresCredential, PostgresServer};
use leadflow::platform::clock::{Clock, DrivenClock};
use leadflow::platform::lease::Lease;
use leadflow::store::Store;
use leadflow_test_postgres::{Cluster, Database, SUPERUSER, shared};

use super::done;

/// `LEADFLOW_TEST_STATE=postgres`: the state of every sandbox lies in a database of its own.
const WANTED: &str = "LEADFLOW_TEST_STATE";

thread_local! {
    static ON_POSTGRES: Cell<bool> = const { Cell::new(false) };
}

/// Runs tests with the states of their sandboxes in databases.
pub(crate) fn on_postgres(tests: &[fn()]) {
    ON_POSTGRES.set(true);
    for test in tests {
        test();
    }
    ON_POSTGRES.set(false);
}

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

    /// An empty database of a server of one's own.
    pub(crate) fn on_cluster(cluster: &'static Cluster) -> Self {
        Self { database: Arc::new(cluster.database()), node: "vm-1".to_owned() }
    }

    /// The name of the database.
    pub(crate) fn name(&self) -> &str {
        &self.database.name
    }

    /// Its server.
    pub(crate) fn cluster(&self) -> &'static Cluster {
        self.database.cluster()
    }

    /// For every sandbox, where whoever runs the tests wants it so.
    pub(super) fn where_wanted() -> Option<Self> {
        (ON_POSTGRES.get() || std::env::var(WANTED).as_deref() == Ok("postgres")).then(Self::new)
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

    fn connection(&self) -> PostgresConnection {
        let server = PostgresServer::Named {
            host: self.cluster().socket().display().to_string(),
            port: self.cluster().port,
            database: self.name().to_owned(),
            user: SUPERUSER.to_owned(),
            credential: PostgresCredential::None,
        };
        PostgresConnection { server, ca_file: None, node: self.node.clone() }
    }
}

/// What a process works with that has this state folder, or its database where whoever runs the tests wants it so. The
/// process before is gone. Its lease has no end: nobody renews it.
pub(crate) fn context(clock: &DrivenClock, folder: &Path) -> RunContext {
    static DATABASES: Mutex<BTreeMap<PathBuf, SharedState>> = Mutex::new(BTreeMap::new());
    let clock = Clock::Driven(clock.clone());
    let Some(new) = SharedState::where_wanted() else {
        let ctx = RunContext::online(Store::open(folder).unwrap(), clock.clone(), folder.to_owned());
        done(ctx.store.take_over(ctx.node.clone(), clock.now())).unwrap();
        return ctx;
    };
    std::fs::create_dir_all(folder).unwrap();
    let state = DATABASES.lock().unwrap().entry(folder.to_owned()).or_insert(new).clone();
    let store = done(Store::connect(&state.connection(), None)).unwrap();
    state.sql("UPDATE nodes SET lease_until = 0");
    let mut ctx = RunContext::online(store, clock.clone(), folder.to_owned());
    done(ctx.store.take_over(ctx.node.clone(), clock.now())).unwrap();
    state.sql("UPDATE nodes SET lease_until = 9000000000000000000");
    ctx.lease = Lease::endless(clock);
    ctx
}
