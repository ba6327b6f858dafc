//! SMTP as servers speak it: the code decides, whatever the text is written in, and what has no end
//! or was not asked for ends the session.

use leadflow::flow::MailConnection;
use leadflow::outbox::Receipt;
use leadflow::services::mail::{MailSession as _, OutgoingMail, Session};

use crate::support::smtp_script::{FROM, Script, Step, good, sandbox, say};
use crate::support::{ENDLESS, eventually};

const BYTES: &str = "Subject: dots\r\n\r\n.a\r\n..\r\n.\r\nend\r\n";

fn to(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("to{number}@contoso.example")).collect()
}

fn mail(to: &[String]) -> OutgoingMail<'_> {
    OutgoingMail { id: 1, from: FROM, recipients: to, bytes: BYTES.as_bytes(), lease: &ENDLESS }
}

async fn open(script: &Script) -> Result<Session, String> {
    open_as(&MailConnection::Smtp(script.connection())).await
}

async fn open_as(connection: &MailConnection) -> Result<Session, String> {
    Session::open(connection)
        .await
        .map_err(|error| format!("{error}; {}", error.advice.help.as_deref().unwrap_or_default()))
}

/// Sends one mail by a session of its own; its one receipt.
async fn sent(connection: &MailConnection) -> Receipt {
    let mut session = open_as(connection).await.unwrap();
    let mut receipts = session.send(mail(&to(1))).await.into_result().unwrap();
    session.close().await;
    receipts.remove(0)
}

fn is_accepted(receipt: &Receipt) -> bool {
    matches!(receipt, Receipt::Accepted(reply) if reply.starts_with("250"))
}

/// The code of a good reply in another dress.
type Dress = fn(&str) -> Vec<u8>;

fn bytes(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

const DRESSES: [(&str, Dress); 22] = [
    ("latin-1", |code| bytes(&[code.as_bytes(), b" Gr\xfc\xdfe, Empf\xe4nger ok\r\n"])),
    ("gbk", |code| bytes(&[code.as_bytes(), b" \xd3\xca\xbc\xfe\xd2\xd1\xbd\xd3\xca\xd5\r\n"])),
    ("shift-jis", |code| bytes(&[code.as_bytes(), b" \x83\x81\x81[\x83\x8b \x82\xf0\r\n"])),
    ("euc-kr", |code| bytes(&[code.as_bytes(), b" \xb8\xde\xc0\xcf\r\n"])),
    ("raw", |code| bytes(&[code.as_bytes(), b" \xff\xfe\x00\x01\x7f\x1b[31m\r\n"])),
    ("utf-8", |code| format!("{code} 메일을 받았습니다\r\n").into_bytes()),
    ("utf-8 cut off", |code| bytes(&[code.as_bytes(), b" \xeb\xa9\r\n"])),
    ("no text", |code| format!("{code}\r\n").into_bytes()),
    ("no text but a space", |code| format!("{code} \r\n").into_bytes()),
    ("no text in lines", |code| format!("{code}-\r\n{code}-\r\n{code}\r\n").into_bytes()),
    ("a tab", |code| format!("{code}\tgood\tso\r\n").into_bytes()),
    ("no space", |code| format!("{code}ok\r\n").into_bytes()),
    ("a carriage return inside", |code| format!("{code} o\rk\r\n").into_bytes()),
    ("two carriage returns", |code| format!("{code} ok\r\r\n").into_bytes()),
    ("line feeds alone", |code| format!("{code}-a\n{code} b\n").into_bytes()),
    ("an enhanced code", |code| format!("{code} 2.0.0 ok\r\n").into_bytes()),
    ("another enhanced code", |code| format!("{code} 5.7.1 ok\r\n").into_bytes()),
    ("mixed codes", |code| format!("{}00-a\r\n{code} b\r\n", &code[..1]).into_bytes()),
    ("lines that are none", |code| format!("{code}-a\r\n*** b ***\r\n\r\n{code} c\r\n").into_bytes()),
    ("an empty line before", |code| format!("\r\n{code} a\r\n").into_bytes()),
    ("a long line", |code| format!("{code} {}\r\n", "x".repeat(5_000)).into_bytes()),
    ("many lines", |code| format!("{}{code} z\r\n", format!("{code}-y\r\n").repeat(900)).into_bytes()),
];

#[tokio::test]
async fn the_code_decides_in_every_dress() {
    for (name, dress) in DRESSES {
        let script = Script::start(move |step, _| {
            let Step::Say(good) = good(step) else { unreachable!() };
            Step::Say(dress(std::str::from_utf8(&good[..3]).unwrap()))
        });
        let mut session = open(&script).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        for _ in 0..2 {
            let receipts = session.send(mail(&to(2))).await.into_result();
            assert!(receipts.as_ref().is_ok_and(|all| all.iter().all(is_accepted)), "{name}: {receipts:?}");
            assert!(session.is_usable(), "{name}");
        }
        session.close().await;
        let expected = "Subject: dots\r\n\r\n..a\r\n...\r\n..\r\nend\r\n.\r\n";
        let messages: Vec<_> = script.messages().into_iter().map(|m| String::from_utf8(m).unwrap()).collect();
        assert_eq!(messages, [expected, expected], "{name}");
        assert_eq!(script.count("RCPT"), 4, "{name}");
    }
}

#[tokio::test]
async fn a_final_reply_without_a_line_end_counts_when_the_session_ends_with_it() {
    let end = |bytes: &'static [u8]| {
        Script::start(move |step, _| match step {
            "." => Step::SayAndClose(bytes.to_vec()),
            step => good(step),
        })
    };
    for bytes in [&b"250 queued"[..], b"250-a\r\n250 b", b"250"] {
        let receipt = sent(&MailConnection::Smtp(end(bytes).connection())).await;
        assert!(is_accepted(&receipt), "{receipt:?}");
    }
    for bytes in [&b"25"[..], b"", b"250-a\r\n", b"250-a\r\n25"] {
        let receipt = sent(&MailConnection::Smtp(end(bytes).connection())).await;
        assert!(matches!(receipt, Receipt::Unknown(_)), "{receipt:?}");
    }
}

