//! Azure Table storage, by its SDK on our own transport.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use azure_core::auth::Secret;
use azure_core::headers::{Headers, IF_MATCH};
use azure_core::prelude::Continuable as _;
use azure_core::{ClientOptions, Context, Method, RetryOptions, TransportOptions};
use azure_data_tables::clients::{TableClient, TableServiceClient, TableServiceClientBuilder};
use azure_data_tables::operations::QueryEntityResponse;
use azure_data_tables::prelude::Top;
use azure_storage::clients::{ServiceType, finalize_request, new_pipeline_from_options};
use azure_storage::{CloudLocation, StorageCredentials};
use backon::{BackoffBuilder, ExponentialBuilder, Retryable as _};
use futures::StreamExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tracing::warn;
use url::Url;

use super::address::path_of;
use super::target::{SignIn, Target};
use super::transport::{Failure, Transport};
use super::{Continuation, Credential, Endpoint, Page, Query, ServiceTime, TableError, identity, sas};
use crate::flow::SecretSource;
use crate::flow::{AzureConnection, AzureLogin};
use crate::platform::authorities;
use crate::platform::secrets;
use crate::rows::row::Row;
use crate::services::entra::Tokens;
use crate::services::http::NoAnswer;

/// One table of an account.
pub struct AzureTable {
    service: TableServiceClient,
    client: TableClient,
    credentials: StorageCredentials,
    transport: Transport,
    endpoint: Url,
    target: Target,
    /// Rows to ask for at a time.
    rows_a_page: AtomicU32,
}

/// Rows of a page when the service decides, and by how much fewer are asked for where they are too large.
const ROWS_A_PAGE: u32 = 1_000;
const FEWER: u32 = 10;

/// An account that was signed in to, for as many of its tables as there are.
pub(crate) struct Account {
    credentials: StorageCredentials,
    transport: Transport,
    name: String,
    host: String,
    url: Url,
    sign_in: SignIn,
    signature: Option<SecretString>,
    ca_file: Option<PathBuf>,
}

/// The longest wait that a service may ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(1);

/// Six tries in all: after 0.5, 1, 2, 4 and 8 seconds, and up to half a second more each time.
fn backoff() -> impl BackoffBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(Duration::from_secs(8))
        .with_max_times(5)
        .with_jitter()
}

impl std::fmt::Debug for AzureTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AzureTable").field("target", &self.target).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

impl Account {
    /// Reads the secret and prepares the client. With an identity of Entra ID its tokens are fetched when they are
    /// needed, and are those of others, too, where they are given.
    pub(crate) fn open(connection: &AzureConnection, tokens: Option<Tokens>) -> Result<Self, TableError> {
        let endpoint = endpoint_of(connection)?;
        let entra = connection.login.entra();
        let authorities = connection.ca_file.as_deref().map(authorities::read).transpose()?;
        let transport = Transport::new(authorities, tokens.or_else(|| entra.cloned().map(Tokens::new)))?;
        let sign_in = match (entra, connection.login.secret()) {
            (Some(entra), _) => SignIn::Entra(entra.who()),
            (None, source) => SignIn::Secret(source.map(SecretSource::place).unwrap_or_default()),
        };
        let name = endpoint.account.clone();
        let host = endpoint.host();
        let url = endpoint.url;
        let mut signature = None;
        let credentials = match endpoint.credential {
            Credential::Key(key) => {
                StorageCredentials::access_key(endpoint.account, Secret::new(key.expose_secret().to_owned()))
            }
            Credential::Sas(sas) => {
                let query = sas.expose_secret().trim().trim_start_matches('?');
                let parsed = StorageCredentials::sas_token(query);
                signature = Some(sas);
                parsed.map_err(|_| {
                    TableError::new(format!("{sign_in} does not hold a shared access signature"))
                        .help("copy it again as a whole, see docs/azure.md")
                })?
            }
            // The transport adds the token to each request, and another one where it is refused.
            Credential::Token => StorageCredentials::anonymous(),
        };
        let ca_file = connection.ca_file.clone();
        Ok(Self { credentials, transport, name, host, url, sign_in, signature, ca_file })
    }

