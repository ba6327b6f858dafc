//! Who asks, and what they may.

mod cookies;
mod peer;
mod sessions;
mod tries;
mod visitor;

pub(super) use cookies::{cookie, set_cookie};
pub(super) use peer::asking_peer;
pub(super) use sessions::{COOKIE_LASTS, SESSION_COOKIE, Sessions};
pub(super) use tries::Tries;
pub(super) use visitor::{Visitor, Way, admitted};

use sha2::{Digest as _, Sha256};

/// 256 random bits as a text that URLs and cookies take.
///
/// # Errors
/// When the system has no random bits.
pub(super) fn random_text() -> Result<String, getrandom::Error> {
    use base64::Engine as _;
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}

/// What is kept of a text that must not be told by what is kept.
fn fingerprint(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}
