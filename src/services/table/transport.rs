//! The HTTP under the table SDK: deadlines, one pool, no redirects, bounded bodies.
//!
//! The SDK shows of a failure too little or too much, and of a response not whether its `Date` was
//! there. So each exchange leaves a note, which [`Transport::take`] hands out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use azure_core::error::{Error, ErrorKind};
use azure_core::headers::{HeaderName, HeaderValue, Headers};
use azure_core::{Body, HttpClient, Request, Response, StatusCode};
use bytes::{Bytes, BytesMut};
use reqwest::header::HeaderMap;
use rustls::pki_types::CertificateDer;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{ServiceTime, TableError};
use crate::flow::Audience;
use crate::services::entra::{EntraError, Token, Tokens};
use crate::services::http;
use crate::text::foreign;

const TO_CONNECT: Duration = Duration::from_secs(10);
/// Between two pieces of a response.
const TO_READ: Duration = Duration::from_secs(30);
/// For a whole exchange; the service itself gives a query 30 s.
const IN_ALL: Duration = Duration::from_mins(2);
/// A larger page is asked for again with fewer rows; a row of the service has at most 1 MiB.
const LARGEST_BODY: usize = 8 << 20;
/// Of the body of a refusal.
const LARGEST_REFUSAL: usize = 64 << 10;

/// What the names of the headers begin with that say where the next page does.
const CONTINUATION: &str = "x-ms-continuation-";

/// What the SDK asks for, and what is enough.
const FULL: &str = "odata=fullmetadata";
const MINIMAL: &str = "odata=minimalmetadata";

/// Headers that the SDK cannot do without and a server may leave out.
const NEEDED: [(&str, &str); 4] = [
    ("x-ms-request-id", "00000000-0000-4000-8000-000000000000"),
    ("x-ms-version", "0"),
    ("server", "?"),
    // Never read: the note has the real one, or its absence.
    ("date", "Thu, 01 Jan 1970 00:00:00 GMT"),
];

/// One HTTP client and the note of its last exchange.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    client: reqwest::Client,
    tokens: Option<Tokens>,
    note: Arc<Mutex<Option<Note>>>,
}

/// When it was served, its status, headers and body.
type Answer = (ServiceTime, u16, HeaderMap, Bytes);

/// The result of an exchange.
type Note = Result<Exchange, Failure>;

/// A success.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    pub(super) served: ServiceTime,
    body: Bytes,
}

impl Exchange {
    /// The SDK takes a response without rows for an empty page: the rest of the table would count as
    /// read.
    pub(super) fn has_rows(&self) -> Result<(), String> {
        #[derive(Deserialize)]
        struct Page {
            #[serde(rename = "value")]
            _rows: IgnoredAny,
        }
        serde_json::from_slice::<Page>(&self.body).map(drop).map_err(|error| error.to_string())
    }
}

/// Why an exchange failed.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// No connection, no complete response.
    NoAnswer(http::NoAnswer),
    /// The body is larger than this many bytes.
    TooLarge(usize),
    /// There is no token to ask with.
    NoToken(EntraError),
    /// A success that is none: without rows, or with a next page that cannot be named.
    NoPage(String),
    /// The service refused.
    Status { status: u16, retry_after: Option<Duration>, code: Option<String>, body: Vec<u8> },
}

impl Transport {
    /// A client with the system's roots, or with these alone; with `tokens` each
    /// request bears a token.
    pub(super) fn new(
        authorities: Option<Vec<CertificateDer<'static>>>,
        tokens: Option<Tokens>,
    ) -> Result<Self, TableError> {
        let builder = if authorities.is_some() { http::bare_builder() } else { http::builder() };
        let mut builder = builder.connect_timeout(TO_CONNECT).read_timeout(TO_READ).timeout(IN_ALL);
        let wrong = |error: &reqwest::Error| {
            TableError::new(format!("cannot prepare TLS: {}", http::innermost(error)))
                .help("install the system's certificates (package ca-certificates), or set `ca_file`")
        };
        if let Some(found) = authorities {
            let found = found.iter().map(|certificate| reqwest::Certificate::from_der(certificate));
            let found: Result<Vec<_>, _> = found.collect();
            builder = builder.tls_certs_only(found.map_err(|error| wrong(&error))?);
        }
        let client = builder.build().map_err(|error| wrong(&error))?;
        Ok(Self { client, tokens, note: Arc::default() })
    }

    /// The same client for another use, whose notes are its own.
    pub(super) fn with_own_note(&self) -> Self {
        Self { client: self.client.clone(), tokens: self.tokens.clone(), note: Arc::default() }
    }

