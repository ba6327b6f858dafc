//! What the state forgets of a person, as far as statements reach.

use futures::TryStreamExt as _;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use super::{Client, Failure, execute, row, rows};
use crate::store::contents::{FORGOTTEN, FORGOTTEN_JSON, TEXTS, Text};

/// Whether a text names a person.
pub(super) type Finds<'a> = &'a (dyn Fn(&str) -> bool + Send + Sync);

impl Client {
    /// The numbers of all mails whose text is kept.
    pub(in crate::store) async fn kept_messages(&self) -> Result<Vec<i64>, Failure> {
        let found = rows(self, "SELECT DISTINCT mail FROM texts ORDER BY mail", &[]).await?;
        found.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Forgets a mail's text and subject, here and in the history. Returns whether it could: one that
    /// is still to be sent stays.
    pub(in crate::store) async fn erase_message(&self, mail: i64) -> Result<bool, Failure> {
        // The step that rendered it names its subject and, where a template failed, its values.
        const ERASE: &str = "WITH forgotten AS (
                UPDATE mails SET subject = $2 WHERE id = $1 AND next_try IS NULL AND NOT sending RETURNING id, run),
            gone AS (DELETE FROM texts USING forgotten WHERE texts.mail = forgotten.id),
            rendered AS (
                UPDATE steps SET outputs = $3 FROM forgotten
                WHERE steps.run = forgotten.run AND steps.name = 'render')
            SELECT EXISTS (SELECT 1 FROM forgotten)";
        Ok(row(self, ERASE, &[&mail, &FORGOTTEN, &FORGOTTEN_JSON]).await?.try_get(0)?)
    }

    /// Whether the mail is still to be sent, or is being sent.
    pub(in crate::store) async fn is_waiting(&self, mail: i64) -> Result<bool, Failure> {
        let ask = "SELECT EXISTS (SELECT 1 FROM mails WHERE id = $1 AND (next_try IS NOT NULL OR sending))";
        Ok(row(self, ask, &[&mail]).await?.try_get(0)?)
    }

    /// Replaces every text of the history that is found; the subject of a mail that is still to be sent
    /// stays with it. Returns how many there were.
    pub(in crate::store) async fn erase_texts(&self, is_found: Finds<'_>) -> Result<usize, Failure> {
        self.patiently(self.replace_texts(is_found)).await
    }

    async fn replace_texts(&self, is_found: Finds<'_>) -> Result<usize, Failure> {
        let mut replaced = 0;
        for text in &TEXTS {
            let Text { table, keys, column, only, instead } = text;
            // Looked for before anything is locked: there may be many.
            let found = self.rows_with(text, is_found).await?;
            if found.iter().all(Vec::is_empty) {
                continue;
            }
            let arrays: Vec<String> = (2..).take(keys.len()).map(|at| format!("${at}::text[]")).collect();
            let is_it: Vec<String> =
                keys.iter().map(|key| format!("{table}.{key}::text = found.{key}")).collect();
            let replace = format!(
                "UPDATE {table} SET {column} = $1 FROM unnest({}) AS found ({}) WHERE {} AND ({only})",
                arrays.join(", "),
                keys.join(", "),
                is_it.join(" AND ")
            );
            let mut values: Vec<&(dyn ToSql + Sync)> = vec![instead];
            values.extend(found.iter().map(|keys| keys as &(dyn ToSql + Sync)));
            replaced += execute(self, &replace, &values).await?;
        }
        Ok(usize::try_from(replaced).unwrap_or(usize::MAX))
    }

    /// The keys of the rows whose text is found, a list for each column of the key.
    async fn rows_with(&self, text: &Text, is_found: Finds<'_>) -> Result<Vec<Vec<String>>, Failure> {
        let Text { table, keys, column, only, .. } = text;
        let names: Vec<String> = keys.iter().map(|key| format!("{key}::text")).collect();
        let look = format!(
            "SELECT {column}, {} FROM {table} WHERE {column} IS NOT NULL AND ({only})",
            names.join(", ")
        );
        let mut found = vec![Vec::new(); keys.len()];
        let mut all = std::pin::pin!(self.query_raw(&look, std::iter::empty::<&str>()).await?);
        while let Some(row) = all.try_next().await? {
            if is_found(row.try_get(0)?) {
                for (at, keys) in found.iter_mut().enumerate() {
                    keys.push(row.try_get(at + 1)?);
                }
            }
        }
        Ok(found)
    }

    /// Removes rows that were deleted or written anew, which the server keeps for whoever may still see them, and what it
    /// has noted of their values for its plans. Returns whether all of them are gone.
    pub(in crate::store) async fn purge_remains(&self) -> Result<bool, Failure> {
        const MOMENT: &str = "SELECT pg_current_xact_id()::text";
        /// Somebody may still see what was deleted before that moment.
        const IS_SEEN: &str = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity
            WHERE pid <> pg_backend_pid() AND backend_type IN ('client backend', 'walsender')
                AND (datname = current_database() OR backend_type = 'walsender')
                AND age(backend_xmin) > age(($1::text)::xid8::xid))";
        let moment: String = row(self, MOMENT, &[]).await?.try_get(0)?;
        if row(self, IS_SEEN, &[&moment]).await?.try_get(0)? {
            return Ok(false);
        }
        let mut tables = TEXTS.map(|text| text.table).to_vec();
        tables.push("texts");
        tables.dedup();
        let vacuum = format!("VACUUM (ANALYZE) {}", tables.join(", "));
        let vacuumed = self.patiently(async { Ok(self.batch_execute(&vacuum).await?) }).await;
        match vacuumed {
            Err(Failure::Database(error)) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => Ok(false),
            done => done.map(|()| true),
        }
    }

    /// Lets statements take as long as the operation: they go over much, and stop where this process looks at what they
    /// have found.
    pub(super) async fn patiently<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.batch_execute("SET statement_timeout = 0").await?;
        let done = work.await;
        self.batch_execute("SET statement_timeout = '60s'").await?;
        done
    }
}
