//! Servers whose every answer is written by the test, for faults that real ones do not show.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Serves each connection on a thread of its own; returns the port.
pub(crate) fn serve(answer: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    serve_while(|| true, answer)
}

/// As [`serve`], until the next connection after the condition ends.
pub(crate) fn serve_while(
    goes_on: impl Fn() -> bool + Send + 'static,
    answer: impl Fn(TcpStream) + Send + Sync + 'static,
) -> u16 {
    serve_at("127.0.0.1:0", goes_on, answer)
}

/// As [`serve_while`], at another address of this machine.
pub(crate) fn serve_at(
    address: &str,
    goes_on: impl Fn() -> bool + Send + 'static,
    answer: impl Fn(TcpStream) + Send + Sync + 'static,
) -> u16 {
    let listener = TcpListener::bind(address).unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok).take_while(|_| goes_on()) {
            let answer = Arc::clone(&answer);
            thread::spawn(move || answer(stream));
        }
    });
    port
}

/// A table service: each request's target (path and query) is answered by the script, which
/// writes the whole response; `None` closes the connection.
pub(crate) fn table_service(
    script: impl Fn(usize, &str) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> Requests {
    table_service_that(false, script)
}

/// As [`table_service`], with a connection for each request: who waits for the rest of a broken
/// response sees that there is none.
pub(crate) fn closing_table_service(
    script: impl Fn(usize, &str) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> Requests {
    table_service_that(true, script)
}

fn table_service_that(
    closes: bool,
    script: impl Fn(usize, &str) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> Requests {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&seen);
    let port = serve(move |stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if reader.read_line(&mut head).unwrap_or(0) == 0 {
                    return;
                }
            }
            let target = head.split(' ').nth(1).unwrap().to_owned();
            let count = {
                let mut requests = requests.lock().unwrap();
                requests.push(target.clone());
                requests.len() - 1
            };
            match script(count, &target) {
                Some(response) => drop(stream.write_all(&response)),
                None => return,
            }
            if closes {
                return;
            }
        }
    });
    Requests { port, seen }
}

/// What a scripted table service was asked.
pub(crate) struct Requests {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Requests {
    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// The targets that were asked for.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// A connection string for it.
    pub(crate) fn storage(&self) -> String {
        format!(
            "AccountName=contoso;AccountKey=Y2FuYXJ5;TableEndpoint=http://127.0.0.1:{}/contoso",
            self.port
        )
    }
}

/// A response of a table service with these headers (`Name: value` lines) and body.
pub(crate) fn response(status: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let date = leadflow::platform::clock::Clock::System.now().strftime("%a, %d %b %Y %H:%M:%S GMT");
    let more = [headers, &[""]].concat().join("\r\n");
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nDate: {date}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{more}\r\n{body}"
    )
    .into_bytes()
}

/// A page of rows, each a JSON object.
pub(crate) fn page(rows: &[serde_json::Value], headers: &[&str]) -> Vec<u8> {
    let body = serde_json::json!({ "odata.metadata": "http://x/$metadata#leads", "value": rows });
    response("200 OK", headers, &body.to_string())
}

/// An SMTP server without TLS and AUTH that plays its part until the final dot, which `end`
/// answers; `None` drops the connection. Returns the port and the messages.
pub(crate) fn smtp(
    end: impl Fn(usize) -> Option<&'static str> + Send + Sync + 'static,
) -> (u16, Arc<Mutex<Vec<Vec<u8>>>>) {
    let taken: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let messages = Arc::clone(&taken);
    let port = serve(move |mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut say = move |line: &str| stream.write_all(format!("{line}\r\n").as_bytes()).is_ok();
        say("220 scripted");
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            match line.get(..4).unwrap_or_default().to_ascii_uppercase().as_str() {
                "DATA" => {
                    say("354 go on");
                    let mut bytes = Vec::new();
                    let mut byte = [0];
                    while !bytes.ends_with(b"\r\n.\r\n") {
                        if reader.read(&mut byte).unwrap_or(0) == 0 {
                            return;
                        }
                        bytes.push(byte[0]);
                    }
                    let count = {
                        let mut messages = messages.lock().unwrap();
                        messages.push(bytes);
                        messages.len() - 1
                    };
                    match end(count) {
                        Some(reply) => say(reply),
                        None => return,
                    };
                }
                "QUIT" => {
                    say("221 bye");
                    return;
                }
                _ => drop(say("250 fine")),
            }
        }
    });
    (port, taken)
}
