//! When a flow runs and how far back it reads.

pub mod recurrence;
pub mod time_zone;
pub mod window;
