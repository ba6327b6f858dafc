//! Each refusal of a mail server, of a proxy and of TLS has its own remedy: nobody is sent to look at
//! a password where the server asks for TLS.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::flows_toml::FlowsToml;
use crate::support::leadflow::{Output, Sandbox};
use crate::support::microsoft::Microsoft;
use crate::support::microsoft::connections::application;
use crate::support::scripted::serve;
use crate::support::smtp_script::{FROM, Script, Step, good, sandbox, say};

/// What `run --once` and `check --online` say, without line breaks.
fn said(sandbox: &Sandbox) -> String {
    let output = sandbox.run(&["check", "--online"]);
    flat(&[&output, &sandbox.run(&["run", "--once"])])
}

fn flat(outputs: &[&Output]) -> String {
    let all: String = outputs.iter().flat_map(|output| [output.stdout.as_str(), &output.stderr]).collect();
    // The log has quotes inside of quotes.
    all.replace("\\\"", "\"").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn shows(said: &str, case: &str, words: &[&str], never: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{case}: `{word}` is not in: {said}");
    }
    for word in never {
        assert!(!said.contains(word), "{case}: `{word}` is in: {said}");
    }
}

const LOGIN: &str =
    "security = \"none\"\nlogin = { username = \"leads\", password = { file = \"mail-password\" } }";

#[test]
fn a_refused_login_says_how_to_fix_it() {
    const PASSWORD: &str = "check the username, and the password";
    const WAITS: &str = "leadflow tries again";
    for (offers, reply, words, never) in [
        (
            "AUTH CRAM-MD5 NTLM",
            "",
            &["it offers CRAM-MD5, NTLM", "make the server offer PLAIN or LOGIN"][..],
            &[PASSWORD][..],
        ),
        ("AUTH XOAUTH2", "", &["it offers XOAUTH2", "write `oauth` in place of `password`"], &[PASSWORD]),
        ("8BITMIME", "", &["it offers none", "port 587"], &[PASSWORD]),
        (
            "AUTH PLAIN",
            "454 4.7.0 Temporary authentication failure",
            &["cannot check the login `leads`: 454", WAITS],
            &[PASSWORD],
        ),
        ("AUTH LOGIN", "421 4.7.0 Too many errors", &["421", WAITS], &[PASSWORD]),
        ("AUTH PLAIN", "535 5.7.8 no", &["does not accept the login `leads`: 535", PASSWORD], &[WAITS]),
        ("AUTH PLAIN", "534 5.7.9 Application-specific password required", &["app password"], &[PASSWORD]),
        (
            "AUTH LOGIN",
            "535 5.7.139 SmtpClientAuthentication is disabled for the Tenant",
            &["Set-CASMailbox"],
            &[PASSWORD],
        ),
        (
            "AUTH LOGIN",
            "535 5.7.139 basic authentication is disabled",
            &["use a `graph` connection"],
            &[PASSWORD],
        ),
        ("AUTH PLAIN", "538 5.7.11 Encryption required", &["security = \"starttls\""], &[PASSWORD]),
        (
            "AUTH PLAIN LOGIN",
            "503 5.5.1 AUTH not available",
            &["does not let clients sign in on this port"],
            &[PASSWORD],
        ),
    ] {
        let server = Script::start(move |step, _| match step {
            "EHLO" => say(&format!("250-scripted\r\n250 {offers}")),
            "AUTH" => say(reply),
            step => good(step),
        });
        let sandbox = sandbox(&[server.port]);
        sandbox.edit("security = \"none\"", LOGIN);
        shows(&said(&sandbox), &format!("{offers} {reply}"), words, never);
    }
}

const LOGIN_WANTED: &str = "login = { username =";

/// Where a server refuses, with what, whether there is a login, and what is then said, and what not.
type Refusal = (&'static str, &'static str, bool, &'static [&'static str], &'static [&'static str]);

