//! Sessions that broke in the middle of a mail: whose fault it was shows later.
//!
//! Mail and connection are suspected together. Another mail that goes through the connection
//! clears it, and the mail is to blame; another mail that breaks there, too, clears the mail.

use jiff::Timestamp;
use rusqlite::params;

use super::outbox::{json_of, update_run, write_recipients};
use super::{Store, StoreError, to_db};
use crate::outbox::Recipient;

/// A try whose session broke in the middle of the mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broke {
    /// When.
    pub at: Timestamp,
    /// The connections that are suspected together with the mail; none where the mail cannot be
    /// to blame, since it was not tried over every connection of its list.
    pub over: Vec<String>,
}

impl Store {
    /// Records a try that broke as [`Store::record_replies`] does any other; the mail goes after
    /// those that are due with it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn record_break(
        &mut self,
        mail: i64,
        recipients: &[Recipient],
        next_try: Timestamp,
        broke: &Broke,
    ) -> Result<(), StoreError> {
        let tx = self.db.transaction()?;
        write_recipients(&tx, mail, recipients, next_try)?;
        let over = (!broke.over.is_empty()).then(|| json_of(&broke.over));
        tx.execute(
            "UPDATE mails SET broke = ?2, broke_over = ?3 WHERE id = ?1 AND next_try IS NOT NULL",
            params![mail, to_db(broke.at), over],
        )?;
        update_run(&tx, mail)?;
        tx.commit()?;
        Ok(())
    }

    /// A session of the connection broke in the middle of a mail: those that broke there before it
    /// are not to blame.
    ///
    /// # Errors
    /// When the database fails.
    pub fn clear_mails(&mut self, connection: &str, but: i64) -> Result<(), StoreError> {
        self.db.execute(
            "UPDATE mails SET broke_over = NULL WHERE broke_over IS NOT NULL AND id <> ?2
                 AND ?1 IN (SELECT value FROM json_each(broke_over))",
            params![connection, but],
        )?;
        Ok(())
    }

    /// The connection has taken a mail: others in the middle of which it broke are to blame for
    /// that themselves.
    ///
    /// # Errors
    /// When the database fails.
    pub fn blame_mails(&mut self, connection: &str, but: i64) -> Result<(), StoreError> {
        self.db.execute(
            "UPDATE mails SET breaks = breaks + 1, broke_over = NULL WHERE broke_over IS NOT NULL AND id <> ?2
                 AND ?1 IN (SELECT value FROM json_each(broke_over))",
            params![connection, but],
        )?;
        Ok(())
    }
}
