//! AUTH: by a password, or by a token of Entra ID (XOAUTH2).
//!
//! What a server asks in its challenges is not read: LOGIN wants the name and then the password,
//! in whatever words, and PLAIN wants its one answer, also from a server that asks for it again. The form of XOAUTH2
//! and of its refusal:
//! <https://learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth>
//! and <https://developers.google.com/gmail/imap/xoauth2-protocol>.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lettre::transport::smtp::authentication::Mechanism;

use super::hello::Capabilities;
use super::remedy;
use super::reply::{Reply, cleaned};
use super::transport::{SmtpTransport, TransportError, within};
use super::{ConnectError, FOR_A_COMMAND};
use crate::flow::SmtpConnection;
use crate::text::foreign;

/// Who signs in, and what proves it: a password or a token.
#[derive(Clone, Copy)]
pub(super) struct Credentials<'a> {
    pub(super) user: &'a str,
    pub(super) secret: &'a str,
}

impl Credentials<'_> {
    /// No server repeats them from then on. A short password is known by AUTH PLAIN alone.
    pub(super) fn know(&self) {
        foreign::know_whole(&self.plain(), foreign::Kind::Token);
    }

    fn plain(&self) -> String {
        BASE64_STANDARD.encode(format!("\0{}\0{}", self.user, self.secret))
    }

    fn xoauth2(&self) -> String {
        BASE64_STANDARD.encode(format!("user={}\u{1}auth=Bearer {}\u{1}\u{1}", self.user, self.secret))
    }
}

/// Who signs in, and where.
#[derive(Clone, Copy)]
pub(super) struct SignIn<'a> {
    pub(super) smtp: &'a SmtpConnection,
    pub(super) capabilities: &'a Capabilities,
    pub(super) credentials: Credentials<'a>,
}

/// `source` says where the password lies.
pub(super) async fn by_password(
    transport: &mut SmtpTransport,
    sign_in: SignIn<'_>,
    source: &str,
) -> Result<(), ConnectError> {
    let SignIn { smtp, capabilities, credentials } = sign_in;
    let mut refusal = None;
    for way in [Mechanism::Plain, Mechanism::Login].into_iter().filter(|way| capabilities.has(*way)) {
        let signed_in = match way {
            Mechanism::Plain => plain(transport, credentials.plain()).await,
            _ => login(transport, credentials).await,
        };
        let Err(failure) = signed_in else { return Ok(()) };
        // The server has not checked the password.
        let is_of_mechanism =
            matches!(&failure, TransportError::Refused(reply) if (500..=504).contains(&reply.code));
        refusal = Some(failure);
        if !is_of_mechanism {
            break;
        }
    }
    let place = smtp.place();
    let user = credentials.user;
    let Some(failure) = refusal else {
        let message = format!(
            "{place} offers no password login that leadflow supports (PLAIN or LOGIN); it offers {}",
            cleaned(&capabilities.logins())
        );
        return Err(ConnectError::new(message, Some(remedy::help_for_mechanisms(capabilities))));
    };
    let help = remedy::help_for_login(&failure, user, source);
    let verb = if remedy::is_passing(&failure) { "cannot check" } else { "does not accept" };
    Err(ConnectError::new(format!("{place} {verb} the login `{user}`: {failure}"), Some(&help)))
}

async fn plain(transport: &mut SmtpTransport, answer: String) -> Result<(), TransportError> {
    dialogue(transport, format!("AUTH PLAIN {answer}"), &[answer]).await
}

async fn login(transport: &mut SmtpTransport, credentials: Credentials<'_>) -> Result<(), TransportError> {
    let answers = [credentials.user, credentials.secret].map(|answer| BASE64_STANDARD.encode(answer));
    dialogue(transport, "AUTH LOGIN".to_owned(), &answers).await
}

