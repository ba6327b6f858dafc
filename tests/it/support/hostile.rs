//! Cases of hostile input for servers: drawn beforehand, then played side by side.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngSeed, TestRunner};

/// So many cases, the same ones each time; with `HOSTILE_TIMES` set so many times as many, and
/// other ones.
pub(crate) fn cases<T>(count: usize, strategy: impl Strategy<Value = T>) -> Vec<T> {
    let times: Option<usize> = std::env::var("HOSTILE_TIMES").ok().and_then(|times| times.parse().ok());
    let default = Config::default();
    let rng_seed = if times.is_some() { default.rng_seed } else { RngSeed::Fixed(1) };
    let mut runner = TestRunner::new(Config { rng_seed, failure_persistence: None, ..default });
    let count = count.saturating_mul(times.unwrap_or(1));
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}
