//! Care of the state: what is old, a flow's new name.

use super::outbox::ids_of;
use super::{Client, Failure, execute, row, rows, text, to_db};
use crate::store::{Retention, StoreError};

/// Mails that need no letter any more, so that their bytes may go; they were made before `$1`.
const PRUNE_BYTES: &str = "DELETE FROM texts USING mails WHERE texts.mail = mails.id
    AND mails.created < $1 AND mails.next_try IS NULL AND NOT mails.sending AND NOT EXISTS (
        SELECT 1 FROM recipients WHERE recipients.mail = mails.id AND recipients.state NOT IN ('sent', 'dropped'))";

const PRUNE_ANSWERS: &str =
    "DELETE FROM requests WHERE (run IS NOT NULL OR answer IS NOT NULL) AND created < $1";

const PRUNE_OWN_MAILS: &str = "DELETE FROM mails
    WHERE run IS NULL AND created < $1 AND next_try IS NULL AND NOT sending AND NOT EXISTS (
        SELECT 1 FROM recipients WHERE recipients.mail = mails.id AND recipients.state = 'held')";

/// A run of the past; while its mails wait or are held it stays.
macro_rules! is_over {
    () => {
        "outcome <> 'running' AND NOT EXISTS (
            SELECT 1 FROM mails JOIN recipients ON recipients.mail = mails.id
            WHERE mails.run = runs.id AND recipients.state IN ('waiting', 'uncertain', 'held'))"
    };
}

/// Runs that began before `$1` and are over. Whoever decides over one of their mails has its run locked, and is left alone.
const OLD_RUNS: &str =
    concat!("SELECT id FROM runs WHERE started < $1 AND ", is_over!(), " FOR UPDATE SKIP LOCKED");

/// Those of them that are still over, now that nobody can change them.
const STILL_OVER: &str = concat!("SELECT id FROM runs WHERE id = ANY($1) AND ", is_over!());

impl Client {
    /// Gives what is known of a flow to another name.
    pub(in crate::store) async fn rename(&self, old: &str, new: &str) -> Result<(), Failure> {
        const RENAME: &str = "WITH taken AS (SELECT id FROM flows WHERE name = $2),
            renamed AS (
                UPDATE flows SET name = $2 WHERE name = $1 AND NOT EXISTS (SELECT 1 FROM taken) RETURNING id),
            asked AS (UPDATE requests SET flow = $2 FROM renamed WHERE requests.flow = $1),
            told AS (
                UPDATE meta SET value = (value::bigint + 1)::text FROM renamed WHERE meta.name = 'schedule')
            SELECT EXISTS (SELECT 1 FROM taken), EXISTS (SELECT 1 FROM renamed)";
        let done = row(self, RENAME, &[&text(old), &text(new)]).await?;
        match (done.try_get(0)?, done.try_get(1)?) {
            (true, _) => Err(StoreError::NameTaken(new.to_owned()).into()),
            (false, false) => Err(StoreError::Unknown(old.to_owned()).into()),
            (false, true) => Ok(()),
        }
    }

    /// Deletes what is older than it is kept. Returns how many runs are deleted.
    pub(in crate::store) async fn prune(&mut self, retention: &Retention) -> Result<usize, Failure> {
        let tx = self.transaction().await?;
        // It may be much, and nobody waits for it.
        tx.batch_execute("SET LOCAL statement_timeout = '5min'").await?;
        execute(&tx, PRUNE_BYTES, &[&to_db(retention.message_bytes)]).await?;
        execute(&tx, PRUNE_ANSWERS, &[&to_db(retention.answers)]).await?;
        execute(&tx, "DELETE FROM sends WHERE at < $1", &[&to_db(retention.answers)]).await?;
        let old = to_db(retention.history);
        execute(&tx, PRUNE_OWN_MAILS, &[&old]).await?;
        let locked = ids_of(&rows(&tx, OLD_RUNS, &[&old]).await?)?;
        let runs = ids_of(&rows(&tx, STILL_OVER, &[&locked]).await?)?;
        execute(&tx, "DELETE FROM mails WHERE run = ANY($1)", &[&runs]).await?;
        execute(&tx, "DELETE FROM runs WHERE id = ANY($1)", &[&runs]).await?;
        tx.commit().await?;
        Ok(runs.len())
    }
}
