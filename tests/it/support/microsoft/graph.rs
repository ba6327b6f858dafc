//! `POST /v1.0/users/{mailbox}/sendMail` of Microsoft Graph with a MIME body:
//! <https://learn.microsoft.com/graph/api/user-sendmail>; errors:
//! <https://learn.microsoft.com/graph/errors>, <https://learn.microsoft.com/graph/resolve-auth-errors>.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use mail_parser::{HeaderValue, Message, MessageParser};
use serde_json::json;

use super::http::{Request, response};
use super::{GRAPH, MAILBOX, Sent, State};

/// What happens to a request beyond its own merits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scripted {
    /// No connection comes about.
    Unreachable,
    /// 429 with that Retry-After: <https://learn.microsoft.com/graph/throttling>.
    Throttled(u32),
    /// 503 with that Retry-After.
    Busy(u32),
    /// 202, and a Retry-After beside it.
    AcceptedWithRetryAfter(u32),
    /// 504; the mail went out or did not.
    GatewayTimeout { is_delivered: bool },
    /// The mail goes out and the connection ends without an answer.
    Silent,
    /// 500.
    InternalError,
    /// The tokens end now.
    TokenEnds,
    /// An answer after so many milliseconds.
    Slow(u64),
}

/// One request carries at most 4 MB:
/// <https://learn.microsoft.com/graph/outlook-large-attachments>.
const LARGEST: usize = 4 << 20;
/// For one application and one mailbox:
/// <https://learn.microsoft.com/graph/throttling-limits#outlook-service-limits>.
const AT_ONCE: usize = 4;

/// The response; `None` ends the connection.
pub(super) fn send_mail(request: &Request, state: &Arc<Mutex<State>>) -> Option<Vec<u8>> {
    let scripted = {
        let mut state = state.lock().unwrap();
        state.at_once.0 += 1;
        state.at_once.1 = state.at_once.1.max(state.at_once.0);
        state.graph.pop_front()
    };
    if let Some(Scripted::Slow(millis)) = scripted {
        std::thread::sleep(Duration::from_millis(millis));
    }
    let mut state = state.lock().unwrap();
    let answer = decide(request, scripted, &mut state);
    state.at_once.0 -= 1;
    answer
}

fn decide(request: &Request, scripted: Option<Scripted>, state: &mut State) -> Option<Vec<u8>> {
    match scripted {
        Some(Scripted::TokenEnds) => state.end_tokens(GRAPH),
        // "429 Too Many Requests … Retry-After: 10", TooManyRequests with ApplicationThrottled inside
        Some(Scripted::Throttled(seconds)) => {
            let words = "Application is over its MailboxConcurrency limit.";
            return Some(error(
                "429 Too Many Requests",
                "ApplicationThrottled",
                words,
                &[format!("Retry-After: {seconds}")],
            ));
        }
        Some(Scripted::Busy(seconds)) => {
            let retry = [format!("Retry-After: {seconds}")];
            return Some(error(
                "503 Service Unavailable",
                "serviceNotAvailable",
                "The service is unavailable.",
                &retry,
            ));
        }
        Some(Scripted::InternalError) => {
            return Some(error(
                "500 Internal Server Error",
                "InternalServerError",
                "The server could not process the request.",
                &[],
            ));
        }
        Some(Scripted::GatewayTimeout { is_delivered: false }) => return Some(gateway_timeout()),
        _ => {}
    }
    if state.at_once.0 > AT_ONCE {
        let retry = ["Retry-After: 1".to_owned()];
        return Some(error(
            "429 Too Many Requests",
            "ApplicationThrottled",
            "Application is over its MailboxConcurrency limit.",
            &retry,
        ));
    }
    let sent = match judged(request, state) {
        Ok(sent) => sent,
        Err(refusal) => return Some(refusal),
    };
    state.mails.push(sent);
    match scripted {
        Some(Scripted::GatewayTimeout { .. }) => Some(gateway_timeout()),
        Some(Scripted::Silent) => None,
        Some(Scripted::AcceptedWithRetryAfter(seconds)) => {
            Some(accepted(request, &[format!("Retry-After: {seconds}")]))
        }
        _ => Some(accepted(request, &[])),
    }
}

/// "If successful, this method returns 202 Accepted response code. It doesn't return anything in the
/// response body."
fn accepted(request: &Request, more: &[String]) -> Vec<u8> {
    let echoed = format!("client-request-id: {}", request.header("client-request-id").unwrap_or_default());
    let headers = [&["request-id: 0f5e0000-0000-4000-8000-00000000002a".to_owned(), echoed], more].concat();
    response("202 Accepted", &headers, "")
}

fn gateway_timeout() -> Vec<u8> {
    error("504 Gateway Timeout", "UnknownError", "The gateway did not receive a response in time.", &[])
}

