//! What each refusal of the table service means, and what to do about it.
//!
//! <https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes>,
//! <https://learn.microsoft.com/rest/api/storageservices/table-service-error-codes> and
//! <https://learn.microsoft.com/rest/api/storageservices/sas-error-codes>.

use serde_json::Value;

use super::error::{Place, SHOWN, SignIn, TableError};
use super::permission;
use crate::services::http;
use crate::text::foreign;

/// What the body of a refusal says, cleaned.
pub(super) struct Answer {
    code: String,
    message: Option<String>,
    /// Why a key or signature is refused: which of the known reasons.
    detail: Option<Detail>,
    /// A page for people, which no table service sends.
    is_page: bool,
}

/// The reasons of `AuthenticationErrorDetail` that have a remedy of their own. Its words hold the string that
/// was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detail {
    /// Ended, or not yet begun.
    TimeFrame,
    /// Another key than the account's.
    OtherKey,
    /// The machine's clock.
    Date,
    /// Cut, or with a character too many.
    Malformed,
}

impl Answer {
    /// The service sends JSON or XML; the emulator XML where signing failed.
    pub(super) fn parse(code: Option<String>, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let json: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap_or_default();
        let error = &json["odata.error"];
        let start = text[..text.floor_char_boundary(1_024)].to_ascii_lowercase();
        let is_page = start.contains("<html") || start.contains("<!doctype html");
        let element = |name: &str| {
            // A page has `<code>` as well, with whatever was asked for in it.
            if is_page {
                return None;
            }
            let (_, rest) = text.split_once(&format!("<{name}"))?;
            let (_, rest) = rest.split_once('>')?;
            rest.split_once("</").map(|(value, _)| value.to_owned())
        };
        let of_json = |value: &Value| value.as_str().map(str::to_owned);
        let codes = [code, of_json(&error["code"]), element("Code"), element("code")];
        let code = codes.into_iter().flatten().find_map(|code| foreign::code(&code).map(str::to_owned));
        let message =
            of_json(&error["message"]["value"]).or_else(|| element("Message")).or_else(|| element("message"));
        let detail = element("AuthenticationErrorDetail").or_else(|| message.clone());
        Self {
            code: code.unwrap_or_default(),
            message: message.map(|message| first_line(&message)),
            detail: detail.as_deref().and_then(Detail::parse),
            is_page,
        }
    }
}

impl Detail {
    fn parse(text: &str) -> Option<Self> {
        let has = |words: &str| text.contains(words);
        if has("specified time frame") {
            Some(Self::TimeFrame)
        } else if has("MAC signature") || has("did not match") {
            Some(Self::OtherKey)
        } else if has("date header") || has("Request date") {
            Some(Self::Date)
        } else if has("not well formed") || has("not in the correct format") || has("is mandatory") {
            Some(Self::Malformed)
        } else {
            None
        }
    }
}

/// The first line; the ones after it number the request.
fn first_line(message: &str) -> String {
    foreign::line(message.trim_start().lines().next().unwrap_or_default(), SHOWN)
}

type Words = (String, String);

fn words(message: String, help: &str) -> Words {
    (message, help.to_owned())
}

/// What happened, and what to do.
pub(super) fn meaning(status: u16, answer: &Answer, place: &Place) -> TableError {
    let said = answer.message.as_ref().map_or_else(String::new, |message| format!(": {message}"));
    let (message, help) = by_proxy(status, answer, place)
        .or_else(|| by_token(status, answer, &said, place))
        .or_else(|| of_key(status, answer, &said, place))
        .or_else(|| of_signature(status, answer, place))
        .or_else(|| of_account(status, answer, &said, place))
        .unwrap_or_else(|| of_request(status, answer, &said, place));
    let is_passing = matches!(status, 408 | 429 | 500..=599);
    TableError { message, help: Some(help), is_passing, retry_after: None }
}

fn by_proxy(status: u16, answer: &Answer, place: &Place) -> Option<Words> {
    let Place { host, .. } = place;
    if (300..=399).contains(&status) {
        let message = format!("{host} answered with a redirect ({status}), which no table service does");
        return Some(words(message, "check the endpoint, and a proxy or sign-in page between"));
    }
    if status == 407 {
        return Some(words(format!("a proxy before {host} asks for a login (407)"), http::LOGIN_FOR_PROXY));
    }
    if !answer.is_page || !answer.code.is_empty() || status >= 500 {
        return None;
    }
    let message = format!("{host} answered {status} with a web page, which no table service does");
    let help = "a proxy or a firewall between answers in its place: let this machine through to the host, or \
                set HTTPS_PROXY; otherwise check the endpoint";
    Some(words(message, help))
}