const REFUSALS: [Refusal; 11] = [
    ("MAIL", "530 5.7.0 Authentication required", false, &[LOGIN_WANTED], &["check its"]),
    ("MAIL", "530 5.7.57 Client not authenticated to send mail", false, &[LOGIN_WANTED], &["check its"]),
    ("MAIL", "530 5.7.0 Authentication required", true, &["whether it may send"], &[LOGIN_WANTED]),
    (
        "MAIL",
        "530 5.7.0 Must issue a STARTTLS command first",
        false,
        &["security = \"starttls\""],
        &[LOGIN_WANTED],
    ),
    (
        "RCPT",
        "454 4.7.1 <x@y.example>: Relay access denied",
        false,
        &["relays mail only after sign-in", LOGIN_WANTED],
        &[],
    ),
    (
        "RCPT",
        "554 5.7.1 <x@y.example>: Relay access denied",
        false,
        &["relays mail only after sign-in", LOGIN_WANTED],
        &[],
    ),
    ("RCPT", "550 5.7.1 Unable to relay", true, &["ask its administrator to permit it"], &[LOGIN_WANTED]),
    ("MAIL", "454 4.3.0 Temporary failure", true, &["leadflow tries again"], &["password"]),
    ("MAIL", "421 4.3.2 shutting down", false, &["leadflow tries again"], &[LOGIN_WANTED]),
    (
        "greeting",
        "554 5.7.1 your address is listed",
        false,
        &["refuses connections", "refuses this machine's address"],
        &[LOGIN_WANTED],
    ),
    (
        "greeting",
        "421 4.3.2 too many connections",
        false,
        &["leadflow tries again"],
        &["refuses this machine"],
    ),
];

#[test]
fn a_refused_mail_says_how_to_fix_it() {
    for (at, reply, has_login, words, never) in REFUSALS {
        let server = Script::start(move |step, _| match step {
            step if step == at => say(reply),
            "EHLO" => say("250-scripted\r\n250 AUTH PLAIN"),
            step => good(step),
        });
        let sandbox = sandbox(&[server.port]);
        if has_login {
            sandbox.edit("security = \"none\"", LOGIN);
        }
        shows(&said(&sandbox), &format!("{at} {reply}"), words, never);
    }
}

#[test]
fn a_server_that_starts_no_tls_says_why() {
    for (reply, words) in [
        ("454 4.7.0 TLS not available due to local problem", "leadflow tries again"),
        ("502 5.5.1 no", "check `host`, `port` and `security`"),
    ] {
        let server = Script::start(move |step, _| match step {
            "EHLO" => say("250-scripted\r\n250 STARTTLS"),
            "STARTTLS" => say(reply),
            step => good(step),
        });
        let sandbox = sandbox(&[server.port]);
        sandbox.edit("security = \"none\"", "security = \"starttls\"");
        shows(&said(&sandbox), reply, &["does not start TLS", words], &["EHLO"]);
    }
}

/// A certificate of its own issue for these names: with or without the mark of an authority.
fn self_signed(names: &[&str], is_authority: bool) -> (Arc<ServerConfig>, String) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut certificate = CertificateParams::new(names).unwrap();
    certificate.is_ca =
        if is_authority { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
    let key = KeyPair::generate().unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    (Arc::new(config), certificate.pem())
}

/// Begins TLS, and says this.
fn speaks(mut stream: TcpStream, config: &Arc<ServerConfig>, words: &[u8]) {
    let tls = ServerConnection::new(Arc::clone(config)).unwrap();
    let mut stream_of_tls = StreamOwned::new(tls, &mut stream);
    let _ = stream_of_tls.write_all(words);
    let _ = stream_of_tls.read(&mut [0; 1 << 10]);
}

