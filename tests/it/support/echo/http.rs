//! A table service, Entra ID, Graph and a heartbeat, plain and behind `CONNECT`.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use leadflow::platform::clock::Clock;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use super::{Memory, Stage, hear, one_line};

pub(super) fn converse(
    mut stream: TcpStream,
    tls: &Arc<ServerConfig>,
    memory: &Mutex<Memory>,
    token: &str,
) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let (head, body) = request(&mut reader)?;
        if !head.starts_with("CONNECT ") {
            stream.write_all(&answer(&head, &body, memory, token)).ok()?;
            continue;
        }
        let (stage, echo) = hear(memory, &head);
        if matches!(stage, Stage::NoProxy) {
            let said = one_line(&echo);
            let refusal = format!(
                "HTTP/1.1 407 {said}\r\nProxy-Authenticate: Basic realm=\"{said}\"\r\nContent-Length: {}\r\n\r\n{echo}",
                echo.len()
            );
            stream.write_all(refusal.as_bytes()).ok()?;
            return None;
        }
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").ok()?;
        let connection = ServerConnection::new(Arc::clone(tls)).ok()?;
        let mut secured = BufReader::new(StreamOwned::new(connection, stream));
        loop {
            let (head, body) = request(&mut secured)?;
            let answer = answer(&head, &body, memory, token);
            secured.get_mut().write_all(&answer).and_then(|()| secured.get_mut().flush()).ok()?;
        }
    }
}

/// Head and body.
fn request(reader: &mut impl BufRead) -> Option<(String, String)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("content-length:")
            .and_then(|length| length.trim().parse().ok())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some((head, String::from_utf8_lossy(&body).into_owned()))
}

fn response(status: &str, headers: &[String], body: &str) -> Vec<u8> {
    let more = headers.iter().map(|line| format!("{line}\r\n")).collect::<Vec<_>>().concat();
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{more}\r\n{body}", body.len()).into_bytes()
}

/// What was heard, as it is and as a header can have it.
struct Echo<'a> {
    head: &'a str,
    whole: String,
    said: String,
}

fn answer(head: &str, body: &str, memory: &Mutex<Memory>, token: &str) -> Vec<u8> {
    let (stage, whole) = hear(memory, &format!("{head}{body}"));
    let echo = Echo { head, said: one_line(&whole), whole };
    let of_host = |name: &str| head.to_ascii_lowercase().contains(&format!("\r\nhost: {name}"));
    if of_host("login.") {
        return echo.of_login(stage, token);
    }
    match stage {
        Stage::Rows if of_host("graph.") || head.contains("/beat/") => echo.refusal(429),
        Stage::Rows => echo.rows(),
        Stage::Html => echo.page(),
        Stage::Json | Stage::NoToken | Stage::NoProxy => echo.refusal(403),
    }
}

impl Echo<'_> {
    fn headers(&self) -> Vec<String> {
        let names = [
            "x-ms-request-id",
            "request-id",
            "Server",
            "WWW-Authenticate",
            "Retry-After",
            "ETag",
            "x-ms-error-code",
            "Date",
        ];
        names.map(|name| format!("{name}: {}", self.said)).to_vec()
    }

    fn of_login(&self, stage: Stage, token: &str) -> Vec<u8> {
        let Self { whole, said, .. } = self;
        let (status, body) = if stage == Stage::NoToken {
            let description = format!("AADSTS7: {whole}");
            let body = json!({ "error": said, "error_description": description, "error_codes": [said], "claims": whole, "suberror": said });
            (format!("401 {said}"), body)
        } else {
            (
                "200 OK".to_owned(),
                json!({ "token_type": "Bearer", "expires_in": 3599, "access_token": token, "claims": whole }),
            )
        };
        response(&status, &self.headers(), &body.to_string())
    }

    fn refusal(&self, status: u16) -> Vec<u8> {
        let Self { whole, said, .. } = self;
        let body = json!({
            "odata.error": { "code": said, "message": { "lang": "en", "value": whole } },
            "error": { "code": said, "message": whole, "innerError": { "request-id": whole, "date": said } },
        });
        response(&format!("{status} {said}"), &self.headers(), &body.to_string())
    }

    /// As of a proxy, or of a wrong address.
    fn page(&self) -> Vec<u8> {
        let Self { head, whole, said } = self;
        let target = head.split(' ').nth(1).unwrap_or_default();
        let body = format!(
            "<html><code>http://x{target}</code><message>{whole}</message><code>{whole}</code></html>"
        );
        response(&format!("400 {said}"), &self.headers(), &body)
    }

    fn rows(&self) -> Vec<u8> {
        let Self { head, whole, said } = self;
        let now = Clock::System.now();
        let mut headers = self.headers();
        // The SDK takes no page without these.
        headers.retain(|line| !line.starts_with("x-ms-request-id") && !line.starts_with("Date"));
        headers.push("x-ms-request-id: 0f5e0000-0000-4000-8000-00000000002c".to_owned());
        headers.push(format!("Date: {}", now.strftime("%a, %d %b %Y %H:%M:%S GMT")));
        headers.push("Content-Type: application/json".to_owned());
        if head.contains("/Tables") {
            let body =
                json!({ "odata.metadata": "x", "value": [{ "TableName": said }, { "TableName": "leads" }] });
            return response("200 OK", &headers, &body.to_string());
        }
        if !head.contains("NextPartitionKey") && head.contains("filter") {
            headers.push(format!("x-ms-continuation-NextPartitionKey: {said}"));
        }
        let customer =
            json!({ "FirstName": "Ana", "LastName": whole, "Email": "ana@x.example", "Company": whole });
        let row = |key: &str| {
            json!({
                "PartitionKey": "p", "RowKey": key, "Timestamp": now.to_string(), "odata.etag": whole, "Echo": whole, whole: whole,
                "LeadSource": whole, "OfferDisplayName": whole, "CreatedTime": now.to_string(), "CustomerInfo": customer.to_string(),
            })
        };
        let rows = [row("r"), row(&said.replace(['/', '\\', '#', '?'], ""))];
        response("200 OK", &headers, &json!({ "odata.metadata": whole, "value": rows }).to_string())
    }
}
