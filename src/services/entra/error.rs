//! Why there is no token, in words a person can act on.
//!
//! Codes: <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>; the metadata
//! service: <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#error-handling>.

use std::time::Duration;

use serde_json::Value;

use super::transport::Exchange;
use crate::flow::{Audience, Entra, Identity};
use crate::platform::tls::Trust;
use crate::text::advice::Advice;
use crate::text::foreign;

/// Why a sign-in failed. No secret or token is ever in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{advice}")]
pub(crate) struct EntraError {
    /// What happened, and a page of the portal or a command that fixes it.
    pub(crate) advice: Advice,
    /// Another try may go well.
    pub(crate) is_passing: bool,
    /// Entra ID asked to wait that long.
    pub(crate) retry_after: Option<Duration>,
}

/// Characters of Entra ID's own message that are shown.
const SHOWN: usize = 240;

impl EntraError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { advice: Advice::new(message), is_passing: false, retry_after: None }
    }

    #[must_use]
    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { advice: self.advice.with_help(help), ..self }
    }
}

/// What the last exchange of a sign-in means; `said` is the library's word where there was none.
pub(super) fn explained(
    entra: &Entra,
    exchange: Option<Exchange>,
    audience: Audience,
    said: &str,
) -> EntraError {
    let who = entra.who();
    match (exchange, &entra.identity) {
        (Some(Exchange::NoAnswer(why)), Identity::Managed { .. }) => {
            let error = EntraError::new(format!(
                "the metadata service of this machine returned no token: {}",
                why.reason
            ));
            let help = "a managed identity only works on an Azure virtual machine (where 169.254.169.254 must not be \
             blocked); elsewhere write entra = { tenant_id = \"…\", client_id = \"…\", client_secret = { … } }";
            EntraError { is_passing: true, ..error.help(help) }
        }
        (Some(Exchange::NoAnswer(why)), Identity::Application { .. }) => {
            let error = EntraError::new(format!("cannot reach Entra ID to sign in {who}: {}", why.reason));
            let help = why.help(entra.cloud.sign_in_host(), Trust::SystemAlone);
            let general = || "check the network, the firewall, and HTTPS_PROXY".to_owned();
            EntraError { is_passing: true, ..error.help(help.unwrap_or_else(general)) }
        }
        (Some(Exchange::Refused { status, retry_after, body }), identity) => {
            let (code, words) = code_and_words(&body);
            let is_passing = matches!(status, 404 | 408 | 410 | 429 | 500..=599);
            let error = match identity {
                Identity::Managed { client_id } => managed(client_id.as_deref(), status, &words),
                Identity::Application { tenant_id, client_id, secret } => {
                    application(tenant_id, client_id, &secret.place(), status, code, &words, audience)
                }
            };
            EntraError { is_passing, retry_after, ..error }
        }
        (None, _) => EntraError::new(format!("{who} got no token: {}", cleaned(said))),
    }
}
fn managed(client_id: Option<&str>, status: u16, words: &str) -> EntraError {
    match (status, client_id) {
        (400, None) => EntraError::new(format!("this machine has no managed identity of its own: \
                                                {words}")).help(
            "portal: the virtual machine → Security → Identity → System assigned → On; or \
             az vm identity assign --resource-group GROUP --name MACHINE; or name a user-assigned one by its client_id",
        ),
        (400, Some(id)) => EntraError::new(format!("the managed identity {id} is not assigned to this machine: \
                                                    {words}"))
            .help(
                "portal: the virtual machine → Security → Identity → User assigned → Add; or \
                 az vm identity assign --resource-group GROUP --name MACHINE --identities IDENTITY; client_id is the \
                 identity's Client ID, not its Object ID",
            ),
        _ => EntraError::new(format!("the metadata service of this machine answered {status}: {words}"))
            .help("leadflow tries again; if it persists, check the machine's health in the portal"),
    }
}

