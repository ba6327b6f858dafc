//! The network: services that trickle or flood, names that do not resolve, certificates that have
//! run out, redirects. No other flow waits for them, and no credential leaves.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use leadflow::platform::clock::Clock;
use leadflow::services::table::TableReader as _;

use crate::support::certificates::expired;
use crate::support::eventually;
use crate::support::flows_toml::{FlowsToml, SINCE, guide};
use crate::support::leadflow::Sandbox;
use crate::support::leads::{keys, lead};
use crate::support::mail_server::MailServer;
use crate::support::scripted::{response, serve, table_service};

/// A connection string that comes from a file of that name, and a flow on it.
fn sick(flows: FlowsToml, name: &str) -> FlowsToml {
    flow_on(flows.azure_of(name, &format!("storage-{name}")), name)
}

/// A flow each second on this connection.
fn flow_on(flows: FlowsToml, connection: &str) -> FlowsToml {
    let flow = flows.flow(connection).every("second").reads(connection, "leads").filter(SINCE);
    flow.mails_by("relay").more("template = \"marketplace-leads\"")
}

fn storage_at(port: u16) -> String {
    format!("AccountName=contoso;AccountKey=Y2FuYXJ5;TableEndpoint=http://127.0.0.1:{port}/contoso")
}

/// Reads the head of a request; `None` at the end of the connection.
fn head(reader: &mut impl std::io::BufRead) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return None;
        }
    }
    Some(head)
}

const HEAD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Mon, 23 Nov 2026 08:00:00 GMT\r\n";

/// Sends a page without end, as fast as it is taken; returns the port and what was taken at most
/// in one response.
fn endless_page() -> (u16, Arc<AtomicUsize>) {
    let most = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&most);
    let port = serve(move |mut stream: TcpStream| {
        if head(&mut BufReader::new(stream.try_clone().unwrap())).is_none() {
            return;
        }
        let piece = vec![b' '; 1 << 20];
        let mut sent =
            stream.write(HEAD.as_bytes()).unwrap_or(0) + stream.write(b"\r\n{\"value\":[").unwrap_or(0);
        // 1 GB is what it has to say.
        while sent < 1 << 30 && stream.write_all(&piece).is_ok() {
            sent += piece.len();
            seen.fetch_max(sent, Ordering::Relaxed);
        }
    });
    (port, most)
}

/// 300 MB of blanks in 300 KB.
fn gzip_bomb() -> Vec<u8> {
    let script = "head -c 300000000 /dev/zero | tr '\\0' ' ' | gzip -c";
    let packed = Command::new("sh").args(["-c", script]).output().unwrap();
    assert!(packed.status.success(), "gzip is needed: {}", String::from_utf8_lossy(&packed.stderr));
    let length = packed.stdout.len();
    let head = format!("{HEAD}Content-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), &packed.stdout].concat()
}

/// A byte of a response each 200 ms.
fn slow_loris() -> u16 {
    serve(|mut stream: TcpStream| {
        if head(&mut BufReader::new(stream.try_clone().unwrap())).is_none() {
            return;
        }
        for byte in HEAD.bytes().cycle() {
            if stream.write_all(&[byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(200));
        }
    })
}

#[test]
fn case_25_a_trickle_a_bomb_and_a_flood_keep_no_other_flow_waiting() {
    let (endless, most) = endless_page();
    let bomb = gzip_bomb();
    let bombs = table_service(move |_, _| Some(bomb.clone()));
    let server = MailServer::start(&[]);
    let names = ["loris", "bomb", "flood"];
    let flows = FlowsToml::new().embedded("demo").relay("relay", server.port);
    let flows = names.into_iter().fold(flow_on(flows, "demo"), sick);
    let sandbox = Sandbox::new(flows);
    for (name, port) in names.into_iter().zip([slow_loris(), bombs.port, endless]) {
        sandbox.write(&format!("storage-{name}"), &storage_at(port));
    }
    let daemon = sandbox.daemon();
    let too_large = || daemon.log().matches("exceeds 8 MiB, more than any row of the service").count();
    let mut number = 0;
    eventually("both large pages to be refused", || {
        sandbox.table().insert(&[lead(number)]);
        number += 1;
        thread::sleep(Duration::from_millis(500));
        (too_large() >= 2 && number > 4).then_some(())
    });
    for name in ["bomb", "flood"] {
        assert!(daemon.log().contains(&format!("flow=\"{name}\"")), "{}", daemon.log());
    }
    server.wait_for_keys(&keys(0..number));
    assert!(most.load(Ordering::Relaxed) < 80 << 20, "{} bytes were taken", most.load(Ordering::Relaxed));
    let peak = daemon.peak();
    assert!(peak < 64, "{peak} MiB");
    assert!(daemon.stop().success());
}

/// All time passes at once in this test, so that the limit of a trickle need not be waited for.
#[tokio::test(start_paused = true)]
async fn case_25_a_trickle_ends_at_the_limit_for_the_whole_response() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                // Often enough for the limit between two pieces, which is 30 s.
                for byte in HEAD.bytes().cycle() {
                    if stream.write_all(&[byte]).await.is_err() {
                        return;
                    }
                    count.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_secs(20)).await;
                }
            });
        }
    });
    let sandbox = Sandbox::new(sick(FlowsToml::new().relay("relay", 1), "loris"));
    sandbox.write("storage-loris", &storage_at(port));
    let config = leadflow::config::load(&sandbox.path("flows.toml")).unwrap().config;
    let table = config.table("loris", "leads").unwrap();
    let table = leadflow::services::OnlineServices::new(Clock::System).open_table(table).await.unwrap();
    let began = tokio::time::Instant::now();
    let error = table.ask_time().await.unwrap_err();
    assert!(error.advice.message.contains("no answer in time"), "{error}");
    let took = began.elapsed();
    assert!(took < Duration::from_mins(13), "six tries of two minutes, and the waits between: {took:?}");
    assert!(sent.load(Ordering::Relaxed) >= 6, "each try got some bytes");
}

