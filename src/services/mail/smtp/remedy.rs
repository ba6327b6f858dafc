//! What to do about a connection that does not come about, or that is refused. Pure.

use super::hello::Capabilities;
use super::reply::Reply;
use super::transport::TransportError;
use super::verdict::is_about_helo;
use crate::flow::{Security, SmtpConnection};
use crate::platform::tls::{TlsFault, Trust};
use crate::services::mail::ConnectError;

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// DNS and TCP.
    Network,
    /// STARTTLS.
    StartTls,
    /// TLS.
    Tls,
    /// The server's first words.
    Greeting,
    /// EHLO and HELO.
    Hello,
}

/// Of what is over by itself.
pub(super) const WAITED_OUT: &str =
    "leadflow tries again, and the mails wait; check the mail server if it persists";
const FOR_NAME: &str = "the server does not accept the name that this machine gives in EHLO: set the connection's `helo` to \
                        this machine's full host name, such as helo = \"vm1.contoso.example\"";
const FOR_PORT: &str =
    "check `host`, `port` and `security`: `tls` is usually port 465 and `starttls` port 587";
const FOR_PROTECTION: &str = "the server requires TLS first: write security = \"starttls\" and port = 587";
const FOR_LOGIN: &str =
    "the server requires a login: write login = { username = \"…\", password = { credential = \"…\" } }";
const FOR_PASSWORDS: &str = "the server no longer accepts passwords: use a `graph` connection, or write `oauth` in place of \
                             `password`; see docs/office365.md";

/// Why there is no connection; `name` is what this machine called itself.
pub(super) fn no_connection(
    failure: &TransportError,
    stage: Stage,
    name: &str,
    smtp: &SmtpConnection,
) -> ConnectError {
    let place = smtp.place();
    let (message, help) = match (stage, failure) {
        (Stage::Hello, TransportError::Refused(reply)) if reply.class() == 5 || is_about_helo(reply) => {
            (format!("{place} does not accept the name `{name}` in EHLO: {failure}"), FOR_NAME.to_owned())
        }
        (Stage::StartTls, TransportError::Refused(reply)) => {
            let help = if reply.class() == 4 { WAITED_OUT } else { FOR_PORT };
            (format!("{place} does not start TLS: {failure}"), help.to_owned())
        }
        (_, TransportError::Refused(reply)) => {
            let lasting =
                "the server refuses this machine's address, or accepts no mail at all: ask its administrator";
            let help = if reply.class() == 4 { WAITED_OUT } else { lasting };
            (format!("{place} refuses connections: {failure}"), help.to_owned())
        }
        (_, TransportError::Tls(fault)) => {
            (format!("cannot connect to {place}: {failure}"), help_for_tls(fault, smtp))
        }
        (_, failure) => {
            (format!("cannot connect to {place}: {failure}"), help_for_network(stage, failure, smtp))
        }
    };
    ConnectError::new(message, Some(&help))
}

fn help_for_tls(fault: &TlsFault, smtp: &SmtpConnection) -> String {
    if (fault, smtp.security) == (&TlsFault::NoTls, Security::Tls) {
        return format!("write security = \"starttls\" for port {}; `tls` is usually port 465", smtp.port);
    }
    let trust = smtp.ca_file.as_deref().map_or(Trust::System, Trust::File);
    let starttls = if smtp.security == Security::StartTls { " -starttls smtp" } else { "" };
    let save = format!(
        "openssl s_client -connect {}{starttls} </dev/null | openssl x509 > server.pem",
        smtp.place()
    );
    fault.help(&smtp.host, trust, &save)
}

fn help_for_network(stage: Stage, failure: &TransportError, smtp: &SmtpConnection) -> String {
    match (stage, failure) {
        (_, TransportError::NoSuchHost(_)) => {
            format!(
                "check `host`: this machine finds no address for {0}; `getent hosts {0}` shows what \
                 it finds",
                smtp.host
            )
        }
        (_, TransportError::NoWay(_)) if smtp.port == 25 => {
            format!("{FOR_PORT}; clouds such as Azure block outgoing port 25")
        }
        (Stage::Greeting, TransportError::Timeout(_)) if smtp.security != Security::Tls => {
            "a server that expects TLS from the first byte stays silent: write security = \"tls\" \
             (usually port 465)"
                .to_owned()
        }
        _ => FOR_PORT.to_owned(),
    }
}

/// The server has not judged the login.
pub(super) fn is_passing(failure: &TransportError) -> bool {
    match failure {
        TransportError::Refused(reply) => reply.class() == 4,
        TransportError::Unreadable(_) | TransportError::OutOfTurn(_) => false,
        _ => true,
    }
}