fn error(status: &str, code: &str, message: &str, headers: &[String]) -> Vec<u8> {
    let inner =
        json!({ "date": "2026-11-22T08:00:00", "request-id": "0f5e0000-0000-4000-8000-00000000002b" });
    let body = json!({ "error": { "code": code, "message": message, "innerError": inner } });
    response(status, headers, &body.to_string())
}

/// Token, then mailbox and permission, then the message.
fn judged(request: &Request, state: &State) -> Result<Sent, Vec<u8>> {
    let unauthorized = |words: &str| {
        let challenge = "WWW-Authenticate: Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\"";
        Err(error("401 Unauthorized", "InvalidAuthenticationToken", words, &[challenge.to_owned()]))
    };
    let Some(bearer) = request.bearer() else { return unauthorized("Access token is empty.") };
    let Some(token) = state.tokens.iter().find(|token| token.token == bearer) else {
        // An odd one, that repeats what it was given.
        return unauthorized(&format!("IDX14100: JWT is not well formed: {bearer}"));
    };
    if token.is_over {
        return unauthorized("Lifetime validation failed, the token is expired.");
    }
    if token.audience != format!("https://{}", request.host) {
        return unauthorized("Access token validation failure. Invalid audience.");
    }
    let path = url::Url::parse(&format!("https://graph{}", request.path())).unwrap();
    let segments: Vec<_> = path.path_segments().unwrap().collect();
    let ["v1.0", "users", mailbox, "sendMail"] = segments[..] else {
        return Err(error("400 Bad Request", "BadRequest", "Resource not found for the segment.", &[]));
    };
    if !mailbox.eq_ignore_ascii_case(MAILBOX) {
        let words = format!("The requested user '{mailbox}' is invalid.");
        return Err(error("404 Not Found", "ErrorInvalidUser", &words, &[]));
    }
    // Neither Mail.Send of the tenant nor Application Mail.Send for the mailbox:
    // https://learn.microsoft.com/exchange/permissions-exo/application-rbac
    if !state.may(GRAPH, &token.to) {
        return Err(error(
            "403 Forbidden",
            "ErrorAccessDenied",
            "Access is denied. Check credentials and try again.",
            &[],
        ));
    }
    message(request)
}

fn message(request: &Request) -> Result<Sent, Vec<u8>> {
    // "Use application/json for a JSON object and text/plain for MIME content."
    if request.header("content-type") != Some("text/plain") {
        return Err(error(
            "415 Unsupported Media Type",
            "UnsupportedMediaType",
            "Use text/plain for MIME.",
            &[],
        ));
    }
    if request.body.len() > LARGEST {
        return Err(error(
            "413 Request Entity Too Large",
            "BadRequest",
            "Maximum request length exceeded.",
            &[],
        ));
    }
    let Ok(bytes) = BASE64_STANDARD.decode(&request.body) else {
        let code = "ErrorMimeContentInvalidBase64String";
        return Err(error("400 Bad Request", code, "Invalid base64 string for MIME content.", &[]));
    };
    let parsed = MessageParser::default().parse(&bytes).unwrap();
    let from = parsed.from().and_then(|from| from.first()).and_then(|from| from.address());
    if from != Some(MAILBOX) {
        let words = "The user account which was used to submit this request does not have the right to send mail on behalf of the specified sending account., Cannot submit message.";
        return Err(error("403 Forbidden", "ErrorSendAsDenied", words, &[]));
    }
    let recipients = recipients(&parsed);
    if recipients.is_empty() {
        let words =
            "At least one recipient isn't valid., A message can't be sent because it contains no recipients.";
        return Err(error("400 Bad Request", "ErrorInvalidRecipients", words, &[]));
    }
    if let Some(wrong) = recipients.iter().find(|address| address.starts_with("refused@")) {
        let words = format!("At least one recipient isn't valid., Recipient '{wrong}' isn't resolved.");
        return Err(error("400 Bad Request", "ErrorInvalidRecipients", &words, &[]));
    }
    Ok(Sent { recipients, bytes: without_bcc(&bytes) })
}

fn recipients(message: &Message<'_>) -> Vec<String> {
    let named = ["To", "Cc", "Bcc"].into_iter().filter_map(|name| message.header(name));
    let addresses = named.filter_map(|value| match value {
        HeaderValue::Address(list) => Some(list.iter().filter_map(|one| one.address().map(str::to_owned))),
        _ => None,
    });
    addresses.flatten().collect()
}

/// Exchange delivers nobody the hidden recipients.
fn without_bcc(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut is_hidden = false;
    let keeps = |line: &&str| {
        if !line.starts_with([' ', '\t']) {
            is_hidden = line.to_ascii_lowercase().starts_with("bcc:");
        }
        !is_hidden
    };
    let head: Vec<&str> = head.split("\r\n").filter(keeps).collect();
    format!("{}\r\n\r\n{body}", head.join("\r\n")).into_bytes()
}
