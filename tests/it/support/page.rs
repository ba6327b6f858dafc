//! The page of a daemon, and whoever comes to it.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use leadflow::platform::passwords;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::daemon::Daemon;

pub(crate) const PASSWORD: &str = "correct horse battery";
/// The token `robot`, which operates.
pub(crate) const ROBOT: &str = "lf_robot-0123456789abcdef0123456789abcdef0123";
/// The token `reader`, which looks.
pub(crate) const READER: &str = "lf_reader-123456789abcdef0123456789abcdef0123";
static HASH: LazyLock<String> = LazyLock::new(|| passwords::hash(PASSWORD).unwrap());

/// A port that nobody listens on, and that the system gives to nobody who asks for any.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() * 97 % 12_000).unwrap();
    loop {
        let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// `[settings.page]` with these lines, where anna operates and ben looks, each with [`PASSWORD`].
pub(crate) fn page(lines: &str) -> String {
    let mut text = format!("[settings.page]\n{lines}\n");
    for (name, role) in [("anna", "operate"), ("ben", "view")] {
        let _ = write!(text, "[settings.page.users.{name}]\npassword = \"{}\"\nrole = \"{role}\"\n", *HASH);
    }
    for (name, token, role) in [("robot", ROBOT, "operate"), ("reader", READER, "view")] {
        let hash = passwords::token_hash_text(&passwords::token_hash(token));
        let _ = write!(text, "[settings.page.tokens.{name}]\nhash = \"{hash}\"\nrole = \"{role}\"\n");
    }
    text
}

/// As [`page`], on this port of loopback.
pub(crate) fn page_on(port: u16) -> String {
    page(&format!("listen = \"127.0.0.1:{port}\""))
}

/// Waits until the page is served.
pub(crate) fn served(daemon: &Daemon) {
    daemon.wait_for_log("the page is served");
}

/// Where a page is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// On this port of loopback.
    Port(u16),
    /// There with TLS, by this authority.
    Tls(u16, PathBuf),
    /// At this socket.
    Socket(PathBuf),
}

pub(crate) trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

impl Place {
    /// A network connection to it.
    pub(crate) fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let patience = Some(Duration::from_mins(1));
        let tcp = |port: u16| {
            let stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_read_timeout(patience)?;
            Ok::<_, io::Error>(stream)
        };
        Ok(match self {
            Self::Port(port) => Box::new(tcp(*port)?),
            Self::Tls(port, authority) => Box::new(tls(tcp(*port)?, authority)),
            Self::Socket(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(patience)?;
                Box::new(stream)
            }
        })
    }

    fn host(&self) -> String {
        match self {
            Self::Port(port) | Self::Tls(port, _) => format!("127.0.0.1:{port}"),
            Self::Socket(_) => "localhost".to_owned(),
        }
    }
}

fn tls(stream: TcpStream, authority: &std::path::Path) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let name = ServerName::try_from("127.0.0.1").unwrap();
    StreamOwned::new(ClientConnection::new(config, name).unwrap(), stream)
}

/// What the page has answered.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Names in small letters.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(its, _)| its == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Of the bytes of a whole answer on a connection that was closed after it.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let head_ends = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..head_ends]).into_owned();
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let body = &bytes[head_ends + 4..];
        let is_chunked =
            headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
        let body = if is_chunked { chunks(body) } else { body.to_vec() };
        Some(Self { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
    }
}

fn chunks(mut bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(line) = bytes.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..line]).ok();
        let Some(size @ 1..) = size.and_then(|size| usize::from_str_radix(size, 16).ok()) else { break };
        let piece = &bytes[line + 2..];
        whole.extend(&piece[..size.min(piece.len())]);
        bytes = piece.get(size + 2..).unwrap_or_default();
    }
    whole
}

/// Whoever comes to a page, with a network connection for each request.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    pub(crate) place: Place,
    pub(crate) headers: Vec<(String, String)>,
    /// What the forms of the session carry.
    pub(crate) form_token: String,
}

impl Visitor {
    pub(crate) fn at(place: Place) -> Self {
        Self { place, headers: Vec::new(), form_token: String::new() }
    }

    /// Who has not signed in.
    pub(crate) fn guest(port: u16) -> Self {
        Self::at(Place::Port(port))
    }

    /// Says this in each request; `host` instead of the page's own.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn with_token(self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    /// Signs in, which must succeed; the cookie is the answer's.
    pub(crate) fn signed_in(self, name: &str) -> Self {
        let (reply, cookie) = self.sign_in(name, PASSWORD);
        assert_eq!(reply.status, 303, "{reply:?}");
        let mut visitor = self.with("cookie", &cookie.unwrap());
        visitor.form_token = visitor.form_token_of("/");
        visitor
    }