/// What is said of a mail server, and of a table service, that answer so to the first bytes of TLS.
fn said_of_tls(
    sandbox_with: &str,
    answer: impl Fn(TcpStream) + Send + Sync + 'static,
) -> [(Sandbox, String); 2] {
    let port = serve(answer);
    let (mail, table) = (sandbox(&[port]), sandbox(&[port]));
    mail.edit("security = \"none\"", "security = \"tls\"");
    let smtp = format!("smtp]\nhost = \"127.0.0.1\"\nport = {port}\nsecurity = \"none\"\nfrom = \"{FROM}\"");
    table.edit(&smtp, "mail_folder]");
    let place = "AccountName=contoso;AccountKey=Y2FuYXJ5;TableEndpoint=https://127.0.0.1";
    table.edit(
        "embedded_table]\nfile = \"demo.db\"",
        "azure_table]\nconnection_string = { file = \"storage\" }",
    );
    table.write("storage", &format!("{place}:{port}/contoso"));
    [mail, table].map(|sandbox| {
        if !sandbox_with.is_empty() {
            sandbox.write("ca.pem", sandbox_with);
            let key = if std::fs::read_to_string(sandbox.path("flows.toml")).unwrap().contains("azure") {
                "connection_string ="
            } else {
                "security ="
            };
            sandbox.edit(key, &format!("ca_file = \"ca.pem\"\n{key}"));
        }
        let output = sandbox.run(&["check", "--online"]);
        let said = flat(&[&output]);
        (sandbox, said)
    })
}

#[test]
fn a_certificate_that_is_not_trusted_says_how_to_trust_it() {
    let (config, own) = self_signed(&["localhost", "127.0.0.1"], false);
    let of = |trusted: &str| {
        let config = Arc::clone(&config);
        said_of_tls(trusted, move |stream| speaks(stream, &config, b"220 ready\r\n"))
    };
    for (_, said) in of("") {
        let words = [
            "self-signed",
            "name the file in ca_file: openssl s_client -connect 127.0.0.1:",
            "| openssl x509 >",
        ];
        shows(&said, "without ca_file", &words, &["UnknownIssuer", "check the network"]);
    }
    let (_, other) = self_signed(&["localhost"], false);
    for (sandbox, said) in of(&other) {
        let file = sandbox.path("ca.pem");
        shows(
            &said,
            "another's",
            &["does not have the authority of this certificate", file.to_str().unwrap()],
            &[],
        );
    }
    // What the remedy says does help.
    let [(_, mail), _] = of(&own);
    shows(&mail, "its own", &["the server has closed the connection"], &["self-signed", "certificate"]);
}

#[test]
fn other_certificates_and_other_tls_have_their_own_remedies() {
    let (of_authority, own) = self_signed(&["127.0.0.1"], true);
    for (_, said) in said_of_tls(&own, move |stream| speaks(stream, &of_authority, b"")) {
        shows(
            &said,
            "authority",
            &["CA:TRUE", "-addext subjectAltName=IP:127.0.0.1"],
            &["CaUsedAsEndEntity"],
        );
    }
    let (of_other, own) = self_signed(&["mail.contoso.example"], false);
    for (_, said) in said_of_tls(&own, move |stream| speaks(stream, &of_other, b"")) {
        shows(
            &said,
            "name",
            &["is for another host: mail.contoso.example", "in place of 127.0.0.1"],
            &["name it in ca_file"],
        );
    }
    // Alerts: a fatal one (2) of the kind protocol_version (70) or handshake_failure (40).
    for (alert, words) in [(70, "TLS 1.1 or older"), (40, "no TLS cipher in common")] {
        let said = said_of_tls("", move |mut stream| {
            let _ = stream.read(&mut [0; 1 << 10]);
            let _ = stream.write_all(&[21, 3, 1, 0, 2, 2, alert]);
        });
        for (_, said) in said {
            shows(&said, "alert", &[words], &["check the network"]);
        }
    }
    let [(_, mail), (_, table)] = said_of_tls("", |mut stream| drop(stream.write_all(b"220 mail ready\r\n")));
    shows(&mail, "no TLS", &["does not answer with TLS", "write security = \"starttls\""], &[]);
    shows(&table, "no TLS", &["does not answer with TLS", "check the port"], &[]);
}

