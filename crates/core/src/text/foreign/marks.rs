//! What is a secret by what precedes it, also one that this process has never read.

use std::ops::Range;

use super::skeleton::Skeleton;

/// Names whose values are secrets, as the skeleton has them; `=` follows, or a JSON text.
const NAMES: [&[u8]; 11] = [
    b"sig",
    b"accountkey",
    b"sharedaccesssignature",
    b"client/secret",
    b"client/assertion",
    b"access/token",
    b"refresh/token",
    b"id/token",
    b"password",
    b"passwd",
    b"pwd",
];
/// Schemes of `Authorization` before `account:signature`.
const SHARED_KEYS: [&[u8]; 2] = [b"sharedkey", b"sharedkeylite"];
/// The scheme before a token.
const BEARER: &[u8] = b"bearer";
/// Signs of what follows it at the least.
const SHORTEST_BEARER: usize = 16;
/// What a token of Entra ID begins with.
const TOKEN: &[u8] = b"eyj";
/// Signs of a token at the least.
const SHORTEST_TOKEN: usize = 24;

pub(super) fn find(skeleton: &Skeleton) -> Vec<Range<usize>> {
    let signs = skeleton.signs();
    let mut found = Vec::new();
    let mut at = 0;
    while at < signs.len() {
        let is_begin = at == 0 || !signs[at - 1].is_ascii_alphanumeric() || skeleton.has_gap_before(at);
        let is_one = is_begin && matches!(signs[at], b's' | b'a' | b'c' | b'r' | b'i' | b'p' | b'b' | b'e');
        let range = if is_one { named(skeleton, at).or_else(|| schemed(skeleton, at)) } else { None };
        let range = range.or_else(|| token(skeleton, at).filter(|_| is_one));
        at = range.as_ref().map_or(at + 1, |range| range.end);
        found.extend(range);
    }
    found
}

/// `sig=…`, `"access_token":"…"`.
fn named(skeleton: &Skeleton, at: usize) -> Option<Range<usize>> {
    let rest = &skeleton.signs()[at..];
    let name = NAMES.into_iter().find(|name| rest.starts_with(name))?;
    let value = match &rest[name.len()..] {
        [b'=', ..] => at + name.len() + 1,
        [b'"', b':', b'"', ..] => at + name.len() + 3,
        _ => return None,
    };
    let end = value_end(skeleton, value, |byte| !b"&;\"'<>,|)}{".contains(&byte));
    (end > value && !skeleton.has_gap_before(value)).then_some(value..end)
}

/// `SharedKey account:…`, `Bearer …`.
fn schemed(skeleton: &Skeleton, at: usize) -> Option<Range<usize>> {
    let signs = skeleton.signs();
    let value_after = |name: &[u8]| {
        let value = at + name.len();
        (signs[at..].starts_with(name) && value < signs.len() && skeleton.has_gap_before(value))
            .then_some(value)
    };
    if let Some(value) = SHARED_KEYS.into_iter().find_map(value_after) {
        let end = value_end(skeleton, value, |byte| is_of_token(byte) || byte == b':');
        return signs[value..end].contains(&b':').then_some(value..end);
    }
    let value = value_after(BEARER)?;
    let end = value_end(skeleton, value, is_of_token);
    // `Bearer authorization_uri=…` is a challenge.
    let is_secret = end - value >= SHORTEST_BEARER && signs[value..end].iter().any(u8::is_ascii_digit);
    is_secret.then_some(value..end)
}

fn token(skeleton: &Skeleton, at: usize) -> Option<Range<usize>> {
    if !skeleton.signs()[at..].starts_with(TOKEN) {
        return None;
    }
    let end = value_end(skeleton, at, is_of_token);
    (end - at >= SHORTEST_TOKEN).then_some(at..end)
}

fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".+/=~".contains(&byte)
}

fn value_end(skeleton: &Skeleton, from: usize, is_of_value: impl Fn(u8) -> bool) -> usize {
    let signs = skeleton.signs();
    let is_in = |at: &usize| is_of_value(signs[*at]) && (*at == from || !skeleton.has_gap_before(*at));
    (from..signs.len()).take_while(is_in).last().map_or(from, |last| last + 1)
}
