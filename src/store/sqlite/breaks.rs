//! Sessions that broke in the middle of a mail: whose fault it was shows later.
//!
//! Mail and connection are suspected together. Another mail that goes through the connection
//! clears it, and the mail is to blame; another mail that breaks there, too, clears the mail.

use rusqlite::{Transaction, params};

use super::outbox::json_of;
use super::{Database, Failure};

impl Database {
    /// A session of the connection broke in the middle of a mail: those that broke there before it
    /// are not to blame.
    pub(crate) fn clear_suspicion(&mut self, connection: &str, but: i64) -> Result<(), Failure> {
        self.db.execute(
            "UPDATE mails SET broke_over = NULL WHERE broke_over IS NOT NULL AND id <> ?2
                 AND ?1 IN (SELECT value FROM json_each(broke_over))",
            params![connection, but],
        )?;
        Ok(())
    }
}

/// The mail goes after those that are due with it. `over` are the connections that are suspected together with it.
pub(super) fn note_break(tx: &Transaction<'_>, mail: i64, over: &[String]) -> rusqlite::Result<()> {
    let over = (!over.is_empty()).then(|| json_of(over));
    tx.execute(
        "UPDATE mails SET broke = (SELECT coalesce(max(broke), 0) + 1 FROM mails), broke_over = ?2
         WHERE id = ?1 AND next_try IS NOT NULL",
        params![mail, over],
    )?;
    Ok(())
}

/// The connection has taken a mail: others in the middle of which it broke are to blame for
/// that themselves.
pub(super) fn blame_mails(tx: &Transaction<'_>, connection: &str, but: i64) -> rusqlite::Result<()> {
    tx.execute(
        "UPDATE mails SET breaks = breaks + 1, broke_over = NULL WHERE broke_over IS NOT NULL AND id <> ?2
             AND ?1 IN (SELECT value FROM json_each(broke_over))",
        params![connection, but],
    )?;
    Ok(())
}
