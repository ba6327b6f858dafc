//! Sessions that broke in the middle of a mail: whose fault it was shows later.
//!
//! Mail and connection are suspected together. Another mail that goes through the connection
//! clears it, and the mail is to blame; another mail that breaks there, too, clears the mail.

use jiff::Timestamp;
use rusqlite::params;

use super::outbox::{json_of, update_run, write_recipients};
use super::{Store, StoreError};
use crate::outbox::Recipient;

impl Store {
    /// Records a try that broke as [`Store::record_replies`] does any other; the mail goes after
    /// those that are due with it. `over` are the connections that are suspected together with the mail;
    /// none where the mail cannot be to blame, since it was not tried over every connection of its list.
    ///
    /// # Errors
    /// When the database fails.
    pub fn record_break(
        &mut self,
        mail: i64,
        recipients: &[Recipient],
        next_try: Timestamp,
        over: &[String],
    ) -> Result<(), StoreError> {
        let tx = self.db.transaction()?;
        write_recipients(&tx, mail, recipients, next_try)?;
        let over = (!over.is_empty()).then(|| json_of(over));
        tx.execute(
            "UPDATE mails SET broke = (SELECT coalesce(max(broke), 0) + 1 FROM mails), broke_over = ?2
             WHERE id = ?1 AND next_try IS NOT NULL",
            params![mail, over],
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