/// A proxy that answers every request so.
fn proxy(answer: &'static str) -> u16 {
    serve(move |mut stream| {
        let _ = stream.read(&mut [0; 4 << 10]);
        let _ = stream.write_all(format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n").as_bytes());
    })
}

#[test]
fn a_proxy_that_wants_a_login_or_lets_nobody_through_says_so() {
    let microsoft = Microsoft::start();
    let azure = || FlowsToml::new().azure_of("marketplace", "storage");
    let embedded = || FlowsToml::new().embedded("marketplace");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (port, table, words) in [
        (
            proxy("407 Proxy Authentication Required"),
            azure(),
            ["requires a login (407)", "http://USER:PASSWORD@HOST:PORT"],
        ),
        (proxy("403 Forbidden"), embedded(), ["refused the connection", "NO_PROXY="]),
        (closed, embedded(), ["refused the connection: Connection refused", "NO_PROXY="]),
    ] {
        let is_azure = table.to_string().contains("azure_table");
        let flows = table.graph(&application("entra")).guide_flow("leads");
        let sandbox = Sandbox::with_microsoft(flows, &microsoft);
        sandbox.write("storage", "AccountName=contoso;AccountKey=Y2FuYXJ5;EndpointSuffix=core.windows.net");
        let mut command = sandbox.command(&["check", "--online"]);
        let place = format!("http://user:canary-proxy-password@127.0.0.1:{port}");
        let output = command.env("HTTPS_PROXY", place).env("NO_PROXY", "").output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(!said.contains("canary"), "{said}");
        shows(&said, words[0], &words, &["check the account's name", "check the network"]);
        assert!(said.contains("cannot reach Entra ID"), "{said}");
        if is_azure {
            assert!(said.contains("cannot reach contoso.table.core.windows.net"), "{said}");
            assert_eq!(said.matches(words[1]).count(), 2, "{said}");
        }
    }
}

/// A server of the other `security` says nothing until the client begins with TLS.
#[test]
fn a_session_that_ends_before_a_word_says_which_ports_are_which() {
    let server = Script::start(|_, _| Step::Close);
    let sandbox = sandbox(&[server.port]);
    shows(&said(&sandbox), "closed", &["has closed the connection", "`tls` is usually port 465"], &[]);
}

#[test]
fn check_looks_into_the_authorities_of_mail_and_table() {
    let (_, pem) = self_signed(&["localhost"], false);
    let smtp = sandbox(&[9]);
    smtp.edit("security = \"none\"", "security = \"starttls\"\nca_file = \"ca.pem\"");
    let table = sandbox(&[9]);
    table.edit(
        "embedded_table]\nfile = \"demo.db\"",
        "azure_table]\nconnection_string = { env = \"LEADS_STORAGE\" }\nca_file = \"ca.pem\"",
    );
    for sandbox in [smtp, table] {
        let check = |text: Option<&str>, code: i32, words: &[&str]| {
            if let Some(text) = text {
                sandbox.write("ca.pem", text);
            }
            let output = sandbox.run(&["check"]);
            shows(&flat(&[&output]), words.first().unwrap_or(&"well"), words, &[]);
            assert_eq!(output.code, code, "{}{}", output.stdout, output.stderr);
        };
        check(None, 2, &["cannot use ca_file", "No such file", "flows.toml:"]);
        check(Some(&format!("\u{feff}{pem}{pem}")), 2, &["byte order mark", "sed -i '1s/^"]);
        check(Some("hello"), 2, &["it contains no certificate", "-----BEGIN CERTIFICATE-----"]);
        sandbox.write("ca.pem", &pem);
        assert!(!flat(&[&sandbox.run(&["check"])]).contains("ca_file"), "a good one");
    }
}
