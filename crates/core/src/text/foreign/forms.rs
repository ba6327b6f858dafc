//! The ways in which others write a secret; escapes are read where it is looked for.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::zeroize::Zeroize as _;
use secrecy::{ExposeSecret as _, SecretSlice};

use super::skeleton::Skeleton;

/// Signs by which a form is found.
pub(super) const GRAM: usize = 8;
/// Signs of a form that are known for it.
pub(super) const PIECE: usize = 12;
/// Plain secrets of fewer signs are found as words alone.
const SHORTEST: usize = 6;
/// Plain secrets of fewer signs are not found.
const SHORTEST_WORD: usize = 4;

/// A way in which a secret is written.
pub(super) struct Form {
    pub(super) signs: SecretSlice<u8>,
    /// So many of its signs in a row are known for it.
    pub(super) least: usize,
    pub(super) is_word: bool,
}

impl Form {
    /// The text itself, of which no piece is known for it.
    pub(super) fn of_whole(text: &str) -> Option<Self> {
        let form = form_of(Skeleton::of(text))?;
        Some(Self { least: form.signs.expose_secret().len(), ..form })
    }
}

/// Every way in which others may write the secret; escapes are read where it is looked for.
pub(super) fn forms(text: &str) -> Vec<Form> {
    let parts = parts(text);
    let mut forms = Vec::new();
    if parts.is_empty() {
        forms_of_part(text, &mut forms);
    } else {
        for part in &parts {
            forms_of_part(part, &mut forms);
        }
        // As a whole it is no secret but for these, unless it is none of what it looks like.
        forms.extend(Form::of_whole(text));
    }
    forms
}

/// The secret values of a connection string, and of a shared access signature.
fn parts(text: &str) -> Vec<String> {
    let value = |part: &str, name: &str| {
        let (known, value) = part.trim().split_once('=')?;
        known
            .trim()
            .trim_matches(['"', '\'', '?'])
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().to_owned())
    };
    let of_string = |name: &'static str| text.split(';').filter_map(move |part| value(part, name));
    let signatures = text.split([';', '&', '?']).filter_map(|part| value(part, "sig"));
    // `SharedAccessSignature=sv=…&sig=…`
    let at_begin = of_string("SharedAccessSignature").filter_map(|value| {
        value.strip_prefix("sig=").map(|rest| rest.split('&').next().unwrap_or_default().to_owned())
    });
    of_string("AccountKey").chain(signatures).chain(at_begin).filter(|part| !part.is_empty()).collect()
}

fn forms_of_part(text: &str, forms: &mut Vec<Form>) {
    forms.extend(form_of(Skeleton::of(text)));
    if text.contains(['%', '\\', '&']) {
        // Where what looks like an escape was escaped itself.
        forms.extend(form_of(Skeleton::of_unescaped(text)));
    }
    for before in 0..3 {
        let mut encoded = in_base64(text, before);
        forms.extend(
            form_of(Skeleton::of(&encoded)).filter(|form| form.signs.expose_secret().len() >= SHORTEST),
        );
        encoded.zeroize();
    }
    if text.len() < GRAM {
        let mut encoded = BASE64_STANDARD.encode(text);
        forms.extend(form_of(Skeleton::of(&encoded)).filter(|form| form.signs.expose_secret().len() >= GRAM));
        encoded.zeroize();
    }
}

/// What of the base64 of a longer text comes from this one alone, where this many bytes precede it
/// beside full groups of three.
fn in_base64(text: &str, before: usize) -> String {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(text.as_bytes());
    let begin = (before * 8).div_ceil(6);
    let end = bytes.len() * 8 / 6;
    let mut encoded = BASE64_STANDARD.encode(&bytes);
    bytes.zeroize();
    encoded.truncate(end);
    encoded.drain(..begin.min(encoded.len()));
    encoded
}

fn form_of(skeleton: Skeleton) -> Option<Form> {
    let signs = skeleton.into_signs();
    let length = signs.len();
    let form = Form { signs: signs.into(), least: length.min(PIECE), is_word: length < SHORTEST };
    (length >= SHORTEST_WORD).then_some(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_of_a_secret_that_base64_shows_alone_is_recognised() {
        for (before, expected) in [("", "c2VjcmV0"), ("\0", "NlY3Jld"), ("\0\0", "zZWNyZX")] {
            assert_eq!(in_base64("secret", before.len()), expected, "{before:?}");
            for after in ["", "\0", "xy"] {
                let whole = BASE64_STANDARD.encode(format!("{before}secret{after}"));
                assert!(whole.contains(expected), "{whole}");
            }
        }
    }

    #[test]
    fn connection_strings_and_signatures_are_known_by_their_secret_parts() {
        for (text, expected) in [
            ("AccountName=contoso;AccountKey=a2V5a2V5;EndpointSuffix=x", vec!["a2V5a2V5"]),
            ("TableEndpoint=https://x/;SharedAccessSignature=sv=1&sig=a%2Fb%3D&sp=r", vec!["a%2Fb%3D"]),
            ("SharedAccessSignature=sig=abc&sv=1", vec!["abc"]),
            ("?sv=2019&sig=abc%3D", vec!["abc%3D"]),
            ("sig=abc", vec!["abc"]),
            ("correct horse", vec![]),
        ] {
            assert_eq!(parts(text), expected, "{text}");
        }
    }
}
