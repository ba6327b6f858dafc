//! Where rows are read and where mail is handed in, and how each signs in.

use std::net::IpAddr;
use std::path::PathBuf;

use super::identity::{Cloud, Entra};
use super::mailbox::Mailbox;
use super::secret::SecretSource;

/// Bytes of a message by SMTP: 8 MB stays under the 10,240,000 bytes of Postfix's default
/// `message_size_limit` and far under the 35 MB of Exchange Online.
pub(super) const LARGEST_MESSAGE: usize = 8_000_000;
/// Bytes of a message by Graph: base64 makes 3.4 MB of them, and a request has at most 4 MB
/// (<https://learn.microsoft.com/graph/outlook-large-attachments>: 3 MB of attachment in one).
const LARGEST_BY_GRAPH: usize = 2_500_000;

/// Where rows are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableConnection {
    /// Azure Table storage.
    Azure(AzureConnection),
    /// A `SQLite` file with the same rows and filters.
    Embedded {
        /// The file, absolute.
        file: PathBuf,
    },
}

impl TableConnection {
    /// Where the secret of its login lies, if it has one.
    pub fn secret(&self) -> Option<&SecretSource> {
        match self {
            Self::Azure(azure) => azure.login.secret(),
            Self::Embedded { .. } => None,
        }
    }
}

/// `[connections.NAME.azure_table]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AzureConnection {
    /// How requests are signed, and for which account.
    pub login: AzureLogin,
    /// A PEM file with the only authorities to trust, absolute; the system's roots without it.
    pub ca_file: Option<PathBuf>,
    /// Where the account is, if no connection string says it.
    pub cloud: Cloud,
}

/// The ways to sign in to a table account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AzureLogin {
    /// A connection string as the portal shows it.
    ConnectionString(SecretSource),
    /// An account name and its key.
    SharedKey {
        /// Account name.
        account: String,
        /// The key, base64.
        key: SecretSource,
    },
    /// An account name and a shared access signature.
    Sas {
        /// Account name.
        account: String,
        /// The signature's query string, with or without `?`.
        sas: SecretSource,
    },
    /// An account name and an identity of Microsoft Entra ID.
    Entra {
        /// Account name.
        account: String,
        /// Who signs in.
        entra: Entra,
    },
}

impl AzureLogin {
    /// Who signs in with Microsoft Entra ID, if somebody does.
    pub fn entra(&self) -> Option<&Entra> {
        match self {
            Self::Entra { entra, .. } => Some(entra),
            Self::ConnectionString(_) | Self::SharedKey { .. } | Self::Sas { .. } => None,
        }
    }

    /// Where the secret of the login lies; a managed identity has none.
    pub fn secret(&self) -> Option<&SecretSource> {
        match self {
            Self::ConnectionString(source) => Some(source),
            Self::SharedKey { key, .. } => Some(key),
            Self::Sas { sas, .. } => Some(sas),
            Self::Entra { entra, .. } => entra.secret(),
        }
    }
}

/// Where mail is handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailConnection {
    /// An SMTP server.
    Smtp(SmtpConnection),
    /// Microsoft Graph.
    Graph(GraphConnection),
    /// A folder that gets one `.eml` a mail.
    Folder(FolderConnection),
}

impl MailConnection {
    /// The sender of every mail of this connection, as `Name <address>` or `address`.
    pub fn from(&self) -> &Mailbox {
        match self {
            Self::Smtp(smtp) => &smtp.from,
            Self::Graph(graph) => &graph.mailbox,
            Self::Folder(folder) => &folder.from,
        }
    }

    /// Who signs in with Microsoft Entra ID, if somebody does.
    pub fn entra(&self) -> Option<&Entra> {
        match self {
            Self::Smtp(smtp) => match &smtp.login.as_ref()?.credential {
                SmtpCredential::Password(_) => None,
                SmtpCredential::OAuth(entra) => Some(entra),
            },
            Self::Graph(graph) => Some(&graph.entra),
            Self::Folder(_) => None,
        }
    }

    /// Where the secret of its login lies, if it has one.
    pub fn secret(&self) -> Option<&SecretSource> {
        match self {
            Self::Smtp(smtp) => match &smtp.login.as_ref()?.credential {
                SmtpCredential::Password(source) => Some(source),
                SmtpCredential::OAuth(entra) => entra.secret(),
            },
            Self::Graph(graph) => graph.entra.secret(),
            Self::Folder(_) => None,
        }
    }

    /// The largest message that is handed over in one piece, bytes of RFC 5322 text.
    pub fn max_message_bytes(&self) -> usize {
        match self {
            Self::Smtp(_) | Self::Folder(_) => LARGEST_MESSAGE,
            Self::Graph(_) => LARGEST_BY_GRAPH,
        }
    }

    /// Messages a minute at most, where there is a limit.
    pub fn per_minute(&self) -> Option<u32> {
        match self {
            Self::Smtp(smtp) => Some(smtp.per_minute),
            Self::Graph(graph) => Some(graph.per_minute),
            Self::Folder(_) => None,
        }
    }
}

/// `[connections.NAME.smtp]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpConnection {
    /// Host name in ASCII, or an address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// The sender.
    pub from: Mailbox,
    /// Without it no AUTH is tried.
    pub login: Option<Login>,
    /// A PEM file with the only authorities to trust, absolute; the system's roots without it.
    pub ca_file: Option<PathBuf>,
    /// Messages a minute at most.
    pub per_minute: u32,
    /// What leadflow calls this machine in EHLO: a domain, or an address in brackets; without it the machine's name,
    /// where it is a whole one, or its address.
    pub helo: Option<String>,
}

impl SmtpConnection {
    /// Host and port, as addresses of the network are written.
    pub fn place(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// An address as it stands for a name (RFC 5321, 4.1.3).
pub fn address_literal(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    }
}

/// `security` of an SMTP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte (port 465).
    Tls,
    /// STARTTLS, required (port 587).
    StartTls,
    /// No protection; accepted for loopback addresses only.
    None,
}

/// `login` of an SMTP connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// User name; with OAuth the mailbox's address.
    pub username: String,
    /// What shows that it is the user.
    pub credential: SmtpCredential,
}

/// What signs in to an SMTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SmtpCredential {
    /// A password, by PLAIN or LOGIN.
    Password(SecretSource),
    /// A token of Microsoft Entra ID, by XOAUTH2.
    OAuth(Entra),
}

/// `[connections.NAME.graph]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphConnection {
    /// The mailbox that sends, and the sender.
    pub mailbox: Mailbox,
    /// Who signs in.
    pub entra: Entra,
    /// Messages a minute at most.
    pub per_minute: u32,
}

/// `[connections.NAME.mail_folder]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderConnection {
    /// The folder, absolute.
    pub path: PathBuf,
    /// The sender; `leadflow <leadflow@localhost>` unless said.
    pub from: Mailbox,
}
