//! The network connection of a session: commands go out, replies come in, one after the other.
//!
//! lettre's own reader takes a reply for text, and takes it in without a bound. Whatever comes here
//! before it was asked for would be taken for the reply to the next command, and each reply after
//! it for that of another one: it ends the session.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use futures::FutureExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::unconstrained;
use tokio::time::timeout;

use super::reply::{Reply, ReplyError, ReplyReader, cleaned};
use super::tls::Tls;
use crate::platform::tls::TlsFault;

/// Bytes that are taken in at a time.
const PIECE: usize = 4 << 10;
/// For what a server has said before it hung up.
const FOR_LAST_WORDS: Duration = Duration::from_secs(5);

/// What commands and replies go over: a network connection, with or without TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A network connection to a mail server: commands go out, replies come in.
pub(super) struct SmtpTransport {
    stream: Box<dyn Stream>,
    heard: BytesMut,
}

/// Why a command has no reply of the wanted class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TransportError {
    Timeout(Duration),
    /// The host has no address.
    NoSuchHost(String),
    /// None of its addresses can be reached.
    NoWay(String),
    /// TLS was not established.
    Tls(TlsFault),
    /// The network's reason.
    Lost(String),
    /// What arrived is not a reply, or one without an end.
    Unreadable(String),
    /// What arrived does not answer the command, so no later reply can be trusted either.
    OutOfTurn(String),
    /// The server refused.
    Refused(Reply),
    /// The mail was not to be ended any more.
    Withheld,
}

impl SmtpTransport {
    /// Connects to one of the host's addresses, each of which gets its share of the time.
    pub(super) async fn connect(host: &str, port: u16, limit: Duration) -> Result<TcpStream, TransportError> {
        let found = lookup_host((host, port)).await;
        let unknown = |error: io::Error| TransportError::NoSuchHost(cleaned(&error.to_string()));
        let addresses: Vec<SocketAddr> = found.map_err(unknown)?.collect();
        let share = limit / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        let mut last = TransportError::NoSuchHost("it has no address".to_owned());
        for address in addresses {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => last = TransportError::NoWay(cleaned(&error.to_string())),
                Err(_) => last = TransportError::NoWay(format!("no answer from {address}")),
            }
        }
        Err(last)
    }

    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, heard: BytesMut::new() }
    }

    /// Speaks TLS from here on. What was heard before it could be from anybody in between.
    pub(super) async fn protect(self, tls: &Tls) -> Result<Self, TransportError> {
        if !self.heard.is_empty() {
            let slipped_in = self.shown();
            return Err(TransportError::OutOfTurn(format!(
                "more arrived before TLS was started: {slipped_in}"
            )));
        }
        let stream = tls.over(self.stream).await.map_err(|error| lost(&error))?;
        Ok(Self { stream: Box::new(stream), ..self })
    }

    /// Sends a command, which has its line end, and waits for a reply of that class.
    pub(super) async fn ask(
        &mut self,
        command: impl fmt::Display,
        class: u16,
    ) -> Result<Reply, TransportError> {
        self.send(command).await?;
        self.hear(class).await
    }

    /// Sends a command, which has its line end, and waits for a reply.
    pub(super) async fn say(&mut self, command: impl fmt::Display) -> Result<Reply, TransportError> {
        self.send(command).await?;
        self.reply().await
    }

    async fn send(&mut self, command: impl fmt::Display) -> Result<(), TransportError> {
        self.expect_silence()?;
        self.write(command.to_string().as_bytes()).await
    }

    /// Waits for a reply of that class.
    pub(super) async fn hear(&mut self, class: u16) -> Result<Reply, TransportError> {
        let reply = self.reply().await?;
        match reply.class() {
            found if found == class => Ok(reply),
            4 | 5 => Err(TransportError::Refused(reply)),
            _ => Err(TransportError::OutOfTurn(reply.to_string())),
        }
    }

    /// Waits for a reply.
    async fn reply(&mut self) -> Result<Reply, TransportError> {
        let mut reader = ReplyReader::default();
        loop {
            match reader.take(&mut self.heard) {
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) => {}
                Err(ReplyError::Endless) => {
                    return Err(TransportError::Unreadable("its reply does not end".to_owned()));
                }
                Err(ReplyError::NoReply(said)) => {
                    let said = cleaned(&said);
                    return Err(TransportError::Unreadable(format!("`{said}` is not an SMTP reply")));
                }
            }
            self.heard.reserve(PIECE);
            if self.stream.read_buf(&mut self.heard).await.map_err(|error| lost(&error))? == 0 {
                return reader.end(&mut self.heard).ok_or_else(closed);
            }
        }
    }

    /// Nothing has come that was not asked for.
    pub(super) fn expect_silence(&mut self) -> Result<(), TransportError> {
        if self.heard.is_empty() {
            self.heard.reserve(PIECE);
            // A budget that is used up would pass for silence.
            match unconstrained(self.stream.read_buf(&mut self.heard)).now_or_never() {
                None => return Ok(()),
                Some(Ok(0)) => return Err(closed()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(lost(&error)),
            }
        }
        match ReplyReader::default().take(&mut self.heard.clone()) {
            Ok(Some(reply)) if reply.code == 421 => Err(TransportError::Refused(reply)),
            _ => Err(TransportError::OutOfTurn(self.shown())),
        }
    }

    /// Hands bytes to the network.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), TransportError> {
        let written = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        let Err(error) = written.await else { return Ok(()) };
        // A server that has had enough says why before it hangs up, and nobody has asked.
        match timeout(FOR_LAST_WORDS, self.reply()).await {
            Ok(Ok(reply)) => Err(TransportError::OutOfTurn(reply.to_string())),
            _ => Err(lost(&error)),
        }
    }

    /// What was heard and not asked for.
    fn shown(&self) -> String {
        cleaned(&String::from_utf8_lossy(&self.heard))
    }
}

