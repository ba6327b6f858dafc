//! Whether somebody has written to the state, without a look into it.

use super::sqlite::LogChanges;

/// Watches the state for writes of whatever process.
#[derive(Debug)]
pub enum Changes {
    /// The files of the state tell.
    ByLog(LogChanges),
    /// Nothing tells: there always may be something.
    Unseen,
}

impl Changes {
    /// Whether there may be something that the caller has not seen yet, who looks now if so.
    pub fn any(&mut self) -> bool {
        match self {
            Self::ByLog(log) => log.any(),
            Self::Unseen => true,
        }
    }

    /// The caller could not look, or not do all that it found.
    pub fn forget(&mut self) {
        match self {
            Self::ByLog(log) => log.forget(),
            Self::Unseen => {}
        }
    }
}
