//! The values and decisions of leadflow: what flows.toml says, when a flow runs, what a row is and which rows are
//! news, what a mail shows, what a reply of a server means, what is wrong and who is notified.
//!
//! Nothing here reads a file, a clock or a network: `now` is passed in, and whatever is decided comes with its
//! reason. So all of it can be tried in seconds: `cargo test -p leadflow-core`.

pub mod alarm;
pub mod filter;
pub mod flow;
pub mod history;
pub mod outbox;
pub mod planner;
pub mod rows;
pub mod schedule;
pub mod stats;
pub mod template;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod text;
