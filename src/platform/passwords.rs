//! What people and programs prove themselves by at the page: passwords, hashed by Argon2, and tokens.

use std::fmt::Write as _;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::text::advice::Advice;

/// Characters of the shortest password.
pub const SHORTEST: usize = 12;
/// Bytes of the longest password.
pub const LONGEST: usize = 1_024;
/// What OWASP advises for Argon2id: KiB of memory, passes, lanes.
const COSTS: [u32; 3] = [19 * 1024, 2, 1];
/// What a hash of another program may cost at most, or a single sign-in would stall the machine.
const MOST: [u32; 3] = [1024 * 1024, 20, 16];
/// What begins a token, so that one is known where it does not belong.
pub const TOKEN_START: &str = "lf_";
/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;
/// Bytes of the salt of a password.
const SALT_BYTES: usize = 16;
/// Bytes of the shortest salt that Argon2 takes.
const SHORTEST_SALT: usize = 8;
/// What begins the hash of a token in flows.toml.
const HASH_START: &str = "sha256:";

/// What a name of a user or a token is made of, as the end of a help.
pub const NAMES: &str = "use at most 64 letters, digits, dots, hyphens, _ and @";

/// Whether a user or a token may have that name.
pub fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@');
    !name.is_empty() && name.len() <= 64 && name.chars().all(fits)
}

/// The hash of a password, `$argon2id$…`. It takes some 20 ms and 19 MiB.
///
/// # Errors
/// When the system gives no random bytes.
pub fn hash(password: &str) -> Result<String, Advice> {
    let failed = |error: &dyn std::fmt::Display| Advice::new(format!("cannot hash the password: {error}"));
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|error| failed(&error))?;
    let [memory, passes, lanes] = COSTS;
    let params = Params::new(memory, passes, lanes, None).map_err(|error| failed(&error))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon2.hash_password_with_salt(password.as_bytes(), &salt).map_err(|error| failed(&error))?;
    Ok(hash.to_string())
}

/// Whether the hash is that of the password; `false`, too, where [`is_hash`] refuses it or the password is longer than
/// [`LONGEST`]. It takes as long as the costs in the hash want.
pub fn verify(password: &str, hash: &str) -> bool {
    let Ok(hash) = parsed(hash) else { return false };
    password.len() <= LONGEST && Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
}

/// Whether the text is a hash of Argon2 that can be checked in reasonable time.
///
/// # Errors
/// With the reason, which has nothing of the text, since that may be a password.
pub fn is_hash(text: &str) -> Result<(), String> {
    parsed(text).map(drop)
}

fn parsed(text: &str) -> Result<PasswordHash, String> {
    if !text.starts_with("$argon2") {
        return Err("it does not start with $argon2id$".to_owned());
    }
    let hash = PasswordHash::new(text).map_err(|error| error.to_string())?;
    if Algorithm::try_from(hash.algorithm.as_str()).is_err() {
        return Err("it is of an unknown kind of Argon2".to_owned());
    }
    if hash.version.is_some_and(|version| Version::try_from(version).is_err()) {
        return Err("it is of an unknown version of Argon2".to_owned());
    }
    if hash.hash.is_none() || hash.salt.is_none_or(|salt| salt.len() < SHORTEST_SALT) {
        return Err("it is cut off".to_owned());
    }
    let params = Params::try_from(&hash).map_err(|error| error.to_string())?;
    let costs = [params.m_cost(), params.t_cost(), params.p_cost()];
    for ((name, cost), most) in ["m", "t", "p"].into_iter().zip(costs).zip(MOST) {
        if cost > most {
            return Err(format!("{name}={cost} is more than {most}, and would slow the machine down"));
        }
    }
    Ok(hash)
}

/// A new token, `lf_…`, and its hash. The token itself is kept nowhere.
///
/// # Errors
/// When the system gives no random bytes.
pub fn new_token() -> Result<(String, [u8; 32]), Advice> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| Advice::new(format!("cannot make a token: {error}")))?;
    let token = format!("{TOKEN_START}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes));
    let hash = token_hash(&token);
    Ok((token, hash))
}

