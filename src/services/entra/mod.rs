//! Signing in with Microsoft Entra ID: tokens as a managed identity, or as an application with a
//! secret. The sign-in itself is `azure_identity`'s, on our own HTTP client.

mod error;
mod transport;

use std::sync::Arc;
use std::time::{Duration, Instant};

use azure_core_1::cloud::CloudConfiguration;
use azure_core_1::credentials::{AccessToken, Secret, TokenCredential};
use azure_core_1::http::{ClientOptions, RetryOptions, Transport};
use azure_identity::{
    ClientSecretCredential, ClientSecretCredentialOptions, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions, UserAssignedId,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;

use crate::flow::{Audience, Cloud, Entra, Identity};
use crate::platform::clock::Clock;
use crate::platform::secrets;
use crate::text::foreign;
use transport::RecordingTransport;

pub(crate) use error::EntraError;

/// The tokens of one connection. Clones share the one that is cached.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    entra: Entra,
    cached: Arc<Mutex<Option<CachedToken>>>,
}

/// An access token.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    /// The token; it goes into one header or command and nowhere else.
    pub(crate) secret: SecretString,
    /// It was fetched just now, so that another one would be no better.
    pub(crate) is_fresh: bool,
}

#[derive(Debug)]
struct CachedToken {
    audience: Audience,
    secret: SecretString,
    until: Instant,
}

/// A token is replaced this long before it expires.
const BEFORE_EXPIRY: Duration = Duration::from_mins(5);
/// For a sign-in with the library's own tries; the metadata service may be away for 70 s.
const IN_ALL: Duration = Duration::from_secs(90);

impl Tokens {
    /// Those of a sign-in; none is fetched yet.
    pub(crate) fn new(entra: Entra) -> Self {
        Self { entra, cached: Arc::default() }
    }

    /// Who signs in.
    pub(crate) fn entra(&self) -> &Entra {
        &self.entra
    }

    /// Whether what one fetches the other holds.
    #[cfg(test)]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.cached, &other.cached)
    }

    /// A token for the service: the one at hand until shortly before its end, else a new one.
    ///
    /// # Errors
    /// When the secret cannot be read or Entra ID gives no token, with how to fix it.
    pub(crate) async fn token(&self, audience: Audience) -> Result<Token, EntraError> {
        // Held while a token is fetched, so that lanes that need one at once fetch one.
        let mut cached = self.cached.lock().await;
        let valid =
            cached.as_ref().filter(|cached| cached.audience == audience && Instant::now() < cached.until);
        if let Some(valid) = valid {
            return Ok(Token { secret: valid.secret.clone(), is_fresh: false });
        }
        let token = self.fetch(audience).await?;
        let secret = SecretString::from(token.token.secret().to_owned());
        foreign::know(&secret, foreign::Kind::Token);
        let seconds = token.expires_on.unix_timestamp() - Clock::System.now().as_second();
        let lifetime = Duration::from_secs(seconds.try_into().unwrap_or_default());
        let until = Instant::now() + lifetime.saturating_sub(BEFORE_EXPIRY);
        *cached = Some(CachedToken { audience, secret: secret.clone(), until });
        Ok(Token { secret, is_fresh: true })
    }

    /// Puts away a token that a service has refused. Whether a new one may do better.
    pub(crate) async fn put_away(&self, token: &Token) -> bool {
        let mut cached = self.cached.lock().await;
        let is_cached = |cached: &CachedToken| cached.secret.expose_secret() == token.secret.expose_secret();
        if cached.as_ref().is_some_and(is_cached) {
            *cached = None;
        }
        !token.is_fresh
    }

    async fn fetch(&self, audience: Audience) -> Result<AccessToken, EntraError> {
        let transport = RecordingTransport::default();
        let client_options = ClientOptions {
            transport: Some(Transport::new(Arc::new(transport.clone()))),
            retry: RetryOptions::none(),
            cloud: Some(Arc::new(configuration(self.entra.cloud))),
            ..ClientOptions::default()
        };
        let credential = self.credential(client_options).await?;
        let scope = self.entra.cloud.scope(audience);
        match tokio::time::timeout(IN_ALL, credential.get_token(&[&scope], None)).await {
            Ok(Ok(token)) => Ok(token),
            Ok(Err(error)) => {
                Err(error::explained(&self.entra, transport.take(), audience, &error.to_string()))
            }
            Err(_) => Err(error::explained(&self.entra, transport.take(), audience, "no answer in time")),
        }
    }

    /// The library's credential.
    async fn credential(
        &self,
        client_options: ClientOptions,
    ) -> Result<Arc<dyn TokenCredential>, EntraError> {
        let wrong = |error: azure_core_1::Error| {
            EntraError::new(format!(
                "{} cannot sign in: {}",
                self.entra.who(),
                foreign::line(&error.to_string(), 240)
            ))
            .help("check `entra` in flows.toml")
        };
        match &self.entra.identity {
            Identity::Managed { client_id } => {
                let user_assigned_id = client_id.clone().map(UserAssignedId::ClientId);
                let options = ManagedIdentityCredentialOptions { user_assigned_id, client_options };
                Ok(ManagedIdentityCredential::new(Some(options)).map_err(wrong)?)
            }
            Identity::Application { tenant_id, client_id, secret } => {
                let secret = secrets::read_aside(secret).await.map_err(|error| {
                    EntraError::new(format!("the client secret of {client_id} cannot be read: {error}"))
                })?;
                let options = ClientSecretCredentialOptions { client_options };
                let given = Secret::new(secret.expose_secret().to_owned());
                Ok(ClientSecretCredential::new(tenant_id, client_id.clone(), given, Some(options))
                    .map_err(wrong)?)
            }
        }
    }
}

/// The cloud, as the library calls it.
fn configuration(cloud: Cloud) -> CloudConfiguration {
    match cloud {
        Cloud::Public => CloudConfiguration::AzurePublic,
        Cloud::China => CloudConfiguration::AzureChina,
        Cloud::UsGovernment => CloudConfiguration::AzureGovernment,
    }
}
