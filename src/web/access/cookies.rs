//! Cookies.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};

/// The value of a cookie.
pub(in crate::web) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(its, _)| *its == name).map(|(_, value)| value)
}

/// Sets a cookie of this page, for scripts invisible; an empty one takes it away.
pub(in crate::web) fn set_cookie(
    name: &str,
    value: &str,
    lasts: Duration,
    is_secure: bool,
) -> Option<HeaderValue> {
    let lasts = if value.is_empty() { 0 } else { lasts.as_secs() };
    let secure = if is_secure { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; Max-Age={lasts}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; leadflow=x=y"));
        headers.append(header::COOKIE, HeaderValue::from_static("b=2"));
        assert_eq!(cookie(&headers, "leadflow"), Some("x=y"));
        assert_eq!((cookie(&headers, "b"), cookie(&headers, "lead")), (Some("2"), None));
    }

    #[test]
    fn a_cookie_is_for_this_page_alone() {
        let hour = Duration::from_hours(1);
        let set = set_cookie("a", "b", hour, true).unwrap();
        assert_eq!(set, "a=b; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure");
        let gone = set_cookie("a", "", hour, false).unwrap();
        assert_eq!(gone, "a=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
        assert_eq!(set_cookie("a", "b\r\nX: y", hour, false), None);
    }
}
