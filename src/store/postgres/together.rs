//! Statements of one transaction that are sent together: one round trip.

use futures::future::{try_join_all, try_join3};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use super::{Client, Failure, Values};
use crate::store::StoreError;

/// A statement and the values of its parameters.
pub(super) type Statement<'a> = (&'a str, Values<'a>);

/// Fails where the owner was taken over or its lease has ended. Nobody takes over until the transaction ends.
pub(super) const HOLD_LEASE: &str = "SELECT 1 / count(*) FROM (
        SELECT 1 FROM nodes WHERE owner = $1
            AND lease_until > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint FOR KEY SHARE) AS lease";

impl Client {
    /// Does these statements in one transaction, all or nothing; none of them can depend on what another one returns. Each
    /// sees what was committed until it begins.
    pub(super) async fn together(&self, statements: &[Statement<'_>]) -> Result<Vec<Vec<Row>>, Failure> {
        self.sent_together("BEGIN", statements).await
    }

    /// Reads all of this as it was at one moment.
    pub(super) async fn read_together(&self, statements: &[Statement<'_>]) -> Result<Vec<Vec<Row>>, Failure> {
        self.sent_together("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", statements).await
    }

    async fn sent_together(
        &self,
        begin: &str,
        statements: &[Statement<'_>],
    ) -> Result<Vec<Vec<Row>>, Failure> {
        let mut parsed = Vec::with_capacity(statements.len());
        for (statement, _) in statements {
            parsed.push(self.prepare_cached(statement).await?);
        }
        let asked = parsed.iter().zip(statements).map(|(parsed, (_, values))| self.query(parsed, values));
        // Each is sent when it is polled first, which is in this order.
        let all = try_join3(self.batch_execute(begin), try_join_all(asked), self.batch_execute("COMMIT"));
        match all.await {
            Ok(((), rows, ())) => Ok(rows),
            Err(error) => {
                // What failed before it was sent has left the transaction open.
                if !self.is_closed() {
                    self.batch_execute("ROLLBACK").await?;
                }
                // Only who holds no lease divides by zero.
                let is_taken_over = error.code() == Some(&SqlState::DIVISION_BY_ZERO);
                Err(if is_taken_over { StoreError::TakenOver.into() } else { error.into() })
            }
        }
    }
}
