//! The state as one whole: its name, since when what is due counts as late.

use jiff::Timestamp;

use super::{Client, Db, Failure, execute, from_db, maybe_row, row, to_db};
use crate::store::contents::TABLES;

impl Client {
    /// Names this state; a copy has the same name.
    pub(in crate::store) async fn identity(&self) -> Result<String, Failure> {
        Ok(row(self, "SELECT value FROM meta WHERE name = 'id'", &[]).await?.get(0))
    }

    /// Looks at every table, so that one which is gone or may not be read is noticed now; and names the state. The server
    /// itself looks after what is in them.
    pub(in crate::store) async fn verify(&self) -> Result<String, Failure> {
        let looks = TABLES.map(|table| format!("EXISTS (SELECT 1 FROM {table})"));
        row(self, &format!("SELECT {}", looks.join(", ")), &[]).await?;
        self.identity().await
    }

    /// Records that what is due counts as late from now on.
    pub(in crate::store) async fn set_on_time_since(&self, now: Timestamp) -> Result<(), Failure> {
        let put = "INSERT INTO meta (name, value) VALUES ('planned', $1::bigint::text)
            ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        execute(self, put, &[&to_db(now)]).await?;
        Ok(())
    }
}

/// What planners follow from is changed.
pub(super) async fn count_schedule(db: &impl Db) -> Result<(), Failure> {
    let count = "UPDATE meta SET value = (value::bigint + 1)::text WHERE name = 'schedule'";
    execute(db, count, &[]).await.map(drop)
}

/// Since when what is due counts as late: a start, a reload, or the end of a downtime.
pub(super) async fn on_time_since(db: &impl Db) -> Result<Option<Timestamp>, Failure> {
    let found = maybe_row(db, "SELECT value::bigint FROM meta WHERE name = 'planned'", &[]).await?;
    Ok(found.map(|row| from_db(row.get(0))))
}
