//! A check of the bearer before a real table: what passes goes to Azurite, signed with its key.
//!
//! <https://learn.microsoft.com/rest/api/storageservices/authorize-with-azure-active-directory>;
//! codes: <https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes>.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::json;

use super::http::{Request, response};
use super::{STORAGE, State, TENANT};
use crate::support::azurite;

pub(super) fn answer(request: &Request, state: &mut State) -> Vec<u8> {
    let count = state.asked.iter().filter(|asked| asked.contains(".table.")).count();
    if state.ends_at_table_request == Some(count) {
        state.end_tokens(STORAGE);
    }
    let token = request.bearer().and_then(|bearer| state.tokens.iter().find(|token| token.token == bearer));
    // "Bearer challenge": 401 with the tenant and the resource to ask a token for.
    let resource = format!("https://{STORAGE}");
    let Some(token) = token.filter(|token| !token.is_over && token.audience == resource) else {
        let challenge = format!(
            "WWW-Authenticate: Bearer authorization_uri=https://login.microsoftonline.com/{TENANT}/oauth2/authorize resource_id={resource}"
        );
        let words = "Server failed to authenticate the request. Please refer to the information in the www-authenticate header.";
        return error("401 Unauthorized", "InvalidAuthenticationInfo", words, &[challenge]);
    };
    // "Requests that use an OAuth 2.0 token … service version of 2017-11-09 or higher":
    // https://learn.microsoft.com/rest/api/storageservices/versioning-for-the-azure-storage-services
    if request.header("x-ms-version").is_none_or(|version| version < "2017-11-09") {
        let words = "Authentication scheme Bearer is not supported in this version.";
        return error("403 Forbidden", "AuthenticationFailed", words, &[]);
    }
    // No Storage Table Data Reader: https://learn.microsoft.com/azure/storage/tables/assign-azure-role-data-access
    if !state.may(STORAGE, &token.to) {
        let words = "This request is not authorized to perform this operation using this permission.";
        return error("403 Forbidden", "AuthorizationPermissionMismatch", words, &[]);
    }
    forward(request)
}

fn error(status: &str, code: &str, words: &str, headers: &[String]) -> Vec<u8> {
    let value =
        format!("{words}\nRequestId:0f5e0000-0000-4000-8000-00000000002c\nTime:2026-11-22T08:00:00.0000000Z");
    let body = json!({ "odata.error": { "code": code, "message": { "lang": "en-US", "value": value } } });
    let headers = [headers, &[format!("x-ms-error-code: {code}")]].concat();
    response(status, &headers, &body.to_string())
}

fn forward(request: &Request) -> Vec<u8> {
    let (date, authorization) = azurite::signature(request.path().trim_start_matches('/'));
    let passed = ["accept", "x-ms-version", "dataserviceversion"];
    let kept =
        request.headers.iter().filter(|(name, _)| passed.contains(&name.to_ascii_lowercase().as_str()));
    let kept = kept.map(|(name, value)| format!("{name}: {value}\r\n")).collect::<Vec<_>>().concat();
    let head = format!(
        "{} /{}{} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nx-ms-date: {date}\r\nAuthorization: {authorization}\r\n{kept}\r\n",
        request.method,
        azurite::ACCOUNT,
        request.target
    );
    let mut stream = TcpStream::connect(("127.0.0.1", azurite::port())).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}
