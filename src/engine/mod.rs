//! What leadflow does: runs, delivery, and telling what is wrong.

pub mod alarms;
pub mod delivery;
pub mod run;