fn by_token(status: u16, answer: &Answer, said: &str, place: &Place) -> Option<Words> {
    match &place.sign_in {
        SignIn::Entra(who) if matches!(status, 401 | 403) => {
            Some(permission::refused(who, (status, &answer.code, said), place))
        }
        _ => None,
    }
}

/// The key or signature itself is refused.
fn of_key(status: u16, answer: &Answer, said: &str, place: &Place) -> Option<Words> {
    let (Place { account, sign_in, .. }, code) = (place, answer.code.as_str());
    if code == "KeyBasedAuthenticationNotPermitted" {
        let message = format!("the account `{account}` does not accept keys: access by key is turned off");
        let help = "sign in with `entra`, see docs/entra.md; or portal: the storage account → Settings → \
                    Configuration → Allow storage account key access → Enabled. Signatures made with a key \
                    need it, too";
        return Some(words(message, help));
    }
    // The emulator calls a wrong signature a missing permission; its message tells.
    let is_refused = code.contains("Authentication") || said.contains("failed to authenticate");
    if !matches!(status, 400 | 401 | 403) || !is_refused {
        return None;
    }
    let message = format!("the account `{account}` does not accept the key or signature from {sign_in}");
    Some(match answer.detail {
        Some(Detail::TimeFrame) => words(
            format!("the signature from {sign_in} has ended, or has not begun yet"),
            "make a new one, see docs/azure.md; if it should be valid now, check this machine's clock",
        ),
        Some(Detail::OtherKey) => words(
            format!("{message}: it was made with another key"),
            "copy it again from the portal (Security + networking → Access keys): the key was rotated, or is \
             that of another account",
        ),
        Some(Detail::Date) => words(
            format!("{message}: the request's time is too far from the service's"),
            "set this machine's clock (timedatectl set-ntp true): it may be at most 15 minutes off",
        ),
        Some(Detail::Malformed) => words(
            format!("{message}: it is not complete"),
            "copy it again as a whole: a cut end, a line break or a changed & spoils it",
        ),
        None => words(
            message,
            "copy the key again from the portal (Security + networking → Access keys), or make a new signature \
             (docs/azure.md): keys are rotated, signatures end; this machine's clock may be at most 15 minutes off",
        ),
    })
}

/// A shared access signature that is valid, for something else.
fn of_signature(status: u16, answer: &Answer, place: &Place) -> Option<Words> {
    let Place { account, table, sign_in, .. } = place;
    let (what, help) = match (status, answer.code.as_str()) {
        (403 | 404, "AuthorizationPermissionMismatch") => (
            "lacks a permission (reading needs `r`, adding rows `a`, deleting them `d`)",
            "make one with it, see docs/azure.md",
        ),
        (403, "AuthorizationServiceMismatch") => (
            "is for another service, as for blobs",
            "make one for tables (Allowed services: Table), see docs/azure.md",
        ),
        (403, "AuthorizationResourceTypeMismatch") => (
            "is not for rows",
            "make one with Allowed resource types: Object (and Container), see docs/azure.md",
        ),
        (403, "AuthorizationSourceIPMismatch") => (
            "is for other addresses than this machine's",
            "make one without Allowed IP addresses, or with this machine's public address",
        ),
        (403, "AuthorizationProtocolMismatch") => ("is for HTTPS alone", "write https in the endpoint"),
        _ => return None,
    };
    Some(words(
        format!(
            "the signature from {sign_in} {what}: it gives no access to the table `{table}` in `{account}`"
        ),
        help,
    ))
}

fn of_account(status: u16, answer: &Answer, said: &str, place: &Place) -> Option<Words> {
    let Place { account, table, .. } = place;
    let code = answer.code.as_str();
    Some(match (status, code) {
        (403, "AccountIsDisabled") => words(
            format!("the account `{account}` is disabled"),
            "portal: check that the subscription is active and paid; then enable the account",
        ),
        (403, "InsufficientAccountPermissions") => words(
            format!("the account `{account}` does not allow this now ({code}){said}"),
            "portal: check the account's status; a failover or a move may be under way",
        ),
        (409 | 404, "AccountBeingCreated") => {
            words(format!("the account `{account}` is still being created"), "wait a few minutes")
        }
        (409, "TableBeingDeleted") => words(
            format!("the table `{table}` in the account `{account}` is being deleted"),
            "wait a few minutes, or name another table in the flow's [table]",
        ),
        (
            _,
            "ContainerNotFound" | "BlobNotFound" | "QueueNotFound" | "UnsupportedHttpVerb" | "InvalidUri",
        ) => words(
            format!("{} is not a table endpoint ({code})", place.host),
            "write the table endpoint of the account, as https://ACCOUNT.table.core.windows.net; blobs and queues have others",
        ),
        (403, _) => words(
            format!(
                "the account `{account}` denies this machine access to the table `{table}` ({code}){said}"
            ),
            "portal: the storage account → Security + networking → Networking: let this machine's public address \
             or network in; a signature also needs the permission `r` for tables",
        ),
        _ => return None,
    })
}

