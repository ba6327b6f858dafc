//! AUTH: by a password, or by a token of Entra ID (XOAUTH2), which is driven command by command.
//!
//! lettre takes the 334 challenge that refuses a token for a fault of the mechanism, and loses what
//! it says. The form of XOAUTH2 and of its refusal:
//! <https://learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth>
//! and <https://developers.google.com/gmail/imap/xoauth2-protocol>.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use secrecy::ExposeSecret as _;

use super::{Broken, ConnectError, FOR_A_COMMAND, cleaned, within};
use crate::entra::Token;
use crate::secret::{self, SecretSource};

pub(super) async fn by_password(
    connection: &mut AsyncSmtpConnection,
    user: &str,
    source: &SecretSource,
    place: &str,
) -> Result<(), ConnectError> {
    let password = source.read().map_err(|error| {
        ConnectError::new(format!("the password for {place} cannot be read: {error}"), None)
    })?;
    let credentials = Credentials::new(user.to_owned(), password.expose_secret().to_owned());
    let signing_in = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials);
    within(FOR_A_COMMAND, signing_in).await.map(drop).map_err(|broken| {
        let help = format!("look at the username and at the password in {}", source.place());
        ConnectError::new(format!("{place} does not accept the login `{user}`: {broken}"), Some(&help))
    })
}

pub(super) async fn by_token(
    connection: &mut AsyncSmtpConnection,
    user: &str,
    token: &Token,
    place: &str,
) -> Result<(), ConnectError> {
    let token = token.secret.expose_secret();
    let answer = BASE64_STANDARD.encode(format!("user={user}\u{1}auth=Bearer {token}\u{1}\u{1}"));
    let command = format!("AUTH XOAUTH2 {answer}\r\n");
    let refusal = match within(FOR_A_COMMAND, connection.command(command)).await {
        Ok(response) if response.code().to_string().starts_with('2') => return Ok(()),
        Ok(response) => {
            // A challenge that says what is wrong; the server ends it after an empty answer.
            let challenge = said_in(response.message().next().unwrap_or_default());
            let end = match within(FOR_A_COMMAND, connection.command("\r\n")).await {
                Ok(response) => format!("{}", response.code()),
                Err(broken) => broken.to_string(),
            };
            format!("{end} {challenge}")
        }
        Err(broken @ Broken::Timeout(_)) => {
            return Err(ConnectError::new(format!("{place}: {broken}"), None));
        }
        Err(broken) => broken.to_string(),
    };
    // Whatever the server repeats.
    let refusal = secret::without(&secret::without(&refusal, token), &answer);
    let help = mending(&refusal, user);
    Err(ConnectError::new(
        format!("{place} does not accept the token for `{user}`: {}", cleaned(&refusal)),
        Some(&help),
    ))
}

/// `{"status":"400","schemes":"Bearer","scope":"…"}` in base64.
fn said_in(challenge: &str) -> String {
    let decoded = BASE64_STANDARD.decode(challenge.trim()).unwrap_or_default();
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
        assert_eq!(said_in(&challenge), r#"(challenge: {"status":"400","schemes":"Bearer"})"#);
        assert!(
            mending("535 5.7.139 Authentication unsuccessful", "a@b.example")
                .contains("Set-CASMailbox -Identity a@b")
        );
        assert!(mending("535 5.7.3 Authentication unsuccessful", "a@b.example").contains("SMTP.SendAsApp"));
    }
}