    /// The note of the last exchange, which is then gone.
    pub(super) fn take(&self) -> Option<Note> {
        self.note.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether the last exchange ended because the response was too large.
    pub(super) fn has_overflowed(&self) -> bool {
        let note = self.note.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(*note, Some(Err(Failure::TooLarge(_))))
    }

    /// One exchange; a second one where the service has refused a token that had been at hand.
    async fn exchange(&self, request: &Request) -> Result<Answer, Failure> {
        let Some(tokens) = &self.tokens else { return self.ask(request, None).await };
        let token = tokens.token(Audience::Storage).await.map_err(Failure::NoToken)?;
        let answer = self.ask(request, Some(&token)).await;
        if matches!(answer, Err(Failure::Status { status: 401, .. })) && tokens.put_away(&token).await {
            let token = tokens.token(Audience::Storage).await.map_err(Failure::NoToken)?;
            return self.ask(request, Some(&token)).await;
        }
        answer
    }

    async fn ask(&self, request: &Request, token: Option<&Token>) -> Result<Answer, Failure> {
        let began = Instant::now();
        let mut asking = self.request(request);
        if let Some(token) = token {
            asking = asking.bearer_auth(token.secret.expose_secret());
        }
        let mut response = asking.send().await.map_err(|error| no_answer(&error))?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let is_success = response.status().is_success();
        let limit = if is_success { LARGEST_BODY } else { LARGEST_REFUSAL };
        let mut body = BytesMut::new();
        while let Some(piece) = response.chunk().await.map_err(|error| no_answer(&error))? {
            if body.len() + piece.len() > limit {
                if is_success {
                    return Err(Failure::TooLarge(limit));
                }
                break;
            }
            body.extend_from_slice(&piece);
        }
        let served =
            ServiceTime { date: http::header(&headers, "date").and_then(http::date), took: began.elapsed() };
        if !is_success {
            let code = http::header(&headers, "x-ms-error-code").map(str::to_owned);
            let retry_after = http::retry_after(&headers);
            return Err(Failure::Status { status, retry_after, code, body: body.to_vec() });
        }
        check_continuation(&headers).map_err(Failure::NoPage)?;
        Ok((served, status, headers, body.freeze()))
    }

    fn request(&self, request: &Request) -> reqwest::RequestBuilder {
        let method = reqwest::Method::from_bytes(request.method().as_ref().as_bytes()).unwrap_or_default();
        let mut builder = self.client.request(method, request.url().clone());
        // Full metadata is several times the size and has nothing that is needed, but for the list of
        // tables, which the SDK cannot read otherwise.
        let is_list = request.url().path().ends_with("/Tables");
        for (name, value) in request.headers().iter() {
            if name.as_str() == "authorization" {
                let signature = value.as_str().rsplit([' ', ':']).next().unwrap_or_default();
                foreign::know_text(signature, foreign::Kind::Request);
            }
            builder = match value.as_str() {
                full if !is_list && full.contains(FULL) => {
                    builder.header(name.as_str(), full.replace(FULL, MINIMAL))
                }
                value => builder.header(name.as_str(), value),
            };
        }
        match request.body() {
            Body::Bytes(bytes) => builder.body(bytes.clone()),
            Body::SeekableStream(_) => builder,
        }
    }
}

#[async_trait::async_trait]
impl HttpClient for Transport {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<Response> {
        let result = self.exchange(request).await;
        let exchange = |(served, _, _, body): &Answer| Exchange { served: *served, body: body.clone() };
        let note = result.as_ref().map(exchange).map_err(Clone::clone);
        *self.note.lock().unwrap_or_else(PoisonError::into_inner) = Some(note);
        match result {
            Ok((_, status, headers, body)) => {
                let status = StatusCode::try_from(status).unwrap_or(StatusCode::Ok);
                let body = futures::stream::once(async { Ok(body) });
                Ok(Response::new(status, headers_for_sdk(&headers), Box::pin(body)))
            }
            Err(_) => Err(Error::message(ErrorKind::Io, "the exchange failed")),
        }
    }
}

/// The SDK takes a response whose continuation it cannot read for the last: the rest of the table
/// would count as read.
fn check_continuation(headers: &HeaderMap) -> Result<(), String> {
    let mut tokens = headers.iter().filter(|(name, _)| name.as_str().starts_with(CONTINUATION));
    if tokens.any(|(_, value)| value.to_str().is_err()) {
        return Err("its continuation cannot be read".to_owned());
    }
    let has = |name: &str| headers.contains_key(format!("{CONTINUATION}{name}"));
    if has("nextrowkey") && !has("nextpartitionkey") {
        return Err("its continuation token has no partition".to_owned());
    }
    Ok(())
}

fn headers_for_sdk(from: &HeaderMap) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in from {
        if let Ok(value) = value.to_str() {
            headers.insert(HeaderName::from(name.as_str().to_owned()), HeaderValue::from(value.to_owned()));
        }
    }
    for (name, value) in NEEDED {
        if headers.get_optional_str(&HeaderName::from_static(name)).is_none_or(|_| name == "date") {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
    }
    headers
}

fn no_answer(error: &reqwest::Error) -> Failure {
    Failure::NoAnswer(http::NoAnswer::from_error(error))
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn only_what_names_its_rows_and_its_next_page_is_a_page() {
        for (name, value, is_page) in [
            ("nextpartitionkey", &b"1!8!cA--"[..], true),
            ("nextpartitionkey", "\u{e9}".as_bytes(), false),
            ("nextrowkey", b"r", false),
        ] {
            let name: HeaderName = format!("{CONTINUATION}{name}").parse().unwrap();
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_bytes(value).unwrap())]);
            assert_eq!(check_continuation(&headers).is_ok(), is_page, "{headers:?}");
        }
        let served = ServiceTime { date: None, took: Duration::ZERO };
        for (body, is_page) in [(&br#"{"value":[]}"#[..], true), (b"{}", false), (b"", false)] {
            let exchange = Exchange { served, body: Bytes::from_static(body) };
            assert_eq!(exchange.has_rows().is_ok(), is_page, "{body:?}");
        }
    }
}
