//! Why a run fails.

use crate::compose::ComposeError;
use crate::flow::NoConnection;
use crate::services::table::TableError;
use crate::store::StoreError;

/// Why a run failed; nothing has moved.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The table could not be read to its clean end.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The mail could not be made.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// The state could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The rows could not be stored in the state folder.
    #[error("cannot store the rows in the state folder: {0}")]
    Spool(#[from] std::io::Error),
    /// There are more new rows than a run can process.
    #[error("the table has more than {rows} new rows, or {} GiB of them, which is more than one run can \
             mail", bytes >> 30)]
    TooMuch {
        /// How many rows it can.
        rows: usize,
        /// How many bytes of rows it can.
        bytes: u64,
    },
    /// flows.toml has lost the connection.
    #[error(transparent)]
    NoConnection(#[from] NoConnection),
    /// The work did not end: the process is stopping, or it has a fault.
    #[error("the work on the mail did not end")]
    Stopped,
}

impl RunError {
    /// What to do about it.
    pub fn help(&self) -> &str {
        match self {
            Self::Table(error) => error.advice.help.as_deref().unwrap_or("the next run starts again"),
            Self::Compose(_) | Self::Store(_) | Self::Spool(_) => {
                "check the state folder: its free space and its permissions"
            }
            Self::TooMuch { .. } => {
                "nothing was recorded; narrow the flow's filter, or start later with `leadflow recover --since` and \
                 mail the earlier rows in ranges with `leadflow replay`"
            }
            Self::NoConnection(_) => "add the connection, then reload",
            Self::Stopped => "the next run starts again",
        }
    }
}