/// Answers one challenge after the other.
async fn dialogue(
    transport: &mut SmtpTransport,
    begin: String,
    answers: &[String],
) -> Result<(), TransportError> {
    let mut line = begin;
    for answer in answers {
        let reply = within(FOR_A_COMMAND, transport.say(format!("{line}\r\n"))).await?;
        match reply.class() {
            2 => return Ok(()),
            3 => line.clone_from(answer),
            _ => return Err(TransportError::Refused(reply)),
        }
    }
    within(FOR_A_COMMAND, transport.ask(format!("{line}\r\n"), 2)).await.map(drop)
}

pub(super) async fn by_token(transport: &mut SmtpTransport, sign_in: SignIn<'_>) -> Result<(), ConnectError> {
    let SignIn { smtp, capabilities, credentials } = sign_in;
    let place = smtp.place();
    let user = credentials.user;
    let command = format!("AUTH XOAUTH2 {}\r\n", credentials.xoauth2());
    let (refusal, last) = match within(FOR_A_COMMAND, transport.say(command)).await {
        Ok(reply) if reply.class() == 2 => return Ok(()),
        Ok(reply) if reply.class() == 3 => {
            // A challenge that says what is wrong; the server ends it after an empty answer.
            let (end, last) = match within(FOR_A_COMMAND, transport.ask("\r\n", 2)).await {
                Ok(last) => (last.code.to_string(), Some(last)),
                Err(TransportError::Refused(last)) => {
                    (TransportError::Refused(last.clone()).to_string(), Some(last))
                }
                Err(failure) => (failure.to_string(), None),
            };
            (format!("{end} {}", said_in(&reply)), last)
        }
        Ok(reply) if reply.class() == 4 => {
            let message = format!("{place} cannot check the token for `{user}`: {reply}");
            return Err(ConnectError::new(message, Some(remedy::WAITED_OUT)));
        }
        Ok(reply) if (500..=504).contains(&reply.code) && !capabilities.has(Mechanism::Xoauth2) => {
            let message = format!(
                "{place} does not accept tokens (XOAUTH2): {reply}; it offers {}",
                cleaned(&capabilities.logins())
            );
            let help =
                "write `password` in place of `oauth`, or check host: Office 365 is smtp.office365.com";
            return Err(ConnectError::new(message, Some(help)));
        }
        Ok(reply) => (reply.to_string(), Some(reply)),
        Err(failure) => {
            let message = format!("{place} does not answer the login `{user}`: {failure}");
            return Err(ConnectError::new(message, Some(remedy::WAITED_OUT)));
        }
    };
    let help = remedy::help_for_token(last.as_ref(), user);
    let refusal = cleaned(&refusal);
    Err(ConnectError::new(format!("{place} does not accept the token for `{user}`: {refusal}"), Some(&help)))
}

/// `{"status":"400","schemes":"Bearer","scope":"…"}` in base64.
fn said_in(challenge: &Reply) -> String {
    let encoded = challenge.lines.concat();
    let decoded = BASE64_STANDARD.decode(encoded.trim()).unwrap_or_default();
    format!("(challenge: {})", String::from_utf8_lossy(&decoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_read_and_a_refusal_has_its_remedy() {
        let challenge = BASE64_STANDARD.encode(r#"{"status":"400","schemes":"Bearer"}"#);
        let said = said_in(&Reply { code: 334, lines: vec![challenge] });
        assert_eq!(said, r#"(challenge: {"status":"400","schemes":"Bearer"})"#);
        for (line, help) in [
            ("5.7.139 Authentication unsuccessful", "Set-CASMailbox -Identity a@b"),
            (
                "5.7.3 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant",
                "Set-CASMailbox -Identity a@b",
            ),
            ("5.7.3 Authentication unsuccessful", "SMTP.SendAsApp"),
        ] {
            let refusal = Reply { code: 535, lines: vec![line.to_owned()] };
            assert!(remedy::help_for_token(Some(&refusal), "a@b.example").contains(help), "{line}");
        }
        assert!(remedy::help_for_token(None, "a@b.example").contains("SMTP.SendAsApp"));
    }
}
