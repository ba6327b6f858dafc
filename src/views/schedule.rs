//! `schedule`.

use jiff::Timestamp;
use serde::Serialize;

/// A slot to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlotView {
    /// The slot.
    pub at: Timestamp,
    /// The same in the recurrence's zone, with its name.
    pub local: String,
    /// Rows that were written after this are read, if the run before it came on time.
    pub reads_from: Timestamp,
}
