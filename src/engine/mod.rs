//! What leadflow does: runs, delivery, and telling what is wrong.

pub mod alarms;
mod context;
pub mod delivery;
pub mod run;

pub use context::RunContext;
