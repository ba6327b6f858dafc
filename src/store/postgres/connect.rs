//! Connections to the server: where it is, who signs in, and whom it must prove itself to.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use deadpool_postgres::ClientWrapper;
use secrecy::{ExposeSecret as _, SecretString};
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::Failure;
use crate::flow::{PostgresConnection, PostgresCredential, PostgresServer};
use crate::platform::authorities;
use crate::platform::secrets;
use crate::text::advice::Advice;
use crate::text::foreign;

/// How long a server may take to answer a new connection.
const TO_CONNECT: Duration = Duration::from_secs(5);
/// How long what was sent may stay unacknowledged.
const UNACKNOWLEDGED: Duration = Duration::from_secs(8);
/// Between two signs of life on a connection that is idle.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// What each session is set to: nobody waits for a lock for long, and what a process that is cut off holds is free soon.
pub(super) const SESSION: &str =
    "SET idle_in_transaction_session_timeout = '5s'; SET statement_timeout = '60s';
    SET lock_timeout = '5s'; SET client_min_messages = 'warning'; SET timezone = 'UTC'; SET jit = off";

/// Gives tokens of Microsoft Entra ID for the database.
#[async_trait]
pub trait Tokens: fmt::Debug + Send + Sync {
    /// One that is valid for a while.
    ///
    /// # Errors
    /// Why there is none, and what to do.
    async fn token(&self) -> Result<SecretString, Advice>;
}

/// Makes connections.
pub(in crate::store) struct Connector {
    server: PostgresServer,
    ca_file: Option<PathBuf>,
    node: String,
    tokens: Option<Arc<dyn Tokens>>,
    /// Where a connection was made to last, in words.
    place: Mutex<Place>,
}

/// A connection of the pool.
pub(in crate::store) struct Connection {
    pub(super) client: ClientWrapper,
    /// No statement is under way on it, whose answer nobody waits for any more.
    pub(super) is_settled: bool,
}

/// Where the database is and who signs in, for messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Host and port, or the folder of the socket.
    pub(super) server: String,
    /// The bare name of the host.
    pub(super) host: String,
    /// Its port.
    pub(super) port: u16,
    /// The database.
    pub(super) database: String,
    /// The role.
    pub(super) user: String,
    /// The file with the authorities, if one is named.
    pub(super) ca_file: Option<PathBuf>,
    /// A token is the password.
    pub(super) is_entra: bool,
}

impl Connector {
    pub(super) fn new(connection: &PostgresConnection, tokens: Option<Arc<dyn Tokens>>) -> Self {
        let PostgresConnection { server, ca_file, node } = connection.clone();
        let place = Place::of(&server, ca_file.clone());
        Self { server, ca_file, node, tokens, place: Mutex::new(place) }
    }

