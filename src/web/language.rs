//! The languages of the page.

use axum::http::{HeaderMap, header};

/// A language that the page speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Korean,
}

/// Of the choice that somebody has made.
pub(super) const COOKIE: &str = "leadflow_language";

impl Language {
    /// Both texts stand where they are used, so that a change of one is a change of the other.
    pub(super) fn of(self, english: &'static str, korean: &'static str) -> &'static str {
        match self {
            Self::English => english,
            Self::Korean => korean,
        }
    }

    /// BCP 47.
    pub(super) fn tag(self) -> &'static str {
        self.of("en", "ko")
    }

    /// The language of that tag.
    pub(super) fn parse(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or_default();
        match primary.to_ascii_lowercase().as_str() {
            "en" => Some(Self::English),
            "ko" => Some(Self::Korean),
            _ => None,
        }
    }

    /// The one that was chosen, or that the browser asks for (RFC 9110, 12.5.4).
    pub(super) fn asked(headers: &HeaderMap, chosen: Option<&str>) -> Self {
        if let Some(language) = chosen.and_then(Self::parse) {
            return language;
        }
        let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let ranked = accepted.unwrap_or_default().split(',').filter_map(|range| {
            let mut parts = range.trim().split(';');
            let language = Self::parse(parts.next()?.trim())?;
            let quality = parts.find_map(|part| part.trim().strip_prefix("q=")?.parse().ok());
            Some((quality.unwrap_or(1.0_f32), language))
        });
        // Of equal ones the first.
        let best = ranked.reduce(|best, next| if next.0 > best.0 { next } else { best });
        best.filter(|(quality, _)| *quality > 0.0).map_or(Self::English, |(_, language)| language)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browser_asks_and_a_choice_goes_before() {
        for (accepted, chosen, expected) in [
            ("", None, "en"),
            ("ko-KR,ko;q=0.9,en;q=0.8", None, "ko"),
            ("en-GB, ko;q=0.5", None, "en"),
            ("de, ko;q=0.3", None, "ko"),
            ("ko;q=0", None, "en"),
            ("ko;q=0.2, en;q=0.9", None, "en"),
            ("fr", Some("ko"), "ko"),
            ("ko", Some("en"), "en"),
            ("ko", Some("xx"), "ko"),
            (";;q=x,,", None, "en"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_LANGUAGE, accepted.parse().unwrap());
            assert_eq!(Language::asked(&headers, chosen).tag(), expected, "{accepted} {chosen:?}");
        }
    }
}