    /// A table of the account; nothing is asked of it yet.
    ///
    /// # Errors
    /// When a signature cannot be one for this table.
    pub(crate) fn table(&self, name: &str) -> Result<AzureTable, TableError> {
        let fault = |sas: &SecretString| sas::fault(sas.expose_secret().trim(), name);
        if let Some((message, help)) = self.signature.as_ref().and_then(fault) {
            return Err(TableError::new(format!(
                "the shared access signature from {} {message}",
                self.sign_in
            ))
            .help(help));
        }
        let transport = self.transport.with_own_note();
        let account = self.name.clone();
        let uri = self.url.as_str().trim_end_matches('/').to_owned();
        let location = CloudLocation::Custom { account: account.clone(), uri };
        let service = TableServiceClientBuilder::with_location(location, self.credentials.clone())
            .client_options(options_of(&transport))
            .build();
        let target = Target {
            host: self.host.clone(),
            account,
            table: name.to_owned(),
            sign_in: self.sign_in.clone(),
            ca_file: self.ca_file.clone(),
        };
        Ok(AzureTable {
            client: service.table_client(name),
            service,
            credentials: self.credentials.clone(),
            transport,
            endpoint: self.url.clone(),
            target,
            rows_a_page: AtomicU32::new(ROWS_A_PAGE),
        })
    }
}

impl AzureTable {
    pub(super) fn identity(&self) -> String {
        identity::from_account(&self.endpoint, &self.target.table)
    }

    pub(super) fn address(&self) -> String {
        format!("{}/{}", self.endpoint.as_str().trim_end_matches('/'), self.target.table)
    }

    pub(super) async fn ask_time(&self) -> Result<ServiceTime, TableError> {
        let attempt = || async {
            let query = self.client.query().top(Top::new(1));
            self.response(query.into_stream::<Box<RawValue>>().next().await).map(|(_, served)| served)
        };
        self.with_retries(attempt).await
    }

    /// The tables of the account, for one who has its name wrong.
    pub(super) async fn names(&self) -> Result<Vec<String>, TableError> {
        let response = self.service.list().into_stream().next().await;
        match (self.transport.take(), response) {
            (_, Some(Ok(page))) => Ok(page.tables.into_iter().map(|table| table.name).collect()),
            (Some(Err(failure)), _) => Err(TableError::from_failure(failure, &self.target)),
            (_, _) => Err(TableError::new(format!("{} does not list its tables", self.target.host))),
        }
    }

    pub(super) async fn create(&self) -> Result<(), TableError> {
        let result = self.client.create().await;
        self.written(result.map(drop).map_err(drop))
    }

    pub(super) async fn insert(&self, row: &Map<String, Value>) -> Result<(), TableError> {
        let Ok(request) = self.client.insert::<_, Value>(row) else {
            return Err(TableError::new("the row cannot be written as JSON"));
        };
        let result = request.return_entity(false).await;
        self.written(result.map(drop).map_err(drop))
    }

    /// Deletes the row if it is still the one that was read; `false` where the service says that there is
    /// none of these keys.
    pub(super) async fn delete(&self, row: &Row) -> Result<bool, TableError> {
        let attempt = || async {
            let result = self.ask_to_delete(row).await;
            match self.transport.take() {
                Some(Ok(_)) => Ok(true),
                Some(Err(Failure::Status { status: 404, .. })) => Ok(false),
                Some(Err(failure)) => Err(TableError::from_failed_write(failure, &self.target)),
                None => Err(TableError::new(result.err().unwrap_or_default())),
            }
        };
        self.with_retries(attempt).await
    }

    /// The SDK takes the keys as they are, and a quote ends them.
    async fn ask_to_delete(&self, row: &Row) -> Result<(), String> {
        let path = path_of(&self.target.table, &row.partition_key, &row.row_key);
        let url = format!("{}/{path}", self.endpoint.as_str().trim_end_matches('/'));
        let url = url.parse().map_err(|_| format!("the address of {} is not valid", self.target.host))?;
        let mut headers = Headers::new();
        // Should the service understand the address otherwise, no other row goes.
        headers.insert(IF_MATCH, row.etag().unwrap_or_else(|| "*".to_owned()));
        let asked = finalize_request(url, Method::Delete, headers, None);
        let mut request = asked.map_err(|_| "the request cannot be made".to_owned())?;
        let pipeline = new_pipeline_from_options(options_of(&self.transport), self.credentials.clone());
        let mut context = Context::new();
        let sent = pipeline.send(context.insert(ServiceType::Table), &mut request).await;
        sent.map(drop).map_err(|_| format!("{} was not asked", self.target.host))
    }

    /// The result of an exchange that writes; its note says more than the SDK, which asks for a
    /// body that the service does not send.
    fn written(&self, result: Result<(), ()>) -> Result<(), TableError> {
        match (self.transport.take(), result) {
            (Some(Ok(_)), _) | (None, Ok(())) => Ok(()),
            (Some(Err(failure)), _) => Err(TableError::from_failed_write(failure, &self.target)),
            (None, Err(())) => Err(TableError::new(format!("{} was not asked", self.target.host))),
        }
    }

    pub(super) fn is_cosmos(&self) -> bool {
        self.target.host.contains(".table.cosmos.")
    }