fn application(
    tenant: &str,
    client: &str,
    place: &str,
    status: u16,
    code: Option<u64>,
    words: &str,
    audience: Audience,
) -> EntraError {
    let new_secret = format!(
        "make a new one and put its value into {place}: entra.microsoft.com → App registrations → {client} → \
         Certificates & secrets; or az ad app credential reset --id {client} --append"
    );
    let (what, help) = match code {
        Some(7_000_215) => (
            format!("Entra ID does not accept the client secret of {client} (AADSTS7000215)"),
            format!("use the secret's Value, not its Secret ID; {new_secret}"),
        ),
        Some(7_000_222) => (format!("the client secret of {client} has expired (AADSTS7000222)"), new_secret),
        Some(700_016) => (
            format!("there is no application {client} in the tenant {tenant} (AADSTS700016)"),
            "check `client_id` and `tenant_id`: entra.microsoft.com → App registrations → the application → \
             Overview".to_owned(),
        ),
        Some(90_002 | 900_021 | 900_023) => (
            format!("there is no tenant {tenant} (AADSTS{})", code.unwrap_or_default()),
            "check `tenant_id` (entra.microsoft.com → Overview → Tenant ID), and `cloud` if the tenant is not in the \
             public cloud".to_owned(),
        ),
        Some(7_000_112) => (
            format!("the application {client} is turned off (AADSTS7000112)"),
            "entra.microsoft.com → Enterprise applications → the application → Properties → Enabled for users to \
             sign-in".to_owned(),
        ),
        Some(65_001 | 501_051 | 650_051 | 650_052 | 650_056 | 650_057) => (
            format!("the application {client} has no consent for {} (AADSTS{}): {words}", audience.name(), code.unwrap_or_default()),
            consent(client, audience),
        ),
        Some(500_011) => (
            format!("the tenant {tenant} has no {} (AADSTS500011): {words}", audience.name()),
            "check `tenant_id`, which must be the tenant of the mailboxes or of the storage account, and \
             `cloud`".to_owned(),
        ),
        Some(53_003 | 530_004) => (
            format!("a conditional access policy blocks {client}: {words}"),
            "entra.microsoft.com → Conditional Access → Policies: check those for workload identities".to_owned(),
        ),
        _ => (
            format!("Entra ID returned no token for {client} ({status}): {words}"),
            "check `tenant_id`, `client_id` and `client_secret`; details: entra.microsoft.com → Enterprise applications → \
             the application → Sign-in logs → Service principal sign-ins"
                .to_owned(),
        ),
    };
    EntraError::new(what).help(help)
}

/// How an administrator consents.
pub(super) fn consent(client: &str, audience: Audience) -> String {
    let permission = match audience {
        Audience::Storage => {
            return "give the application a role on the storage account, see docs/entra.md".to_owned();
        }
        Audience::Postgres => {
            return "make the application a role of the database, see docs/high-availability.md".to_owned();
        }
        Audience::Graph => "the role Application Mail.Send for the mailbox, see docs/office365.md",
        Audience::Smtp => "Office 365 Exchange Online → Application permissions → SMTP.SendAsApp",
    };
    format!(
        "it needs {permission}; an administrator consents: entra.microsoft.com → App registrations → {client} → \
         API permissions → Grant admin consent; or az ad app permission admin-consent --id {client}"
    )
}

/// The AADSTS number, and the first sentence.
fn code_and_words(body: &[u8]) -> (Option<u64>, String) {
    let text = String::from_utf8_lossy(body);
    let json: Value = serde_json::from_str(&text).unwrap_or_default();
    let words = json["error_description"].as_str().or(json["error"].as_str());
    let of_text = || {
        let (_, rest) = text.split_once("AADSTS")?;
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
    };
    let code = json["error_codes"][0].as_u64().or_else(of_text);
    (code, cleaned(words.unwrap_or("it said nothing")))
}

/// One line without Microsoft's trace numbers.
fn cleaned(words: &str) -> String {
    let said = words.split("Trace ID").next().unwrap_or_default().trim_start();
    foreign::line(said.lines().next().unwrap_or_default(), SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Cloud, SecretSource};

    fn refused(identity: Identity, status: u16, body: &str) -> EntraError {
        let exchange = Exchange::Refused { status, retry_after: None, body: body.to_owned().into() };
        foreign::know_text("canary-of-this-test", foreign::Kind::Kept);
        explained(&Entra::new(identity, Cloud::Public), Some(exchange), Audience::Smtp, "")
    }

    #[test]
    fn each_refusal_says_how_to_fix_it() {
        let app = || Identity::Application {
            tenant_id: "t".to_owned(),
            client_id: "c".to_owned(),
            secret: SecretSource::Credential("graph-secret".to_owned()),
        };
        for (code, message, help) in [
            (7_000_215, "does not accept the client secret of c", "the systemd credential graph-secret"),
            (7_000_222, "has expired", "az ad app credential reset --id c --append"),
            (700_016, "no application c in the tenant t", "check `client_id`"),
            (90_002, "no tenant t", "Tenant ID"),
            (65_001, "no consent for Office 365 Exchange Online", "SMTP.SendAsApp"),
            (1, "returned no token for c (401): AADSTS1: Words of ….", "Sign-in logs"),
        ] {
            let body = format!(
                r#"{{"error":"invalid_client","error_description":"AADSTS{code}: Words of canary-of-this-test. Trace ID: 1 Correlation ID: 2","error_codes":[{code}]}}"#
            );
            let error = refused(app(), 401, &body);
            assert!(error.advice.message.contains(message), "{error}");
            assert!(error.advice.help.as_deref().unwrap().contains(help), "{error:?}");
            assert!(!error.is_passing && !format!("{error:?}").contains("canary"));
        }
        let none = r#"{"error":"invalid_request","error_description":"Identity not found"}"#;
        let error = refused(Identity::Managed { client_id: None }, 400, none);
        assert_eq!(error.to_string(), "this machine has no managed identity of its own: Identity not found");
        assert!(refused(Identity::Managed { client_id: None }, 429, "").is_passing);
    }
}
