//! What an answer of Graph means for the mail and for the connection. Pure.
//!
//! Statuses and codes: <https://learn.microsoft.com/graph/errors>; throttling:
//! <https://learn.microsoft.com/graph/throttling>.

use std::fmt;
use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::Value;

use super::super::ConnectError;
use crate::flow::{GraphConnection, Identity};
use crate::services::http;
use crate::text::advice::Advice;
use crate::text::foreign;

/// An answer, without what it may repeat of the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// `error.code`; empty where there is none.
    pub(super) code: String,
    /// `error.message`, one line.
    pub(super) message: String,
    pub(super) request_id: Option<String>,
    pub(super) retry_after: Option<Duration>,
}

/// What it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The mail is taken.
    Accepted(String),
    /// It will never be.
    Refused(String),
    /// Not now.
    Later(String),
    /// It may have been taken.
    Unknown(String),
    /// It says nothing about the mail.
    Connection(ConnectError),
}

/// The code for a message without recipients.
pub(super) const NO_RECIPIENTS: &str = "ErrorInvalidRecipients";

/// Codes of 400 and 404 that are about the mailbox and not about the message.
const OF_MAILBOX: [&str; 6] = [
    "ErrorInvalidUser",
    "ErrorNonExistentMailbox",
    "MailboxNotEnabledForRESTAPI",
    "MailboxNotSupportedForRESTAPI",
    "Request_ResourceNotFound",
    "ResourceNotFound",
];
/// Codes that are about the sender, whatever the status: it may not send as that address, it has used up
/// what it may send, it is suspended, or its mailbox is full or on its way to another place. They are
/// those of Exchange: <https://learn.microsoft.com/exchange/client-developer/web-service-reference/responsecode>.
const OF_SENDER: [&str; 9] = [
    "ErrorAccountDisabled",
    "ErrorAccountSuspend",
    "ErrorExceededMessageLimit",
    "ErrorMailboxMoveInProgress",
    "ErrorMailboxStoreUnavailable",
    "ErrorMessageSubmissionBlocked",
    "ErrorQuotaExceeded",
    "ErrorSendAsDenied",
    "ErrorSubmissionQuotaExceeded",
];
/// Characters of Graph's own message that are shown.
const SHOWN: usize = 240;

impl Reply {
    pub(super) fn read(status: u16, headers: &HeaderMap, body: &[u8]) -> Self {
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            status,
            code: foreign::code(&text(&json["error"]["code"])).unwrap_or_default().to_owned(),
            message: foreign::line(&text(&json["error"]["message"]), SHOWN),
            request_id: http::header(headers, "request-id").and_then(foreign::code).map(str::to_owned),
            retry_after: http::retry_after(headers),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, code, message, request_id, .. } = self;
        f.write_str(format!("{status} {code}").trim_end())?;
        if !message.is_empty() {
            write!(f, ": {message}")?;
        }
        match request_id {
            Some(id) => write!(f, " (request-id {id})"),
            None => Ok(()),
        }
    }
}

pub(super) fn classify(reply: &Reply, connection: &GraphConnection) -> Verdict {
    let words = reply.to_string();
    let connection_fails = |message: String, help: String| {
        let retry_after = reply.retry_after;
        Verdict::Connection(ConnectError { advice: Advice::new(message).with_help(help), retry_after })
    };
    let mailbox = connection.mailbox.address.clone();
    let who = connection.entra.who();
    match reply.status {
        202 => Verdict::Accepted(match &reply.request_id {
            Some(id) => format!("202 Accepted (request-id {id})"),
            None => "202 Accepted".to_owned(),
        }),
        401 => connection_fails(
            format!("Graph does not accept the token of {who}: {words}"),
            "check `tenant_id` (it must be the mailbox's tenant), `cloud`, and this machine's clock"
                .to_owned(),
        ),
        400.. if reply.code == "ErrorSendAsDenied" => connection_fails(
            format!("{mailbox} may not send with this sender: {words}"),
            "the sender is that of the first connection in the flow's list: give both the same address"
                .to_owned(),
        ),
        400.. if OF_SENDER.contains(&reply.code.as_str()) => connection_fails(
            format!("{mailbox} may not send now: {words}"),
            "check the mailbox in the Exchange admin center: its limits, its size, and whether it is \
             restricted"
                .to_owned(),
        ),
        403 => connection_fails(
            format!("{who} may not send from {mailbox}: the permission Mail.Send is missing ({words})"),
            permission(connection),
        ),
        400 | 404 if reply.status == 404 || OF_MAILBOX.contains(&reply.code.as_str()) => connection_fails(
            format!("there is no mailbox {mailbox} that Graph can send from: {words}"),
            format!(
                "check `mailbox`: Get-EXOMailbox -Identity {mailbox} must find it; it needs an Exchange Online \
                 licence or be shared"
            ),
        ),
        429 | 503 | 509 => connection_fails(
            format!("Graph currently accepts no mail from {mailbox}: {words}"),
            "leadflow tries again when Graph allows it; `per_minute` sets a slower pace".to_owned(),
        ),
        407 => connection_fails(
            format!("a proxy in front of Graph requires a login: {words}"),
            crate::services::http::LOGIN_FOR_PROXY.to_owned(),
        ),
        502 | 504 => Verdict::Unknown(words),
        408 | 409 | 423 | 425 | 500..=599 => Verdict::Later(words),
        // What Graph says of a message has a code, or is about its size and kind.
        400 | 422 if !reply.code.is_empty() => Verdict::Refused(words),
        413 | 415 => Verdict::Refused(words),
        _ => connection_fails(
            format!("Graph answered {words}, which sendMail never does"),
            "check for a proxy in between".to_owned(),
        ),
    }
}

