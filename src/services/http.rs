//! What all HTTP clients of the program have in common: one TLS provider, and no redirects, so that
//! no credential leaves for another host.

use std::error::Error as _;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::HeaderMap;

use crate::platform::authorities;
use crate::platform::tls::{TlsFault, Trust};
use crate::text::foreign;

/// Characters of a reason that are shown: it may hold names of a certificate, or what a proxy has said.
const SHOWN: usize = 300;

/// A client to be finished that trusts the system's authorities.
pub(crate) fn builder() -> reqwest::ClientBuilder {
    match authorities::tls_of_system() {
        Some(tls) => bare_builder().tls_backend_preconfigured(tls),
        // It tries once more and says what is missing.
        None => bare_builder(),
    }
}

/// A client builder, without the authorities that it trusts.
pub(crate) fn bare_builder() -> reqwest::ClientBuilder {
    know_proxy();
    // The second time it already exists, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("leadflow/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
}

/// The passwords of the proxies that the environment names.
fn know_proxy() {
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"]
        .into_iter()
        .flat_map(|name| [name.to_owned(), name.to_lowercase()])
    {
        let Ok(place) = std::env::var(name) else { continue };
        // As reqwest does where there is none.
        let place = if place.contains("://") { place } else { format!("http://{place}") };
        if let Some(password) = place.parse().ok().as_ref().and_then(url::Url::password) {
            foreign::know_text(password, foreign::Kind::Kept);
            let decoded = percent_decoded(password);
            foreign::know_text(&decoded, foreign::Kind::Kept);
        }
    }
}

fn percent_decoded(text: &str) -> String {
    let pair = format!("p={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(pair.as_bytes()).map(|(_, value)| value.into_owned()).collect()
}

/// A header's value, where it is one that can be read.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The moment of an HTTP date.
pub(crate) fn date(text: &str) -> Option<Timestamp> {
    Some(rfc2822::parse(text).ok()?.timestamp())
}

/// How long the server wants to be left alone: seconds, or a date in its own time.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    parse_retry_after(header(headers, "retry-after")?, header(headers, "date").and_then(date))
}

fn parse_retry_after(value: &str, now: Option<Timestamp>) -> Option<Duration> {
    let until = || date(value)?.duration_since(now?).try_into().ok();
    value.trim().parse().ok().map(Duration::from_secs).or_else(until)
}

/// What to do about a proxy that asks for a login in the place of a server behind it.
pub(crate) const LOGIN_FOR_PROXY: &str = "write the login into HTTPS_PROXY, as http://USER:PASSWORD@HOST:PORT, or \
                                          let this machine through the proxy without one";

/// Why there was no whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoAnswer {
    /// In words, without the address.
    pub(crate) reason: String,
    cause: Cause,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Cause {
    Tls(TlsFault),
    /// The proxy wants a login, or another one.
    ProxyLogin,
    /// The proxy cannot be reached, or lets nobody through.
    Proxy,
    Other,
}

impl NoAnswer {
    /// For a reason that has nothing to do with the network.
    pub(crate) fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), cause: Cause::Other }
    }

    pub(crate) fn from_error(error: &reqwest::Error) -> Self {
        if let Some(fault) = TlsFault::from_error(error) {
            return Self { reason: fault.to_string(), cause: Cause::Tls(fault) };
        }
        let innermost = innermost(error);
        match tunnel_error(error) {
            Some(words) if words.contains("authorization required") => Self {
                reason: format!("the proxy of {} requires a login (407)", proxy_variable()),
                cause: Cause::ProxyLogin,
            },
            Some(_) => Self {
                reason: format!("the proxy of {} refused the connection: {innermost}", proxy_variable()),
                cause: Cause::Proxy,
            },
            None if error.is_timeout() => Self::because(format!("no answer in time ({innermost})")),
            None => Self::because(innermost),
        }
    }

    /// Another try by itself does not go well.
    pub(crate) fn is_lasting(&self) -> bool {
        match &self.cause {
            Cause::Tls(fault) => fault.is_lasting(),
            Cause::ProxyLogin => true,
            Cause::Proxy | Cause::Other => false,
        }
    }

    /// What to do about it, where more is known than that the network fails; `host` was asked.
    pub(crate) fn help(&self, host: &str, trust: Trust<'_>) -> Option<String> {
        let name = proxy_variable();
        match &self.cause {
            Cause::Tls(fault) => {
                let (host, place) = match host.rsplit_once(':') {
                    Some((name, port)) if port.parse::<u16>().is_ok() => (name, host.to_owned()),
                    _ => (host, format!("{host}:443")),
                };
                let save =
                    format!("openssl s_client -connect {place} </dev/null | openssl x509 > server.pem");
                Some(fault.help(host, trust, &save))
            }
            Cause::ProxyLogin => Some(format!(
                "write the login into {name}, as http://USER:PASSWORD@HOST:PORT with %40 for an @ in the password (a \
                 Basic login; no other kind is supported), or let this machine through the proxy to {host} without \
                 one"
            )),
            Cause::Proxy => Some(format!(
                "check {name}: the proxy must be reachable and let this machine through to {host}; NO_PROXY={host} \
                 bypasses it"
            )),
            Cause::Other => None,
        }
    }
}

/// What is said of the way through a proxy, if there is one.
fn tunnel_error(error: &reqwest::Error) -> Option<String> {
    let mut cause: Option<&dyn std::error::Error> = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if words.starts_with("tunnel error") {
            return Some(words);
        }
        cause = error.source();
    }
    None
}

/// The variable that names the proxy for https; reqwest reads them in this order.
fn proxy_variable() -> &'static str {
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"].into_iter().find(is_set).unwrap_or("HTTPS_PROXY")
}

/// The reason at the bottom; the ones above it repeat the address.
pub(crate) fn innermost(error: &reqwest::Error) -> String {
    let mut reason: Option<&dyn std::error::Error> = error.source();
    let mut words = None;
    while let Some(inner) = reason {
        words = Some(inner.to_string());
        reason = inner.source();
    }
    match words {
        Some(words) => foreign::line(&words, SHOWN),
        None if error.is_body() || error.is_decode() => "the response ended early".to_owned(),
        None => "no answer".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_forms_of_retry_after() {
        let now = date("Sun, 22 Nov 2026 08:00:00 GMT");
        assert_eq!(parse_retry_after("7", None), Some(Duration::from_secs(7)));
        assert_eq!(parse_retry_after("Sun, 22 Nov 2026 08:00:30 GMT", now), Some(Duration::from_secs(30)));
        assert_eq!(parse_retry_after("Sun, 22 Nov 2026 07:00:00 GMT", now), None);
        assert_eq!(parse_retry_after("soon", now), None);
    }
}
