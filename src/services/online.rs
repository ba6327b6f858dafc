//! The services themselves, and what is cached of them by the names of the connections: accounts that stay
//! signed in for a while, so that flows of the same connection share its HTTP client and its open connections,
//! and tokens of Microsoft Entra ID.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::Services;
use super::entra::Tokens;
use super::mail::{ConnectError, MailSession, Session};
use super::table::{Account, EmbeddedTable, Table, TableError, TableReader};
use crate::flow::{AzureConnection, Entra, MailConnection, TableConnection, TableRef};
use crate::platform::blocking::blocking;
use crate::platform::clock::Clock;

/// How long an account is cached; its secret may be another one by then.
const CACHED_FOR: Duration = Duration::from_secs(30);

/// Tables and mail servers over the network, and those of this machine.
#[derive(Debug)]
pub struct OnlineServices {
    clock: Clock,
    accounts: Mutex<BTreeMap<String, CachedAccount>>,
    tokens: Mutex<BTreeMap<String, Tokens>>,
}

/// An account that was signed in to.
#[derive(Debug)]
struct CachedAccount {
    connection: AzureConnection,
    opened: Instant,
    account: Account,
}

impl OnlineServices {
    /// Nothing is open yet. Embedded tables take their time from the clock.
    pub fn new(clock: Clock) -> Self {
        Self { clock, accounts: Mutex::default(), tokens: Mutex::default() }
    }

    /// The tokens of a connection, which all that is opened by its name shares. They are others once the
    /// connection signs in otherwise.
    pub(crate) fn tokens(&self, name: &str, entra: &Entra) -> Tokens {
        let mut all = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tokens) = all.get(name).filter(|tokens| tokens.entra() == entra) {
            return tokens.clone();
        }
        let tokens = Tokens::new(entra.clone());
        all.insert(name.to_owned(), tokens.clone());
        tokens
    }

    /// As [`Services::table`], with all that can be done to a table.
    ///
    /// # Errors
    /// A secret that cannot be read, a connection string or a `ca_file` that is wrong.
    pub async fn open_table(&self, table: TableRef<'_>) -> Result<Table, TableError> {
        let TableRef { connection_name: name, connection, table } = table;
        let of_table = table.to_owned();
        let azure = match connection {
            TableConnection::Azure(azure) => azure,
            TableConnection::Embedded { file } => {
                let file = file.clone();
                let opened = on_thread(move || EmbeddedTable::open(&file, &of_table)).await?;
                return Ok(Table::Embedded(opened, self.clock.clone()));
            }
        };
        if let Some(table) = self.cached(name, azure, table) {
            return Ok(table);
        }
        let tokens = azure.login.entra().map(|entra| self.tokens(name, entra));
        let connection = azure.clone();
        let open = move || {
            let account = Account::open(&connection, tokens)?;
            let table = account.table(&of_table)?;
            Ok((account, table))
        };
        let (account, table) = on_thread(open).await?;
        let cached = CachedAccount { connection: azure.clone(), opened: Instant::now(), account };
        self.accounts().insert(name.to_owned(), cached);
        Ok(Table::Azure(Box::new(table)))
    }

    fn cached(&self, name: &str, connection: &AzureConnection, table: &str) -> Option<Table> {
        let accounts = self.accounts();
        let cached =
            accounts.get(name).filter(|cached| cached.is_fresh() && cached.connection == *connection)?;
        Some(Table::Azure(Box::new(cached.account.table(table).ok()?)))
    }

    fn accounts(&self) -> MutexGuard<'_, BTreeMap<String, CachedAccount>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CachedAccount {
    fn is_fresh(&self) -> bool {
        self.opened.elapsed() < CACHED_FOR
    }
}

#[async_trait]
impl Services for OnlineServices {
    async fn table(&self, table: TableRef<'_>) -> Result<Box<dyn TableReader>, TableError> {
        Ok(Box::new(self.open_table(table).await?))
    }

    async fn mail(
        &self,
        name: &str,
        connection: &MailConnection,
    ) -> Result<Box<dyn MailSession>, ConnectError> {
        let tokens = connection.entra().map(|entra| self.tokens(name, entra));
        Ok(Box::new(Session::open_with(connection, tokens).await?))
    }

    fn forget_sign_in(&self, name: &str) {
        self.accounts().remove(name);
    }

    fn forget_all_sign_ins(&self) {
        self.accounts().clear();
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn close_idle(&self) {
        self.accounts().retain(|_, cached| cached.is_fresh());
    }
}

/// Reads files.
async fn on_thread<T: Send + 'static>(
    open: impl FnOnce() -> Result<T, TableError> + Send + 'static,
) -> Result<T, TableError> {
    blocking(open).await.unwrap_or_else(|_| Err(TableError::new("opening the table did not end")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Cloud, Identity};

    #[test]
    fn a_connection_has_its_tokens_until_it_signs_in_otherwise() {
        let services = OnlineServices::new(Clock::System);
        let managed =
            |id: &str| Entra::new(Identity::Managed { client_id: Some(id.to_owned()) }, Cloud::Public);
        let first = services.tokens("relay", &managed("a"));
        assert!(services.tokens("relay", &managed("a")).is_same(&first));
        assert!(!services.tokens("other", &managed("a")).is_same(&first), "another connection");
        let second = services.tokens("relay", &managed("b"));
        assert!(!second.is_same(&first), "another identity");
        assert!(services.tokens("relay", &managed("b")).is_same(&second));
        services.forget_all_sign_ins();
        assert!(!services.tokens("relay", &managed("b")).is_same(&second), "its secret may be another one");
    }
}
