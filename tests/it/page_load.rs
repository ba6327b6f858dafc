//! Whoever wants to keep the page or the daemon busy: flows keep their slots meanwhile, and all is as before afterwards.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::daemon::Daemon;
use crate::support::embedded::rows;
use crate::support::flows_toml::{FlowsToml, KEYS, SINCE};
use crate::support::leadflow::Sandbox;
use crate::support::page::{Reply, Visitor, answers, free_port, page_on, served};
use crate::support::{eventually, now, within};

/// Connections that the page holds at most.
const HELD: usize = 256;

struct Attacked {
    sandbox: Sandbox,
    daemon: Daemon,
    port: u16,
    /// File descriptors and threads before.
    before: (usize, usize),
}

/// A daemon whose flow runs each second, with its page.
fn attacked() -> Attacked {
    let port = free_port();
    let flow =
        FlowsToml::new().raw(&page_on(port)).embedded("demo").folder("folder").flow("leads").every("second");
    let sandbox = Sandbox::new(flow.filter(SINCE).body(KEYS));
    let daemon = sandbox.daemon();
    served(&daemon);
    answers(port);
    sandbox.table().insert_at(&rows(["before"]), now());
    eventually("the mail before", || (sandbox.texts().concat().contains("before")).then_some(()));
    let before = resources(&daemon);
    Attacked { sandbox, daemon, port, before }
}

/// Open file descriptors and threads of the daemon.
fn resources(daemon: &Daemon) -> (usize, usize) {
    let count = |name: &str| std::fs::read_dir(format!("/proc/{}/{name}", daemon.id())).unwrap().count();
    (count("fd"), count("task"))
}

impl Attacked {
    /// Attacks until two mails have come and several slots have passed; then each slot was kept and all is as before.
    fn by(self, attack: impl FnOnce(u16, &AtomicBool) + Send) {
        let over = AtomicBool::new(false);
        let began = now();
        let most_held = AtomicU64::new(0);
        thread::scope(|scope| {
            let (port, over) = (self.port, &over);
            let attacker = scope.spawn(move || attack(port, over));
            for key in ["first-of-the-attack", "second-of-the-attack"] {
                self.sandbox.table().insert_at(&rows([key]), now());
                let looked = Instant::now();
                within(Duration::from_mins(2), key, || {
                    most_held.fetch_max(resources(&self.daemon).0 as u64, Ordering::Relaxed);
                    let is_long = looked.elapsed() > Duration::from_secs(5);
                    (is_long && self.sandbox.texts().concat().contains(key)).then_some(())
                });
            }
            over.store(true, Ordering::Relaxed);
            attacker.join().unwrap();
        });
        let ended = now();
        let extra = usize::try_from(most_held.into_inner()).unwrap().saturating_sub(self.before.0);
        assert!(extra <= HELD + 40, "{extra} file descriptors more than before");
        self.kept_its_slots(began, ended);
        answers(self.port);
        within(Duration::from_mins(2), "file descriptors and threads to be given back", || {
            let (files, threads) = resources(&self.daemon);
            (files <= self.before.0 + 4 && threads <= self.before.1 + 6).then_some(())
        });
        assert!(!self.daemon.log().contains("panicked"));
        assert!(self.daemon.stop().success());
    }

    /// Runs of the time between began soon after their slots, and one a second: what the page is busy with delays none.
    fn kept_its_slots(&self, began: Timestamp, ended: Timestamp) {
        let moment = |value: &serde_json::Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
        let runs = self.sandbox.runs();
        let late: Vec<f64> = runs
            .iter()
            .filter(|run| run["due"].is_string() && (began..ended).contains(&moment(&run["due"])))
            .map(|run| moment(&run["started"]).duration_since(moment(&run["due"])).as_secs_f64())
            .collect();
        let seconds = ended.duration_since(began).as_secs_f64();
        // A slot in which the one before is still running waits for the next tick, so not each has a run of its own.
        let count = i32::try_from(late.len()).unwrap();
        assert!(f64::from(count) > seconds / 3.0, "{count} runs in {seconds} s");
        let worst = late.iter().copied().fold(0.0, f64::max);
        assert!(worst < 5.0, "a slot was {worst} s late");
        let mut sorted = late;
        sorted.sort_by(f64::total_cmp);
        let median = sorted[sorted.len() / 2];
        assert!(median < 2.0, "half of the slots were {median} s late or more");
    }
}

fn connect(port: u16) -> Option<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_mins(1))).ok()?;
    stream.set_write_timeout(Some(Duration::from_secs(5))).ok()?;
    Some(stream)
}

#[test]
fn heads_that_come_byte_by_byte_and_bodies_that_never_end() {
    attacked().by(|port, over| {
        let head = format!("GET / HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nx: {}", "x".repeat(10_000));
        let body = format!(
            "POST /sign-in HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-length: 60000\r\n\
             content-type: application/x-www-form-urlencoded\r\n\r\nuser="
        );
        let open = || connect(port).map(|stream| (stream, 0_usize));
        let mut slow: Vec<_> = (0..HELD).filter_map(|_| open()).collect();
        while !over.load(Ordering::Relaxed) {
            for (number, (stream, sent)) in slow.iter_mut().enumerate() {
                let text = if number % 2 == 0 { &head } else { &body };
                let byte = text.as_bytes().get(*sent).copied().unwrap_or(b'x');
                if stream.write_all(&[byte]).is_err()
                    && let Some(again) = open()
                {
                    (*stream, *sent) = again;
                }
                *sent += 1;
            }
            thread::sleep(Duration::from_millis(100));
        }
    });
}

