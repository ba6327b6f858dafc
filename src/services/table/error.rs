//! Errors of tables, in words a person can act on.

use std::borrow::Cow;
use std::time::Duration;

use super::answer::Answer;
use super::refusal;
use super::target::{SignIn, Target};
use super::transport::Failure;
use crate::platform::tls::Trust;
use crate::services::entra::EntraError;
use crate::text::advice::Advice;
use crate::text::foreign;

/// Why a table could not be read or written. No key, signature or whole address is ever in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{advice}")]
pub struct TableError {
    /// What callers decide by.
    pub kind: TableErrorKind,
    /// What happened, and what to do about it.
    pub advice: Advice,
    /// The service asked to wait that long.
    pub retry_after: Option<Duration>,
}

/// What callers decide by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableErrorKind {
    /// Another try may go well.
    Passing,
    /// The account has no table of this name.
    NoTable,
    /// The identity lacks the role that lets it in.
    NoRole,
    /// Another attempt does not help.
    Lasting,
}

/// Characters of a service's own message that are shown.
pub(super) const SHOWN: usize = 300;

impl TableError {
    /// An error that another attempt does not help.
    pub fn new(message: impl Into<String>) -> Self {
        Self::from(Advice::new(message))
    }

    /// With what to do about it.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { advice: self.advice.with_help(help), ..self }
    }

    /// Of this kind.
    #[must_use]
    pub(super) fn with_kind(self, kind: TableErrorKind) -> Self {
        Self { kind, ..self }
    }

    /// Another try may go well.
    pub fn is_passing(&self) -> bool {
        self.kind == TableErrorKind::Passing
    }

    /// What was sent makes no sense.
    pub(super) fn no_page(target: &Target, reason: &str) -> Self {
        let reason = foreign::line(&without_value(reason), SHOWN);
        let message = format!("{} sent an invalid table response: {reason}", target.host);
        Self::new(message)
            .with_kind(TableErrorKind::Passing)
            .help("check the endpoint, and any proxy in between; the next run starts again")
    }

    /// As [`TableError::from_failure`], of an exchange that was to write or delete.
    pub(super) fn from_failed_write(failure: Failure, target: &Target) -> Self {
        let status = if let Failure::Status { status, .. } = &failure { *status } else { 0 };
        let error = Self::from_failure(failure, target);
        let Target { account, table, .. } = target;
        match (status, &target.sign_in) {
            (401 | 403, SignIn::Entra(who)) if error.kind == TableErrorKind::NoRole => {
                Self::new(format!(
                    "{who} may not write the table `{table}` or delete from it: the role Storage Table Data Contributor on \
                     the account `{account}` is missing"
                ))
                .help(
                    "portal: the storage account → Access control (IAM) → Add role assignment → Storage Table Data \
                     Contributor; remove it again afterwards, leadflow itself only reads",
                )
                .with_kind(TableErrorKind::NoRole)
            }
            (401 | 403, SignIn::Entra(_)) => Self::new(error.advice.message).help(
                "reading it may still be allowed; writing needs the role Storage Table Data Contributor",
            ),
            (412, _) => {
                Self::new(format!("the row of the table `{table}` in `{account}` has changed since it was \
                                   read"))
                    .help("it was rewritten in the meantime; run the command again")
            }
            _ => error,
        }
    }

    /// What a failed exchange with the service means; `target` names account and table.
    pub(super) fn from_failure(failure: Failure, target: &Target) -> Self {
        match failure {
            Failure::NoAnswer(why) => {
                let trust = target.ca_file.as_deref().map_or(Trust::System, Trust::File);
                let help = why.help(&target.host, trust).unwrap_or_else(|| {
                    "check the account's name, the network and the firewall; the next run reads what this \
                     one missed"
                        .to_owned()
                });
                let error = Self::new(format!("cannot reach {}: {}", target.host, why.reason)).help(help);
                if why.is_lasting() { error } else { error.with_kind(TableErrorKind::Passing) }
            }
            Failure::NoToken(error) => {
                let EntraError { advice, is_passing, retry_after } = error;
                // The sign-in has had its own tries.
                let is_passing = is_passing && retry_after.is_some();
                let kind = if is_passing { TableErrorKind::Passing } else { TableErrorKind::Lasting };
                Self { kind, advice, retry_after }
            }
            Failure::NoPage(reason) => Self::no_page(target, &reason),
            Failure::TooLarge(limit) => Self::new(format!(
                "a response of {} exceeds {} MiB, more than any row of the service",
                target.host,
                limit >> 20
            )),
            Failure::Status { status, retry_after, code, body } => {
                Self { retry_after, ..refusal::meaning(status, &Answer::parse(code, &body), target) }
            }
        }
    }
}

