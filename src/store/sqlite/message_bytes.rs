//! The RFC 5322 texts of mails, in pieces: no more than one of them is in memory twice.

use rusqlite::{Connection, Transaction, params};

use super::Failure;

/// Bytes of a mail's text that lie in one row.
const PIECE: usize = 1 << 20;

pub(super) fn write_text(tx: &Transaction<'_>, mail: i64, text: &[u8]) -> Result<(), Failure> {
    let mut insert = tx.prepare_cached("INSERT INTO texts (mail, part, bytes) VALUES (?1, ?2, ?3)")?;
    for (part, piece) in (0_i64..).zip(text.chunks(PIECE)) {
        insert.execute(params![mail, part, piece])?;
    }
    Ok(())
}

/// Empty where it is not kept any more.
pub(super) fn read_text(db: &Connection, mail: i64) -> Result<Vec<u8>, Failure> {
    let mut size = db.prepare_cached("SELECT coalesce(sum(length(bytes)), 0) FROM texts WHERE mail = ?1")?;
    let size: i64 = size.query_row([mail], |row| row.get(0))?;
    let mut text = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    let mut ask = db.prepare_cached("SELECT bytes FROM texts WHERE mail = ?1 ORDER BY part")?;
    let mut pieces = ask.query([mail])?;
    while let Some(piece) = pieces.next()? {
        text.extend_from_slice(piece.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?);
    }
    Ok(text)
}
