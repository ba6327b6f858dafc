//! From nothing to a session that has signed in: TCP, TLS, the greeting, EHLO and AUTH.

use std::time::Duration;

use lettre::transport::smtp::commands::Starttls;
use secrecy::ExposeSecret as _;

use super::hello::{self, Capabilities};
use super::remedy::{self, Stage};
use super::sign_in::{self, Credentials, SignIn};
use super::tls::Tls;
use super::transport::{SmtpTransport, within};
use crate::flow::{Audience, Security, SmtpConnection, SmtpCredential};
use crate::platform::blocking::blocking;
use crate::platform::secrets;
use crate::services::entra::{Token, Tokens};
use crate::services::mail::ConnectError;

/// For DNS, TCP, TLS and the greeting together.
const TO_CONNECT: Duration = Duration::from_mins(1);

/// Connects, protects the connection and signs in.
///
/// # Errors
/// Each with the step that failed and what to do.
pub(super) async fn signed_in(
    smtp: &SmtpConnection,
    tokens: Option<Tokens>,
) -> Result<SmtpTransport, ConnectError> {
    let place = smtp.place();
    match smtp.login.as_ref().map(|login| (&login.username, &login.credential)) {
        None => Ok(connect(smtp, &place, None).await?.0),
        Some((user, SmtpCredential::Password(source))) => {
            let password = secrets::read_aside(source).await.map_err(|error| {
                ConnectError::new(format!("the password for {place} cannot be read: {error}"), None)
            })?;
            let credentials = Credentials { user, secret: password.expose_secret() };
            let (mut transport, capabilities) = connect(smtp, &place, Some(credentials)).await?;
            let sign_in = SignIn { smtp, capabilities: &capabilities, credentials };
            sign_in::by_password(&mut transport, sign_in, &source.place()).await?;
            Ok(transport)
        }
        Some((user, SmtpCredential::OAuth(entra))) => {
            let tokens = tokens.unwrap_or_else(|| Tokens::new(entra.clone()));
            let token = tokens.token(Audience::Smtp).await?;
            let signed_in = by_token(smtp, &place, user, &token).await;
            // A token at hand may have been revoked; another connection for another one.
            if signed_in.is_err() && tokens.put_away(&token).await {
                by_token(smtp, &place, user, &tokens.token(Audience::Smtp).await?).await
            } else {
                signed_in
            }
        }
    }
}

async fn by_token(
    smtp: &SmtpConnection,
    place: &str,
    user: &str,
    token: &Token,
) -> Result<SmtpTransport, ConnectError> {
    let credentials = Credentials { user, secret: token.secret.expose_secret() };
    let (mut transport, capabilities) = connect(smtp, place, Some(credentials)).await?;
    sign_in::by_token(&mut transport, SignIn { smtp, capabilities: &capabilities, credentials }).await?;
    Ok(transport)
}

/// Reads files.
async fn tls_of(smtp: &SmtpConnection) -> Result<Tls, ConnectError> {
    let connection = smtp.clone();
    let read = blocking(move || Tls::new(&connection)).await;
    read.map_err(|_| ConnectError::new("the certificates were not read".to_owned(), None))?
}

/// Connects and protects the connection.
async fn connect(
    smtp: &SmtpConnection,
    place: &str,
    credentials: Option<Credentials<'_>>,
) -> Result<(SmtpTransport, Capabilities), ConnectError> {
    if let Some(credentials) = credentials {
        credentials.know();
    }
    let tls = if smtp.security == Security::None { None } else { Some(tls_of(smtp).await?) };
    let mut stage = Stage::Network;
    let mut name = String::new();
    let begin = async {
        let stream = SmtpTransport::connect(&smtp.host, smtp.port, TO_CONNECT).await?;
        name = hello::name(smtp.helo.as_deref(), stream.local_addr().ok().map(|at| at.ip()));
        let mut transport = SmtpTransport::new(Box::new(stream));
        if let (Security::Tls, Some(tls)) = (smtp.security, &tls) {
            stage = Stage::Tls;
            transport = transport.protect(tls).await?;
        }
        stage = Stage::Greeting;
        transport.hear(2).await?;
        stage = Stage::Hello;
        let capabilities = hello::hello(&mut transport, &name).await?;
        Ok((transport, capabilities))
    };
    let greeted = within(TO_CONNECT, begin).await;
    let (mut transport, capabilities) =
        greeted.map_err(|failure| remedy::no_connection(&failure, stage, &name, smtp))?;
    let (Security::StartTls, Some(tls)) = (smtp.security, &tls) else { return Ok((transport, capabilities)) };
    if !capabilities.starttls {
        let help = "write security = \"tls\" and port = 465, or port = 587; unencrypted mail is allowed on this \
                    machine only";
        return Err(ConnectError::new(format!("{place} offers no STARTTLS"), Some(help)));
    }
    let protect = async {
        stage = Stage::StartTls;
        transport.ask(Starttls, 2).await?;
        stage = Stage::Tls;
        // What was offered before may have been said by anybody, and does not count.
        let mut transport = transport.protect(tls).await?;
        stage = Stage::Hello;
        let capabilities = hello::hello(&mut transport, &name).await?;
        Ok((transport, capabilities))
    };
    let protected = within(TO_CONNECT, protect).await;
    protected.map_err(|failure| remedy::no_connection(&failure, stage, &name, smtp))
}
