//! The state in a PostgreSQL database, which several machines may share: all the SQL for it.
//!
//! A [`Postgres`] has a pool of connections; each operation takes one as a [`Client`], for a limited time. Each does what
//! the operation of that name in [`crate::store`] says.

mod absence;
mod alarms;
mod breaks;
mod claims;
mod connect;
mod copy;
mod erasure;
mod failure;
mod flows;
mod identity;
mod keys;
mod limits;
mod maintenance;
mod message_bytes;
mod messages;
mod new_messages;
mod nodes;
mod open;
mod outbox;
mod outbox_admin;
mod provenance;
mod queries;
mod requests;
mod runs;
mod sources;
mod steps;
mod together;

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool::managed::{Object, Pool};
use deadpool_postgres::{ClientWrapper, Transaction};
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use connect::Connector;
pub use connect::Tokens;
pub(super) use failure::Failure;
use open::Schema;

use crate::flow::PostgresConnection;
use crate::platform::blocking::Runner;
use crate::store::StoreError;

/// How long an operation may take, the wait for a connection included.
const SHORT: Duration = Duration::from_secs(10);
/// How long one may take that goes over much.
const LONG: Duration = Duration::from_mins(5);
/// How long a copy of the whole state may take.
const FOR_A_COPY: Duration = Duration::from_hours(12);
/// The most connections of a process.
const CONNECTIONS: usize = 8;
/// How many of them may be taken for long at the same time: a lease is renewed over one of the others.
const FOR_LONG: usize = 5;

/// The open state; clones are the same one.
#[derive(Clone)]
pub(super) struct Postgres {
    pool: Pool<Connector>,
    /// Whose claims this process makes: the name that it got when it took over, empty before.
    owner: Arc<Mutex<Arc<str>>>,
    /// Who has one takes a connection for long.
    for_long: Arc<Semaphore>,
    runner: Runner,
}

/// A connection for one operation. One that is dropped in the middle of a statement is not used again.
pub(super) struct Client {
    connection: Object<Connector>,
    /// Who makes claims over it.
    owner: Arc<str>,
}

impl Postgres {
    /// Opens the state of a database, which is made or brought to the schema of this version if need be.
    pub(super) async fn connect(
        connection: &PostgresConnection,
        tokens: Option<Arc<dyn Tokens>>,
    ) -> Result<Self, StoreError> {
        let postgres = Self::new(connection, tokens);
        postgres.bring_to_schema(true).await?;
        Ok(postgres)
    }

    /// Opens the state of a database, which is brought to the schema of this version if need be. `None` where there is none
    /// yet.
    pub(super) async fn connect_to_change(
        connection: &PostgresConnection,
        tokens: Option<Arc<dyn Tokens>>,
    ) -> Result<Option<Self>, StoreError> {
        let postgres = Self::new(connection, tokens);
        let is_there = postgres.bring_to_schema(false).await?;
        Ok(is_there.then_some(postgres))
    }

    /// Opens the state of a database to be read: nothing is made or brought on. `None` where there is none yet.
    pub(super) async fn connect_to_read(
        connection: &PostgresConnection,
        tokens: Option<Arc<dyn Tokens>>,
    ) -> Result<Option<Self>, StoreError> {
        let postgres = Self::new(connection, tokens);
        let is_there = postgres.call(async |db| db.check_schema_to_read().await).await?;
        Ok(is_there.then_some(postgres))
    }

    /// That a state may be written, or made; nothing is changed.
    pub(super) async fn try_to_write(
        connection: &PostgresConnection,
        tokens: Option<Arc<dyn Tokens>>,
    ) -> Result<(), StoreError> {
        Self::new(connection, tokens).call(async |db| db.try_to_write().await).await
    }

    fn new(connection: &PostgresConnection, tokens: Option<Arc<dyn Tokens>>) -> Self {
        let connector = Connector::new(connection, tokens);
        let builder = Pool::builder(connector).max_size(CONNECTIONS);
        #[expect(clippy::expect_used, reason = "only a timeout without a runtime fails, and none is set")]
        let pool = builder.build().expect("a pool without timeouts");
        Self {
            pool,
            owner: Arc::new(Mutex::new(Arc::from(""))),
            for_long: Arc::new(Semaphore::new(FOR_LONG)),
            runner: Runner::default(),
        }
    }

    /// Makes the tables where that is wanted, or brings them to the schema of this version. Returns whether they are there.
    async fn bring_to_schema(&self, is_to_be_made: bool) -> Result<bool, StoreError> {
        match self.call(async move |db| db.look_at_schema(is_to_be_made).await).await? {
            Schema::There => Ok(true),
            Schema::Missing => Ok(false),
            Schema::ToBeMade => self.call_for_long(async |db| db.migrate().await).await.map(|()| true),
        }
    }

    pub(super) fn by(self, runner: Runner) -> Self {
        Self { runner, ..self }
    }

    pub(super) fn runner(&self) -> &Runner {
        &self.runner
    }

    /// Runs one operation, which must end soon: a server that is cut off must not hold up who asks.
    pub(super) async fn call<T>(
        &self,
        operation: impl AsyncFnOnce(&mut Client) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        self.call_within(SHORT, operation).await
    }

