//! The proof of one lead: by which run it was read, and which mail carries it.

use crate::flow::Flow;
use crate::history::Run;
use crate::rows::row::{Row, RowMark};
use crate::services::table::{Table, TableError};
use crate::store::{OutboxEntry, OutboxFilter, Provenance, Store, StoreError};

/// What is known of one lead.
#[derive(Debug)]
pub struct LeadProof {
    /// `None` where it is not in the table any more.
    pub row: Option<Row>,
    /// What was done with it, the oldest first.
    pub steps: Vec<ProofStep>,
}

/// What was done with a row: by which run, in which mail.
#[derive(Debug)]
pub struct ProofStep {
    /// The number of the run that has read it.
    pub run: i64,
    /// That run; `None` where the history does not have it any more.
    pub of_run: Option<Run>,
    /// The mail that carries it; `None` where there is none, or it is not in the history any more.
    pub mail: Option<OutboxEntry>,
    /// It was mailed.
    pub is_mailed: bool,
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum NoProof {
    /// Several rows have the `RowKey`.
    #[error("{} rows have this RowKey; name one of {}", .0.len(), .0.join(", "))]
    Several(Vec<String>),
    /// No row has it, and without a `PartitionKey` a deleted one is not found.
    #[error("the table has no row `{0}`; for a deleted row, write PartitionKey/RowKey")]
    NoRow(String),
    /// Neither the table nor the state knows it.
    #[error("there is no record of `{key}`: it is not in the table, and {flow} has not seen it")]
    Unknown {
        /// As it was asked.
        key: String,
        /// The flow.
        flow: String,
    },
    /// The table could not be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The state failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LeadProof {
    /// Of the row of this key: `RowKey`, or `PartitionKey/RowKey`.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn find(table: &Table, flow: &Flow, store: Option<&Store>, key: &str) -> Result<Self, NoProof> {
        let (partition, row_key) = match key.rsplit_once('/') {
            Some((partition, row_key)) => (Some(partition), row_key),
            None => (None, key),
        };
        let mut rows = table.rows_of(partition, row_key).await?;
        if rows.len() > 1 {
            let names = rows.iter().map(|row| format!("{}/{}", row.partition_key, row.row_key));
            return Err(NoProof::Several(names.collect()));
        }
        let row = rows.pop();
        let mark = match (&row, partition) {
            (Some(row), _) => RowMark::new(row),
            (None, Some(partition)) => RowMark::from_keys(partition, row_key),
            (None, None) => return Err(NoProof::NoRow(row_key.to_owned())),
        };
        let steps = match store {
            Some(store) => steps(store, &flow.name, &mark).await?,
            None => Vec::new(),
        };
        if row.is_none() && steps.is_empty() {
            return Err(NoProof::Unknown { key: key.to_owned(), flow: flow.name.clone() });
        }
        Ok(Self { row, steps })
    }
}

async fn steps(store: &Store, flow: &str, mark: &RowMark) -> Result<Vec<ProofStep>, StoreError> {
    let mut steps = Vec::new();
    for Provenance { run, message: mail } in store.provenance(flow, mark.id).await? {
        let entry = match mail {
            Some(mail) => store.outbox(OutboxFilter::One(mail)).await?.pop(),
            None => None,
        };
        steps.push(ProofStep { run, of_run: store.run(run).await?, mail: entry, is_mailed: mail.is_some() });
    }
    Ok(steps)
}
