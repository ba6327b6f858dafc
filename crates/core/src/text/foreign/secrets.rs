//! The secrets that this process has read, so that no text of others can repeat one.
//!
//! A piece of a secret is known for it as well: servers cut what they repeat, and break it over lines.
//! Plain secrets of fewer than four characters are not looked for, since every text has them; those of
//! fewer than six only as words of their own.

use std::ops::Range;
use std::sync::{LazyLock, PoisonError, RwLock};

use hashbrown::{DefaultHashBuilder, HashMap};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::forms::{Form, GRAM, forms};
use super::skeleton::{Skeleton, each_sign};

/// How long a secret stays known: each kind has room of its own, and the one that was used longest ago
/// goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A password, key, signature or address of flows.toml or of the environment.
    Kept,
    /// A token, which another one replaces after an hour.
    Token,
    /// What signs a single request.
    Request,
}

impl Kind {
    /// Bytes of its secrets that are known at a time.
    fn room(self) -> usize {
        match self {
            Self::Kept => 64 << 10,
            Self::Token => 128 << 10,
            Self::Request => 4 << 10,
        }
    }
}

/// Bytes of a secret that are looked for.
const LONGEST: usize = 16 << 10;
/// Forms up to this length are found by every fourth gram, longer ones by every sixteenth.
const SHORT: usize = 512;

struct Secret {
    kind: Kind,
    digest: [u8; 32],
    size: usize,
    used: u64,
    forms: Vec<Form>,
}

/// Forgotten grams that the filter may have.
const MOST_FORGOTTEN: usize = 4_000;

/// Where a gram is.
#[derive(Clone, Copy)]
struct GramPosition {
    id: u64,
    form: usize,
    at: usize,
}

/// A bit for every gram, so that a long text is soon known to have none.
struct Filter([u64; 1 << 10]);

#[derive(Default)]
struct KnownSecrets {
    secrets: HashMap<u64, Secret>,
    ids: HashMap<[u8; 32], u64>,
    /// By hashes, so that no piece of a secret lies about.
    grams: HashMap<u64, Vec<GramPosition>>,
    hasher: DefaultHashBuilder,
    filter: Filter,
    /// Grams that the filter has yet and are known no more.
    forgotten: usize,
    count: u64,
}

static KNOWN: LazyLock<RwLock<KnownSecrets>> = LazyLock::new(RwLock::default);

/// From now on no text of others may repeat this secret.
pub fn know(secret: &SecretString, kind: Kind) {
    know_text(secret.expose_secret(), kind);
}

/// As [`know`].
pub fn know_text(secret: &str, kind: Kind) {
    let secret = &secret[..secret.floor_char_boundary(LONGEST)];
    if !secret.is_empty() {
        KNOWN.write().unwrap_or_else(PoisonError::into_inner).add(secret, kind);
    }
}

/// As [`know`], and only as a whole: a piece of it is none.
pub fn know_whole(secret: &str, kind: Kind) {
    let forms = Form::of_whole(&secret[..secret.floor_char_boundary(LONGEST)]);
    KNOWN.write().unwrap_or_else(PoisonError::into_inner).keep(secret, kind, || forms.into_iter().collect());
}

/// Whether there may be a piece of a secret that is a gram at the least.
pub(super) fn may_be_in(text: &str) -> bool {
    KNOWN.read().unwrap_or_else(PoisonError::into_inner).may_be_in(text)
}

/// Where secrets, or pieces of them, are.
pub(super) fn find(skeleton: &Skeleton) -> Vec<Range<usize>> {
    KNOWN.read().unwrap_or_else(PoisonError::into_inner).find(skeleton)
}

impl KnownSecrets {
    fn may_be_in(&self, text: &str) -> bool {
        let mut last = 0_u64;
        let mut is_there = false;
        if !self.grams.is_empty() {
            each_sign(text, true, |sign, _| {
                last = last >> 8 | u64::from(sign) << 56;
                is_there |= self.filter.has(last);
            });
        }
        is_there
    }

    fn add(&mut self, text: &str, kind: Kind) {
        self.keep(text, kind, || forms(text));
    }

    fn keep(&mut self, text: &str, kind: Kind, forms: impl FnOnce() -> Vec<Form>) {
        self.count += 1;
        let id = self.count;
        let digest = Sha256::digest(text.as_bytes()).into();
        if let Some(secret) = self.ids.get(&digest).and_then(|id| self.secrets.get_mut(id)) {
            secret.used = id;
            return;
        }
        let secret = Secret { kind, digest, size: text.len(), used: id, forms: forms() };
        self.index(id, &secret.forms);
        self.ids.insert(digest, id);
        self.secrets.insert(id, secret);
        self.keep_within(kind);
    }

