//! From nothing to a session that has signed in: TCP, TLS, the greeting, EHLO and AUTH.

use std::time::Duration;

use lettre::transport::smtp::commands::Starttls;
use secrecy::ExposeSecret as _;

use super::hello::{self, Offers};
use super::remedy::{self, Stage};
use super::sign_in::{self, By, Credentials};
use super::tls::Tls;
use super::wire::{Wire, within};
use crate::flow::{Audience, Proof, Security, SmtpConnection};
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
pub(super) async fn signed_in(smtp: &SmtpConnection, tokens: Option<Tokens>) -> Result<Wire, ConnectError> {
    let place = smtp.place();
    match smtp.login.as_ref().map(|login| (&login.username, &login.proof)) {
        None => Ok(connect(smtp, &place, None).await?.0),
        Some((user, Proof::Password(source))) => {
            let password = secrets::read_aside(source).await.map_err(|error| {
                ConnectError::new(format!("the password for {place} cannot be read: {error}"), None)
            })?;
            let credentials = Credentials { user, secret: password.expose_secret() };
            let (mut wire, offers) = connect(smtp, &place, Some(credentials)).await?;
            let by = By { smtp, offers: &offers, credentials };
            sign_in::by_password(&mut wire, by, &source.place()).await?;
            Ok(wire)
        }
        Some((user, Proof::OAuth(entra))) => {
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
) -> Result<Wire, ConnectError> {
    let credentials = Credentials { user, secret: token.secret.expose_secret() };
    let (mut wire, offers) = connect(smtp, place, Some(credentials)).await?;
    sign_in::by_token(&mut wire, By { smtp, offers: &offers, credentials }).await?;
    Ok(wire)
}

/// Reads files.
async fn tls_of(smtp: &SmtpConnection) -> Result<Tls, ConnectError> {
    let connection = smtp.clone();
    let read = blocking(move || Tls::of(&connection)).await;
    read.map_err(|_| ConnectError::new("the certificates were not read".to_owned(), None))?
}

/// Connects and protects the connection.
async fn connect(
    smtp: &SmtpConnection,
    place: &str,
    credentials: Option<Credentials<'_>>,
) -> Result<(Wire, Offers), ConnectError> {
    if let Some(credentials) = credentials {
        credentials.know();
    }
    let tls = if smtp.security == Security::None { None } else { Some(tls_of(smtp).await?) };
    let mut stage = Stage::Network;
    let mut name = String::new();
    let begin = async {
        let stream = Wire::connect(&smtp.host, smtp.port, TO_CONNECT).await?;
        name = hello::name(smtp.helo.as_deref(), stream.local_addr().ok().map(|at| at.ip()));
        let mut wire = Wire::new(Box::new(stream));
        if let (Security::Tls, Some(tls)) = (smtp.security, &tls) {
            stage = Stage::Tls;
            wire = wire.protect(tls).await?;
        }
        stage = Stage::Greeting;
        wire.hear(2).await?;
        stage = Stage::Hello;
        let offers = hello::hello(&mut wire, &name).await?;
        Ok((wire, offers))
    };
    let greeted = within(TO_CONNECT, begin).await;
    let (mut wire, offers) = greeted.map_err(|broken| remedy::no_connection(&broken, stage, &name, smtp))?;
    let (Security::StartTls, Some(tls)) = (smtp.security, &tls) else { return Ok((wire, offers)) };
    if !offers.starttls {
        let help = "write security = \"tls\" and port = 465, or port = 587; unencrypted mail is allowed on this \
         machine only";
        return Err(ConnectError::new(format!("{place} offers no STARTTLS"), Some(help)));
    }
    let protect = async {
        stage = Stage::StartTls;
        wire.ask(Starttls, 2).await?;
        stage = Stage::Tls;
        // What was offered before may have been said by anybody, and does not count.
        let mut wire = wire.protect(tls).await?;
        stage = Stage::Hello;
        let offers = hello::hello(&mut wire, &name).await?;
        Ok((wire, offers))
    };
    let protected = within(TO_CONNECT, protect).await;
    protected.map_err(|broken| remedy::no_connection(&broken, stage, &name, smtp))
}
