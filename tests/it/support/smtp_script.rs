//! An SMTP server each of whose replies is written by the test, byte for byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::sync::{Arc, Mutex};

use leadflow::flow::SecretSource;
use leadflow::flow::{Login, MailConnection, Security, SmtpConnection, SmtpCredential};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::certificates::certificates;
use super::flows_toml::FlowsToml;
use super::leadflow::Sandbox;
use super::leads::leads;
use super::scripted::serve_at;

pub(crate) const FROM: &str = "leads@contoso.example";

/// What the server does at a step.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Say(Vec<u8>),
    SayAndClose(Vec<u8>),
    /// These bytes, for ever.
    Endless(&'static [u8]),
    Close,
}

/// Says these lines.
pub(crate) fn say(text: &str) -> Step {
    Step::Say(format!("{text}\r\n").into_bytes())
}

/// What a good server says at a step: the verb of the command in capitals, `greeting` before
/// the first, `.` after the end of a message.
pub(crate) fn good(step: &str) -> Step {
    say(match step {
        "greeting" => "220 scripted",
        "EHLO" => "250-scripted\r\n250 8BITMIME",
        "DATA" => "354 go on",
        "." => "250 queued",
        "AUTH" => "235 welcome",
        "QUIT" => "221 bye",
        _ => "250 fine",
    })
}

/// What the server has heard.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Commands of all sessions, without their line ends; `greeting` begins a session.
    pub(crate) commands: Vec<String>,
    pub(crate) messages: Vec<Vec<u8>>,
}

/// A running server.
pub(crate) struct Script {
    pub(crate) port: u16,
    heard: Arc<Mutex<Heard>>,
}

impl Script {
    /// `answer` is given the step and the whole line; what it answers to `STARTTLS` with a 220 is
    /// followed by TLS of the private authority.
    pub(crate) fn start(answer: impl Fn(&str, &str) -> Step + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", answer)
    }

    /// As [`Script::start`], at another address of this machine.
    pub(crate) fn start_at(
        address: &str,
        answer: impl Fn(&str, &str) -> Step + Send + Sync + 'static,
    ) -> Self {
        let heard: Arc<Mutex<Heard>> = Arc::default();
        let noted = Arc::clone(&heard);
        let port = serve_at(
            address,
            || true,
            move |stream| {
                let _ = session(Box::new(stream), &answer, &noted, true);
            },
        );
        Self { port, heard }
    }

    pub(crate) fn commands(&self) -> Vec<String> {
        self.heard.lock().unwrap().commands.clone()
    }

    /// How many commands begin with this.
    pub(crate) fn count(&self, begin: &str) -> usize {
        self.commands().iter().filter(|command| command.to_ascii_uppercase().starts_with(begin)).count()
    }

    pub(crate) fn messages(&self) -> Vec<Vec<u8>> {
        self.heard.lock().unwrap().messages.clone()
    }

    /// A connection to it without TLS and login.
    pub(crate) fn connection(&self) -> SmtpConnection {
        SmtpConnection {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            security: Security::None,
            from: leadflow::flow::Mailbox::bare(FROM),
            login: None,
            ca_file: None,
            per_minute: 1_000,
            helo: None,
        }
    }

    /// With STARTTLS of the private authority.
    pub(crate) fn with_starttls(&self) -> MailConnection {
        let ca_file = Some(certificates().authority.clone());
        MailConnection::Smtp(SmtpConnection { security: Security::StartTls, ca_file, ..self.connection() })
    }

    /// With a login, whose password lies in that file.
    pub(crate) fn with_login(&self, username: &str, password: &std::path::Path) -> MailConnection {
        let credential = SmtpCredential::Password(SecretSource::File(password.to_owned()));
        let login = Some(Login { username: username.to_owned(), credential });
        MailConnection::Smtp(SmtpConnection { login, ..self.connection() })
    }
}

/// Mail with one lead over servers of these ports, each of which is tried.
pub(crate) fn sandbox(ports: &[u16]) -> Sandbox {
    let names: Vec<_> = (0..ports.len()).map(|number| format!("relay{number}")).collect();
    let relays =
        names.iter().zip(ports).fold(FlowsToml::new(), |flows, (name, port)| flows.smtp(name, *port));
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let flow = relays.embedded("marketplace").guide_flow("leads").mails_by_any(&names);
    let sandbox = Sandbox::new(flow);
    sandbox.table().insert(&leads(0..1));
    sandbox
}

trait ReadWrite: Read + Write + Send {}
impl<T: Read + Write + Send> ReadWrite for T {}

/// Plays one session; `None` when it is over.
fn session(
    stream: Box<dyn ReadWrite>,
    answer: &(impl Fn(&str, &str) -> Step + Sync),
    heard: &Mutex<Heard>,
    mut greets: bool,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut in_message = false;
    loop {
        let (step, line) = if std::mem::take(&mut greets) {
            ("greeting".to_owned(), "greeting".to_owned())
        } else if in_message {
            let message = message(&mut stream)?;
            heard.lock().unwrap().messages.push(message);
            (".".to_owned(), ".".to_owned())
        } else {
            let mut line = String::new();
            if stream.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end_matches(['\r', '\n']).to_owned();
            (line.split(' ').next().unwrap_or_default().to_ascii_uppercase(), line)
        };
        heard.lock().unwrap().commands.push(line.clone());
        let bytes = match answer(&step, &line) {
            Step::Say(bytes) => bytes,
            Step::SayAndClose(bytes) => {
                let _ = stream.get_mut().write_all(&bytes);
                return None;
            }
            Step::Endless(bytes) => return endless(stream.get_mut(), bytes),
            Step::Close => return None,
        };
        stream.get_mut().write_all(&bytes).ok()?;
        stream.get_mut().flush().ok()?;
        in_message = step == "DATA" && bytes.trim_ascii_start().starts_with(b"3");
        if step == "QUIT" {
            return None;
        }
        if step == "STARTTLS" && bytes.starts_with(b"220") {
            let tls = ServerConnection::new(tls_config()).unwrap();
            let plain = stream.into_inner();
            return session(Box::new(StreamOwned::new(tls, plain)), answer, heard, false);
        }
    }
}

/// As much as nobody should take in, and no more: a reader without bounds is to fail its test,
/// not the machine.
fn endless(stream: &mut dyn ReadWrite, bytes: &[u8]) -> Option<()> {
    let piece = bytes.repeat((64 << 10) / bytes.len());
    for _ in 0..(300 << 20) / piece.len() {
        stream.write_all(&piece).ok()?;
    }
    None
}

/// A message to its final dot, as it came.
fn message(stream: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while !(bytes == b".\r\n" || bytes.ends_with(b"\r\n.\r\n")) {
        if stream.read_until(b'\n', &mut bytes).ok()? == 0 {
            return None;
        }
    }
    Some(bytes)
}

fn tls_config() -> Arc<ServerConfig> {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let files = certificates();
    let certificate = CertificateDer::from_pem_file(&files.certificate).unwrap();
    let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap())
}