    /// Where connections go.
    pub(super) fn place(&self) -> Place {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All that a connection needs but TLS. A secret is read anew each time: it may have been changed.
    async fn config(&self) -> Result<Config, Failure> {
        let mut config = match &self.server {
            PostgresServer::Url(secret) => {
                let read = secrets::read_address_aside(secret).await;
                parse_url(read.map_err(|error| Failure::Secret(error.to_string()))?.expose_secret())?
            }
            PostgresServer::Named { host, port, database, user, credential } => {
                let mut config = Config::new();
                config.host(host).port(*port).dbname(database).user(user);
                if let Some(password) = self.password(credential).await? {
                    config.password(password.expose_secret());
                }
                config
            }
        };
        config.application_name(format!("leadflow {}", self.node));
        config.connect_timeout(TO_CONNECT).tcp_user_timeout(UNACKNOWLEDGED);
        config
            .keepalives(true)
            .keepalives_idle(KEEP_ALIVE)
            .keepalives_interval(KEEP_ALIVE)
            .keepalives_retries(2);
        if config.get_hosts().len() > 1 && config.get_target_session_attrs() == TargetSessionAttrs::Any {
            // After a failover the primary is another one of them.
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        let place = Place { ca_file: self.ca_file.clone(), ..Place::of_config(&config) };
        let mut last = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Place { is_entra: last.is_entra, ..place };
        drop(last);
        Ok(config)
    }

    async fn password(&self, credential: &PostgresCredential) -> Result<Option<SecretString>, Failure> {
        match (credential, &self.tokens) {
            (PostgresCredential::None, _) => Ok(None),
            (PostgresCredential::Password(source), _) => {
                let read = secrets::read_aside(source).await;
                read.map(Some).map_err(|error| Failure::Secret(error.to_string()))
            }
            (PostgresCredential::Entra(_), Some(tokens)) => {
                tokens.token().await.map(Some).map_err(Failure::Token)
            }
            (PostgresCredential::Entra(_), None) => {
                Err(Failure::Token(Advice::new("nobody gives tokens here")))
            }
        }
    }

    /// TLS with verification, but for who is on this machine.
    fn tls(&self, config: &Config) -> Result<Option<MakeRustlsConnect>, Failure> {
        if config.get_hosts().iter().all(is_here) && self.ca_file.is_none() {
            return Ok(None);
        }
        let tls = match &self.ca_file {
            Some(path) => authorities::tls_of(path).map_err(Failure::Authorities)?,
            None => authorities::tls_of_system().ok_or(Failure::NoAuthorities)?,
        };
        Ok(Some(MakeRustlsConnect::new(tls)))
    }

    async fn open(&self) -> Result<ClientWrapper, Failure> {
        let mut config = self.config().await?;
        let client = match self.tls(&config)? {
            None => {
                let (client, connection) = config.ssl_mode(SslMode::Disable).connect(NoTls).await?;
                ClientWrapper::new(client, tokio::spawn(async move { drop(connection.await) }))
            }
            Some(tls) => {
                let (client, connection) = config.ssl_mode(SslMode::Require).connect(tls).await?;
                ClientWrapper::new(client, tokio::spawn(async move { drop(connection.await) }))
            }
        };
        client.batch_execute(SESSION).await?;
        Ok(client)
    }
}

impl Manager for Connector {
    type Type = Connection;
    type Error = Failure;

    async fn create(&self) -> Result<Connection, Failure> {
        Ok(Connection { client: self.open().await?, is_settled: true })
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<Failure> {
        if connection.client.is_closed() || !connection.is_settled {
            return Err(RecycleError::message("it is closed, or in the middle of something"));
        }
        Ok(())
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("place", &self.place()).finish_non_exhaustive()
    }
}

impl Place {
    fn of(server: &PostgresServer, ca_file: Option<PathBuf>) -> Self {
        let place = match server {
            PostgresServer::Url(_) => Self::default(),
            PostgresServer::Named { host, port, database, user, credential } => Self {
                server: with_port(host, *port),
                host: host.clone(),
                port: *port,
                database: database.clone(),
                user: user.clone(),
                ca_file: None,
                is_entra: matches!(credential, PostgresCredential::Entra(_)),
            },
        };
        Self { ca_file, ..place }
    }

    fn of_config(config: &Config) -> Self {
        let name = |host: &Host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(folder) => folder.display().to_string(),
        };
        let names: Vec<String> = config.get_hosts().iter().map(name).collect();
        let ports = config.get_ports();
        let port =
            |index: usize| ports.get(index).or(ports.first()).copied().unwrap_or(PostgresConnection::PORT);
        let places: Vec<_> =
            names.iter().enumerate().map(|(index, name)| with_port(name, port(index))).collect();
        Self {
            server: places.join(" or "),
            host: names.into_iter().next().unwrap_or_default(),
            port: port(0),
            database: config.get_dbname().unwrap_or_default().to_owned(),
            user: config.get_user().unwrap_or_default().to_owned(),
            ..Self::default()
        }
    }
}

fn with_port(host: &str, port: u16) -> String {
    match (host.starts_with('/'), port) {
        (true, _) | (false, PostgresConnection::PORT) => host.to_owned(),
        (false, port) if host.contains(':') => format!("[{host}]:{port}"),
        (false, port) => format!("{host}:{port}"),
    }
}

/// Whether nobody could listen on the way.
fn is_here(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    }
}

/// Signs that end a part of a URL, so that a password has them encoded.
const RESERVED: [char; 4] = ['@', '/', '?', '#'];

/// The parts of a URL, which keeps its password to itself.
fn parse_url(url: &str) -> Result<Config, Failure> {
    let wrong = |what: &str| {
        // Nobody knows which part of it is secret.
        foreign::know_text(url, foreign::Kind::Kept);
        Failure::Url(what.to_owned())
    };
    let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
    let rest = rest.ok_or_else(|| wrong("it is not of the form postgres://USER:PASSWORD@HOST/DATABASE"))?;
    let signs_in = rest.rsplit_once('@').map(|(before, _)| before).unwrap_or_default();
    if signs_in.contains(RESERVED) {
        return Err(wrong(
            "its user or password has a reserved character; write @ as %40, / as %2F, ? as %3F, # as %23, : as %3A, and % as %25",
        ));
    }
    if let Some((_, password)) = signs_in.split_once(':') {
        foreign::know_text(password, foreign::Kind::Kept);
    }
    let config: Config =
        url.parse().map_err(|_| wrong("it is not of the form postgres://USER:PASSWORD@HOST/DATABASE"))?;
    if let Some(password) = config.get_password() {
        foreign::know_text(&String::from_utf8_lossy(password), foreign::Kind::Kept);
    }
    match (config.get_hosts().is_empty(), config.get_dbname(), config.get_user()) {
        (true, _, _) => Err(wrong("it names no host")),
        (_, None, _) => Err(wrong("it names no database")),
        (_, _, None) => Err(wrong("it names no user")),
        _ => Ok(config),
    }
}