#[test]
fn answers_that_nobody_reads() {
    attacked().by(|port, over| {
        let request = format!("GET /flows/leads HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n").repeat(50);
        let mut streams: Vec<_> = (0..64).filter_map(|_| connect(port)).collect();
        for stream in &streams {
            stream.set_nonblocking(true).unwrap();
        }
        while !over.load(Ordering::Relaxed) {
            for stream in &mut streams {
                let _ = stream.write(request.as_bytes());
            }
            thread::sleep(Duration::from_millis(200));
        }
    });
}

/// As many file descriptors as this process may have.
fn raise_limit() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    getrlimit(Resource::Nofile).current.map_or(1 << 20, |most| usize::try_from(most).unwrap())
}

#[test]
fn ten_thousand_connections_at_the_same_time() {
    let wanted = 10_000.min(raise_limit().saturating_sub(1_000));
    assert!(wanted >= 2_000, "this machine lets a process have only {wanted} connections");
    attacked().by(move |port, over| {
        let streams: Vec<_> =
            (0..wanted).filter_map(|_| TcpStream::connect(("127.0.0.1", port)).ok()).collect();
        assert!(streams.len() > wanted / 2, "{} of {wanted}", streams.len());
        while !over.load(Ordering::Relaxed) {
            // Who comes late is sent away at once, and is not let hang.
            if let Some(mut late) = connect(port) {
                let _ = late.write_all(b"GET / HTTP/1.1\r\n\r\n");
                let _ = late.read(&mut [0; 1]);
            }
            thread::sleep(Duration::from_millis(100));
        }
    });
}

#[test]
fn heads_and_bodies_without_measure() {
    attacked().by(|port, over| {
        let guest = Visitor::guest(port);
        let megabytes = vec![b'x'; 10 << 20];
        let long = "x".repeat(64 << 10);
        while !over.load(Ordering::Relaxed) {
            let status = |reply: std::io::Result<Reply>| reply.map_or(0, |reply| reply.status);
            assert!(matches!(status(guest.try_send("GET", "/", &[("x", &long)], b"")), 0 | 431));
            assert!(matches!(status(guest.try_send("GET", &format!("/{long}"), &[], b"")), 0 | 414 | 431));
            let many: Vec<_> = (0..1_000).map(|number| format!("x-{number}")).collect();
            let many: Vec<_> = many.iter().map(|name| (name.as_str(), "x")).collect();
            assert!(matches!(status(guest.try_send("GET", "/", &many, b"")), 0 | 431));
            let form = [("content-type", "application/x-www-form-urlencoded")];
            assert!(matches!(status(guest.try_send("POST", "/sign-in", &form, &megabytes)), 0 | 413));
        }
    });
}

/// All that comes back for these bytes.
fn said(port: u16, bytes: &str) -> String {
    let mut stream = connect(port).unwrap();
    stream.write_all(bytes.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn no_request_is_hidden_in_another_one() {
    let Attacked { sandbox: _sandbox, daemon, port, .. } = attacked();
    let host = format!("host: 127.0.0.1:{port}\r\n");
    let hidden = format!("GET /healthz HTTP/1.1\r\n{host}connection: close\r\n\r\n");
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    for head in [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: 5, 6\r\n",
        "content-length: +5\r\n",
        "content-length: 0x5\r\n",
        "content-length: -1\r\n",
        "content-length: 99999999999999999999999\r\n",
        "content-length : 5\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: xchunked\r\n",
        " content-length: 5\r\n",
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
    ] {
        let answer =
            said(port, &format!("POST /sign-in HTTP/1.1\r\n{host}{form}{head}\r\n0\r\n\r\n{hidden}"));
        assert!(!answer.contains("ok\n"), "{head}: {answer}");
        let first = answer.lines().next().unwrap_or_default();
        // Both at once: chunks count, and the connection ends after them (RFC 9112, 6.1).
        let is_both = head.contains("length: 5\r\n") && head.contains("encoding: chunked\r\n");
        assert!(first.is_empty() || first.contains(" 400 ") || is_both, "{head}: {first}");
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{head}: {answer}");
    }
    for first in [
        "GET / HTTP/1.1\nhost: a\n\n",
        "GET  / HTTP/1.1\r\n",
        "GET / HTTP/9.9\r\n",
        "\u{0}\u{1}\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let answer = said(port, &format!("{first}\r\n"));
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{first:?}: {answer}");
    }
    // What comes in a row is answered in its order.
    let open = hidden.replace("connection: close\r\n", "");
    let answer = said(port, &format!("{}{}{hidden}", open, open.replace("/healthz", "/no-page")));
    let statuses: Vec<_> = answer.split("HTTP/1.1 ").skip(1).map(|rest| &rest[..3]).collect();
    assert_eq!(statuses, ["200", "404", "200"], "{answer}");
    answers(port);
    assert!(daemon.stop().success());
}
