//! What the property tests of hostile input have in common: how many cases, and how a text is spoilt.
//!
//! `scripts/fuzz TIMES` runs them with that many times the cases, and with other ones each time.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::RngSeed;

/// This many cases, the same ones each time; with `HOSTILE_TIMES` set, that many times as many, and
/// other ones.
pub fn config(cases: u32) -> ProptestConfig {
    let times: Option<u32> = std::env::var("HOSTILE_TIMES").ok().and_then(|times| times.parse().ok());
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: cases.saturating_mul(times.unwrap_or(1)),
        rng_seed: if times.is_some() { default.rng_seed } else { RngSeed::Fixed(1) },
        failure_persistence: None,
        ..default
    }
}

/// One of these texts after some changes.
pub fn spoilt(texts: Vec<String>, words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    (prop::sample::select(texts), vec(change(words), 0..6)).prop_map(|(text, changes)| {
        let mut bytes = text.into_bytes();
        for change in &changes {
            change.apply(&mut bytes);
        }
        bytes
    })
}

/// Words of a language in any order, with anything between them.
pub fn soup(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    let word = prop_oneof![
        8 => prop::sample::select(words).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => "\\PC{0,8}",
    ];
    vec(word, 0..24).prop_map(|words| words.concat())
}

#[derive(Debug, Clone)]
enum Change {
    Overwrite(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Truncate(Index),
    DropLine(Index),
    CopyLine(Index, Index),
    SwapValues(Index, Index),
}

fn change(words: &'static [&'static str]) -> impl Strategy<Value = Change> {
    let index = || any::<Index>();
    let piece = prop_oneof![
        6 => prop::sample::select(words).prop_map(|word| word.as_bytes().to_vec()),
        2 => vec(any::<u8>(), 1..4),
        1 => (any::<u8>(), 1_usize..3_000).prop_map(|(byte, count)| vec![byte; count]),
        2 => prop::sample::select(vec!["\0", "\u{feff}", "\r\n", "\r", "\u{2028}", "\u{202e}", "é", "\\", "\""])
            .prop_map(|sign| sign.as_bytes().to_vec()),
        1 => prop::sample::select(vec!["9223372036854775808", "-1", "1e999", "0x7fffffffffffffff", "inf", "nan"])
            .prop_map(|number| number.as_bytes().to_vec()),
        1 => (prop::sample::select(vec!["[", "{", "(", "{a=", "[[", "\"", "'''"]), 1_usize..300)
            .prop_map(|(sign, count)| sign.repeat(count).into_bytes()),
    ];
    prop_oneof![
        1 => (index(), any::<u8>()).prop_map(|(at, byte)| Change::Overwrite(at, byte)),
        3 => (index(), piece).prop_map(|(at, piece)| Change::Insert(at, piece)),
        1 => (index(), 1_usize..20).prop_map(|(at, length)| Change::Remove(at, length)),
        1 => index().prop_map(Change::Truncate),
        1 => index().prop_map(Change::DropLine),
        1 => (index(), index()).prop_map(|(from, to)| Change::CopyLine(from, to)),
        2 => (index(), index()).prop_map(|(one, other)| Change::SwapValues(one, other)),
    ]
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |at: &Index, bytes: &[u8]| at.index(bytes.len() + 1);
        match self {
            Self::Overwrite(at, byte) => {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = *byte;
                }
            }
            Self::Insert(at, piece) => {
                let at = place(at, bytes);
                bytes.splice(at..at, piece.iter().copied());
            }
            Self::Remove(at, length) => {
                let at = place(at, bytes);
                bytes.drain(at..(at + length).min(bytes.len()));
            }
            Self::Truncate(at) => bytes.truncate(place(at, bytes)),
            Self::DropLine(_) | Self::CopyLine(..) | Self::SwapValues(..) => self.apply_to_lines(bytes),
        }
    }

    fn apply_to_lines(&self, bytes: &mut Vec<u8>) {
        let mut lines: Vec<Vec<u8>> =
            bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        if lines.is_empty() {
            return;
        }
        let count = lines.len();
        match self {
            Self::DropLine(at) => drop(lines.remove(at.index(count))),
            Self::CopyLine(from, to) => lines.insert(to.index(count), lines[from.index(count)].clone()),
            Self::SwapValues(one, other) => {
                let one = one.index(count);
                let other = other.index(count);
                let parts = |line: &[u8]| {
                    let at = line.iter().position(|byte| *byte == b'=').map_or(line.len(), |at| at + 1);
                    (line[..at].to_vec(), line[at..].to_vec())
                };
                let ((a, x), (b, y)) = (parts(&lines[one]), parts(&lines[other]));
                lines[one] = [a, y].concat();
                lines[other] = [b, x].concat();
            }
            _ => {}
        }
        *bytes = lines.concat();
    }
}
