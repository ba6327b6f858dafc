//! An SMTP server that closes the connection where the test says so.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use super::scripted::serve;

/// Whether the session ends at a line: the step (`connect`, the command's verb, `message` for each
/// line of it, or `end` for its final dot) and the line.
pub(crate) type Script = fn(step: &str, line: &str) -> bool;

/// What is said at a line instead of `250`, if anything.
pub(crate) type Refusals = fn(step: &str, line: &str) -> Option<&'static str>;

/// The server, and what it has taken.
#[derive(Clone)]
pub(crate) struct Breaking {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

struct State {
    script: Script,
    refusals: Refusals,
    taken: Vec<(Vec<String>, String)>,
    sessions: usize,
}

impl Breaking {
    /// A server that plays this part; it refuses recipients whose address begins with `nobody`.
    pub(crate) fn start(script: Script) -> Self {
        let state =
            Arc::new(Mutex::new(State { script, refusals: |_, _| None, taken: Vec::new(), sessions: 0 }));
        let of_server = Arc::clone(&state);
        let port = serve(move |stream| {
            let _ = session(stream, &of_server);
        });
        Self { port, state }
    }

    /// From now on it plays this one.
    pub(crate) fn play(&self, script: Script) {
        self.state.lock().unwrap().script = script;
    }

    /// From now on it refuses this, and breaks no session.
    pub(crate) fn refuse(&self, refusals: Refusals) {
        let mut state = self.state.lock().unwrap();
        state.script = |_, _| false;
        state.refusals = refusals;
    }

    pub(crate) fn sessions(&self) -> usize {
        self.state.lock().unwrap().sessions
    }

    /// Subjects of the mails it has taken, each for one of its recipients.
    pub(crate) fn subjects(&self) -> Vec<String> {
        self.state.lock().unwrap().taken.iter().map(|(_, subject)| subject.clone()).collect()
    }

    /// Recipients of the mails it has taken.
    pub(crate) fn recipients(&self) -> Vec<String> {
        self.state.lock().unwrap().taken.iter().flat_map(|(to, _)| to.clone()).collect()
    }
}

/// Ends with `None` when the connection is closed by either side.
fn session(stream: TcpStream, state: &Mutex<State>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    let mut say = move |line: &str| stream.write_all(format!("{line}\r\n").as_bytes()).ok();
    let goes_on = |step: &str, line: &str| (!(state.lock().unwrap().script)(step, line)).then_some(());
    let refusal = |step: &str, line: &str| (state.lock().unwrap().refusals)(step, line);
    state.lock().unwrap().sessions += 1;
    goes_on("connect", "")?;
    say("220 breaking")?;
    let mut to = Vec::new();
    loop {
        let line = read(&mut reader)?;
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        goes_on(&verb, &line)?;
        if let Some(words) = refusal(&verb, &line) {
            say(words)?;
            continue;
        }
        match verb.as_str() {
            "MAIL" => to.clear(),
            "RCPT" if line.contains("<nobody") => {
                say("550 5.1.1 no such user")?;
                continue;
            }
            "RCPT" => to.push(line.split(['<', '>']).nth(1)?.to_owned()),
            "DATA" => {
                say("354 go on")?;
                let subject = message(&mut reader, goes_on)?;
                if let Some(words) = refusal("end", &subject) {
                    say(words)?;
                    continue;
                }
                state.lock().unwrap().taken.push((to.clone(), subject));
            }
            _ => {}
        }
        say("250 2.0.0 fine")?;
    }
}

/// Reads a message to its final dot; its subject.
fn message(reader: &mut BufReader<TcpStream>, goes_on: impl Fn(&str, &str) -> Option<()>) -> Option<String> {
    let mut subject = String::new();
    loop {
        let line = read(reader)?;
        if line == "." {
            goes_on("end", &subject)?;
            return Some(subject);
        }
        if let Some(words) = line.strip_prefix("Subject: ") {
            words.clone_into(&mut subject);
        }
        goes_on("message", &line)?;
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    let length = reader.read_line(&mut line).ok()?;
    (length > 0).then(|| line.trim_end().to_owned())
}
