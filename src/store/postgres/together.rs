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
        self.sent_together(Some("BEGIN"), statements, Some("COMMIT")).await
    }

    /// Reads all of this as it was at one moment.
    pub(super) async fn read_together(&self, statements: &[Statement<'_>]) -> Result<Vec<Vec<Row>>, Failure> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        self.sent_together(Some(begin), statements, Some("COMMIT")).await
    }

    /// Begins a transaction by these statements, which the caller ends by [`Client::end_together`] without a way round it.
    pub(super) async fn begin_together(
        &self,
        statements: &[Statement<'_>],
    ) -> Result<Vec<Vec<Row>>, Failure> {
        self.sent_together(Some("BEGIN"), statements, None).await
    }

    /// Ends the transaction by these statements, all or nothing.
    pub(super) async fn end_together(&self, statements: &[Statement<'_>]) -> Result<Vec<Vec<Row>>, Failure> {
        self.sent_together(None, statements, Some("COMMIT")).await
    }

    async fn sent_together(
        &self,
        begin: Option<&str>,
        statements: &[Statement<'_>],
        end: Option<&str>,
    ) -> Result<Vec<Vec<Row>>, Failure> {
        match self.sent(begin, statements, end).await {
            Ok(rows) => Ok(rows),
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

    async fn sent(
        &self,
        begin: Option<&str>,
        statements: &[Statement<'_>],
        end: Option<&str>,
    ) -> Result<Vec<Vec<Row>>, tokio_postgres::Error> {
        let mut parsed = Vec::with_capacity(statements.len());
        for (statement, _) in statements {
            parsed.push(self.prepare_cached(statement).await?);
        }
        let asked = parsed.iter().zip(statements).map(|(parsed, (_, values))| self.query(parsed, values));
        let bare = async |statement: Option<&str>| match statement {
            Some(statement) => self.batch_execute(statement).await,
            None => Ok(()),
        };
        // Each is sent when it is polled first, which is in this order.
        let ((), rows, ()) = try_join3(bare(begin), try_join_all(asked), bare(end)).await?;
        Ok(rows)
    }
}
