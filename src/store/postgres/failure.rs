//! What an error of the server, or on the way to it, means for who asked, and what to do about it.

use std::error::Error as _;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use deadpool::managed::PoolError;
use tokio_postgres::error::SqlState;

use super::connect::{Connector, Place};
use crate::platform::tls::{TlsFault, Trust};
use crate::store::{Kind, StoreError};
use crate::text::advice::Advice;
use crate::text::foreign;

/// Characters of what a server says that are shown.
const SHOWN: usize = 300;

/// Why an operation on the database failed. It keeps the backend's own errors out of what the others see.
#[derive(Debug)]
pub(in crate::store) enum Failure {
    /// One that says it all.
    Store(StoreError),
    /// The server, or the connection to it.
    Database(tokio_postgres::Error),
    /// It has not ended in this time.
    TooLate(Duration),
    /// The secret that signs in cannot be read.
    Secret(String),
    /// There is no token.
    Token(Advice),
    /// What the URL lacks.
    Url(String),
    /// `ca_file` cannot be used.
    Authorities(Advice),
    /// The system has no authorities.
    NoAuthorities,
    /// What stands in the database is not for this program.
    Refused {
        /// What it is.
        what: String,
        /// What to do about it.
        help: String,
    },
}

/// What is wrong, and what to do about it.
pub(super) struct Verdict {
    pub(super) kind: Kind,
    pub(super) what: String,
    pub(super) help: String,
}

