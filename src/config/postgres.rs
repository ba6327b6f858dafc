//! `[settings.postgres]`.

use std::path::Path;

use super::entra;
use super::reader::Section;
use super::smtp::host_of;
use super::values::Folders;
use crate::flow::{Entra, PostgresConnection, PostgresCredential, PostgresServer, SecretSource};
use crate::platform::host;

/// What to write, for a table that says nothing of the server.
const HELP: &str = "write url = { credential = \"…\" } for postgres://USER:PASSWORD@HOST/DATABASE, or host, database and user, \
                    with password = { credential = \"…\" } or entra = { managed_identity = true }";
/// The keys that a URL has in it.
const OF_URL: [&str; 6] = ["host", "port", "database", "user", "password", "entra"];
/// The longest name of a node.
const LONGEST_NAME: usize = 64;

/// The database; `None` where a key is missing or has a problem, which is then reported.
pub(super) fn read(section: Section<'_>, folders: &Folders) -> Option<PostgresConnection> {
    let server = server(&section, folders);
    let ca_file = section.ca_file(folders);
    let node = node(&section);
    section.finish();
    Some(PostgresConnection { server: server?, ca_file, node: node? })
}

fn server(section: &Section<'_>, folders: &Folders) -> Option<PostgresServer> {
    let url = section.secret("url", folders);
    let host = host(section);
    let port = section.integer("port", 1..=65_535).and_then(|port| u16::try_from(port).ok());
    let database = section.text("database").map(toml::Spanned::into_inner);
    let user = section.text("user").map(toml::Spanned::into_inner);
    let password = section.secret("password", folders);
    let cloud = entra::cloud(section);
    let entra = entra::read(section, "entra", cloud, folders);
    if let Some(span) = section.span_of("cloud").filter(|_| !section.has("entra")) {
        section.problems.error(span, "`cloud` can only be used with `entra`", "remove it");
    }
    if section.has("url") {
        let both = OF_URL.into_iter().find_map(|key| Some((key, section.span_of(key)?)));
        if let Some((key, span)) = both {
            let message = format!("[{}] has both `url` and `{key}`", section.name);
            section.problems.error(span, message, "remove one of them; the URL names the whole server");
        }
        return url.map(PostgresServer::Url);
    }
    if !["host", "database", "user"].iter().any(|key| section.has(key)) {
        section.problems.error(
            section.span(),
            format!("[{}] does not say where the database is", section.name),
            HELP,
        );
        return None;
    }
    for (key, help) in [
        ("host", "write host = \"leads.postgres.database.azure.com\", or the folder of a Unix socket"),
        ("database", "write database = \"leadflow\""),
        ("user", "write user = \"leadflow\", the role that owns the database"),
    ] {
        if !section.has(key) {
            section.missing(key, help);
        }
    }
    let is_socket = host.as_ref().is_none_or(|host| host.starts_with('/'));
    let credential = credential(section, is_socket, password, entra);
    let port = port.unwrap_or(PostgresConnection::PORT);
    Some(PostgresServer::Named {
        host: host?,
        port,
        database: database?,
        user: user?,
        credential: credential?,
    })
}

/// What the role proves itself by, of which there is one.
fn credential(
    section: &Section<'_>,
    is_socket: bool,
    password: Option<SecretSource>,
    entra: Option<Entra>,
) -> Option<PostgresCredential> {
    match (section.has("password"), section.has("entra")) {
        (true, true) => {
            let span = section.span_of("entra").unwrap_or_else(|| section.span());
            let message = format!("[{}] has both `password` and `entra`", section.name);
            section.problems.error(
                span,
                message,
                "remove one of them; with entra, a token is the password of each connection",
            );
            None
        }
        (true, false) => password.map(PostgresCredential::Password),
        (false, true) => entra.map(PostgresCredential::Entra),
        (false, false) if is_socket => Some(PostgresCredential::None),
        (false, false) => {
            let help = "write password = { credential = \"postgres-password\" }, or entra = { managed_identity = true }; a Unix \
                        socket needs neither";
            section.missing("password", help);
            None
        }
    }
}

/// A name or an address, or the folder of a socket.
fn host(section: &Section<'_>) -> Option<String> {
    let written = section.text("host")?;
    let name = written.get_ref();
    if Path::new(name).is_absolute() {
        return Some(name.clone());
    }
    let found = host_of(name);
    if found.is_none() {
        let help = match name.rsplit_once(':') {
            Some((host, port)) if host_of(host).is_some() && port.parse::<u16>().is_ok() => {
                format!("write host = \"{host}\" and port = {port}")
            }
            _ if name.contains("://") => {
                "write only the name; a whole URL goes into a file, which url = { file = \"…\" } names".to_owned()
            }
            _ => "write only the name or the address, host = \"leads.postgres.database.azure.com\", or the folder of a Unix \
                  socket; the port goes into `port`"
                .to_owned(),
        };
        section.problems.error(written.span(), format!("`{name}` is not a valid host name"), help);
    }
    found
}

/// The name of this machine. Commands that work beside the daemon add to it what they are, in brackets.
fn node(section: &Section<'_>) -> Option<String> {
    let is_name = |name: &str| {
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        !name.is_empty() && name.chars().count() <= LONGEST_NAME && name.chars().all(fits)
    };
    if let Some(written) = section.text("node") {
        let name = written.get_ref();
        if !is_name(name) {
            let help = format!(
                "write letters, digits, dots and hyphens, {LONGEST_NAME} at most, node = \"vm-1\"; each machine has a name of its own"
            );
            section.problems.error(written.span(), format!("`{name}` is not a valid name of a node"), help);
            return None;
        }
        return Some(name.clone());
    }
    if section.has("node") {
        return None;
    }
    let named = host::name().filter(|name| is_name(name));
    if named.is_none() {
        section.missing("node", "this machine has no name of its own; write node = \"vm-1\"");
    }
    named
}