    pub(super) async fn page(
        &self,
        query: &Query,
        from: Option<Continuation>,
    ) -> Result<(Page, Option<Continuation>), TableError> {
        let attempt = || async {
            let mut ask = self.client.query();
            let rows = self.rows_a_page.load(Ordering::Relaxed);
            if rows < ROWS_A_PAGE {
                ask = ask.top(Top::new(rows));
            }
            if let Some(filter) = &query.filter {
                ask = ask.filter(filter.clone());
            }
            if let Some(columns) = &query.select {
                ask = ask.select(with_keys(columns));
            }
            if let Some((partition, row)) = from.clone() {
                ask = ask.initial_partition_key(partition);
                if let Some(row) = row {
                    ask = ask.initial_row_key(row);
                }
            }
            let response = ask.into_stream::<Row>().next().await;
            if self.asks_for_fewer() { Ok(None) } else { self.response(response).map(Some) }
        };
        let (response, served) = loop {
            if let Some(found) = self.with_retries(attempt).await? {
                break found;
            }
        };
        let next = response.continuation();
        Ok((Page { rows: response.entities, served }, next))
    }

    /// The response, if it is one, with the note that its exchange left.
    fn response<E: serde::de::DeserializeOwned + Send + Sync>(
        &self,
        response: Option<azure_core::Result<QueryEntityResponse<E>>>,
    ) -> Result<(QueryEntityResponse<E>, ServiceTime), TableError> {
        match (self.transport.take(), response) {
            (Some(Ok(exchange)), Some(Ok(response))) => {
                if response.entities.is_empty() {
                    let no_page = |reason: String| TableError::no_page(&self.target, &reason);
                    exchange.has_rows().map_err(no_page)?;
                }
                Ok((response, exchange.served))
            }
            (Some(Err(failure)), _) => Err(TableError::from_failure(failure, &self.target)),
            (_, Some(Err(error))) => {
                // Without a failed exchange the response itself makes no sense, or the credentials.
                let reason =
                    std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
                Err(TableError::no_page(&self.target, &reason))
            }
            (_, _) => {
                let nothing = Failure::NoAnswer(NoAnswer::because("it sent nothing"));
                Err(TableError::from_failure(nothing, &self.target))
            }
        }
    }

    /// After a response that was too large the next one has fewer rows.
    fn asks_for_fewer(&self) -> bool {
        let rows = self.rows_a_page.load(Ordering::Relaxed);
        let is_to_shrink = self.transport.has_overflowed() && rows > 1;
        if is_to_shrink {
            self.rows_a_page.store(rows / FEWER, Ordering::Relaxed);
        }
        is_to_shrink
    }

    async fn with_retries<T, F>(&self, attempt: impl FnMut() -> F) -> Result<T, TableError>
    where
        F: Future<Output = Result<T, TableError>>,
    {
        attempt
            .retry(backoff())
            .sleep(tokio::time::sleep)
            .when(TableError::is_passing)
            .adjust(|error, wait| {
                Some(wait?.max(error.retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER)))
            })
            .notify(|error, wait| {
                warn!(table = self.target.table, "{error}; trying again in {:.1} s", wait.as_secs_f64());
            })
            .await
    }
}

fn options_of(transport: &Transport) -> ClientOptions {
    let transport = TransportOptions::new(Arc::new(transport.clone()));
    ClientOptions::default().retry(RetryOptions::none()).transport(transport)
}

/// What to ask for so that a row can be identified and dated.
fn with_keys(columns: &[String]) -> String {
    let mut all = vec!["PartitionKey", "RowKey", "Timestamp"];
    all.extend(
        columns
            .iter()
            .map(String::as_str)
            .filter(|name| !["PartitionKey", "RowKey", "Timestamp"].contains(name)),
    );
    all.join(",")
}

fn endpoint_of(connection: &AzureConnection) -> Result<Endpoint, TableError> {
    let AzureConnection { login, cloud, .. } = connection;
    let source = login.secret();
    let place = source.map_or_else(|| "flows.toml".to_owned(), SecretSource::place);
    let read =
        |source: &SecretSource| secrets::read(source).map_err(|error| TableError::new(error.to_string()));
    let endpoint = match login {
        AzureLogin::ConnectionString(source) => Endpoint::parse(&read(source)?),
        AzureLogin::SharedKey { account, key } => {
            Endpoint::from_account(account, *cloud, Credential::Key(read(key)?))
        }
        AzureLogin::Sas { account, sas } => {
            Endpoint::from_account(account, *cloud, Credential::Sas(read(sas)?))
        }
        AzureLogin::Entra { account, .. } => Endpoint::from_account(account, *cloud, Credential::Token),
    };
    endpoint.map_err(|error| TableError::new(format!("{place}: {error}")).help(error.help()))
}
