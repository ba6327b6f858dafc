//! SMTP that signs in, or does not, and refuses in turn each later command.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::sync::Mutex;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{Memory, Stage, Way, hear, one_line};

/// A client, and all that it has said, the last first.
struct Client {
    stream: TcpStream,
    way: Way,
    all: String,
}

impl Client {
    /// As several lines where the text has several.
    fn say(&mut self, code: u16, text: &str) -> Option<()> {
        let lines: Vec<&str> = text.split("\r\n").collect();
        let (last, before) = lines.split_last().unwrap();
        let before = before.iter().map(|line| format!("{code}-{line}\r\n")).collect::<Vec<_>>().concat();
        self.stream.write_all(format!("{before}{code} {last}\r\n").as_bytes()).ok()
    }

    fn say_all(&mut self, code: u16, words: &str) -> Option<()> {
        let all = self.way.of(&self.all);
        self.say(code, &format!("{words}{all}"))
    }

    /// AUTH, and the answers to its prompts.
    fn sign_in(&mut self, line: &str, (stage, echo): (Stage, &str)) -> Option<()> {
        let decoded = line.split_whitespace().next_back().and_then(|word| BASE64_STANDARD.decode(word).ok());
        let decoded = String::from_utf8_lossy(&decoded.unwrap_or_default()).replace(['\r', '\n'], " ");
        let prompts = self.all.matches("AUTH LOGIN").count();
        let answers = self.all.split("AUTH LOGIN").next().unwrap_or_default().split_whitespace().count();
        if prompts > 0 && answers < 2 {
            let prompt = BASE64_STANDARD.encode(format!("Password for {decoded} {echo}:"));
            return self.say(334, if self.way == Way::Base64 { &prompt } else { echo });
        }
        if stage == Stage::Rows {
            return self.say(235, echo);
        }
        if line.contains("XOAUTH2") {
            return self
                .say(334, &BASE64_STANDARD.encode(format!("{{\"status\":\"400\",\"said\":\"{decoded}\"}}")));
        }
        let again = self.way.of(&decoded);
        self.say_all(535, &format!("5.7.8 {echo}\r\n{decoded}\r\n{again}\r\n"))
    }
}

pub(super) fn converse(stream: TcpStream, memory: &Mutex<Memory>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let way = memory.lock().unwrap().way;
    let mut client = Client { stream, way, all: String::new() };
    client.say(220, "echo")?;
    let logins = if matches!(way, Way::Base64 | Way::Broken) { "LOGIN" } else { "PLAIN LOGIN" };
    let mut has_session = false;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        let (stage, echo) = hear(memory, line);
        client.all = format!("{line} {}", client.all);
        has_session |= line.starts_with("MAIL");
        match line.get(..4).unwrap_or_default().to_ascii_uppercase().as_str() {
            "EHLO" => {
                client.say(250, &format!("{}\r\nAUTH {logins} XOAUTH2\r\n8BITMIME", one_line(&echo)))?;
            }
            "DATA" if stage == Stage::Rows => {
                client.say(354, &one_line(&echo))?;
                let mut text = String::new();
                while !text.ends_with("\r\n.\r\n") {
                    if reader.read_line(&mut text).ok()? == 0 {
                        return None;
                    }
                }
                client.say_all(if way == Way::Plain { 250 } else { 550 }, "")?;
            }
            "RCPT" if way == Way::Upper => client.say_all(550, "5.1.1 ")?,
            "MAIL" if way == Way::Percent => client.say_all(550, "5.7.1 ")?,
            "QUIT" => {
                client.say(221, &echo)?;
                return None;
            }
            "" => client.say_all(535, "5.7.3 ")?,
            _ if has_session || line.starts_with("RSET") || line.starts_with("NOOP") => {
                client.say_all(250, "")?;
            }
            _ => client.sign_in(line, (stage, &echo))?,
        }
    }
}