fn of_request(status: u16, answer: &Answer, said: &str, place: &Place) -> Words {
    let Place { host, account, table, .. } = place;
    let code = answer.code.as_str();
    match (status, code) {
        (404, "TableNotFound" | "ResourceNotFound" | "") => words(
            format!("there is no table `{table}` in the account `{account}`"),
            "look at `name` in the flow's [table]; the portal lists the account's tables under Storage browser",
        ),
        (409, "TableAlreadyExists") => words(
            format!("there is a table `{table}` in the account `{account}` already"),
            "nothing is to be done, or take another name",
        ),
        (409, _) => words(
            format!("the table `{table}` has a row with these keys already ({code}){said}"),
            "nothing was written",
        ),
        (400, "InvalidResourceName" | "OutOfRangeInput") => words(
            format!("`{table}` is not a name of a table{said}"),
            "3 to 63 letters and digits, a letter first",
        ),
        (400, _) => words(
            format!("the service does not accept the query ({code}){said}"),
            "look at the flow's filter and select; constants must have the type of their property",
        ),
        (501 | 505, _) => words(
            format!("{host} has no tables ({status} {code}){said}"),
            "a premium or data lake account has none: use a general-purpose v2 account, or check the endpoint",
        ),
        _ => words(
            format!("{host} answered {status} {code}{said}"),
            "it is tried again; if it stays so, look at the account's health in the portal",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Status, code of the header, `AuthenticationErrorDetail` or body.
    const REFUSALS: [(u16, &str, &str); 25] = [
        (403, "", "Signature not valid in the specified time frame: Start [canary] - Expiry [canary]"),
        (
            403,
            "",
            "The MAC signature found in the HTTP request 'canary=' is not the same as any computed signature.",
        ),
        (403, "", "Signature did not match. String to sign used was r canary"),
        (403, "", "Request date header too old: 'Fri, 10 Jul 2020 10:16:22 GMT'"),
        (403, "", "Signature fields not well formed."),
        (403, "AuthenticationFailed", ""),
        (400, "InvalidAuthenticationInfo", ""),
        (403, "KeyBasedAuthenticationNotPermitted", ""),
        (403, "AuthorizationPermissionMismatch", ""),
        (403, "AuthorizationServiceMismatch", ""),
        (403, "AuthorizationResourceTypeMismatch", ""),
        (403, "AuthorizationSourceIPMismatch", ""),
        (403, "AuthorizationProtocolMismatch", ""),
        (403, "AuthorizationFailure", "<Error><Message>This request is not authorized.</Message></Error>"),
        (403, "AccountIsDisabled", ""),
        (403, "", "<!DOCTYPE html><html><code>canary</code>Blocked</html>"),
        (200, "", "<html>Sign in</html>"),
        (302, "", ""),
        (404, "", "<html>not here</html>"),
        (404, "TableNotFound", ""),
        (404, "ContainerNotFound", ""),
        (409, "TableBeingDeleted", ""),
        (501, "NotImplemented", ""),
        (503, "ServerBusy", ""),
        (503, "", "<html>busy</html>"),
    ];

    #[test]
    fn each_refusal_has_its_remedy() {
        let of = |text: &str| text.to_owned();
        let place = Place {
            host: of("contoso.table.core.windows.net"),
            account: of("contoso"),
            table: of("leads"),
            sign_in: SignIn::Secret(of("the environment variable X")),
            ca_file: None,
        };
        let shown = REFUSALS.map(|(status, code, text)| {
            let code = (!code.is_empty()).then(|| of(code));
            let body = if text.is_empty() || text.starts_with('<') {
                of(text)
            } else {
                format!(
                    "<Error><Code>AuthenticationFailed</Code><Message>Server failed to authenticate the request.\
                     </Message><AuthenticationErrorDetail>{text}</AuthenticationErrorDetail></Error>"
                )
            };
            let TableError { message, help, is_passing, .. } =
                meaning(status, &Answer::parse(code, body.as_bytes()), &place);
            format!("{message}\n  {}{}", help.unwrap_or_default(), if is_passing { " (passing)" } else { "" })
        });
        let shown = shown.join("\n");
        assert!(!shown.contains("canary"));
        insta::assert_snapshot!(shown);
    }
}
