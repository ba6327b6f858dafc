//! HTTP/1.1 over TLS behind `CONNECT`, and plain for the metadata service.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{Scripted, State, entra, graph, table};
use crate::support::certificates::certificates;

/// A request that was read whole.
pub(super) struct Request {
    pub(super) host: String,
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(super) fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    pub(super) fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        pair(query.as_bytes(), name)
    }
}

/// A value of `name=value&…`.
pub(super) fn pair(text: &[u8], name: &str) -> Option<String> {
    url::form_urlencoded::parse(text).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// The whole bytes of a response; the connection then ends.
pub(super) fn response(status: &str, headers: &[String], body: &str) -> Vec<u8> {
    let more = headers.iter().map(|line| format!("{line}\r\n")).collect::<Vec<_>>().concat();
    let date = leadflow::platform::clock::Clock::System.now().strftime("%a, %d %b %Y %H:%M:%S GMT");
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nDate: {date}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n{more}\r\n{body}"
    )
    .into_bytes()
}

pub(crate) fn tls() -> Arc<ServerConfig> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let files = certificates();
    let chain = CertificateDer::pem_file_iter(&files.certificate).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
    Arc::new(ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap())
}

/// One connection of a client.
pub(super) fn converse(mut stream: TcpStream, tls: &Arc<ServerConfig>, state: &Arc<Mutex<State>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let Some((method, target, headers)) = head(&mut reader) else { return };
    if method != "CONNECT" {
        let request = Request { host: "imds".to_owned(), method, target, headers, body: Vec::new() };
        let answer = entra::metadata(&request, &mut state.lock().unwrap());
        let _ = stream.write_all(&answer);
        return;
    }
    let host = target.split(':').next().unwrap().to_owned();
    let is_graph = host.contains("graph");
    let first = || state.lock().unwrap().graph.front().copied();
    if is_graph && first() == Some(Scripted::Unreachable) {
        state.lock().unwrap().graph.pop_front();
        let _ = stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
        return;
    }
    let _ = stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n");
    let Ok(connection) = ServerConnection::new(Arc::clone(tls)) else { return };
    let mut secured = BufReader::new(StreamOwned::new(connection, stream));
    let Some((method, target, headers)) = head(&mut secured) else { return };
    let mut request = Request { host, method, target, headers, body: Vec::new() };
    let length: usize = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    request.body = vec![0; length];
    if secured.read_exact(&mut request.body).is_err() {
        return;
    }
    state.lock().unwrap().asked.push(format!("{} {}{}", request.method, request.host, request.path()));
    let answer = match request.host.as_str() {
        host if host.starts_with("login.") => Some(entra::token(&request, &mut state.lock().unwrap())),
        host if host.contains("graph") => graph::send_mail(&request, state),
        _ => Some(table::answer(&request, &mut state.lock().unwrap())),
    };
    let stream = secured.get_mut();
    if let Some(answer) = answer {
        let _ = stream.write_all(&answer).and_then(|()| stream.flush());
        stream.conn.send_close_notify();
        let _ = stream.flush();
    }
}

type Head = (String, String, Vec<(String, String)>);

fn head(reader: &mut impl BufRead) -> Option<Head> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut words = lines.first()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let header =
        |line: &String| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    Some((method, target, lines[1..].iter().filter_map(header).collect()))
}
