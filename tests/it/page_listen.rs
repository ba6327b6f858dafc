//! Where the page listens: sockets, certificates, ports that are taken, and what a reload changes of it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::support::embedded::rows;
use crate::support::flows_toml::{FlowsToml, KEYS, SINCE};
use crate::support::leadflow::Sandbox;
use crate::support::page::{Place, READ, ROBOT, Visitor, answers, free_port, page, page_on, served};
use crate::support::{eventually, has, now, within};

fn sandbox(page: &str) -> Sandbox {
    let flow = FlowsToml::new().raw(page).embedded("demo").folder("folder").flow("leads").every("second");
    let sandbox = Sandbox::new(flow.filter(SINCE).body(KEYS));
    sandbox.table().insert_at(&rows(["a"]), now());
    sandbox
}

/// Whether nobody listens there.
fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

#[test]
fn a_socket_is_for_its_group_and_goes_with_the_daemon() {
    let sandbox = sandbox(&page("listen = \"unix:page.sock\""));
    let path = sandbox.path("page.sock");
    // A process that was killed has left it.
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let daemon = sandbox.daemon();
    served(&daemon);
    let file = fs::symlink_metadata(&path).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o660);
    let guest = Visitor::at(Place::Socket(path.clone()));
    assert_eq!(guest.get("/").status, 200);
    assert_eq!(guest.get("/outbox").status, 303);
    assert_eq!(guest.clone().with("host", "evil.example").get("/").status, 421);
    let anna = guest.signed_in("anna");
    assert_eq!(anna.post("/flows/leads/run", &[]).status, 303);
    assert!(daemon.stop().success());
    assert!(!path.exists());
}

#[test]
fn a_socket_of_somebody_else_and_a_file_are_left_alone() {
    let sandbox = sandbox(&page("listen = \"unix:page.sock\""));
    let path = sandbox.path("page.sock");
    let taken = UnixListener::bind(&path).unwrap();
    let daemon = sandbox.daemon();
    daemon.wait_for_log("the page is not served: cannot listen on");
    assert!(daemon.stop().success());
    assert!(path.exists());
    drop(taken);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "a file").unwrap();
    let daemon = sandbox.daemon();
    daemon.wait_for_log("the page is not served: cannot listen on");
    assert!(daemon.stop().success());
    assert_eq!(fs::read_to_string(&path).unwrap(), "a file");
}

/// An authority and a certificate of it for loopback, in these files.
fn certified(sandbox: &Sandbox, authority: &str) -> PathBuf {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer);
    sandbox.write(authority, &issuer.pem());
    sandbox.write("page.key", &key.serialize_pem());
    sandbox.write("page.crt", &certificate.unwrap().pem());
    sandbox.path(authority)
}

fn answers_by(port: u16, authority: &Path) -> bool {
    let visitor = Visitor::at(Place::Tls(port, authority.to_owned()));
    visitor.try_send("GET", "/sign-in", &[], b"").is_ok_and(|reply| reply.status == 200)
}

#[test]
fn a_certificate_that_is_replaced_is_served_without_a_restart_and_a_broken_one_is_not() {
    let port = free_port();
    let lines = format!(
        "listen = \"127.0.0.1:{port}\"\ntls = {{ certificate = \"page.crt\", key = {{ file = \"page.key\" }} }}"
    );
    let sandbox = sandbox(&page(&lines));
    let first = certified(&sandbox, "first.pem");
    let daemon = sandbox.daemon();
    served(&daemon);
    assert!(answers_by(port, &first));
    let visitor = Visitor::at(Place::Tls(port, first.clone()));
    assert_eq!(visitor.get("/").header("strict-transport-security"), Some("max-age=31536000"));
    let (reply, _) = visitor.sign_in("anna", crate::support::page::PASSWORD);
    assert!(reply.header("set-cookie").unwrap().ends_with("; SameSite=Lax; Secure"), "{reply:?}");

    // Plain HTTP gets no page.
    let plain = Visitor::guest(port).try_send("GET", "/", &[], b"");
    assert!(plain.as_ref().map_or(true, |reply| !reply.body.contains("leads")), "{plain:?}");

    let second = certified(&sandbox, "second.pem");
    eventually("the new certificate", || answers_by(port, &second).then_some(()));
    assert!(!answers_by(port, &first));
    let good = fs::read_to_string(sandbox.path("page.crt")).unwrap();
    let refused = daemon.log().matches("the page keeps its certificate").count();
    sandbox.write("page.crt", "-----BEGIN CERTIFICATE-----\nbroken\n");
    eventually("the broken certificate to be refused", || {
        (daemon.log().matches("the page keeps its certificate").count() > refused).then_some(())
    });
    assert!(answers_by(port, &second), "the one before stays");
    sandbox.write("page.crt", &good);
    assert!(daemon.stop().success());
}

