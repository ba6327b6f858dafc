//! SMTP servers that answer anything: nobody is taken for reached who is not, and nothing hangs.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use leadflow::flow::{MailConnection, Security, SmtpConnection};
use leadflow::outbox::Receipt;
use leadflow::services::mail::{Fault, MailSession as _, OutgoingMail, Session};
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::time::timeout;

use crate::support::ENDLESS;
use crate::support::hostile::cases;
use crate::support::scripted::serve_while;

/// An answer to one command.
#[derive(Debug, Clone)]
enum Answer {
    /// What a good server says.
    Good,
    /// What a good server says, and then something that nobody asked for.
    GoodAndMore(Vec<u8>),
    Bytes(Vec<u8>),
    Close,
}

fn answers() -> impl Strategy<Value = Answer> {
    let code = || {
        prop::sample::select(vec![
            200, 211, 220, 221, 235, 250, 251, 252, 299, 334, 354, 421, 450, 451, 452, 500, 503, 530, 550,
            552, 554, 600, 999, 0,
        ])
    };
    let line = move || code().prop_map(|code| format!("{code:03} said so\r\n").into_bytes());
    let lines = vec((code(), prop::bool::weighted(0.8)), 1..5).prop_map(|lines| {
        let lines =
            lines.iter().map(|(code, goes_on)| format!("{code:03}{}x\r\n", if *goes_on { '-' } else { ' ' }));
        lines.collect::<String>().into_bytes()
    });
    let odd = prop::sample::select(vec![
        &b"\r\n"[..],
        b"250\r\n",
        b"250 ok\n",
        b"250 ok",
        b"250",
        b"25",
        b"2\0 ok\r\n",
        b"250 o\0k\r\n",
        b"\xff\xfe 250 ok\r\n",
        b"250 \xff\r\n",
        b"250-a\r\n550 b\r\n",
        b"550-a\r\n250 b\r\n",
        b"250-a\r\n250-b\r\n",
        b"354-go\r\n354 on\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"250 a\r250 b\r\n",
        b" 250 ok\r\n",
        b"+250 ok\r\n",
        b"2500 ok\r\n",
        b"250\tok\r\n",
    ]);
    let long = (code(), 1_usize..70_000)
        .prop_map(|(code, length)| format!("{code} {}\r\n", "x".repeat(length)).into_bytes());
    let many = (code(), 1_usize..500).prop_map(|(code, count)| {
        format!("{}{code} end\r\n", format!("{code}-more\r\n").repeat(count)).into_bytes()
    });
    let bytes = prop_oneof![
        6 => line(),
        2 => lines,
        3 => odd.prop_map(<[u8]>::to_vec),
        1 => long,
        1 => many,
        1 => vec(any::<u8>(), 0..40),
    ];
    let more = prop_oneof![3 => line(), 1 => vec(line(), 2..4).prop_map(|lines| lines.concat()), 1 => vec(any::<u8>(), 1..9)];
    prop_oneof![12 => Just(Answer::Good), 2 => more.prop_map(Answer::GoodAndMore), 3 => bytes.prop_map(Answer::Bytes), 1 => Just(Answer::Close)]
}

/// The answers of a server's connections, one after the other; good ones when there are no more.
#[derive(Debug, Clone)]
struct Script {
    answers: Vec<Answer>,
    recipients: usize,
}

fn scripts() -> impl Strategy<Value = Script> {
    // Greeting and EHLO are good more often, or little else would ever be seen.
    let begin = prop_oneof![4 => Just(vec![Answer::Good, Answer::Good]), 1 => vec(answers(), 2)];
    (begin, vec(answers(), 0..24), 1_usize..4)
        .prop_map(|(begin, rest, recipients)| Script { answers: [begin, rest].concat(), recipients })
}

/// What the server has really said about the mails: for each recipient that it took, what it
/// answered to the end of that message.
#[derive(Debug, Default)]
struct Journal {
    answers: Vec<Answer>,
    /// How often a message was asked for; a server that then closes does not see its end.
    begun: usize,
    ends: Vec<String>,
    is_accepted: Vec<(String, String)>,
    is_over: bool,
}

impl Journal {
    fn next(&mut self) -> Answer {
        if self.answers.is_empty() { Answer::Good } else { self.answers.remove(0) }
    }

    /// Whether the next answer, where a good one begins with `digit`, begins with it.
    fn says_next(&self, digit: u8) -> bool {
        match self.answers.first() {
            None | Some(Answer::Good | Answer::GoodAndMore(_)) => true,
            Some(Answer::Bytes(bytes)) => code_of(bytes) == Some(digit),
            Some(Answer::Close) => false,
        }
    }

