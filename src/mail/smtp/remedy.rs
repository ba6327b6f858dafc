//! What to do about a connection that does not come about, or that is refused. Pure.

use super::ConnectError;
use super::reply::Reply;
use super::verdict::is_about_helo;
use super::wire::Broken;
use crate::flow::SmtpConnection;

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// DNS and TCP.
    Network,
    /// TLS.
    Tls,
    /// The server's first words.
    Greeting,
    /// EHLO and HELO.
    Hello,
}

const HELP_FOR_NAME: &str = "the server does not accept the name that this machine gives in EHLO: set the connection's `helo` to \
     this machine's full host name, such as helo = \"vm1.contoso.example\"";

/// Why there is no connection; `name` is what this machine called itself.
pub(super) fn no_connection(
    broken: &Broken,
    stage: Stage,
    name: &str,
    smtp: &SmtpConnection,
) -> ConnectError {
    let (place, reason) = (smtp.place(), broken.to_string());
    if let (Stage::Hello, Broken::Refused(reply)) = (stage, broken)
        && (reply.class() == 5 || is_about_helo(reply))
    {
        let message = format!("{place} does not accept the name `{name}` in EHLO: {reason}");
        return ConnectError::new(message, Some(HELP_FOR_NAME));
    }
    let certificate = reason.contains("certificate") || reason.contains("UnknownIssuer");
    let help = if certificate && reason.contains("expired") {
        "the server's certificate must be renewed; look at this machine's clock, too"
    } else if certificate && smtp.ca_file.is_some() {
        "the server's certificate is not from the authority in ca_file, or not for this host name"
    } else if certificate {
        "if the server's certificate comes from an authority of your own, name it in ca_file"
    } else {
        "look at host, port and security; `tls` is usually port 465 and `starttls` port 587"
    };
    ConnectError::new(format!("cannot connect to {place}: {reason}"), Some(help))
}

/// What mends a refusal that is the connection's.
pub(super) fn of_refusal(reply: &Reply) -> &'static str {
    if is_about_helo(reply) || reply.code == 504 || (reply.code == 501 && names_hello(reply)) {
        return HELP_FOR_NAME;
    }
    match (reply.code, reply.enhanced()) {
        (_, Some((7, 30))) => {
            "the server takes no passwords any more: a `graph` connection, or `oauth` in its login; see docs/office365.md"
        }
        (_, Some((7, 60) | (2, 252))) => {
            "let the login send as this address (Send As), or set `from` to the login's own address"
        }
        (530 | 535, _) | (_, Some((7, 57 | 8 | 9))) => "set `login`, or look at its username and password",
        (_, Some((4, 5) | (1, 90..=92) | (2, 0 | 2) | (7, 232 | 233))) => {
            "the sender has used up what it may send; it is tried again, and another connection in the list helps"
        }
        (_, Some((7, 64))) => {
            "the server knows neither this machine nor its certificate: it wants a connector or a `login`"
        }
        _ => "look at the mail server, and whether it takes mail from this sender",
    }
}

fn names_hello(reply: &Reply) -> bool {
    reply
        .lines
        .iter()
        .map(|line| line.to_ascii_lowercase())
        .any(|line| line.contains("helo") || line.contains("ehlo"))
}