    fn index(&mut self, id: u64, forms: &[Form]) {
        for (form, signs) in forms.iter().enumerate() {
            for (at, gram) in grams_of(signs) {
                self.filter.add(number(gram));
                let positions =
                    self.grams.entry(hash(&self.hasher, gram)).or_insert_with(|| Vec::with_capacity(1));
                // What repeats itself is found by its first gram.
                if positions.last().is_none_or(|last| (last.id, last.form) != (id, form)) {
                    positions.push(GramPosition { id, form, at });
                }
            }
        }
    }

    fn keep_within(&mut self, kind: Kind) {
        let of_kind = |known: &Self| {
            known
                .secrets
                .values()
                .filter(|secret| secret.kind == kind)
                .map(|secret| secret.size)
                .sum::<usize>()
        };
        while of_kind(self) > kind.room() {
            let mine = self.secrets.iter().filter(|(_, secret)| secret.kind == kind);
            let Some(oldest) = mine.min_by_key(|(_, secret)| secret.used).map(|(id, _)| *id) else { return };
            let Some(secret) = self.secrets.remove(&oldest) else { return };
            self.ids.remove(&secret.digest);
            self.forget(oldest, &secret);
        }
        if self.forgotten > MOST_FORGOTTEN {
            (self.filter, self.forgotten) = (Filter::default(), 0);
            for form in self.secrets.values().flat_map(|secret| &secret.forms) {
                grams_of(form).for_each(|(_, gram)| self.filter.add(number(gram)));
            }
        }
    }

    fn forget(&mut self, id: u64, secret: &Secret) {
        for form in &secret.forms {
            for gram in form.signs.expose_secret().windows(GRAM) {
                let hash = hash(&self.hasher, gram);
                let Some(positions) = self.grams.get_mut(&hash) else { continue };
                self.forgotten += positions.extract_if(.., |position| position.id == id).count();
                if positions.is_empty() {
                    self.grams.remove(&hash);
                }
            }
        }
    }

    fn find(&self, skeleton: &Skeleton) -> Vec<Range<usize>> {
        let signs = skeleton.signs();
        let mut found = Vec::new();
        let mut at = 0;
        while at + GRAM <= signs.len() && !self.grams.is_empty() {
            let positions = self.grams.get(&hash(&self.hasher, &signs[at..at + GRAM])).into_iter().flatten();
            let ranges = positions.filter_map(|position| self.around(signs, at, *position));
            // Secrets that begin alike: the longest piece is the whole of one.
            let range = ranges.max_by_key(|range| range.end);
            at = range.as_ref().map_or(at + 1, |range| range.end);
            found.extend(range);
        }
        let is_small = |form: &&Form| form.signs.expose_secret().len() < GRAM;
        for form in self.secrets.values().flat_map(|secret| &secret.forms).filter(is_small) {
            found.extend(whole(skeleton, form));
        }
        found
    }

    /// The piece of a form around its gram, where it is long enough.
    fn around(&self, signs: &[u8], at: usize, position: GramPosition) -> Option<Range<usize>> {
        let form = self.secrets.get(&position.id)?.forms.get(position.form)?;
        let whole = form.signs.expose_secret();
        let alike = |pair: &(&u8, &u8)| pair.0 == pair.1;
        let before =
            signs[..at].iter().rev().zip(whole[..position.at].iter().rev()).take_while(alike).count();
        let after = signs[at..].iter().zip(&whole[position.at..]).take_while(alike).count();
        (before + after >= form.least).then_some(at - before..at + after)
    }
}

/// Wherever a form that has no gram is found whole.
fn whole(skeleton: &Skeleton, form: &Form) -> Vec<Range<usize>> {
    let signs = skeleton.signs();
    let wanted = form.signs.expose_secret();
    let is_part =
        |at: usize| signs.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+/.@".contains(byte));
    let is_end = |at: usize| at >= signs.len() || skeleton.has_gap_before(at) || !is_part(at);
    let is_begin = |at: usize| skeleton.has_gap_before(at) || !is_part(at - 1);
    let fits = |start: &usize| !form.is_word || is_begin(*start) && is_end(start + wanted.len());
    memchr::memmem::find_iter(signs, wanted).filter(fits).map(|start| start..start + wanted.len()).collect()
}

/// The grams by which a form is found.
fn grams_of(form: &Form) -> impl Iterator<Item = (usize, &[u8])> {
    let signs = form.signs.expose_secret();
    let step = if signs.len() <= SHORT { 4 } else { 16 };
    signs.windows(GRAM).enumerate().step_by(step)
}

impl Default for Filter {
    fn default() -> Self {
        Self([0; 1 << 10])
    }
}

impl Filter {
    fn add(&mut self, gram: u64) {
        let (word, bit) = Self::position(gram);
        self.0[word] |= bit;
    }

