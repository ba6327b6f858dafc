//! Services that repeat whatever they hear in every place where they can say something.

mod http;
mod smtp;

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::microsoft;
use super::scripted::serve;

/// What the services do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Rows come and mails are taken, with what was heard in them.
    Rows,
    /// Refusals in JSON.
    Json,
    /// Refusals in HTML, as of a proxy or a wrong address.
    Html,
    /// No token is given, and the proxy lets nobody through.
    NoToken,
    /// The proxy lets nobody through.
    NoProxy,
}

/// How it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Plain,
    Percent,
    Base64,
    Upper,
    Broken,
}

pub(crate) const WAYS: [Way; 5] = [Way::Plain, Way::Percent, Way::Base64, Way::Upper, Way::Broken];

#[derive(Debug)]
struct Memory {
    stage: Stage,
    way: Way,
    heard: Vec<String>,
}

/// HTTP, a proxy with TLS behind it, and SMTP.
#[derive(Debug, Clone)]
pub(crate) struct Echo {
    pub(crate) http: u16,
    pub(crate) smtp: u16,
    memory: Arc<Mutex<Memory>>,
}

impl Way {
    fn of(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Percent => text.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat(),
            Self::Base64 => BASE64_STANDARD.encode(text),
            Self::Upper => text.to_uppercase(),
            Self::Broken => {
                let signs: Vec<char> = text.chars().collect();
                signs
                    .chunks(24)
                    .map(|piece| piece.iter().collect::<String>())
                    .collect::<Vec<_>>()
                    .join("\r\n")
            }
        }
    }
}

impl Echo {
    pub(crate) fn start(token: &'static str) -> Self {
        let memory = Arc::new(Mutex::new(Memory { stage: Stage::Rows, way: Way::Plain, heard: Vec::new() }));
        let (of_http, of_smtp, tls) = (Arc::clone(&memory), Arc::clone(&memory), microsoft::tls());
        let http = serve(move |stream| {
            let _ = http::converse(stream, &tls, &of_http, token);
        });
        let smtp = serve(move |stream| {
            let _ = smtp::converse(stream, &of_smtp);
        });
        Self { http, smtp, memory }
    }

    pub(crate) fn play(&self, stage: Stage, way: Way) {
        let mut memory = self.memory.lock().unwrap();
        (memory.stage, memory.way) = (stage, way);
    }

    /// Every request and command.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.memory.lock().unwrap().heard.clone()
    }
}

/// Notes it, and gives it back in the way that is played.
fn hear(memory: &Mutex<Memory>, heard: &str) -> (Stage, String) {
    let mut memory = memory.lock().unwrap();
    memory.heard.push(heard.to_owned());
    // What matters stands at the begin of a header: the rest of it is cut.
    let mut lines =
        heard.lines().map(|line| line.split_once(": ").map_or(line, |(_, value)| value)).collect::<Vec<_>>();
    lines.sort_by_key(|line| {
        !line.contains("canary")
            && !line.contains("hared")
            && !line.contains("earer")
            && !line.contains("asic")
    });
    (memory.stage, memory.way.of(&lines.join(" ")))
}

/// For a header.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_graphic() { c } else { ' ' })
        .take(4_000)
        .collect::<String>()
        .trim()
        .to_owned()
}
