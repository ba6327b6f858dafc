//! `[settings.page]`: what people and programs sign in with, and what `check` finds out about the page.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use leadflow::config;
use leadflow::flow::{PageSettings, PasswordHash, Role};
use leadflow::platform::passwords;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use crate::json::documented;
use crate::support::eventually;
use crate::support::flows_toml::FlowsToml;
use crate::support::leadflow::{Output, Sandbox};

const PASSWORD: &str = "correct horse battery";

/// A flow that needs nothing, and the page.
fn flows(page: &str) -> String {
    format!("{}\n{page}\n", FlowsToml::demo().flow("leads"))
}

/// The page of the file, which must be valid.
fn page_of(sandbox: &Sandbox) -> PageSettings {
    config::load(&sandbox.path("flows.toml")).unwrap().config.settings.page.clone().unwrap()
}

/// Runs the command with that on its standard input.
fn piped(arguments: &[&str], input: &[u8]) -> Output {
    // Neither command reads flows.toml.
    let sandbox = Sandbox::new("this is not TOML");
    let mut command = sandbox.command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may end before it has read all.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Output { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn a_password_becomes_lines_for_flows_toml() {
    let line = piped(&["page", "password"], format!("{PASSWORD}\r\n").as_bytes());
    assert_eq!(line.code, 0, "{}", line.stderr);
    let hash = line.stdout.strip_prefix("password = \"").and_then(|rest| rest.strip_suffix("\"\n")).unwrap();
    assert!(passwords::verify(PASSWORD, hash), "{hash}");

    let arguments = ["page", "password", "--user", "anna@contoso.example", "--role", "operate"];
    let user = piped(&arguments, PASSWORD.as_bytes());
    let sandbox = Sandbox::new(flows(&user.stdout));
    let anna = page_of(&sandbox).users.remove("anna@contoso.example").unwrap();
    assert_eq!(anna.role, Role::Operate);
    let Some(PasswordHash::Here(hash)) = anna.password else { panic!("{}", user.stdout) };
    assert!(passwords::verify(PASSWORD, &hash) && !passwords::verify("correct horse batterz", &hash));
    let viewer = piped(&["page", "password", "--user", "ben"], PASSWORD.as_bytes()).stdout;
    assert!(
        viewer.starts_with("[settings.page.users.ben]\n") && viewer.ends_with("role = \"view\"\n"),
        "{viewer}"
    );
    assert!(!(line.stderr + &user.stderr).contains(PASSWORD));
}

#[test]
fn a_password_that_can_be_guessed_or_typed_by_nobody_is_refused() {
    let long = "x".repeat(passwords::LONGEST + 1);
    for (input, words) in [
        (b"eleven sign".as_slice(), "fewer than 12 characters"),
        (b"", "there is no password"),
        (b"\n", "there is no password"),
        (long.as_bytes(), "more than 1024 bytes"),
        (b"a password with \x07 in it", "a control character"),
        (b"a password with \xff in it", "not UTF-8"),
    ] {
        let refused = piped(&["page", "password"], input);
        assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{words}");
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    assert_eq!(
        piped(&["page", "password"], "한글 열두 글자 암호다".as_bytes()).code,
        0,
        "characters, not bytes"
    );
    assert_eq!(piped(&["page", "password"], &long.as_bytes()[1..]).code, 0);
    assert_eq!(piped(&["page", "password", "--user", "a b"], PASSWORD.as_bytes()).code, 2);
}

/// `page password` on a terminal, where these lines are typed, each when it is asked for; what the terminal shows.
fn typed(lines: &[(&str, &str)]) -> (i32, String) {
    let sandbox = Sandbox::new("");
    let plain = sandbox.command(&[]);
    let program = plain.get_program().display().to_string();
    let line = format!("sh -c 'tty > terminal; exec {program} page password --user anna'");
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).current_dir(sandbox.path(""));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let shown = Arc::new(Mutex::new(String::new()));
    let reader = thread::spawn({
        let (mut output, shown) = (child.stdout.take().unwrap(), Arc::clone(&shown));
        move || {
            let mut bytes = [0; 1_000];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                shown.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        }
    });
    let mut keyboard = child.stdin.take().unwrap();
    for (question, answer) in lines {
        eventually("the question, with what is typed hidden", || {
            let is_asked = shown.lock().unwrap().contains(question);
            (is_asked && is_hidden(&sandbox)).then_some(())
        });
        keyboard.write_all(format!("{answer}\n").as_bytes()).unwrap();
    }
    let code = child.wait().unwrap().code().unwrap();
    reader.join().unwrap();
    let shown = shown.lock().unwrap().clone();
    (code, shown)
}

/// Whether the terminal does not show what is typed.
fn is_hidden(sandbox: &Sandbox) -> bool {
    let terminal = std::fs::read_to_string(sandbox.path("terminal")).unwrap_or_default();
    let output = Command::new("stty").args(["-a", "-F", terminal.trim()]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).split_whitespace().any(|word| word == "-echo")
}

#[test]
fn a_terminal_asks_twice_and_shows_nothing() {
    let again = "the same again: ";
    let (code, shown) = typed(&[("password: ", PASSWORD), (again, PASSWORD)]);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("[settings.page.users.anna]") && shown.contains("$argon2id$"), "{shown}");
    assert!(!shown.contains("horse"), "{shown}");
    let (code, shown) = typed(&[("password: ", PASSWORD), (again, "correct horse batterz")]);
    assert!(code == 1 && shown.contains("the two passwords differ") && !shown.contains("$argon2"), "{shown}");
    let (code, shown) = typed(&[("password: ", "short")]);
    assert!(code == 1 && shown.contains("fewer than 12") && !shown.contains(again), "{shown}");
}

#[test]
fn a_token_is_shown_once_and_its_lines_are_for_flows_toml() {
    let made = piped(&["page", "token", "grafana", "--role", "view", "--until", "2199-06-01"], b"");
    assert_eq!(made.code, 0, "{}", made.stderr);
    let token = made.stdout.strip_suffix('\n').unwrap();
    assert!(token.starts_with("lf_") && token.len() == 46 && !made.stderr.contains(token), "{made:?}");
    let lines: Vec<_> = made.stderr.lines().skip_while(|line| !line.starts_with('[')).take(4).collect();
    let sandbox = Sandbox::new(flows(&lines.join("\n")));
    let page = page_of(&sandbox);
    let grafana = &page.tokens["grafana"];
    assert_eq!((grafana.hash, grafana.role), (passwords::token_hash(token), Role::View));
    assert_eq!(grafana.until, Some("2199-06-01T00:00:00Z".parse().unwrap()));
    sandbox.exits(0, &["check"]);

    let line = "page token ci --role operate --days 30 --json";
    let json: serde_json::Value = serde_json::from_str(&documented(&sandbox, line, "page-token")).unwrap();
    let hash = passwords::token_hash(json["token"].as_str().unwrap());
    assert_eq!(json["hash"], passwords::token_hash_text(&hash));
    assert_eq!((&json["name"], &json["role"]), (&"ci".into(), &"operate".into()));
    for wrong in [
        &["page", "token", "ci"][..],
        &["page", "token", "a b", "--role", "view"],
        &["page", "token", "ci", "--role", "view", "--until", "2021-01-01"],
        &["page", "token", "ci", "--role", "view", "--until", "2199-01-01", "--days", "3"],
    ] {
        let refused = piped(wrong, b"");
        assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{wrong:?}");
    }
}

/// A certificate that ends then, and its key.
fn certificate(year: i32) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["leads.contoso.example".to_owned()]).unwrap();
    params.not_after = date_time_ymd(year, 1, 1);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[track_caller]