    fn has(&self, gram: u64) -> bool {
        let (word, bit) = Self::position(gram);
        self.0[word] & bit != 0
    }

    fn position(gram: u64) -> (usize, u64) {
        let hash = gram.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
        (usize::try_from(hash >> 6).unwrap_or_default(), 1 << (hash & 63))
    }
}

fn number(gram: &[u8]) -> u64 {
    gram.iter().fold(0, |number, byte| number >> 8 | u64::from(*byte) << 56)
}

fn hash(hasher: &DefaultHashBuilder, gram: &[u8]) -> u64 {
    std::hash::BuildHasher::hash_one(hasher, gram)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(known: &KnownSecrets, text: &str) -> bool {
        !known.find(&Skeleton::of(text)).is_empty()
    }

    #[test]
    fn a_text_without_a_gram_is_not_searched() {
        let mut known = KnownSecrets::default();
        assert!(!known.may_be_in("before a secret is known"));
        known.add("a-password-that-is-kept", Kind::Kept);
        assert!(known.may_be_in("here is A-Pass%77ord, cut"));
        assert!(!known.may_be_in("here is another that is kept"));
        assert!(!known.may_be_in(""));
    }

    #[test]
    fn each_kind_has_room_of_its_own_and_the_oldest_goes_first() {
        let mut known = KnownSecrets::default();
        known.add("a-password-that-is-kept", Kind::Kept);
        let signature = |number: usize| format!("{number:05}-signature-of-a-request-{}", number * 7919);
        for number in 0..1_000 {
            known.add(&signature(number), Kind::Request);
        }
        let size: usize = known.secrets.values().map(|secret| secret.size).sum();
        assert!(size <= Kind::Request.room() + 30, "{size}");
        assert!(has(&known, "a-password-that-is-kept") && has(&known, &signature(999)));
        assert!(known.grams.len() < 40_000, "{}", known.grams.len());
        assert!(known.ids.len() == known.secrets.len());
        for number in 0..1_000 {
            known.add(&format!("{number:040}"), Kind::Request);
        }
        assert!(!has(&known, "signature-of-a-request") && has(&known, "a-password-that-is-kept"));
    }

    #[test]
    fn what_fills_the_room_is_kept_and_of_more_the_one_used_longest_ago_goes() {
        let mut known = KnownSecrets::default();
        let [first, second, third] =
            ["a", "b", "c"].map(|name| format!("{name}-signature-").repeat(200)[..2_048].to_owned());
        known.add(&first, Kind::Request);
        known.add(&second, Kind::Request);
        assert!(has(&known, &first[..40]) && has(&known, &second[..40]));
        known.add(&first, Kind::Request);
        known.add(&third, Kind::Request);
        assert_eq!([first, second, third].map(|secret| has(&known, &secret[..40])), [true, false, true]);
        assert!(known.forgotten > 0);
    }

    #[test]
    fn what_two_secrets_begin_with_stays_known_when_the_first_is_forgotten() {
        let mut known = KnownSecrets::default();
        known.add("a-beginning-of-two-secrets/request-4711", Kind::Request);
        known.add("a-beginning-of-two-secrets/password-of-one", Kind::Kept);
        for name in ["b", "c"] {
            known.add(&format!("{name}-signature-").repeat(200)[..2_048], Kind::Request);
        }
        assert!(has(&known, "a-beginning-of-two-secrets") && !has(&known, "request-4711"));
        // What repeats itself does not take a place for each time.
        assert!(known.grams.values().all(|positions| positions.len() <= 2 * 6), "{}", known.grams.len());
    }

    #[test]
    fn the_filter_is_built_again_when_four_thousand_grams_are_of_no_use() {
        let mut known = KnownSecrets::default();
        known.add("a-password-that-is-kept", Kind::Kept);
        known.filter.add(number(b"forgotte"));
        for (forgotten, expected) in [(4_000, 4_000), (4_001, 0)] {
            known.forgotten = forgotten;
            known.keep_within(Kind::Kept);
            assert_eq!((known.forgotten, known.may_be_in("forgotten")), (expected, expected > 0));
        }
        assert!(known.may_be_in("a-password"), "what is known stays in it");
    }

    #[test]
    fn what_is_shared_by_two_secrets_stays_known_when_one_is_forgotten() {
        let mut known = KnownSecrets::default();
        let token = |number: usize| {
            format!("eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.{}", format!("{number:04}").repeat(2_000))
        };
        for number in 0..60 {
            known.add(&token(number), Kind::Token);
        }
        assert!(known.secrets.len() < 40 && has(&known, "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9"));
        assert!(has(&known, &"0059".repeat(10)) && !has(&known, &"0001".repeat(10)));
    }
}
