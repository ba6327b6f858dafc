//! Which of the known meanings a refusal of the table service has.

use super::answer::Answer;
use super::error::{TableError, TableErrorKind};
use super::meanings::{MEANINGS, Meaning, Only};
use super::target::{SignIn, Target};

/// What happened, and what to do.
pub(super) fn meaning(status: u16, answer: &Answer, target: &Target) -> TableError {
    let mut rows = MEANINGS.into_iter().flatten();
    let found = rows.find(|row| row.is_of(status, answer, target));
    let words = |template: &str| filled(template, status, answer, target);
    let error = found.map_or_else(
        || TableError::new(format!("{} answered {status}", target.host)),
        |row| TableError::new(words(row.message)).help(words(row.help)).with_kind(row.kind),
    );
    let is_passing = matches!(status, 408 | 429 | 500..=599);
    if is_passing { error.with_kind(TableErrorKind::Passing) } else { error }
}

impl Meaning {
    fn is_of(&self, status: u16, answer: &Answer, target: &Target) -> bool {
        let is_otherwise_so = match self.only {
            Only::Always => true,
            Only::Page => answer.is_page && answer.code.is_empty(),
            Only::Entra => matches!(target.sign_in, SignIn::Entra(_)),
            Only::Login => answer.is_about_login(),
            Only::LoginFor(detail) => answer.is_about_login() && answer.detail == Some(detail),
        };
        let is_of_status = self.statuses.iter().any(|statuses| statuses.contains(&status));
        let is_of_code = self.codes.is_empty() || self.codes.contains(&answer.code.as_str());
        is_of_status && is_of_code && is_otherwise_so
    }
}

/// Each name in braces once: what is filled in may have braces of its own.
fn filled(template: &str, status: u16, answer: &Answer, target: &Target) -> String {
    let mut parts = template.split('{');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let Some((name, rest)) = part.split_once('}') else {
            text.push('{');
            text.push_str(part);
            continue;
        };
        match name {
            "host" => text.push_str(&target.host),
            "account" => text.push_str(&target.account),
            "table" => text.push_str(&target.table),
            "sign_in" => text.push_str(&target.sign_in.to_string()),
            "status" => text.push_str(&status.to_string()),
            // A proxy names none; then no space is left before it.
            "code" if answer.code.is_empty() => text.truncate(text.trim_end().len()),
            "code" => text.push_str(&answer.code),
            "said" => text.push_str(&answer.said),
            other => text.extend(["{", other, "}"]),
        }
        text.push_str(rest);
    }
    text
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
            "The MAC signature found in the HTTP request 'canary=' is not the same as any computed \
             signature.",
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
        let target = Target {
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
            let error = meaning(status, &Answer::parse(code, body.as_bytes()), &target);
            let help = error.advice.help.as_deref().unwrap_or_default();
            format!("{error}\n  {help}{}", if error.is_passing() { " (passing)" } else { "" })
        });
        let shown = shown.join("\n");
        assert!(!shown.contains("canary"));
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn callers_decide_by_the_kind_and_never_by_the_words() {
        use TableErrorKind::{Lasting, NoRole, NoTable, Passing};
        let of = |text: &str| text.to_owned();
        let by = |sign_in: SignIn| Target {
            host: of("h"),
            account: of("contoso"),
            table: of("leads"),
            sign_in,
            ca_file: None,
        };
        let key = by(SignIn::Secret(of("X")));
        let entra = by(SignIn::Entra(of("the application c")));
        for (target, status, code, kind) in [
            (&key, 404, "TableNotFound", NoTable),
            (&key, 404, "", NoTable),
            (&key, 404, "ContainerNotFound", Lasting),
            (&entra, 404, "ResourceNotFound", NoTable),
            (&entra, 403, "AuthorizationPermissionMismatch", NoRole),
            (&key, 403, "AuthorizationPermissionMismatch", Lasting),
            (&entra, 403, "AuthorizationFailure", Lasting),
            (&key, 409, "TableBeingDeleted", Lasting),
            (&key, 408, "", Passing),
            (&key, 429, "", Passing),
            (&key, 500, "", Passing),
            (&key, 501, "NotImplemented", Passing),
            (&entra, 503, "TableNotFound", Passing),
        ] {
            let found = meaning(status, &Answer::parse(Some(of(code)), b""), target);
            assert_eq!(found.kind, kind, "{status} {code}: {found}");
        }
    }

    #[test]
    fn what_is_filled_in_is_not_filled_in_again() {
        let table = "{said}{host}".to_owned();
        let sign_in = SignIn::Secret("{table}".to_owned());
        let target = Target { host: "h".to_owned(), account: "a".to_owned(), table, sign_in, ca_file: None };
        let answer = Answer::parse(Some("Code".to_owned()), b"");
        let text = filled("{table} {sign_in} {status} {code}{said} {other} {", 400, &answer, &target);
        assert_eq!(text, "{said}{host} {table} 400 Code {other} {");
    }
}
