//! The 30 cases of `docs/reliability.md`: `cargo test --test it case_17` reruns one of them. Those
//! about rows and a driven clock are in `rows.rs`, those that need root in `tests/root`.

mod crashes;
mod services;
mod soak;