    /// Runs one operation that goes over much.
    pub(super) async fn call_for_long<T>(
        &self,
        operation: impl AsyncFnOnce(&mut Client) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let _permit = self.for_long.acquire().await.map_err(|_| StoreError::Stopped)?;
        self.call_within(LONG, operation).await
    }

    /// Runs one operation that goes over everything, while nobody works.
    pub(super) async fn call_for_copy<T>(
        &self,
        operation: impl AsyncFnOnce(&mut Client) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        self.call_within(FOR_A_COPY, operation).await
    }

    async fn call_within<T>(
        &self,
        limit: Duration,
        operation: impl AsyncFnOnce(&mut Client) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        // In a place of its own: the future of a caller stays small.
        let whole = Box::pin(async {
            // Also what takes long has its connection soon.
            let connection = timeout(SHORT, self.pool.get()).await.map_err(|_| Failure::TooLate(SHORT))??;
            let mut client = Client { connection, owner: self.owner() };
            client.connection.is_settled = false;
            let done = operation(&mut client).await;
            // A transaction that was dropped is over, and what it held free, before anybody hears of it.
            client.connection.is_settled = done.is_ok() || client.batch_execute("").await.is_ok();
            done
        });
        let done = timeout(limit, whole).await.unwrap_or(Err(Failure::TooLate(limit)));
        if done.as_ref().is_err_and(Failure::is_of_the_way) {
            // The other connections lead to where this one led; the next operation must not wait for each of them.
            self.pool.retain(|_, _| false);
        }
        done.map_err(|failure| {
            let error = failure.explained(self.pool.manager());
            // What is refused to a node that has joined was granted before, and may be put right.
            if self.owner().is_empty() { error } else { error.into_passing() }
        })
    }

    /// The first cell of the statement's first row, over a connection of its own.
    pub(super) fn raw(&self, statement: &str) -> Result<Option<String>, StoreError> {
        let ask = async {
            use deadpool::managed::Manager as _;
            let connection = self.pool.manager().create().await?;
            let found = connection.client.simple_query(statement).await?;
            let cell = |message: &tokio_postgres::SimpleQueryMessage| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => {
                    Some(row.get(0).unwrap_or_default().to_owned())
                }
                _ => None,
            };
            Ok(found.iter().find_map(cell))
        };
        let done = std::thread::scope(|scope| {
            let work = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
                Some(runtime.block_on(ask))
            });
            work.join().ok().flatten()
        });
        done.unwrap_or(Err(StoreError::Stopped.into()))
            .map_err(|failure: Failure| failure.explained(self.pool.manager()))
    }

    /// Whose claims this process makes.
    pub(super) fn owner(&self) -> Arc<str> {
        self.owner.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on claims are this owner's.
    pub(super) fn set_owner(&self, owner: &str) {
        *self.owner.lock().unwrap_or_else(PoisonError::into_inner) = Arc::from(owner);
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("at", self.pool.manager()).finish_non_exhaustive()
    }
}

impl Client {
    /// Who makes claims over it.
    fn owner(&self) -> &str {
        &self.owner
    }
}

impl Deref for Client {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        &self.connection.client
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut ClientWrapper {
        &mut self.connection.client
    }
}

/// A connection, or a transaction on it.
trait Db: Sync {
    /// The connection.
    fn connection(&self) -> &tokio_postgres::Client;

    /// The statement, which a connection parses once.
    fn prepared(&self, text: &str) -> impl Future<Output = Result<Statement, tokio_postgres::Error>> + Send;
}

impl Db for Client {
    fn connection(&self) -> &tokio_postgres::Client {
        self
    }

    async fn prepared(&self, text: &str) -> Result<Statement, tokio_postgres::Error> {
        self.prepare_cached(text).await
    }
}

impl Db for Transaction<'_> {
    fn connection(&self) -> &tokio_postgres::Client {
        self.client()
    }

    async fn prepared(&self, text: &str) -> Result<Statement, tokio_postgres::Error> {
        self.prepare_cached(text).await
    }
}

/// What the parameters of a statement are.
type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// The rows of a statement.
async fn rows(db: &impl Db, statement: &str, values: Values<'_>) -> Result<Vec<Row>, Failure> {
    Ok(db.connection().query(&db.prepared(statement).await?, values).await?)
}

/// The one row of a statement.
async fn row(db: &impl Db, statement: &str, values: Values<'_>) -> Result<Row, Failure> {
    Ok(db.connection().query_one(&db.prepared(statement).await?, values).await?)
}

/// The row of a statement that has one or none.
async fn maybe_row(db: &impl Db, statement: &str, values: Values<'_>) -> Result<Option<Row>, Failure> {
    Ok(db.connection().query_opt(&db.prepared(statement).await?, values).await?)
}

/// How many rows a statement has changed.
async fn execute(db: &impl Db, statement: &str, values: Values<'_>) -> Result<u64, Failure> {
    Ok(db.connection().execute(&db.prepared(statement).await?, values).await?)
}

/// A text of others as the server takes it: it has no sign of number zero.
fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// A moment as the database keeps it: microseconds since 1970.
fn to_db(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// A moment out of the database.
fn from_db(microseconds: i64) -> Timestamp {
    Timestamp::from_microsecond(microseconds).unwrap_or_default()
}

#[cfg(test)]
mod particular;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) use tests::Place;
#[cfg(test)]
mod upgrade;
