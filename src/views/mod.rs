//! What commands print as JSON, as `docs/json.md` describes it: a file for each area.
//!
//! A view is made from what the store and the tasks know and holds nothing else; its fields are in the
//! order in which they are printed. Keys are only added.

pub mod api;
pub mod check;
pub mod erasure;
pub mod flows;
pub mod health;
pub mod leads;
pub mod metrics;
pub mod nodes;
pub mod outbox;
pub mod page;
pub mod preview;
pub mod runs;
pub mod schedule;
pub mod stats;