impl From<Advice> for TableError {
    fn from(advice: Advice) -> Self {
        Self { kind: TableErrorKind::Lasting, advice, retry_after: None }
    }
}

/// serde's words without the value that it found, which may be a customer's.
fn without_value(reason: &str) -> Cow<'_, str> {
    let begins = ["invalid type: ", "invalid value: "]
        .iter()
        .find_map(|begin| Some(reason.find(begin)? + begin.len()));
    let expected = reason.rfind(", expected");
    let Some((begins, expected)) = begins.zip(expected).filter(|(begins, expected)| begins < expected) else {
        return Cow::Borrowed(reason);
    };
    let kind = reason[begins..expected].split(' ').next().unwrap_or_default();
    Cow::Owned(format!("{}{kind}{}", &reason[..begins], &reason[expected..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, code: Option<&str>, body: &str) -> TableError {
        let name = |text: &str| text.to_owned();
        let target = Target {
            host: name("h"),
            account: name("contoso"),
            table: name("leads"),
            sign_in: SignIn::Secret(name("the environment variable X")),
            ca_file: None,
        };
        let code = code.map(str::to_owned);
        let failure = Failure::Status { status, retry_after: None, code, body: body.as_bytes().to_vec() };
        TableError::from_failure(failure, &target)
    }

    #[test]
    fn a_value_of_the_wrong_type_is_not_repeated() {
        for json in ["\"ana@fabrikam.example, expected\"", "821012345678", "[\"ana\"]", "{\"a\": 1}"] {
            let reason = serde_json::from_str::<Vec<u8>>(json).unwrap_err().to_string();
            let shown = without_value(&format!("a row: {reason}")).into_owned();
            assert!(shown.starts_with("a row: invalid type: ") && shown.contains(", expected"), "{shown}");
            assert!(!shown.contains("ana") && !shown.contains("8210"), "{shown}");
        }
        assert_eq!(without_value("missing field `RowKey` at line 1"), "missing field `RowKey` at line 1");
    }

    #[test]
    fn says_what_happened_and_what_to_do() {
        let json = r#"{"odata.error":{"code":"TableNotFound","message":{"lang":"en-US","value":"The table does not exist.\nRequestId:1"}}}"#;
        for (error, message, is_passing) in [
            (error(404, None, json), "there is no table `leads` in the account `contoso`", false),
            (
                error(
                    403,
                    None,
                    "<?xml?><Error><Code>AuthenticationFailed</Code><Message>Server \
                     failed</Message></Error>",
                ),
                "the account `contoso` does not accept the key or signature from the environment variable X",
                false,
            ),
            (
                error(403, Some("AuthorizationFailure"), ""),
                "the account `contoso` denies this machine access to the table `leads` \
                 (AuthorizationFailure)",
                false,
            ),
            (
                error(
                    400,
                    Some("InvalidInput"),
                    r#"{"odata.error":{"message":{"value":"Syntax error at position 9&sig=abc&x"}}}"#,
                ),
                "the service does not accept the query (InvalidInput): Syntax error at position 9&sig=…&x",
                false,
            ),
            (error(503, Some("ServerBusy"), ""), "h answered 503 ServerBusy", true),
            (
                error(302, None, "<html>"),
                "h answered with a redirect (302), which a table service never does",
                false,
            ),
        ] {
            assert_eq!((error.to_string().as_str(), error.is_passing()), (message, is_passing));
            assert!(error.advice.help.is_some());
        }
    }
}
