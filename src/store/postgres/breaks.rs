//! Sessions that broke in the middle of a mail: whose fault it was shows later.
//!
//! Mail and connection are suspected together. Another mail that goes through the connection
//! clears it, and the mail is to blame; another mail that breaks there, too, clears the mail.

use super::{Client, Failure, execute, text};

/// The connection `$1` has taken the mail `$2`: others in the middle of which it broke are to blame for that themselves.
pub(super) const BLAME_MAILS: &str = "UPDATE mails SET breaks = breaks + 1, broke_over = NULL
    WHERE broke_over IS NOT NULL AND id <> $2::bigint AND broke_over::jsonb ? $1::text";

impl Client {
    /// A session of the connection broke in the middle of a mail: those that broke there before it
    /// are not to blame.
    pub(in crate::store) async fn clear_suspicion(&self, connection: &str, but: i64) -> Result<(), Failure> {
        const CLEAR: &str = "UPDATE mails SET broke_over = NULL
            WHERE broke_over IS NOT NULL AND id <> $2 AND broke_over::jsonb ? $1::text";
        execute(self, CLEAR, &[&text(connection), &but]).await.map(drop)
    }
}