#[tokio::test]
async fn a_refusal_is_one_in_every_charset_and_its_words_are_harmless() {
    let script = Script::start(|step, line| match step {
        "RCPT" if line.contains("to0") => {
            Step::Say(b"550-5.1.1 Empf\xe4nger\r\n550 \x1b[31m\xd3\xca\r\n".to_vec())
        }
        step => good(step),
    });
    let mut session = open(&script).await.unwrap();
    let receipts = session.send(mail(&to(2))).await.into_result().unwrap();
    assert!(is_accepted(&receipts[1]), "{receipts:?}");
    let Receipt::Refused(words) = &receipts[0] else { panic!("{receipts:?}") };
    assert!(words.starts_with("550 5.1.1 Empf") && !words.contains(char::is_control), "{words:?}");
}

/// A server that offers and asks for a login in its own words.
fn with_login(hello: &'static str, prompts: &'static [&'static str], welcome: &'static str) -> Script {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    Script::start(move |step, _| {
        let commands = ["greeting", "MAIL", "RCPT", "DATA", ".", "RSET", "QUIT"];
        match step {
            "EHLO" => say(hello),
            step if commands.contains(&step) => good(step),
            // AUTH, and the lines after it.
            _ => {
                let count = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                say(prompts.get(count).copied().unwrap_or(welcome))
            }
        }
    })
}

const PASSWORD: &str = "canary pässword";

async fn signs_in(hello: &'static str, prompts: &'static [&'static str], expected: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, PASSWORD).unwrap();
    let script = with_login(hello, prompts, "235");
    let receipt = sent(&script.with_login("leads", &file)).await;
    assert!(is_accepted(&receipt), "{receipt:?}");
    let commands = script.commands();
    let end = commands.iter().position(|command| command.starts_with("MAIL")).unwrap();
    assert_eq!(commands[2..end], *expected, "{hello} {prompts:?}");
}

const PLAIN: &str = "AUTH PLAIN AGxlYWRzAGNhbmFyeSBww6Rzc3dvcmQ=";
const OF_PLAIN: &str = "AGxlYWRzAGNhbmFyeSBww6Rzc3dvcmQ=";
const LOGIN: [&str; 3] = ["AUTH LOGIN", "bGVhZHM=", "Y2FuYXJ5IHDDpHNzd29yZA=="];

#[tokio::test]
async fn keywords_count_in_any_case_and_form() {
    for hello in [
        "250-x\r\n250 auth plain login",
        "250-x\r\n250 Auth Login Plain",
        "250-x\r\n250 AUTH=PLAIN LOGIN",
        "250-x\r\n250-AUTH=LOGIN\r\n250 AUTH CRAM-MD5 plain",
        "250-x\r\n250-AUTH\tPLAIN\r\n250 SIZE",
        "250-x\r\n250-AUTH  NTLM   PLAIN  \r\n250-AUTH GSSAPI\r\n250",
        "250 AUTH PLAIN",
    ] {
        signs_in(hello, &[], &[PLAIN]).await;
    }
    for hello in ["250-x\r\n250 auth login", "250-x\r\n250 AUTH=login NTLM"] {
        signs_in(hello, &["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"], &LOGIN).await;
    }
}

#[tokio::test]
async fn prompts_of_a_login_may_say_anything() {
    for prompts in [
        &["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"][..],
        &["334 dXNlciBuYW1lAA==", "334 cGFzcyB3b3JkAA=="],
        &["334 Benutzername:", "334 Passwort:"],
        &["334 ", "334 "],
        &["334", "334"],
        &["334 7IKs7Jqp7J6QIOydtOumhDo=", "334 \u{1F511}"],
        &["334-first\r\n334 VXNlcm5hbWU6", "334-then\r\n334 UGFzc3dvcmQ6"],
    ] {
        signs_in("250-x\r\n250 AUTH LOGIN", prompts, &LOGIN).await;
    }
    // PLAIN whose first words the server has not taken in, and PLAIN that it does not know.
    signs_in("250-x\r\n250 AUTH PLAIN", &["334"], &[PLAIN, OF_PLAIN]).await;
    signs_in("250-x\r\n250 AUTH PLAIN", &["334 Z28gb24="], &[PLAIN, OF_PLAIN]).await;
    for refused in
        [&["504 5.5.4 no such mechanism", "334", "334"][..], &["501 no initial words", "334", "334"]]
    {
        signs_in("250-x\r\n250 AUTH PLAIN LOGIN", refused, &[&[PLAIN], &LOGIN[..]].concat()).await;
    }
}

#[tokio::test]
async fn a_refused_login_is_tried_once_and_repeats_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, PASSWORD).unwrap();
    for (hello, prompts) in [
        ("250-x\r\n250 AUTH PLAIN LOGIN", &["535 5.7.8 no: AGxlYWRzAGNhbmFyeSBww6Rzc3dvcmQ="][..]),
        (
            "250-x\r\n250 AUTH LOGIN",
            &["334 ", "334 ", "535 5.7.8 no: Y2FuYXJ5IHDDpHNzd29yZA== canary pässword"],
        ),
        ("250-x\r\n250 AUTH LOGIN", &["334 ", "334 ", "334 ", "334 ", "334 ", "334 "]),
        ("250-x\r\n250 AUTH PLAIN", &["334 ", "334 ", "334 ", "334 ", "334 ", "334 "]),
        ("250-x\r\n250 AUTH GSSAPI NTLM", &[]),
        ("250-x\r\n250 SIZE", &[]),
    ] {
        let script = with_login(hello, prompts, "535 5.7.8 no");
        let error = open_as(&script.with_login("leads", &file)).await.unwrap_err();
        assert!(script.count("AUTH") <= 1, "{:?}", script.commands());
        assert!(!error.contains("canary") && !error.contains("AGxl") && !error.contains("Y2Fu"), "{error}");
        let is_refused = error.contains("does not accept the login `leads`");
        assert!(is_refused || error.contains("no password login that leadflow supports"), "{error}");
    }
}

