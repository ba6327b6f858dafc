//! Faults that take root or Debian's packages: real file systems that lose power, fill up or are
//! read-only, a clock that is wrong, and folders of other users. Not a part of `cargo test`:
//! `cargo test --test root -- --test-threads=1`.

#[cfg(test)]
mod clock;
#[cfg(test)]
mod denied;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod machines;
#[cfg(test)]
mod network;
#[cfg(test)]
mod outputs;
#[cfg(test)]
mod owner;
#[cfg(test)]
mod secrets;
#[cfg(test)]
#[expect(dead_code, reason = "the other tests use the rest of it")]
#[path = "../it/support/mod.rs"]
mod support;
