//! The secrets that must not be found anywhere, and how they are looked for: by other means than
//! leadflow's own.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// The account's key: base64 of a text that no other has.
pub(super) fn account_key() -> String {
    BASE64_STANDARD.encode("canary of the account's key, 64 bytes as the real one has them.")
}

pub(super) const SAS_SIGNATURE: &str = "cAnArY4sAs+Signature/OfTheTable7w=";
pub(super) const PASSWORD: &str = "canary-Pa55word/of+the=relay~%41&<x>";
pub(super) const CLIENT_SECRET: &str = "canary~Client.Secret_8Q-of+the/application";
pub(super) const PROXY_PASSWORD: &str = "canary-Proxy.Password-of-the-firewall";
pub(super) const HEARTBEAT: &str = "/beat/canary-0b6d1f8a-of-the-heartbeat";
pub(super) const TOKEN: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.canary4TokenQ0OfEntra9XxYyZzAaBbCcDdEeFfGgHhIiJjKkLlMmNnOoPp.sIgNaTuReOfTheToken0123456789abcdefghijklmnopqrstuvwxyz";

/// Signs in a row by which a secret is found; the begin and the end of one may be shorter.
const PIECE: usize = 24;

/// Every piece of every form of the secrets.
pub(super) struct Canaries(HashSet<Vec<u8>>);

impl Canaries {
    /// The fixed ones, and what requests were signed with.
    pub(super) fn of(heard: &[String]) -> Self {
        let fixed =
            [&account_key(), SAS_SIGNATURE, PASSWORD, CLIENT_SECRET, PROXY_PASSWORD, HEARTBEAT, TOKEN]
                .map(str::to_owned);
        let signature = |line: &str| {
            let line = line.to_ascii_lowercase().starts_with("authorization: sharedkey").then_some(line)?;
            line.rsplit(':').next().map(|signature| signature.trim().to_owned())
        };
        let signed = heard.iter().flat_map(|text| text.lines().filter_map(signature));
        let mut pieces = HashSet::new();
        for secret in fixed.into_iter().chain(signed).filter(|secret| !secret.is_empty()) {
            for form in forms(&secret) {
                let form = flat(form.as_bytes());
                // An escape is three signs for one.
                let has_escapes = form.contains(&b'%');
                let piece = (if has_escapes { PIECE * 3 } else { PIECE }).min(form.len());
                pieces.extend(form.windows(piece).filter(|_| piece >= 16).map(<[u8]>::to_vec));
            }
        }
        Self(pieces)
    }

    /// Fails where a piece of a secret is.
    pub(super) fn are_not_in(&self, place: &str, bytes: &[u8]) {
        let flat = flat(bytes);
        let lengths: HashSet<usize> = self.0.iter().map(Vec::len).collect();
        for length in lengths {
            let found = flat.windows(length).position(|window| self.0.contains(window));
            if let Some(at) = found {
                let around = &flat[at.saturating_sub(300)..(at + 100).min(flat.len())];
                panic!(
                    "a secret is in {place}: {} of\n{}",
                    String::from_utf8_lossy(&flat[at..at + length]),
                    String::from_utf8_lossy(around)
                );
            }
        }
    }

    /// Fails where one is in a file below the folder that is none of these.
    pub(super) fn are_not_below(&self, folder: &Path, except: &[&str]) {
        for file in files(folder) {
            let name = file.file_name().unwrap().to_str().unwrap();
            if !except.contains(&name) {
                self.are_not_in(&file.display().to_string(), &std::fs::read(&file).unwrap());
            }
        }
    }
}

/// Small letters without blanks and controls.
fn flat(bytes: &[u8]) -> Vec<u8> {
    bytes
        .iter()
        .filter(|byte| byte.is_ascii_graphic() || !byte.is_ascii())
        .map(u8::to_ascii_lowercase)
        .collect()
}

fn forms(secret: &str) -> Vec<String> {
    let percent = |keeps: fn(u8) -> bool| {
        let one = |byte: u8| if keeps(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") };
        secret.bytes().map(one).collect::<Vec<_>>().concat()
    };
    let mut forms = vec![
        secret.to_owned(),
        percent(|_| false),
        percent(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)),
    ];
    for before in 0..3 {
        let encoded = BASE64_STANDARD.encode([&vec![0; before], secret.as_bytes()].concat());
        forms.push(encoded[4..encoded.len() - 4].to_owned());
    }
    forms.push(serde_json::to_string(secret).unwrap());
    forms
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn the_search_finds_what_it_looks_for() {
    let canaries = Canaries::of(&[
        "GET / HTTP/1.1\r\nauthorization: SharedKey contoso:abcdefghijklmnopqrstuvwxyz=\r\n".to_owned(),
    ]);
    let plain = BASE64_STANDARD.encode(format!("\0leads\0{PASSWORD}"));
    for text in
        [TOKEN.to_uppercase(), SAS_SIGNATURE.to_owned(), plain, "abcdefghijkl\r\nmnopqrstuvwxyz=".to_owned()]
    {
        assert!(std::panic::catch_unwind(|| canaries.are_not_in("here", text.as_bytes())).is_err(), "{text}");
    }
    canaries.are_not_in("here", b"nothing of the kind is in this long text, which is said as a canary sings");
}
