//! The HTTP under `azure_identity`: our client, deadlines, and a note of the last exchange, which
//! says more than the library's error.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use azure_core_1::error::{Error, ErrorKind};
use azure_core_1::http::headers::Headers;
use azure_core_1::http::{AsyncRawResponse, Body, HttpClient, Request, StatusCode, Url};
use bytes::Bytes;

use crate::services::http::{self, NoAnswer};

const TO_CONNECT: Duration = Duration::from_secs(10);
const IN_ALL: Duration = Duration::from_secs(30);
/// A token response has some kilobytes.
const LARGEST: usize = 256 << 10;

/// A transport for one sign-in, which keeps its last exchange.
#[derive(Debug, Clone, Default)]
pub(super) struct RecordingTransport(Arc<Mutex<Option<Exchange>>>);

/// The result of an exchange that was no success.
#[derive(Debug, Clone)]
pub(super) enum Exchange {
    /// No connection, or no whole response.
    NoAnswer(NoAnswer),
    /// A response without a token.
    Refused {
        /// HTTP status.
        status: u16,
        /// How long to wait.
        retry_after: Option<Duration>,
        /// The body; there is no token in it.
        body: Bytes,
    },
}

impl RecordingTransport {
    /// The last exchange, if it was no success.
    pub(super) fn take(&self) -> Option<Exchange> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note(&self, exchange: Option<Exchange>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = exchange;
    }

    async fn exchange(&self, request: &Request) -> Result<(u16, Bytes), NoAnswer> {
        let url = place_of(request.url());
        let is_local = url.scheme() == "http";
        if is_local && !is_of_this_machine(&url) {
            return Err(NoAnswer::because("a token is requested over https only"));
        }
        let mut builder = http::builder().connect_timeout(TO_CONNECT).timeout(IN_ALL);
        if is_local {
            // The metadata service answers this machine alone, never through a proxy:
            // https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service#proxies
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| NoAnswer::because(http::innermost(&error)))?;
        let method = reqwest::Method::from_bytes(request.method().as_str().as_bytes()).unwrap_or_default();
        let mut sending = client.request(method, url.as_str());
        for (name, value) in request.headers().iter() {
            sending = sending.header(name.as_str(), value.as_str());
        }
        if let Body::Bytes(bytes) = request.body() {
            sending = sending.body(bytes.clone());
        }
        let mut response = sending.send().await.map_err(|error| NoAnswer::from_error(&error))?;
        let status = response.status();
        let retry_after = http::retry_after(response.headers());
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| NoAnswer::from_error(&error))? {
            if body.len() + piece.len() > LARGEST {
                return Err(NoAnswer::because("the response is larger than any token"));
            }
            body.extend_from_slice(&piece);
        }
        let body = Bytes::from(body);
        let refused = || Exchange::Refused { status: status.as_u16(), retry_after, body: body.clone() };
        self.note((!status.is_success()).then(refused));
        Ok((status.as_u16(), body))
    }
}

#[async_trait::async_trait]
impl HttpClient for RecordingTransport {
    async fn execute_request(&self, request: &Request) -> azure_core_1::Result<AsyncRawResponse> {
        match self.exchange(request).await {
            Ok((status, body)) => {
                Ok(AsyncRawResponse::from_bytes(StatusCode::from(status), Headers::new(), body))
            }
            Err(why) => {
                self.note(Some(Exchange::NoAnswer(why)));
                // Of this kind the library tries no second time: it would for more than a minute.
                Err(Error::with_message(ErrorKind::Credential, "no answer"))
            }
        }
    }
}

/// The metadata service's addresses are link-local; App Service's endpoint is that or on loopback.
fn is_of_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host == "localhost"
        || host.trim_matches(['[', ']']).parse().is_ok_and(|address: IpAddr| match address {
            IpAddr::V4(address) => address.is_loopback() || address.is_link_local(),
            IpAddr::V6(address) => address.is_loopback(),
        })
}

#[cfg(not(debug_assertions))]
fn place_of(url: &Url) -> Url {
    url.clone()
}

/// In a build for tests `LEADFLOW_TEST_IMDS` names another metadata service, on loopback.
#[cfg(debug_assertions)]
fn place_of(url: &Url) -> Url {
    let stand_in = std::env::var("LEADFLOW_TEST_IMDS").ok().and_then(|text| Url::parse(&text).ok());
    let stand_in = stand_in.filter(|place| place.host_str() == Some("127.0.0.1") && place.scheme() == "http");
    let mut url = url.clone();
    if let Some(place) = stand_in.filter(|_| url.host_str() == Some("169.254.169.254")) {
        let _ = url.set_host(place.host_str());
        let _ = url.set_port(place.port());
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_on_this_machine() {
        let is_local = |text: &str| is_of_this_machine(&Url::parse(text).unwrap());
        assert!(is_local("http://169.254.169.254/metadata/identity/oauth2/token"));
        assert!(is_local("http://127.0.0.1:41000/msi/token") && is_local("http://localhost/msi/token"));
        assert!(!is_local("http://10.0.0.4/msi/token") && !is_local("http://contoso.example/msi/token"));
    }
}
