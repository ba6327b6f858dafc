//! The leads of a flow's table, and what became of each.

mod proof;
mod state;

use std::sync::Arc;

use crate::flow::{Config, Flow, NoConnection};
use crate::platform::clock::Clock;
use crate::rows::newest::Newest;
use crate::rows::row::Row;
use crate::schedule::window::EVER;
use crate::services::OnlineServices;
use crate::services::table::{Table, TableError};
use crate::store::{Store, StoreError};

pub use proof::{LeadProof, NoProof, ProofStep};
pub use state::{LeadState, NOT_KEPT, NOT_MAILED};

/// The newest leads of a table.
#[derive(Debug)]
pub struct LeadList {
    /// The newest first, each with what became of it.
    pub leads: Vec<(Row, LeadState)>,
    /// How many rows were looked at that are asked for.
    pub all: usize,
}

/// Why leads cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum LeadError {
    /// The flow's table connection is not whole in the file.
    #[error(transparent)]
    NoConnection(#[from] NoConnection),
    /// The table could not be read to its end.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The state failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The table of a flow.
///
/// # Errors
/// When it cannot be opened.
pub async fn open_table(config: &Config, flow: &Arc<Flow>) -> Result<Table, LeadError> {
    Ok(OnlineServices::new(Clock::System).open_table(config.table_of(flow)?).await?)
}

impl LeadList {
    /// Reads the table to its end and keeps the newest rows that are wanted; `progress` gets the number of rows so far
    /// after each page.
    ///
    /// # Errors
    /// When the table cannot be read, or the state fails.
    pub async fn read(
        table: &Table,
        flow: &Flow,
        store: Option<&Store>,
        limit: usize,
        is_wanted: impl Fn(&Row) -> bool,
        mut progress: impl FnMut(usize),
    ) -> Result<Self, LeadError> {
        let mut scan = table.scan(flow.table.query(EVER).all_columns());
        let mut newest = Newest::new(limit);
        let mut read = 0;
        let mut all = 0;
        while let Some(page) = scan.next().await? {
            read += page.rows.len();
            let wanted: Vec<Row> = page.rows.into_iter().filter(&is_wanted).collect();
            all += wanted.len();
            newest.extend(wanted);
            progress(read);
        }
        let newest = newest.into_rows();
        let states = state::states(&flow.name, &newest, store).await?;
        Ok(Self { leads: newest.into_iter().zip(states).collect(), all })
    }
}
