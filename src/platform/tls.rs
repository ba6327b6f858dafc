//! Why TLS with a server was not established, for people, and what to do about it. Pure.
//!
//! The reasons of rustls name its own types; whoever reads them at night wants to know whose turn it
//! is: the server's administrator, or this machine's.

mod server;

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;

use rustls::{AlertDescription, CertificateError, InvalidMessage, PeerIncompatible};

pub(crate) use server::{ends, server_config};

/// Why there is no TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TlsFault {
    /// The certificate has run out.
    Expired,
    /// The certificate begins later.
    NotYetValid,
    /// The certificate names other hosts: these.
    Name(Vec<String>),
    /// Nobody whom this machine trusts has signed the certificate.
    UnknownAuthority,
    /// The certificate is that of an authority, as self-signed ones of `openssl req -x509` are.
    Authority,
    /// The certificate is one that cannot be checked: rustls's word for why.
    Certificate(String),
    /// The server speaks only TLS 1.1 or older.
    Version,
    /// The server and this machine have no cipher in common.
    Ciphers,
    /// The server refuses, for a reason of its own.
    Refused(String),
    /// The server wants a certificate of this machine.
    ClientCertificate,
    /// The server does not speak TLS.
    NoTls,
}

/// Whom a connection trusts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trust<'a> {
    /// The authorities of a file.
    File(&'a Path),
    /// The system's, and the connection can have a file.
    System,
    /// The system's alone.
    SystemAlone,
}

impl TlsFault {
    /// The fault among the causes of an error, if one of them is rustls's.
    pub(crate) fn from_error(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<rustls::Error>() {
                return Self::from_rustls(error);
            }
            // An I/O error does not name the one inside of it as its cause.
            let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            if let Some(found) = inside.and_then(|inside| Self::from_error(inside)) {
                return Some(found);
            }
            cause = error.source();
        }
        None
    }

    fn from_rustls(error: &rustls::Error) -> Option<Self> {
        use rustls::Error as Rustls;
        Some(match error {
            Rustls::InvalidCertificate(error) => Self::from_certificate(error),
            Rustls::AlertReceived(AlertDescription::ProtocolVersion)
            | Rustls::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
            ) => Self::Version,
            Rustls::AlertReceived(AlertDescription::CertificateRequired) => Self::ClientCertificate,
            Rustls::AlertReceived(
                AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity,
            )
            | Rustls::PeerIncompatible(_) => Self::Ciphers,
            Rustls::AlertReceived(alert) => Self::Refused(format!("{alert:?}")),
            Rustls::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            ) => Self::NoTls,
            _ => return None,
        })
    }

    fn from_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::NotValidForName => Self::Name(Vec::new()),
            CertificateError::NotValidForNameContext { presented, .. } => {
                // Of the form `DnsName("a.example")`.
                let bare = |name: &String| {
                    let inside = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
                    inside.unwrap_or(name).trim_matches('"').to_owned()
                };
                Self::Name(presented.iter().map(bare).collect())
            }
            // The second one: of an authority of the same name with another key, as when it was made again.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownAuthority,
            other if format!("{other:?}").contains("CaUsedAsEndEntity") => Self::Authority,
            other => Self::Certificate(other.to_string()),
        }
    }

    /// Whether another try by itself can go well: not before somebody has done something.
    pub(crate) fn is_lasting(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }

    /// What to do about it; `host` is what was connected to, `save` the command that saves its certificate.
    pub(crate) fn help(&self, host: &str, trust: Trust<'_>, save: &str) -> String {
        match self {
            Self::Expired => {
                format!(
                    "ask for the certificate of {host} to be renewed; check this machine's clock, too: \
                     timedatectl"
                )
            }
            Self::NotYetValid => "check this machine's clock: timedatectl set-ntp true".to_owned(),
            Self::Name(_) => format!(
                "write the name that the certificate has in place of {host}, or have a certificate made \
                 for {host}"
            ),
            Self::UnknownAuthority => match trust {
                Trust::File(path) => format!(
                    "{} does not have the authority of this certificate: put it there in PEM form, or the server's own \
                     certificate where it is self-signed ({save})",
                    path.display()
                ),
                Trust::System => format!(
                    "save the authority's certificate, or the server's own where it is self-signed, and name the file in \
                     ca_file: {save}"
                ),
                Trust::SystemAlone => {
                    "a proxy that reads TLS needs its authority among the system's: copy it as .crt to \
                                       /usr/local/share/ca-certificates and run sudo update-ca-certificates"
                        .to_owned()
                }
            },
            Self::Authority => format!(
                "have it made again as a server's: openssl req -x509 -newkey rsa:3072 -nodes -days 825 -subj /CN={host} \
                 -addext basicConstraints=critical,CA:FALSE -addext subjectAltName={}:{host} -keyout key.pem -out \
                 certificate.pem; then name certificate.pem in ca_file",
                if host.parse::<std::net::IpAddr>().is_ok() { "IP" } else { "DNS" }
            ),
            Self::Certificate(_) => {
                format!(
                    "have the certificate of {host} made again: version 3, RSA of 2048 bits or more or \
                     ECDSA, SHA-256"
                )
            }
            Self::Version => format!("have TLS 1.2 or 1.3 turned on at {host}; older ones are not safe"),
            Self::Ciphers => {
                format!("have TLS 1.3, or 1.2 with ECDHE and AES-GCM or ChaCha20, turned on at {host}")
            }
            Self::Refused(_) => format!("check the log of {host} for the reason"),
            Self::ClientCertificate => {
                format!("leadflow has none: configure {host} to accept this machine without one")
            }
            Self::NoTls => format!("check the port: what answers at {host} speaks another protocol"),
        }
    }
}

/// What is wrong, as the end of a sentence.
impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "the server's certificate has expired",
            Self::NotYetValid => "the server's certificate is not valid yet",
            Self::Name(names) if names.is_empty() => {
                "the server's certificate has no host name (no subjectAltName)"
            }
            Self::Name(names) => {
                let more = if names.len() > 3 { " and others" } else { "" };
                let names = names.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
                return write!(f, "the server's certificate is for another host: {names}{more}");
            }
            Self::UnknownAuthority => {
                "the server's certificate is self-signed, or signed by an authority that this machine \
                 does not trust"
            }
            Self::Authority => {
                "the server's certificate is self-signed, and marked as an authority (CA:TRUE)"
            }
            Self::Certificate(why) => {
                return write!(f, "the server's certificate cannot be checked: {why}");
            }
            Self::Version => "the server speaks only TLS 1.1 or older",
            Self::Ciphers => "the server and this machine have no TLS cipher in common",
            Self::Refused(why) => return write!(f, "the server refuses TLS ({why})"),
            Self::ClientCertificate => "the server requires a client certificate",
            Self::NoTls => "the server does not answer with TLS",
        })
    }
}