/// SHA-256 of a token: it has 256 random bits, which nobody guesses, so nothing slow is needed.
pub fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// The hash of a token as it is written in flows.toml: `sha256:` and 64 hexadecimal digits.
pub fn token_hash_text(hash: &[u8; 32]) -> String {
    hash.iter().fold(HASH_START.to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The hash that [`token_hash_text`] has written.
pub fn parse_token_hash(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix(HASH_START)?.as_bytes();
    let mut hash = [0; 32];
    if digits.len() != 2 * hash.len() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash_and_no_other_is() {
        let first = hash("correct horse battery").unwrap();
        assert!(first.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{first}");
        assert_eq!(is_hash(&first), Ok(()));
        assert_ne!(first, hash("correct horse battery").unwrap(), "each has its salt");
        assert!(verify("correct horse battery", &first));
        for wrong in ["correct horse batterY", "", "correct horse battery "] {
            assert!(!verify(wrong, &first), "{wrong}");
        }
        let long = "x".repeat(LONGEST + 1);
        assert!(!verify(&long, &hash(&long).unwrap()), "it is not even hashed");
    }

    #[test]
    fn names_are_those_of_accounts_and_addresses() {
        for good in ["anna", "anna.k@contoso.example", "ci-2_b", &"n".repeat(64)] {
            assert!(is_name(good), "{good}");
        }
        for wrong in ["", "anna k", "\u{e4}nna", "a/b", "a\n", &"n".repeat(65)] {
            assert!(!is_name(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_hash_of_another_program_is_taken() {
        // Of the argon2 command of Debian: `printf password | argon2 somesalt -id -t 2 -k 65536 -p 4 -e`.
        let hash = "$argon2id$v=19$m=65536,t=2,p=4$c29tZXNhbHQ$GpZ3sK/oH9p7VIiV56G/64Zo/8GaUw434IimaPqxwCo";
        assert!(verify("password", hash));
        assert!(!verify("Password", hash));
    }

    #[test]
    fn what_is_no_hash_or_costs_too_much_is_refused() {
        let tail = "$c29tZXNhbHQ$GpZ3sK/oH9p7VIiV56G/64Zo/8GaUw434IimaPqxwCo";
        for (text, reason) in [
            ("hunter2hunter2".to_owned(), "does not start with"),
            ("$2b$12$c29tZXNhbHQ".to_owned(), "does not start with"),
            ("$argon2id$".to_owned(), ""),
            ("$argon2id$v=19$m=19456,t=2,p=1".to_owned(), "cut off"),
            ("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ".to_owned(), "cut off"),
            (format!("$argon2x$v=19$m=19456,t=2,p=1{tail}"), "unknown kind"),
            (format!("$argon2id$v=99$m=19456,t=2,p=1{tail}"), "unknown version"),
            (format!("$argon2id$v=19$m=1048577,t=2,p=1{tail}"), "m=1048577 is more than"),
            (format!("$argon2id$v=19$m=19456,t=21,p=1{tail}"), "t=21 is more than"),
            (format!("$argon2id$v=19$m=19456,t=2,p=17{tail}"), "p=17 is more than"),
            (format!("$argon2id$v=19$m=4,t=2,p=1{tail}"), ""),
            (format!("$argon2id$v=19$m=99999999999,t=2,p=1{tail}"), ""),
        ] {
            let said = is_hash(&text).expect_err(&text);
            assert!(said.contains(reason) && !said.contains("hunter2"), "{text}: {said}");
            assert!(!verify("password", &text), "{text}");
        }
        assert_eq!(is_hash(&format!("$argon2id$v=19$m=1048576,t=20,p=16{tail}")), Ok(()));
    }

    #[test]
    fn a_token_is_random_and_its_hash_is_written_and_read() {
        let (token, hash) = new_token().unwrap();
        assert!(token.starts_with(TOKEN_START) && token.len() == 46, "{token}");
        assert_ne!(token, new_token().unwrap().0);
        assert_eq!(hash, token_hash(&token));
        let text = token_hash_text(&hash);
        assert_eq!((text.len(), parse_token_hash(&text)), (71, Some(hash)));
        let upper = format!("sha256:{}", text["sha256:".len()..].to_uppercase());
        assert_eq!(parse_token_hash(&upper), Some(hash));
        for wrong in
            [&text[..70], "", "sha256:", &text.replace("sha256:", "md5:"), &text.replacen(':', ":+", 1)]
        {
            assert_eq!(parse_token_hash(wrong), None, "{wrong}");
        }
        // `printf abc | sha256sum`.
        assert!(token_hash_text(&token_hash("abc")).starts_with("sha256:ba7816bf8f01cfea"));
    }
}
