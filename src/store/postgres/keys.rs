//! Which rows a flow has seen, and by which mail it has handed them on.

use std::collections::HashMap;

use uuid::Uuid;

use super::{Client, Db, Failure, execute, rows};
use crate::rows::row::{RowId, RowMark, RowVersion};

/// Keys that go out in one statement.
pub(super) const PIECE: usize = 10_000;

/// A row that was mailed and is found as it was stays proved.
pub(super) const UNLESS_PROVED: &str = "ON CONFLICT (source, key)
    DO UPDATE SET version = excluded.version, run = excluded.run, mail = excluded.mail
    WHERE excluded.mail IS NOT NULL OR keys.mail IS NULL OR keys.version <> excluded.version";

impl Client {
    /// Which version of each of these rows of a source was mailed, in their order; `None` for none. Of a row that
    /// was written again since and skipped it is one that the row does not have.
    pub(in crate::store) async fn mailed_rows(
        &self,
        source: i64,
        ids: &[RowId],
    ) -> Result<Vec<Option<RowVersion>>, Failure> {
        let ask = "SELECT key, CASE WHEN mail IS NULL THEN ~version ELSE version END FROM keys
            WHERE source = $1 AND key = ANY ($2::uuid[]) AND (mail IS NOT NULL OR EXISTS (
                SELECT 1 FROM earlier WHERE earlier.source = keys.source AND earlier.key = keys.key))";
        self.versions(ask, source, ids).await
    }

    /// Which version of each of these rows of a source is seen, in their order; `None` for none.
    pub(in crate::store) async fn seen_rows(
        &self,
        source: i64,
        ids: &[RowId],
    ) -> Result<Vec<Option<RowVersion>>, Failure> {
        self.versions(
            "SELECT key, version FROM keys WHERE source = $1 AND key = ANY ($2::uuid[])",
            source,
            ids,
        )
        .await
    }

    async fn versions(
        &self,
        ask: &str,
        source: i64,
        ids: &[RowId],
    ) -> Result<Vec<Option<RowVersion>>, Failure> {
        let mut all = Vec::with_capacity(ids.len());
        for piece in ids.chunks(PIECE) {
            let keys: Vec<Uuid> = piece.iter().map(|id| Uuid::from_bytes(id.0)).collect();
            let found = rows(self, ask, &[&source, &keys]).await?;
            let known: HashMap<Uuid, i64> = found.iter().map(|row| (row.get(0), row.get(1))).collect();
            all.extend(keys.iter().map(|key| known.get(key).copied().map(RowVersion)));
        }
        Ok(all)
    }
}

/// Marks of rows as columns, in the order of the tree that they go into; of a row that comes twice the latter.
pub(super) fn columns(mut marks: Vec<RowMark>) -> (Vec<Uuid>, Vec<i64>) {
    marks.reverse();
    marks.sort_by_key(|mark| mark.id);
    marks.dedup_by_key(|mark| mark.id);
    marks.into_iter().map(|mark| (Uuid::from_bytes(mark.id.0), mark.version.0)).unzip()
}

/// Rows that a run has processed, with the mail that carries them, if there is one.
pub(super) async fn insert_keys(
    db: &impl Db,
    source: i64,
    run: i64,
    mail: Option<i64>,
    (keys, versions): (&[Uuid], &[i64]),
) -> Result<(), Failure> {
    let insert = format!(
        "INSERT INTO keys (source, key, version, run, mail)
         SELECT $1, key, version, $2, $3 FROM unnest($4::uuid[], $5::bigint[]) AS seen (key, version) {UNLESS_PROVED}"
    );
    for (keys, versions) in keys.chunks(PIECE).zip(versions.chunks(PIECE)) {
        execute(db, &insert, &[&source, &run, &mail, &keys, &versions]).await?;
    }
    Ok(())
}
