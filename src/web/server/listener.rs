//! Where the page listens: an address or a socket, with or without TLS.

use std::fmt;
use std::fs::Permissions;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use secrecy::ExposeSecret as _;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use super::connection::Stream;
use crate::flow::{Listen, PageSettings, PageTls};
use crate::platform::ownership::{self, LARGEST_AUTHORITIES};
use crate::platform::{secrets, tls};
use crate::text::advice::Advice;

/// What is listened on.
pub(super) struct Listener {
    socket: Socket,
    tls: Option<TlsAcceptor>,
    /// Goes when nobody listens any more.
    _file: Option<OwnedPath>,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The file of a socket, which goes with it.
struct OwnedPath(PathBuf);

impl Drop for OwnedPath {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Who is at the other end: an address, or somebody on this machine by the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::web) enum Peer {
    /// Of a TCP connection.
    Address(IpAddr),
    /// Of a Unix socket.
    Socket,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Socket => f.write_str("the socket"),
        }
    }
}

impl Listener {
    /// # Errors
    /// Why that cannot be, and what to do.
    pub(super) async fn open(page: &PageSettings) -> Result<Self, String> {
        let tls = match &page.tls {
            Some(tls) => Some(acceptor(tls).await?),
            None => None,
        };
        let (socket, file) = match &page.listen {
            Listen::Tcp(address) => {
                let bound = TcpListener::bind(address).await;
                let listener = bound.map_err(|error| {
                    format!("cannot listen on {address}: {error}; name another port in settings.page.listen, or stop what uses this one")
                })?;
                (Socket::Tcp(listener), None)
            }
            Listen::Unix(path) => {
                let bound = bind(path).await;
                let listener = bound.map_err(|error| {
                    format!("cannot listen on {}: {error}; settings.page.listen needs a folder that leadflow may write", path.display())
                })?;
                (Socket::Unix(listener), Some(OwnedPath(path.clone())))
            }
        };
        Ok(Self { socket, tls, _file: file })
    }

    pub(super) async fn accept(&mut self) -> io::Result<(Stream, Peer)> {
        let (stream, peer) = match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                let _ = stream.set_nodelay(true);
                (Stream::tcp(stream), Peer::Address(address.ip().to_canonical()))
            }
            Socket::Unix(listener) => (Stream::unix(listener.accept().await?.0), Peer::Socket),
        };
        Ok((stream.with_tls(self.tls.clone()), peer))
    }

    /// Reads the certificate again; the one before stays where that fails.
    pub(super) async fn reload(&mut self, page: &PageSettings) {
        let Some(tls) = &page.tls else { return };
        match acceptor(tls).await {
            Ok(acceptor) => {
                self.tls = Some(acceptor);
                info!("the certificate of the page is read again");
            }
            Err(reason) => warn!("the page keeps its certificate: {reason}"),
        }
    }
}

async fn acceptor(tls: &PageTls) -> Result<TlsAcceptor, String> {
    let files = tls.clone();
    let read = tokio::task::spawn_blocking(move || config_of(&files)).await;
    match read {
        Ok(Ok(config)) => Ok(TlsAcceptor::from(Arc::new(config))),
        Ok(Err(advice)) => {
            let help = advice.help.as_ref().map_or_else(String::new, |help| format!("; {help}"));
            Err(format!("{advice}{help}"))
        }
        Err(_) => Err("it is stopping".to_owned()),
    }
}

/// What the files hold now.
fn config_of(tls: &PageTls) -> Result<ServerConfig, Advice> {
    let place = tls.certificate.display();
    let certificate = ownership::read_plain(&tls.certificate, LARGEST_AUTHORITIES).map_err(|error| {
        Advice::new(format!(
            "cannot read the certificate {place}: {}",
            ownership::explained(&tls.certificate, &error)
        ))
    })?;
    let key = secrets::read(&tls.key).map_err(|error| Advice::new(error.to_string()))?;
    tls::server_config(&certificate, key.expose_secret().as_bytes()).map_err(|Advice { message, help }| {
        Advice {
            message: format!("{place}: {message}"),
            help: help.map(|help| help.replace("FILE", &place.to_string())),
        }
    })
}

/// A socket that is left of a process that is gone makes way; one that is listened on does not.
async fn bind(path: &Path) -> io::Result<UnixListener> {
    if std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
        && UnixStream::connect(path).await.is_err()
    {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o660))?;
    Ok(listener)
}
