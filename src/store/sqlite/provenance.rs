//! What the state can prove of a row.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{Database, Failure};
use crate::rows::row::RowId;
use crate::store::Provenance;

/// The tables that a flow reads or has read.
const SOURCES: &str =
    "(SELECT sources.id FROM sources JOIN flows ON flows.id = sources.flow WHERE flows.name = ?1)";

impl Database {
    /// What was last done with each of these rows, in their order; `None` for one that is not known.
    pub(crate) fn last_provenance(
        &self,
        flow: &str,
        ids: &[RowId],
    ) -> Result<Vec<Option<Provenance>>, Failure> {
        // Of whichever table it has read: a row that was copied to another one is the same lead.
        let mut ask = self.db.prepare_cached(&format!(
            "SELECT run, mail FROM keys WHERE source IN {SOURCES} AND key = ?2 ORDER BY run DESC LIMIT 1"
        ))?;
        let of = |id: &RowId| Ok(ask.query_row(params![flow, id.0], provenance_of).optional()?);
        ids.iter().map(of).collect()
    }

    /// Everything that was done with a row, oldest first.
    pub(crate) fn provenance(&self, flow: &str, id: RowId) -> Result<Vec<Provenance>, Failure> {
        let mut ask = self.db.prepare_cached(&format!(
            "SELECT run, mail FROM earlier WHERE source IN {SOURCES} AND key = ?2
             UNION SELECT run, mail FROM keys WHERE source IN {SOURCES} AND key = ?2
             ORDER BY run"
        ))?;
        let found = ask.query_map(params![flow, id.0], provenance_of)?;
        Ok(found.collect::<Result<_, _>>()?)
    }
}

fn provenance_of(row: &Row<'_>) -> rusqlite::Result<Provenance> {
    Ok(Provenance { run: row.get(0)?, message: row.get(1)? })
}