#[test]
fn a_reload_adds_moves_and_removes_the_page() {
    let (first, second) = (free_port(), free_port());
    let sandbox = sandbox("");
    let daemon = sandbox.daemon();
    let without = fs::read_to_string(sandbox.path("flows.toml")).unwrap();
    assert!(is_free(first));
    sandbox.write("flows.toml", &format!("{}{without}", page_on(first)));
    answers(first);
    let cookie = Visitor::guest(first).signed_in("anna");
    sandbox.edit(&format!("127.0.0.1:{first}"), &format!("127.0.0.1:{second}"));
    answers(second);
    eventually("the first port to be free", || is_free(first).then_some(()));
    let moved = Visitor { place: Place::Port(second), ..cookie };
    assert_eq!(moved.get("/outbox").status, 200, "who had signed in still has");
    sandbox.write("flows.toml", &without);
    eventually("the page to be gone", || is_free(second).then_some(()));
    let runs = sandbox.runs().len();
    eventually("the next run", || (sandbox.runs().len() > runs).then_some(()));
    assert!(daemon.stop().success());
}

#[test]
fn a_port_that_is_taken_is_said_once_and_served_when_it_is_free() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let also_taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, other) = (taken.local_addr().unwrap().port(), also_taken.local_addr().unwrap().port());
    let sandbox = sandbox(&page_on(port));
    let daemon = sandbox.daemon();
    let said = |port: u16| daemon.log().matches(&format!("cannot listen on 127.0.0.1:{port}: ")).count();
    eventually("the log to say it", || (said(port) == 1).then_some(()));
    eventually("the mail", || (!sandbox.mails().is_empty()).then_some(()));
    // A reload tries again, and says it only where it is something else.
    daemon.signal("HUP");
    daemon.wait_for_log("flows.toml is reloaded");
    sandbox.edit(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{other}"));
    eventually("the log to say it of the other port", || (said(other) == 1).then_some(()));
    assert_eq!(said(port), 1, "{}", daemon.log());
    drop(also_taken);
    within(Duration::from_mins(2), "the page", || daemon.log().contains("the page is served").then_some(()));
    answers(other);
    assert_eq!((said(port), said(other)), (1, 1), "{}", daemon.log());
    assert!(daemon.stop().success());
}

#[test]
fn the_log_says_who_did_what_and_no_secret_address_or_query() {
    let port = free_port();
    let sandbox = sandbox(&page_on(port));
    let mut daemon = sandbox.daemon_with(&[("RUST_LOG", "leadflow=debug")]);
    served(&daemon);
    eventually("the mail", || (!sandbox.mails().is_empty()).then_some(()));
    let anna = Visitor::guest(port).signed_in("anna");
    for path in READ {
        anna.get(path);
    }
    anna.get("/runs?flow=zz-query-canary");
    anna.post("/leads", &[("flow", "leads"), ("text", "zz-search-canary")]);
    anna.post("/leads/export", &[("flow", "leads"), ("columns", "")]);
    anna.post("/flows/leads/test-mail", &[("to", "zz-somebody@contoso.example")]);
    anna.post("/flows/leads/off", &[]);
    anna.post("/flows/leads/on", &[]);
    anna.post("/flows/leads/run", &[]);
    anna.post("/outbox/retry", &[]);
    Visitor::guest(port).with_token(ROBOT).post_json("/api/v1/flows/leads/off", &serde_json::json!({}));
    let cookie = anna.clone();
    anna.post("/sign-out", &[]);
    let log = daemon.log();
    has(&log, &["signed in", "signed out", "leads are exported", "a test mail is asked for"]);
    let by_anna = log.lines().filter(|line| line.contains("anna (page)")).count();
    assert!(by_anna >= 6, "{log}");
    assert!(
        log.lines().any(|line| line.contains("robot (token)") && line.contains("asked for: off")),
        "{log}"
    );
    let form_token = cookie.form_token.as_str();
    for secret in [form_token, ROBOT, "horse", "zz-", "sales@contoso", "leadflow_session=", "?"] {
        let lines: Vec<_> =
            log.lines().filter(|line| line.contains(secret) && line.contains("page")).collect();
        assert!(lines.is_empty(), "{secret}: {lines:?}");
    }
    daemon.signal("TERM");
    assert!(daemon.wait().success());
}