fn says(sandbox: &Sandbox, code: i32, words: &str) {
    let output = sandbox.exits(code, &["check"]);
    let said = output.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains(words), "{}", output.stdout);
    assert!(sandbox.run(&["check", "--online"]).stdout.contains("settings.page"), "{words}: online, too");
}

#[test]
fn check_tries_the_certificate_and_its_key() {
    let page = "[settings.page]\nlisten = \"unix:page.sock\"\n[settings.page.users.anna]\nrole = \"view\"\npassword = { file = \"anna\" }";
    let sandbox = Sandbox::new(flows(page));
    says(&sandbox, 1, &format!("✗ the secret's file {} does not exist", sandbox.path("anna").display()));
    sandbox.write("anna", PASSWORD);
    says(&sandbox, 1, "is not a hash that can be used: it does not start with $argon2id$");
    sandbox.write("anna", &passwords::hash(PASSWORD).unwrap());
    sandbox.exits(0, &["check"]);

    let tls = "listen = \"127.0.0.1:0\"\ntls = { certificate = \"page.crt\", key = { file = \"page.key\" } }";
    sandbox.edit("listen = \"unix:page.sock\"", tls);
    says(&sandbox, 1, "✗ the secret's file");
    let (good, key) = certificate(2199);
    sandbox.write("page.key", &key);
    says(&sandbox, 1, "✗ cannot read the certificate");
    sandbox.write("page.crt", &certificate(2199).0);
    says(&sandbox, 1, "the private key is that of another certificate");
    sandbox.write("page.crt", &good);
    sandbox.exits(0, &["check"]);
    let (old, key) = certificate(2021);
    sandbox.write("page.key", &key);
    sandbox.write("page.crt", &old);
    says(&sandbox, 1, "expired at 2021-01-01T00:00:00Z");
}

#[test]
fn check_tries_where_the_page_listens() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let sandbox = Sandbox::on_sqlite(flows(&format!("[settings.page]\nlisten = \"{address}\"")));
    says(&sandbox, 1, &format!("✗ another program listens on {address}"));
    let daemon = sandbox.daemon();
    sandbox.exits(0, &["check"]);
    assert!(daemon.stop().success());

    sandbox.edit(&address.to_string(), "127.0.0.1:0");
    sandbox.exits(0, &["check"]);
    sandbox.edit("127.0.0.1:0", "unix:page.sock");
    sandbox.exits(0, &["check"]);
    let socket = UnixListener::bind(sandbox.path("page.sock")).unwrap();
    says(&sandbox, 1, "✗ another program listens on");
    drop(socket);
    sandbox.exits(0, &["check"]);
    std::fs::remove_file(sandbox.path("page.sock")).unwrap();
    sandbox.write("page.sock", "a file");
    says(&sandbox, 1, "is there, and is not a socket");
    sandbox.edit("unix:page.sock", "unix:nowhere/page.sock");
    says(&sandbox, 0, "☞ there is no folder");
}