    /// Noted before it is said: whoever hears it finds it noted.
    fn note_begin(&mut self) {
        self.begun += usize::from(self.says_next(3));
    }

    fn note_end(&mut self, bytes: &[u8], taken: &[String]) {
        let subject = String::from_utf8_lossy(bytes).lines().next().unwrap_or_default().to_owned();
        self.ends.push(subject.clone());
        if self.says_next(2) {
            self.is_accepted.extend(taken.iter().map(|to| (subject.clone(), to.clone())));
        }
    }
}

fn play(mut stream: TcpStream, journal: &Mutex<Journal>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut taken: Vec<String> = Vec::new();
    let mut say = |good: &str| -> Option<Vec<u8>> {
        let good = format!("{good}\r\n").into_bytes();
        let (bytes, first) = match journal.lock().unwrap().next() {
            Answer::Good => (good.clone(), good),
            Answer::GoodAndMore(more) => ([good.clone(), more].concat(), good),
            Answer::Bytes(bytes) => (bytes.clone(), bytes),
            Answer::Close => return None,
        };
        stream.write_all(&bytes).ok()?;
        // Nothing more is coming, and who waits for it should not have to for long.
        is_whole(&first).then_some(first)
    };
    say("220 scripted")?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.get(..4).unwrap_or_default().to_ascii_uppercase().as_str() {
            "EHLO" => drop(say("250-scripted\r\n250 8BITMIME")?),
            "RCPT" => {
                if code_of(&say("250 fine")?) == Some(2) {
                    taken.push(line.split(['<', '>']).nth(1).unwrap_or_default().to_owned());
                }
            }
            "DATA" => {
                journal.lock().unwrap().note_begin();
                if code_of(&say("354 go on")?) == Some(3) {
                    let bytes = message(&mut reader)?;
                    journal.lock().unwrap().note_end(&bytes, &taken);
                    say("250 queued")?;
                }
            }
            "QUIT" => {
                say("221 bye")?;
                return None;
            }
            other => {
                if other == "MAIL" {
                    taken.clear();
                }
                say("250 fine")?;
            }
        }
    }
}

/// A message to its final dot.
fn message(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n.\r\n") {
        if reader.read(&mut byte).ok()? == 0 {
            return None;
        }
        bytes.push(byte[0]);
    }
    Some(bytes)
}

/// Whether nothing more can come of the reply: nobody should wait for the rest of one that lacks it.
fn is_whole(bytes: &[u8]) -> bool {
    let is_none = || lines(bytes).first().is_some_and(|line| coded(line).is_none());
    bytes.ends_with(b"\n") && (code_of(bytes).is_some() || is_none())
}

/// The lines, without their ends and the empty ones that come before a reply.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    lines.skip_while(|line| line.is_empty()).collect()
}

/// The code's first digit, and whether the line is a reply's last.
fn coded(line: &[u8]) -> Option<(u8, bool)> {
    let (code, rest) = line.split_at_checked(3)?;
    let is_code = code.iter().all(u8::is_ascii_digit) && (b'2'..=b'5').contains(&code[0]);
    let is_number = rest.first().is_some_and(u8::is_ascii_digit);
    (is_code && !is_number).then(|| (code[0] - b'0', rest.first() != Some(&b'-')))
}

/// The first digit of the first reply, if it is one: its last line decides, which counts without its
/// end, too, where the connection ends with it.
fn code_of(bytes: &[u8]) -> Option<u8> {
    let lines = lines(bytes);
    coded(lines.first()?)?;
    let (end, is_last) = lines.iter().filter_map(|line| coded(line)).find(|(_, is_last)| *is_last)?;
    is_last.then_some(end)
}

/// A server that lives until the first connection after the journal is over.
fn server(journal: &Arc<Mutex<Journal>>) -> u16 {
    let (journal, watched) = (Arc::clone(journal), Arc::clone(journal));
    let answer = move |stream| {
        let _ = play(stream, &journal);
    };
    serve_while(move || watched.lock().is_ok_and(|journal| !journal.is_over), answer)
}

fn connection(port: u16) -> MailConnection {
    MailConnection::Smtp(SmtpConnection {
        host: "127.0.0.1".to_owned(),
        port,
        security: Security::None,
        from: leadflow::flow::Mailbox::bare("leads@contoso.example"),
        login: None,
        ca_file: None,
        per_minute: 1_000,
        helo: None,
    })
}

fn mail<'a>(id: i64, to: &'a [String], bytes: &'a str) -> OutgoingMail<'a> {
    OutgoingMail {
        id,
        from: "leads@contoso.example",
        recipients: to,
        bytes: bytes.as_bytes(),
        lease: &ENDLESS,
    }
}

