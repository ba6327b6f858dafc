//! What the body of a refusal says.

use serde_json::Value;

use super::error::SHOWN;
use crate::text::foreign;

/// The body of a refusal, cleaned.
pub(super) struct Answer {
    /// The service's code; empty where it has sent none.
    pub(super) code: String,
    /// Its words, as the end of a sentence: `: …`, or nothing.
    pub(super) said: String,
    /// Why a key or signature is refused: which of the known reasons.
    pub(super) detail: Option<Detail>,
    /// A page for people, which no table service sends.
    pub(super) is_page: bool,
}

/// The reasons of `AuthenticationErrorDetail` that have a remedy of their own. Its words hold the string that
/// was signed. The service has no code for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
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
            said: message.map_or_else(String::new, |message| format!(": {}", first_line(&message))),
            detail: detail.as_deref().and_then(Detail::parse),
            is_page,
        }
    }

    /// Whether it is about the key or signature itself.
    pub(super) fn is_about_login(&self) -> bool {
        // The emulator calls a wrong signature a missing permission; its message says which.
        self.code.contains("Authentication") || self.said.contains("failed to authenticate")
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