#[tokio::test]
async fn a_server_without_ehlo_is_greeted_with_helo() {
    for refusal in ["500 what?", "502 5.5.1 not implemented", "504", "550 no ehlo here"] {
        let script = Script::start(move |step, _| if step == "EHLO" { say(refusal) } else { good(step) });
        let receipt = sent(&MailConnection::Smtp(script.connection())).await;
        assert!(is_accepted(&receipt), "{refusal}: {receipt:?}");
        assert_eq!(script.count("HELO"), 1);
        // Nobody is reached without the protection that is wanted.
        let error = open_as(&script.with_starttls()).await.unwrap_err();
        assert!(error.contains("offers no STARTTLS"), "{error}");
    }
    let both = Script::start(|step, _| match step {
        "EHLO" | "HELO" => say("550 5.7.1 your name is not welcome"),
        step => good(step),
    });
    let error = open(&both).await.unwrap_err();
    assert!(error.contains("550 5.7.1 your name is not welcome"), "{error}");
    let gone = Script::start(|step, _| match step {
        "EHLO" => say("550 5.7.1 go away"),
        "HELO" => Step::Close,
        step => good(step),
    });
    let error = open(&gone).await.unwrap_err();
    assert!(error.contains("550 5.7.1 go away"), "{error}");
    for refusal in ["421 4.3.2 closing", "451 later"] {
        let later = Script::start(move |step, _| if step == "EHLO" { say(refusal) } else { good(step) });
        let error = open(&later).await.unwrap_err();
        assert!(error.contains(refusal) && later.count("HELO") == 0, "{error}");
    }
}