impl Verdict {
    fn new(kind: Kind, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { kind, what: what.into(), help: help.into() }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

impl From<PoolError<Failure>> for Failure {
    fn from(error: PoolError<Failure>) -> Self {
        match error {
            PoolError::Backend(failure) => failure,
            _ => StoreError::Stopped.into(),
        }
    }
}

impl Failure {
    /// The way to the server is cut, or there is no server at its end.
    pub(super) fn is_of_the_way(&self) -> bool {
        match self {
            Self::TooLate(_) => true,
            Self::Database(error) => {
                error.as_db_error().is_none() && (error.is_closed() || io_error(error).is_some())
            }
            _ => false,
        }
    }

    /// In words, with where it happened.
    pub(super) fn explained(self, connector: &Connector) -> StoreError {
        let place = connector.place();
        let Verdict { kind, what, help } = match self {
            Self::Store(error) => return error,
            Self::Database(error) => of_database(&error, &place),
            Self::TooLate(limit) => Verdict::new(
                Kind::Transient,
                format!("no answer within {} s", limit.as_secs()),
                "check the server and the network to it",
            ),
            Self::Secret(why) => Verdict::new(Kind::Refused, why, "correct `settings.postgres`"),
            // Microsoft Entra ID may be away for a while.
            Self::Token(advice) => Verdict::new(Kind::Transient, advice.message, or_settings(advice.help)),
            Self::Authorities(advice) => {
                Verdict::new(Kind::Refused, advice.message, or_settings(advice.help))
            }
            Self::Url(what) => {
                let help =
                    "write the secret of settings.postgres.url as postgres://USER:PASSWORD@HOST/DATABASE";
                Verdict::new(Kind::Refused, format!("`settings.postgres.url`: {what}"), help)
            }
            Self::NoAuthorities => Verdict::new(
                Kind::Refused,
                "there are no authorities to trust",
                "install the system's certificates (package ca-certificates), or set `settings.postgres.ca_file`",
            ),
            Self::Refused { what, help } => Verdict::new(Kind::Refused, what, help),
        };
        let place = place.in_words();
        StoreError::Postgres { kind, place, what, help }
    }
}

impl Place {
    fn in_words(&self) -> String {
        match (self.database.is_empty(), self.server.is_empty()) {
            (true, true) => "of `settings.postgres`".to_owned(),
            (true, false) => format!("on {}", self.server),
            (false, true) => format!("`{}`", self.database),
            (false, false) => format!("`{}` on {}", self.database, self.server),
        }
    }
}

fn or_settings(help: Option<String>) -> String {
    help.unwrap_or_else(|| "correct `settings.postgres`".to_owned())
}

fn of_database(error: &tokio_postgres::Error, place: &Place) -> Verdict {
    if let Some(said) = error.as_db_error() {
        return of_state(said.code(), &foreign::line(said.message(), SHOWN), place);
    }
    if let Some(fault) = TlsFault::from_error(error) {
        return of_tls(&fault, place);
    }
    if let Some(error) = io_error(error) {
        return of_network(error, place);
    }
    // The kinds of these errors are known by nothing but their texts, which are the library's own.
    let text = error.to_string();
    if error.is_closed() {
        let help = "check the server; leadflow connects again";
        return Verdict::new(Kind::Transient, "the server closed the connection", help);
    }
    let because = error.source().map(ToString::to_string).unwrap_or_default();
    match text.as_str() {
        "timeout waiting for server" => Verdict::new(
            Kind::Transient,
            "the server does not answer",
            format!("check that {} runs and that a firewall lets this machine through", place.server),
        ),
        "error performing TLS handshake" => Verdict::new(
            Kind::Refused,
            "the server does not offer TLS",
            "turn it on (`ssl = on` in postgresql.conf, with ssl_cert_file and ssl_key_file); without TLS leadflow talks to \
             this machine alone, by a Unix socket or 127.0.0.1",
        ),
        "invalid configuration" => Verdict::new(
            Kind::Refused,
            format!("the server asks the user `{}` for a password, and there is none", place.user),
            "set `settings.postgres.password`, or `entra`; in a URL the password is written after the user: USER:PASSWORD@HOST",
        ),
        "authentication error" => Verdict::new(
            Kind::Refused,
            format!("the sign-in of `{}` failed ({because})", place.user),
            "check the password, and that pg_hba.conf asks for scram-sha-256",
        ),
        _ => Verdict::new(
            Kind::Refused,
            foreign::line(&format!("{text} {because}"), SHOWN),
            "check the log of the server",
        ),
    }
}

/// Codes of the server, or the classes that they begin with, the first that fits: what each means, what happened, and what
/// to do. Where it says `{user}` or `{database}`, the names of settings.postgres are put.
const STATES: [(&[&str], Kind, &str, &str); 16] = [
    (
        &["28P01"],
        Kind::Refused,
        "the password of `{user}` is wrong, or there is no such role",
        "correct the secret that `settings.postgres` names, or set the password: \\password {quoted user} in psql",
    ),
    (
        &["28"],
        Kind::Refused,
        "the server does not let `{user}` in from here",
        "create the role (CREATE ROLE {quoted user} LOGIN PASSWORD '…'), or add a line to pg_hba.conf: hostssl {quoted database} \
         {quoted user} ADDRESS/32 scram-sha-256; then SELECT pg_reload_conf()",
    ),
    (
        &["3D000"],
        Kind::Refused,
        "there is no database `{database}`",
        "create it: CREATE DATABASE {quoted database} OWNER {quoted user}",
    ),
    (
        &["42501"],
        Kind::Refused,
        "`{user}` does not have the rights",
        "let the role own the database: ALTER DATABASE {quoted database} OWNER TO {quoted user}; if another role owns the tables, \
         add this one to it: GRANT OWNER TO {quoted user}",
    ),
    (&["3F000"], Kind::Refused, "the search path of `{user}` names no schema that is there", CREATE_SCHEMA),
    (
        &["42P01", "42703"],
        Kind::Refused,
        "a table or a column of leadflow is not there",
        "put a backup of the database in its place",
    ),
    (
        &["53300"],
        Kind::Transient,
        "the server has no connection left",
        "raise max_connections, or end what holds them (SELECT * FROM pg_stat_activity)",
    ),
    (&["53100"], Kind::Transient, "the disk of the server is full", "make room there, or enlarge it"),
    (
        &["25006"],
        Kind::Transient,
        "the server takes no writes: it is a standby, or the database is set to read-only, as Azure does while the storage of a \
         server is nearly full",
        "name the host of the primary in `settings.postgres`, or promote the standby; or make room and reset \
         default_transaction_read_only",
    ),
    (&["55P03", "40001", "40P01"], Kind::Transient, "another process holds what is needed", "try again"),
    (&["57014", "25P03"], Kind::Transient, "it took too long", "check the load of the server"),
    (
        &["XX001", "XX002"],
        Kind::Fatal,
        "the data of the server is damaged",
        "put a backup of the database in its place",
    ),
    (&["57P", "08", "53"], Kind::Transient, "the server is not ready", "check its log"),
    (&["58"], Kind::Transient, "the server cannot use its disk", "check its log"),
    (&["23"], Kind::Conflict, "another process was first", "try again"),
    (&[""], Kind::Refused, "the server refuses", "check the log of the server"),
];

/// What to do where the server does not take a token.
const NO_ROLE: &str = "create the role for this identity: SELECT * FROM pgaadauth_create_principal('{literal user}', false, false), and \
                       write its name in `settings.postgres.user`";

/// What to do where there is no schema for the tables.
const CREATE_SCHEMA: &str = "create one: CREATE SCHEMA leadflow AUTHORIZATION {quoted user}; ALTER ROLE {quoted user} SET search_path = leadflow";

/// [`CREATE_SCHEMA`] for a role, quoted where that is necessary.
pub(super) fn create_schema(role: &str) -> String {
    CREATE_SCHEMA.replace("{quoted user}", role)
}

/// A name as a statement has it.
pub(super) fn quoted(name: &str) -> String {
    let is_plain = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == '_';
    let is_bare = name.chars().all(is_plain) && !name.starts_with(|sign: char| sign.is_ascii_digit());
    if is_bare { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// What the server says, by its code.
pub(super) fn of_state(state: &SqlState, said: &str, place: &Place) -> Verdict {
    let Place { user, database, is_entra, .. } = place;
    let of_place = |text: &str| {
        text.replace("{user}", user)
            .replace("{quoted user}", &quoted(user))
            .replace("{literal user}", &user.replace('\'', "''"))
            .replace("{database}", database)
            .replace("{quoted database}", &quoted(database))
    };
    if *is_entra && state.code().starts_with("28") {
        let what = format!("the server refuses the token of `{user}` ({said})");
        return Verdict::new(Kind::Refused, what, of_place(NO_ROLE));
    }
    let fits = |codes: &[&str]| codes.iter().any(|code| state.code().starts_with(code));
    let known = STATES.iter().find(|(codes, ..)| fits(codes));
    let (_, kind, what, help) = known.copied().unwrap_or((&[], Kind::Refused, "", ""));
    Verdict::new(kind, format!("{} ({said})", of_place(what)), of_place(help))
}

fn of_tls(fault: &TlsFault, place: &Place) -> Verdict {
    let trust = place.ca_file.as_deref().map_or(Trust::System, Trust::File);
    let file = place.ca_file.clone().unwrap_or_else(|| PathBuf::from("server.pem"));
    let save = format!(
        "openssl s_client -connect {host}:{port} -starttls postgres -showcerts </dev/null | openssl x509 > {}",
        file.display(),
        host = place.host,
        port = place.port
    );
    let kind = if fault.is_lasting() { Kind::Refused } else { Kind::Transient };
    Verdict::new(kind, fault.to_string(), fault.help(&place.host, trust, &save))
}

fn of_network(error: &io::Error, place: &Place) -> Verdict {
    let server = &place.server;
    let help = match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
            format!("check that the server runs and listens at {server}")
        }
        io::ErrorKind::PermissionDenied => format!("let this user use the socket in {server}"),
        _ => format!("check the network to {server}, and that a firewall lets this machine through"),
    };
    let what = format!("no connection ({})", foreign::line(&error.to_string(), SHOWN));
    Verdict::new(Kind::Transient, what, help)
}

/// The system's error among the causes.
fn io_error(error: &tokio_postgres::Error) -> Option<&io::Error> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        cause = error.source();
    }
    None
}