/// A server that offers none of the mechanisms for a password.
pub(super) fn help_for_mechanisms(capabilities: &Capabilities) -> &'static str {
    if capabilities.is_empty() {
        return "clients sign in at port 587 (security = \"starttls\") or 465 (\"tls\"); remove `login` if the server \
                needs none";
    }
    if capabilities.takes_tokens() {
        return "the server accepts tokens, not passwords: write `oauth` in place of `password`, see \
                docs/office365.md";
    }
    "make the server offer PLAIN or LOGIN over TLS, or use another server: leadflow supports no other way to sign in \
     with a password"
}

/// How to fix a refused password, which lies in `source`.
pub(super) fn help_for_login(failure: &TransportError, user: &str, source: &str) -> String {
    if is_passing(failure) {
        return WAITED_OUT.to_owned();
    }
    let general = || format!("check the username, and the password in {source}");
    let TransportError::Refused(reply) = failure else { return general() };
    let code = reply.code;
    let enhanced = reply.enhanced();
    let says = |words: &str| says(reply, words);
    if says("application-specific") || says("app password") || says("app-specific") {
        return format!(
            "the server requires an app password: create one in the account of {user} and put it into \
             {source}"
        );
    }
    if says("smtpclientauthentication is disabled") {
        return turned_off(user);
    }
    match (code, enhanced) {
        (_, Some((7, 30 | 139))) => FOR_PASSWORDS.to_owned(),
        (530 | 538, _) | (_, Some((7, 11))) => FOR_PROTECTION.to_owned(),
        (500..=504, _) => {
            "the server does not let clients sign in on this port: use port 587 (security = \"starttls\") or 465 \
             (\"tls\"); remove `login` if it needs none"
                .to_owned()
        }
        _ => general(),
    }
}

/// How to fix a refused token:
/// <https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/authenticated-client-smtp-submission>.
pub(super) fn help_for_token(refusal: Option<&Reply>, user: &str) -> String {
    let is_turned_off = |reply: &Reply| {
        reply.enhanced() == Some((7, 139)) || says(reply, "smtpclientauthentication is disabled")
    };
    if refusal.is_some_and(is_turned_off) {
        return turned_off(user);
    }
    format!(
        "the application needs the permission SMTP.SendAsApp (Office 365 Exchange Online, with admin consent), a service \
         principal in Exchange (New-ServicePrincipal), and the mailbox: Add-MailboxPermission -Identity {user} -User \
         SERVICE-PRINCIPAL -AccessRights FullAccess; see docs/office365.md"
    )
}

fn turned_off(user: &str) -> String {
    format!(
        "SMTP AUTH is turned off for the mailbox or the tenant: \
         Set-CASMailbox -Identity {user} -SmtpClientAuthenticationDisabled $false"
    )
}

/// How to fix a refusal that is the connection's.
pub(super) fn help_for_refusal(reply: &Reply, has_login: bool) -> &'static str {
    if is_about_helo(reply) || reply.code == 504 || (reply.code == 501 && names_hello(reply)) {
        return FOR_NAME;
    }
    if let Some(help) = help_for_policy(reply, has_login) {
        return help;
    }
    if matches!(reply.code, 523 | 530 | 538) && (says(reply, "tls") || says(reply, "encryption")) {
        return FOR_PROTECTION;
    }
    match (reply.code, reply.enhanced()) {
        (_, Some((7, 30))) => FOR_PASSWORDS,
        (_, Some((7, 60) | (2, 252))) => {
            "give the login permission to send as this address (Send As), or set `from` to the login's \
             own address"
        }
        (530 | 535, _) | (_, Some((7, 57 | 8 | 9))) if has_login => {
            "check the login's username and password, and whether it may send mail"
        }
        (530 | 535, _) | (_, Some((7, 57 | 8 | 9))) => FOR_LOGIN,
        (_, Some((4, 5) | (1, 90..=92) | (2, 0 | 2) | (7, 232 | 233))) => {
            "the sender has reached its sending limit; leadflow tries again, and another connection in \
             the list helps"
        }
        (_, Some((7, 64))) => {
            "the server knows neither this machine nor its certificate: it needs a connector or a `login`"
        }
        (400..=499, _) => WAITED_OUT,
        _ => "check the mail server, and whether it accepts mail from this sender",
    }
}

/// How to fix a refusal that names the policy of the server.
pub(super) fn help_for_policy(reply: &Reply, has_login: bool) -> Option<&'static str> {
    let is_about_relay = says(reply, "relay") || says(reply, "rcpthosts");
    match has_login {
        _ if !is_about_relay => None,
        true => Some(
            "the server does not relay mail of this login to other domains: ask its administrator to \
             permit it",
        ),
        false => Some(
            "the server relays mail only after sign-in: write login = { username = \"…\", password = { credential = \
             \"…\" } }, or ask its administrator to allow this machine's address",
        ),
    }
}

fn names_hello(reply: &Reply) -> bool {
    says(reply, "helo") || says(reply, "ehlo")
}

/// Whether the words are in it, in any letter case.
fn says(reply: &Reply, words: &str) -> bool {
    reply.lines.iter().any(|line| line.to_ascii_lowercase().contains(words))
}