#[tokio::test]
async fn starttls_is_found_in_any_case_and_protects_all_that_follows() {
    for keyword in ["starttls", "StartTLS", "STARTTLS", "STARTTLS ", "starttls required"] {
        let script = Script::start(move |step, _| match step {
            "EHLO" => say(&format!("250-x\r\n250-{keyword}\r\n250 SIZE")),
            "STARTTLS" => Step::Say(b"220\r\n".to_vec()),
            step => good(step),
        });
        let receipt = sent(&script.with_starttls()).await;
        assert!(is_accepted(&receipt), "{keyword}: {receipt:?}");
        assert_eq!(script.count("EHLO"), 2, "what was said before does not count");
    }
}

#[tokio::test]
async fn what_is_slipped_in_before_the_protection_ends_the_session() {
    for slipped in [
        &b"220 go on\r\n250-x\r\n250 AUTH PLAIN\r\n"[..],
        b"220 go on\r\n250",
        b"220 go on\r\n\r\n",
        b"220 go on\r\n\x16\x03\x01",
        b"220-go\r\n220 on\r\n220 twice\r\n",
    ] {
        let script = Script::start(move |step, _| match step {
            "EHLO" => say("250-x\r\n250 STARTTLS"),
            // No TLS: whoever goes on has taken plain text for it.
            "STARTTLS" => Step::SayAndClose(slipped.to_vec()),
            step => good(step),
        });
        let error = open_as(&script.with_starttls()).await.unwrap_err();
        assert!(error.contains("before TLS was started"), "{error}");
        assert_eq!(script.commands().last().unwrap(), "STARTTLS");
    }
    let refused = Script::start(|step, _| match step {
        "EHLO" => say("250-x\r\n250 STARTTLS"),
        "STARTTLS" => say("454 4.7.0 TLS not available"),
        step => good(step),
    });
    let error = open_as(&refused.with_starttls()).await.unwrap_err();
    assert!(error.contains("454 4.7.0 TLS not available") && refused.count("MAIL") == 0, "{error}");
}

#[tokio::test]
async fn a_greeting_of_another_service_says_what_it_is() {
    for greeting in
        ["SSH-2.0-OpenSSH_9.2", "HTTP/1.1 400 Bad Request", "* OK IMAP4rev1 ready", "+OK POP3", "ERR"]
    {
        let script = Script::start(move |_, _| say(greeting));
        let error = open(&script).await.unwrap_err();
        assert!(error.contains(greeting) && error.contains("check `host`, `port`"), "{error}");
    }
    let refusal = Script::start(|_, _| say("554 5.7.1 no SMTP service for you"));
    let error = open(&refusal).await.unwrap_err();
    assert!(error.contains("554 5.7.1 no SMTP service for you"), "{error}");
}

#[tokio::test]
async fn what_has_no_end_ends_the_session() {
    for bytes in [&b"x"[..], b"250", b"250-more\r\n", b"\r\n", b"\0", b"\xff", b"250-\n"] {
        for at in ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "."] {
            let script =
                Script::start(move |step, _| if step == at { Step::Endless(bytes) } else { good(step) });
            let Ok(mut session) = open(&script).await else {
                assert!(["greeting", "EHLO"].contains(&at), "{at}");
                continue;
            };
            match session.send(mail(&to(1))).await.into_result() {
                Ok(receipts) => {
                    assert!(matches!(receipts[..], [Receipt::Unknown(_)]) && at == ".", "{receipts:?}");
                }
                Err(error) => assert!(at != ".", "{error}"),
            }
            assert!(!session.is_usable());
        }
    }
}

#[test]
fn servers_without_an_end_take_no_memory_and_keep_no_mail_from_the_next() {
    let at = |at: &'static str, bytes: &'static [u8]| {
        Script::start(move |step, _| if step == at { Step::Endless(bytes) } else { good(step) })
    };
    let steps = ["greeting", "EHLO", "MAIL", "greeting"];
    let endless: Vec<_> = steps.iter().zip([&b"x"[..], b"250-more\r\n", b"\xff", b"\r\n"]).collect();
    let endless: Vec<_> = endless.into_iter().map(|(step, bytes)| at(step, bytes)).collect();
    let good = Script::start(|step, _| good(step));
    let ports: Vec<_> = endless.iter().chain([&good]).map(|script| script.port).collect();
    let sandbox = sandbox(&ports);
    let daemon = sandbox.daemon();
    eventually("the mail", || (!good.messages().is_empty()).then_some(()));
    daemon.wait_for_log("the mail is sent");
    assert!(daemon.peak() < 64, "{} MiB", daemon.peak());
    assert!(daemon.log().contains("does not end"), "{}", daemon.log());
}