impl TransportError {
    /// The server has judged what was asked; 421 says that it closes the session.
    pub(super) fn is_verdict(&self) -> bool {
        matches!(self, Self::Refused(reply) if reply.code != 421)
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(after) => write!(f, "no answer within {} s", after.as_secs()),
            Self::NoSuchHost(reason) | Self::NoWay(reason) | Self::Lost(reason) => f.write_str(reason),
            Self::Tls(fault) => f.write_str(&cleaned(&fault.to_string())),
            Self::Unreadable(heard) => write!(f, "the server does not speak SMTP: {heard}"),
            Self::OutOfTurn(heard) => write!(f, "the server sent an unexpected reply: {heard}"),
            Self::Refused(reply) => reply.fmt(f),
            Self::Withheld => f.write_str("the mail was not ended"),
        }
    }
}

/// The step, as long as that and no longer, however many bytes come meanwhile.
pub(super) async fn within<T>(
    limit: Duration,
    step: impl Future<Output = Result<T, TransportError>>,
) -> Result<T, TransportError> {
    timeout(limit, step).await.unwrap_or(Err(TransportError::Timeout(limit)))
}

fn closed() -> TransportError {
    TransportError::Lost("the server has closed the connection".to_owned())
}

/// The innermost reason.
fn lost(error: &io::Error) -> TransportError {
    if let Some(fault) = TlsFault::from_error(error) {
        return TransportError::Tls(fault);
    }
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return closed();
    }
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        reason = inner.to_string();
        source = inner.source();
    }
    TransportError::Lost(cleaned(&reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::foreign;
    use proptest::prelude::*;
    use tokio::io::duplex;

    /// A transport and the server's end of it.
    fn pair() -> (SmtpTransport, tokio::io::DuplexStream) {
        let (ours, theirs) = duplex(8 << 10);
        foreign::know_text("canary-secret-of-16", foreign::Kind::Kept);
        (SmtpTransport::new(Box::new(ours)), theirs)
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_in_drips_has_no_more_time_than_another_one() {
        let (mut transport, mut server) = pair();
        tokio::spawn(async move {
            while server.write_all(b"250-x\r\n").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(9)).await;
            }
        });
        let limit = Duration::from_mins(5);
        let began = tokio::time::Instant::now();
        assert_eq!(within(limit, transport.hear(2)).await, Err(TransportError::Timeout(limit)));
        assert_eq!(began.elapsed().as_secs(), limit.as_secs());
    }

    #[tokio::test]
    async fn a_reply_without_an_end_is_read_in_bounded_memory() {
        for bytes in [&b"250-more\r\n"[..], b"250 x", b"\r\n", b"\xff"] {
            let (mut transport, mut server) = pair();
            let flood = tokio::spawn(async move { while server.write_all(bytes).await.is_ok() {} });
            assert!(matches!(transport.hear(2).await, Err(TransportError::Unreadable(_))));
            assert!(transport.heard.capacity() <= 256 << 10, "{}", transport.heard.capacity());
            drop(transport);
            flood.await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_was_not_asked_for_is_heard_and_repeats_no_secret() {
        for (bytes, shown) in [
            (&b"250 ok\r\n"[..], "250 ok"),
            (b"250-a\r\n", "250-a"),
            (b"\r\n", ""),
            (b"2", "2"),
            (b"Gr\xfc\xdfe canary-secret-of-16", "Gr\u{fffd}\u{fffd}e …"),
        ] {
            let (mut transport, mut server) = pair();
            assert_eq!(transport.expect_silence(), Ok(()));
            server.write_all(bytes).await.unwrap();
            assert_eq!(transport.ask("NOOP\r\n", 2).await, Err(TransportError::OutOfTurn(shown.to_owned())));
        }
        let (mut transport, mut server) = pair();
        server.write_all(b"421 4.4.2 idle for canary-secret-of-16\r\n").await.unwrap();
        let Err(TransportError::Refused(reply)) = transport.expect_silence() else { panic!("not heard") };
        assert_eq!(reply.to_string(), "421 4.4.2 idle for …");
        let (mut transport, server) = pair();
        drop(server);
        assert_eq!(transport.expect_silence(), Err(closed()));
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_replies_or_the_end_of_the_session(
            bytes in prop::collection::vec(prop_oneof![
                3 => prop::sample::select(b"235-\r\n x".to_vec()),
                1 => any::<u8>(),
            ], 0..2_000),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let (mut transport, mut server) = pair();
                server.write_all(&bytes).await.unwrap();
                drop(server);
                let mut heard = 0;
                while let Ok(reply) = transport.reply().await {
                    heard += 1;
                    assert!((2..=5).contains(&reply.class()) && !reply.to_string().contains(char::is_control));
                }
                assert!(heard <= bytes.len() / 3 && transport.heard.capacity() <= 256 << 10);
            });
        }
    }
}