/// Hands three mails over as the delivery does; returns what became of each recipient.
async fn hand_over(port: u16, recipients: usize) -> Vec<(String, String, Receipt)> {
    let connection = connection(port);
    let to: Vec<String> = (0..recipients).map(|number| format!("to{number}@contoso.example")).collect();
    let mut session: Option<Session> = None;
    let mut found = Vec::new();
    for number in 0..3 {
        if session.as_ref().is_some_and(|session| !session.is_usable()) {
            session.take().unwrap().close().await;
        }
        if session.is_none() {
            session = Session::open(&connection).await.ok();
        }
        let Some(session) = &mut session else { continue };
        let subject = format!("Subject: {number}");
        let bytes = format!("{subject}\r\n\r\n.a\r\n..\r\n");
        if let Ok(receipts) = session.send(mail(number, &to, &bytes)).await.into_result() {
            assert_eq!(receipts.len(), to.len());
            found.extend(to.iter().zip(receipts).map(|(to, receipt)| (subject.clone(), to.clone(), receipt)));
        }
    }
    if let Some(session) = session {
        session.close().await;
    }
    found
}

async fn is_told_the_truth(script: Script) {
    let journal = Arc::new(Mutex::new(Journal { answers: script.answers.clone(), ..Journal::default() }));
    let port = server(&journal);
    let receipts = timeout(Duration::from_secs(30), hand_over(port, script.recipients)).await;
    let receipts = receipts.unwrap_or_else(|_| panic!("hangs: {script:?}"));
    let mut journal = journal.lock().unwrap();
    journal.is_over = true;
    let _ = TcpStream::connect(("127.0.0.1", port));
    let mut transferred: HashSet<_> = journal.ends.iter().cloned().collect();
    for (subject, to, receipt) in receipts {
        let is_accepted = journal.is_accepted.contains(&(subject.clone(), to.clone()));
        match &receipt {
            Receipt::Accepted(reply) => {
                assert!(is_accepted, "{subject} for {to} by {reply:?}: {script:?}");
            }
            // Sent again, though it was taken: a repeat without a mark.
            Receipt::Later(_) | Receipt::Refused(_) => {
                assert!(!is_accepted, "{subject} for {to} is {receipt:?}: {script:?}");
            }
            Receipt::Unknown(_) => drop(transferred.insert(subject)),
        }
        let (Receipt::Accepted(reply)
        | Receipt::Refused(reply)
        | Receipt::Later(reply)
        | Receipt::Unknown(reply)) = receipt;
        assert!(reply.len() <= 4_000 && !reply.contains(char::is_control), "{reply:?}");
    }
    assert!(transferred.len() <= journal.begun, "uncertain of what was never asked for: {script:?}");
}

#[tokio::test]
async fn no_recipient_counts_as_reached_who_is_not() {
    let scripts = cases(300, scripts());
    futures::stream::iter(scripts).map(is_told_the_truth).buffer_unordered(32).collect::<Vec<()>>().await;
}

#[tokio::test]
async fn replies_on_top_are_not_those_of_the_next_mail() {
    let more = Answer::GoodAndMore(b"250 more\r\n250 more\r\n".to_vec());
    let mut answers = vec![Answer::Good; 5];
    answers.push(more);
    answers.extend(vec![Answer::Good; 3]);
    answers.push(Answer::Bytes(b"550 no\r\n".to_vec()));
    let port = server(&Arc::new(Mutex::new(Journal { answers, ..Journal::default() })));
    let to = ["a@contoso.example".to_owned()];
    let mut session = Session::open(&connection(port)).await.unwrap();
    let receipts = session.send(mail(1, &to, "Subject: 1\r\n\r\n")).await.into_result().unwrap();
    assert_eq!(receipts, [Receipt::Accepted("250 queued".to_owned())]);
    assert!(!session.is_usable());
    let second = session.send(mail(2, &to, "Subject: 2\r\n\r\n")).await;
    assert!(matches!(second.fault, Some(Fault::Ended(_))), "{second:?}");
}

#[tokio::test]
async fn a_reply_before_the_end_of_the_message_is_not_the_one_to_its_end() {
    let mut answers = vec![Answer::Good; 4];
    answers.push(Answer::GoodAndMore(b"250 queued\r\n".to_vec()));
    answers.push(Answer::Bytes(b"550 no\r\n".to_vec()));
    let port = server(&Arc::new(Mutex::new(Journal { answers, ..Journal::default() })));
    let mut session = Session::open(&connection(port)).await.unwrap();
    let handover = session.send(mail(1, &["a@contoso.example".to_owned()], "Subject: 1\r\n\r\n")).await;
    assert!(handover.into_result().unwrap_err().advice.message.contains("an unexpected reply: 250 queued"));
    assert!(!session.is_usable());
}