/// Who gives the permission, and how.
fn permission(connection: &GraphConnection) -> String {
    let app = match &connection.entra.identity {
        Identity::Managed { client_id: Some(id) } | Identity::Application { client_id: id, .. } => {
            id.as_str()
        }
        Identity::Managed { client_id: None } => "CLIENT-ID",
    };
    format!(
        "in Exchange Online PowerShell: New-ManagementRoleAssignment -App {app} -Role \"Application Mail.Send\" \
         -CustomResourceScope SCOPE, with a scope that contains {}; it takes up to 2 hours to take effect; see docs/office365.md",
        connection.mailbox.address
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Cloud, Entra};

    fn verdict(status: u16, code: &str) -> Verdict {
        let connection = GraphConnection {
            mailbox: crate::flow::Mailbox::bare("leads@contoso.example"),
            entra: Entra::new(Identity::Managed { client_id: None }, Cloud::Public),
            per_minute: 30,
        };
        let body =
            format!(r#"{{"error":{{"code":"{code}","message":"Words of\nBearer t0ken-of-this-request"}}}}"#);
        classify(&Reply::read(status, &HeaderMap::new(), body.as_bytes()), &connection)
    }

    #[test]
    fn each_status_has_its_meaning() {
        use Verdict::{Accepted, Connection, Later, Refused, Unknown};
        for (status, code) in [
            (401, "InvalidAuthenticationToken"),
            (403, "ErrorAccessDenied"),
            (404, "ErrorInvalidUser"),
            (400, "MailboxNotEnabledForRESTAPI"),
            (429, "ApplicationThrottled"),
            (503, ""),
            (302, ""),
            // The sender's, whatever the status; and what no answer of Graph is.
            (403, "ErrorSendAsDenied"),
            (400, "ErrorSendAsDenied"),
            (400, "ErrorSubmissionQuotaExceeded"),
            (400, "ErrorExceededMessageLimit"),
            (403, "ErrorMessageSubmissionBlocked"),
            (403, "ErrorAccountSuspend"),
            (507, "ErrorQuotaExceeded"),
            (503, "ErrorMailboxStoreUnavailable"),
            (400, ""),
            (402, ""),
            (405, ""),
            (407, ""),
            (431, ""),
            (451, ""),
        ] {
            assert!(matches!(verdict(status, code), Connection(_)), "{status}");
        }
        for (status, code) in [
            (400, "ErrorInvalidRecipients"),
            (400, "ErrorMimeContentInvalid"),
            (400, "ErrorMessageSizeExceeded"),
            (413, ""),
            (413, "ErrorMessageSizeExceeded"),
        ] {
            assert!(matches!(verdict(status, code), Refused(_)), "{status}");
        }
        assert!(matches!(verdict(504, "UnknownError"), Unknown(_)) && matches!(verdict(502, ""), Unknown(_)));
        assert!(matches!(verdict(500, "InternalServerError"), Later(_)));
        assert_eq!(verdict(202, ""), Accepted("202 Accepted".to_owned()));
        let Refused(words) = verdict(400, "ErrorMimeContentInvalid") else { panic!("not refused") };
        assert_eq!(words, "400 ErrorMimeContentInvalid: Words of Bearer …");
        let Connection(error) = verdict(403, "ErrorAccessDenied") else { panic!("not the connection's") };
        assert!(error.advice.message.contains("the permission Mail.Send is missing"), "{error}");
        assert!(error.advice.help.unwrap().contains("Application Mail.Send"));
    }
}