    /// Tries to sign in: the answer and its cookie.
    pub(crate) fn sign_in(&self, name: &str, password: &str) -> (Reply, Option<String>) {
        let reply = self.post_plain("/sign-in", &[("user", name), ("password", password)]);
        let cookie =
            reply.header("set-cookie").and_then(|cookie| cookie.split(';').next()).map(str::to_owned);
        (reply, cookie)
    }

    fn form_token_of(&self, path: &str) -> String {
        let page = self.get(path).body;
        let rest = page.split_once("name=\"form_token\" value=\"").unwrap_or_else(|| panic!("{page}")).1;
        rest.split('"').next().unwrap().to_owned()
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], b"")
    }

    /// A form of the page.
    pub(crate) fn post(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let token = ("form_token", self.form_token.as_str());
        self.post_plain(path, &[fields, &[token]].concat())
    }

    /// A form without the token.
    pub(crate) fn post_plain(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send("POST", path, &[("content-type", "application/x-www-form-urlencoded")], body.as_bytes())
    }

    pub(crate) fn post_json(&self, path: &str, value: &serde_json::Value) -> Reply {
        self.send("POST", path, &[("content-type", "application/json")], value.to_string().as_bytes())
    }

    /// The answer, which must come.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.try_send(method, path, headers, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// The answer, if one comes.
    pub(crate) fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Reply> {
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        let own = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let all: Vec<_> = own.chain(headers.iter().copied()).collect();
        if !all.iter().any(|(name, _)| *name == "host") {
            let _ = write!(head, "host: {}\r\n", self.place.host());
        }
        for (name, value) in all {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let mut stream = self.place.connect()?;
        // Who is refused may find the connection closed before all was sent.
        let sent = stream
            .write_all(&[format!("{head}\r\n").as_bytes(), body].concat())
            .and_then(|()| stream.flush());
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let reply = Reply::parse(&answer);
        reply.ok_or_else(|| sent.and(read).err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()))
    }
}

/// Waits until the page answers who has not signed in.
pub(crate) fn answers(port: u16) {
    super::eventually("the page to answer", || {
        let reply = Visitor::guest(port).try_send("GET", "/healthz", &[], b"").ok()?;
        (reply.status == 200).then_some(())
    });
}

/// Every path that is read, where there are a flow `leads`, a run 1 and a mail 1.
pub(crate) const READ: [&str; 38] = [
    "/",
    "/flows/leads",
    "/flows/leads?outcome=failed&since=2026-01-01",
    "/flows/leads/run",
    "/flows/leads/on",
    "/flows/leads/off",
    "/flows/leads/test-mail",
    "/flows/leads/replay",
    "/flows/leads/replay?from=2026-01-01",
    "/runs",
    "/runs?flow=leads&outcome=waiting",
    "/runs/1",
    "/runs/1/resubmit",
    "/outbox",
    "/outbox/retry",
    "/outbox/1",
    "/outbox/1/html",
    "/outbox/1/retry",
    "/outbox/1/drop",
    "/leads",
    "/leads?flow=leads",
    "/health",
    "/check",
    "/metrics",
    "/sign-in",
    "/language?to=ko&back=/runs",
    "/no/such/page",
    "/api/v1/flows",
    "/api/v1/flows/leads",
    "/api/v1/stats",
    "/api/v1/runs",
    "/api/v1/runs/1",
    "/api/v1/outbox",
    "/api/v1/mails/1",
    "/api/v1/health",
    "/api/v1/nodes",
    "/api/v1/check",
    "/api/v1/nothing",
];

/// What is read by a POST, since persons are not named in addresses.
pub(crate) const ASKED: [&str; 5] =
    ["/leads", "/leads/proof", "/leads/export", "/api/v1/leads/search", "/api/v1/leads/proof"];

/// Every action of the page.
pub(crate) const ACTIONS: [&str; 9] = [
    "/flows/leads/run",
    "/flows/leads/on",
    "/flows/leads/off",
    "/flows/leads/test-mail",
    "/flows/leads/replay",
    "/runs/1/resubmit",
    "/outbox/retry",
    "/outbox/1/retry",
    "/outbox/1/drop",
];

/// Every action of the API.
pub(crate) const API_ACTIONS: [&str; 8] = [
    "/api/v1/flows/leads/run",
    "/api/v1/flows/leads/on",
    "/api/v1/flows/leads/off",
    "/api/v1/flows/leads/replay",
    "/api/v1/runs/1/resubmit",
    "/api/v1/outbox/retry",
    "/api/v1/mails/1/retry",
    "/api/v1/mails/1/drop",
];
