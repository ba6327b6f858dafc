//! What the state can prove of a row.

use tokio_postgres::Row;
use uuid::Uuid;

use super::{Client, Failure, rows, text};
use crate::rows::row::RowId;
use crate::store::Provenance;

/// The tables that the flow `$1` reads or has read.
macro_rules! sources {
    () => {
        "(SELECT sources.id FROM sources JOIN flows ON flows.id = sources.flow WHERE flows.name = $1)"
    };
}

impl Client {
    /// What was last done with each of these rows, in their order; `None` for one that is not known.
    pub(in crate::store) async fn last_provenance(
        &self,
        flow: &str,
        ids: &[RowId],
    ) -> Result<Vec<Option<Provenance>>, Failure> {
        // Of whichever table it has read: a row that was copied to another one is the same lead.
        const LAST: &str = concat!(
            "SELECT last.run, last.mail FROM unnest($2::uuid[]) WITH ORDINALITY AS asked (key, place)
            LEFT JOIN LATERAL (SELECT run, mail FROM keys WHERE source IN ",
            sources!(),
            " AND keys.key = asked.key ORDER BY run DESC LIMIT 1) AS last ON true ORDER BY asked.place"
        );
        let ids: Vec<Uuid> = ids.iter().map(|id| Uuid::from_bytes(id.0)).collect();
        let found = rows(self, LAST, &[&text(flow), &ids]).await?;
        let known = |row: &Row| match row.try_get::<_, Option<i64>>(0)? {
            Some(run) => Ok(Some(Provenance { run, message: row.try_get(1)? })),
            None => Ok(None),
        };
        found.iter().map(known).collect()
    }

    /// Everything that was done with a row, oldest first.
    pub(in crate::store) async fn provenance(
        &self,
        flow: &str,
        id: RowId,
    ) -> Result<Vec<Provenance>, Failure> {
        const ALL: &str = concat!(
            "SELECT run, mail FROM earlier WHERE source IN ",
            sources!(),
            " AND key = $2 UNION SELECT run, mail FROM keys WHERE source IN ",
            sources!(),
            " AND key = $2 ORDER BY run, mail NULLS FIRST"
        );
        let found = rows(self, ALL, &[&text(flow), &Uuid::from_bytes(id.0)]).await?;
        found.iter().map(|row| Ok(Provenance { run: row.try_get(0)?, message: row.try_get(1)? })).collect()
    }
}
