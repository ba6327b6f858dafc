//! AUTH: by a password, or by a token of Entra ID (XOAUTH2).
//!
//! What a server asks in its challenges is not looked at: LOGIN wants the name and then the password,
//! in whatever words, and PLAIN wants its one answer, also from a server that asks for it again. The form of XOAUTH2
//! and of its refusal:
//! <https://learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth>
//! and <https://developers.google.com/gmail/imap/xoauth2-protocol>.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lettre::transport::smtp::authentication::Mechanism;

use super::hello::Offers;
use super::reply::{Reply, cleaned};
use super::wire::{Broken, Wire, within};
use super::{ConnectError, FOR_A_COMMAND};
use crate::foreign;

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

/// `place` is the server, `source` says where the password lies.
pub(super) async fn by_password(
    wire: &mut Wire,
    offers: &Offers,
    credentials: Credentials<'_>,
    (place, source): (&str, &str),
) -> Result<(), ConnectError> {
    let mut refusal = None;
    for way in [Mechanism::Plain, Mechanism::Login].into_iter().filter(|way| offers.has(*way)) {
        let signed_in = match way {
            Mechanism::Plain => plain(wire, credentials.plain()).await,
            _ => login(wire, credentials).await,
        };
        let Err(broken) = signed_in else { return Ok(()) };
        // The server has not looked at the password.
        let is_of_mechanism = matches!(&broken, Broken::Refused(reply) if (500..=504).contains(&reply.code));
        refusal = Some(broken);
        if !is_of_mechanism {
            break;
        }
    }
    let Some(broken) = refusal else {
        let help = "leave `login` out where the server wants none, or look at port and security: many offer it by TLS alone";
        let message = format!(
            "{place} offers no login that leadflow knows (PLAIN or LOGIN); it offers {}",
            cleaned(&offers.logins())
        );
        return Err(ConnectError::new(message, Some(help)));
    };
    let (user, help) = (credentials.user, format!("look at the username and at the password in {source}"));
    Err(ConnectError::new(format!("{place} does not accept the login `{user}`: {broken}"), Some(&help)))
}

async fn plain(wire: &mut Wire, answer: String) -> Result<(), Broken> {
    dialogue(wire, format!("AUTH PLAIN {answer}"), &[answer]).await
}

async fn login(wire: &mut Wire, credentials: Credentials<'_>) -> Result<(), Broken> {
    let answers = [credentials.user, credentials.secret].map(|answer| BASE64_STANDARD.encode(answer));
    dialogue(wire, "AUTH LOGIN".to_owned(), &answers).await
}

/// Answers one challenge after the other.
async fn dialogue(wire: &mut Wire, begin: String, answers: &[String]) -> Result<(), Broken> {
    let mut line = begin;
    for answer in answers {
        let reply = within(FOR_A_COMMAND, wire.say(format!("{line}\r\n"))).await?;
        match reply.class() {
            2 => return Ok(()),
            3 => line.clone_from(answer),
            _ => return Err(Broken::Refused(reply)),
        }
    }
    within(FOR_A_COMMAND, wire.ask(format!("{line}\r\n"), 2)).await.map(drop)
}

pub(super) async fn by_token(
    wire: &mut Wire,
    credentials: Credentials<'_>,
    place: &str,
) -> Result<(), ConnectError> {
    let user = credentials.user;
    let command = format!("AUTH XOAUTH2 {}\r\n", credentials.xoauth2());
    let refusal = match within(FOR_A_COMMAND, wire.say(command)).await {
        Ok(reply) if reply.class() == 2 => return Ok(()),
        Ok(reply) if reply.class() == 3 => {
            // A challenge that says what is wrong; the server ends it after an empty answer.
            let end = match within(FOR_A_COMMAND, wire.ask("\r\n", 2)).await {
                Ok(reply) => reply.code.to_string(),
                Err(broken) => broken.to_string(),
            };
            format!("{end} {}", said_in(&reply))
        }
        Ok(reply) => reply.words(),
        Err(broken) => return Err(ConnectError::new(format!("{place}: {broken}"), None)),
    };
    let help = mending(&refusal, user);
    let refusal = cleaned(&refusal);
    Err(ConnectError::new(format!("{place} does not accept the token for `{user}`: {refusal}"), Some(&help)))
}

/// `{"status":"400","schemes":"Bearer","scope":"…"}` in base64.
fn said_in(challenge: &Reply) -> String {
    let encoded = challenge.lines.concat();
    let decoded = BASE64_STANDARD.decode(encoded.trim()).unwrap_or_default();
    format!("(challenge: {})", String::from_utf8_lossy(&decoded))
}

/// What mends a refusal: <https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/authenticated-client-smtp-submission>.
fn mending(refusal: &str, user: &str) -> String {
    if refusal.contains("5.7.139") || refusal.contains("SmtpClientAuthentication is disabled") {
        return format!(
            "SMTP AUTH is turned off for the mailbox or the tenant: \
             Set-CASMailbox -Identity {user} -SmtpClientAuthenticationDisabled $false"
        );
    }
    format!(
        "the application needs the permission SMTP.SendAsApp (Office 365 Exchange Online, with admin consent), a service \
         principal in Exchange (New-ServicePrincipal), and the mailbox: Add-MailboxPermission -Identity {user} -User \
         SERVICE-PRINCIPAL -AccessRights FullAccess; see docs/office365.md"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_read_and_a_refusal_has_its_remedy() {
        let challenge = BASE64_STANDARD.encode(r#"{"status":"400","schemes":"Bearer"}"#);
        let said = said_in(&Reply { code: 334, lines: vec![challenge] });
        assert_eq!(said, r#"(challenge: {"status":"400","schemes":"Bearer"})"#);
        assert!(
            mending("535 5.7.139 Authentication unsuccessful", "a@b.example")
                .contains("Set-CASMailbox -Identity a@b")
        );
        assert!(mending("535 5.7.3 Authentication unsuccessful", "a@b.example").contains("SMTP.SendAsApp"));
    }
}
