//! One connection: its bounds, and what passes over it.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::listener::Peer;
use super::patience::Patient;

/// What connections may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// At the same time.
    pub(super) connections: usize,
    /// Until the head of a request is whole, from the end of the one before.
    head: Duration,
    /// Until the body of a request is whole, from the end of its head.
    body: Duration,
    /// In which nothing of an answer is taken.
    unread: Duration,
    /// Of the head, in bytes.
    head_bytes: usize,
    /// Lines of the head.
    headers: usize,
    /// From the first byte to the last.
    whole: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            head: Duration::from_secs(15),
            body: Duration::from_secs(15),
            unread: Duration::from_secs(30),
            head_bytes: 32 << 10,
            headers: 64,
            whole: Duration::from_mins(10),
        }
    }
}

/// Serves one connection to its end.
pub(super) async fn serve(
    stream: Stream,
    peer: Peer,
    app: Router,
    limits: Limits,
    mut ended: watch::Receiver<()>,
) {
    let Ok(Ok(stream)) = timeout(limits.head, stream.shaken()).await else { return };
    let service = service_fn(move |request: Request<Incoming>| {
        let app = app.clone();
        async move {
            let mut request = request.map(|body| timely(body, limits.body));
            request.extensions_mut().insert(peer);
            match app.oneshot(request).await {
                Ok(response) => Ok::<_, Infallible>(response),
                Err(never) => match never {},
            }
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(limits.head_bytes)
        .max_headers(limits.headers)
        .serve_connection(TokioIo::new(Patient::new(stream, limits.unread)), service);
    tokio::pin!(connection);
    let over = tokio::time::sleep(limits.whole);
    tokio::pin!(over);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = &mut over => {}
        _ = ended.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(limits.head, connection).await;
}

/// The body, which breaks off where it is not whole in time.
fn timely(body: Incoming, within: Duration) -> Body {
    let end = Instant::now() + within;
    let pieces = futures::stream::try_unfold(body, move |mut body| async move {
        let frame =
            timeout_at(end, body.frame()).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
        let Some(frame) = frame else { return Ok::<_, io::Error>(None) };
        let piece = frame.map_err(io::Error::other)?.into_data().unwrap_or_default();
        Ok(Some((piece, body)))
    });
    Body::from_stream(pieces)
}

/// Bytes to and from a peer.
pub(super) struct Stream {
    plain: Duplex,
    tls: Option<TlsAcceptor>,
}

pub(super) type Duplex = Pin<Box<dyn ReadWrite>>;

/// What is read from and written to.
pub(super) trait ReadWrite: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> ReadWrite for T {}

impl Stream {
    pub(super) fn tcp(stream: TcpStream) -> Self {
        Self { plain: Box::pin(stream), tls: None }
    }

    pub(super) fn unix(stream: UnixStream) -> Self {
        Self { plain: Box::pin(stream), tls: None }
    }

    pub(super) fn with_tls(self, tls: Option<TlsAcceptor>) -> Self {
        Self { tls, ..self }
    }

    /// With TLS spoken, where it is to be.
    async fn shaken(self) -> io::Result<Duplex> {
        match self.tls {
            Some(tls) => Ok(Box::pin(tls.accept(self.plain).await?)),
            None => Ok(self.plain),
        }
    }
}