#[test]
fn case_26_a_redirect_is_not_followed_and_no_credential_leaves() {
    let visits = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&visits);
    let elsewhere = serve(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let location = format!("Location: http://127.0.0.1:{elsewhere}/contoso/leads()");
        let service = table_service(move |_, _| Some(response(status, &[&location], "")));
        let sandbox = Sandbox::with_storage(guide("leads", 1), service.storage());
        let output = sandbox.exits(1, &["run", "--once"]);
        assert!(output.stderr.contains("answered with a redirect"), "{}", output.stderr);
        assert_eq!(service.count(), 1);
    }
    assert_eq!(visits.load(Ordering::Relaxed), 0);
}

#[test]
fn case_26_a_name_that_does_not_resolve_fails_the_run_and_defers_the_mail() {
    let flows = FlowsToml::new().embedded("demo").relay("relay", 587);
    let flows = sick(flow_on(flows, "demo"), "gone").to_string();
    let sandbox = Sandbox::new(flows.replacen("host = \"127.0.0.1\"", "host = \"mail.invalid\"", 1));
    sandbox.write(
        "storage-gone",
        "AccountName=contoso;AccountKey=Y2FuYXJ5;TableEndpoint=https://contoso.invalid",
    );
    let daemon = sandbox.daemon();
    sandbox.table().insert(&[lead(1)]);
    daemon.wait_for_log("cannot reach contoso.invalid: ");
    daemon.wait_for_log("the mail connection fails: cannot connect to mail.invalid:587: ");
    assert!(daemon.stop().success());
    let listed = sandbox.json(&["list", "--json"]);
    assert_eq!(
        listed.as_array().unwrap().iter().find(|line| line["flow"] == "demo").unwrap()["waiting_mails"],
        1
    );
}

/// Takes TLS connections with a certificate that has run out; what came through it is noted.
fn expired_tls(stream: TcpStream, heard: &Mutex<Vec<u8>>) {
    let mut tls =
        rustls::StreamOwned::new(rustls::ServerConnection::new(expired().config.clone()).unwrap(), stream);
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = tls.read(&mut bytes) {
        heard.lock().unwrap().extend_from_slice(&bytes[..count]);
    }
}

#[test]
fn case_26_an_expired_certificate_ends_it_before_any_credential() {
    let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
    let (of_table, of_mail) = (Arc::clone(&heard), Arc::clone(&heard));
    let table = serve(move |stream| expired_tls(stream, &of_table));
    let mail = serve(move |mut stream: TcpStream| {
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        let _ = stream.write_all(b"220 scripted\r\n");
        let mut line = String::new();
        while lines.read_line(&mut line).unwrap_or(0) > 0 {
            of_mail.lock().unwrap().extend_from_slice(line.as_bytes());
            if line.starts_with("STARTTLS") {
                let _ = stream.write_all(b"220 go on\r\n");
                return expired_tls(stream, &of_mail);
            }
            let _ = stream.write_all(b"250-scripted\r\n250-AUTH PLAIN LOGIN\r\n250 STARTTLS\r\n");
            line.clear();
        }
    });
    let authority = format!("ca_file = \"{}\"", expired().authority.display());
    let relay = FlowsToml::new().embedded("demo").relay("relay", mail).to_string();
    let own = relay.lines().find(|line| line.starts_with("ca_file")).unwrap();
    let flows = FlowsToml::new().raw(&relay.replace(own, &authority));
    let flows = flow_on(flows, "demo").azure_of("old", "storage-old").more(&authority);
    let sandbox = Sandbox::new(flow_on(flows, "old"));
    let endpoint =
        format!("AccountName=contoso;AccountKey=Y2FuYXJ5;TableEndpoint=https://127.0.0.1:{table}/contoso");
    sandbox.write("storage-old", &endpoint);
    let daemon = sandbox.daemon();
    sandbox.table().insert(&[lead(1)]);
    daemon.wait_for_log(&format!("the run failed: cannot reach 127.0.0.1:{table}: "));
    daemon.wait_for_log("the mail connection fails: cannot connect to 127.0.0.1");
    let log = daemon.log();
    assert!(log.matches("ask for the certificate of 127.0.0.1 to be renewed").count() >= 2, "{log}");
    assert!(daemon.stop().success());
    let heard = String::from_utf8_lossy(&heard.lock().unwrap()).into_owned();
    assert!(
        heard.contains("STARTTLS") && !heard.contains("AUTH") && !heard.contains("Authorization"),
        "{heard}"
    );
    assert!(!heard.to_lowercase().contains("sharedkey"), "{heard}");
}
