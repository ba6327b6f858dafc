//! What the state can prove of a row, and what it forgets of a person.

use rusqlite::types::Value;
use rusqlite::{OptionalExtension as _, params};

use super::{Store, StoreError};
use crate::rows::row::Key;

/// A run that has handed a row on, and the mail that carried it; `None` for one that was not mailed:
/// it lay before the flow's begin, or was passed over.
pub type HandedOn = (i64, Option<i64>);

/// The tables that a flow reads or has read.
const SOURCES: &str =
    "(SELECT sources.id FROM sources JOIN flows ON flows.id = sources.flow WHERE flows.name = ?1)";

const FORGOTTEN: &str = "(forgotten)";
const FORGOTTEN_JSON: &str = "{\"forgotten\":true}";

/// Texts that may name a person.
struct Text {
    table: &'static str,
    /// Two columns that name the row.
    keys: &'static str,
    column: &'static str,
    /// Which rows.
    only: &'static str,
    instead: &'static str,
}

const fn text(table: &'static str, keys: &'static str, column: &'static str, instead: &'static str) -> Text {
    Text { table, keys, column, only: "1", instead }
}

const TEXTS: [Text; 10] = [
    Text { only: "next_try IS NULL AND sending = 0", ..text("mails", "id, 1", "subject", FORGOTTEN) },
    text("recipients", "mail, position", "reply", FORGOTTEN),
    text("runs", "id, 1", "summary", FORGOTTEN),
    text("runs", "id, 1", "help", FORGOTTEN),
    text("steps", "run, position", "inputs", FORGOTTEN_JSON),
    text("steps", "run, position", "outputs", FORGOTTEN_JSON),
    text("connections", "name, 1", "what", FORGOTTEN),
    text("connections", "name, 1", "help", FORGOTTEN),
    text("alarms", "kind, about", "what", FORGOTTEN),
    text("requests", "id, 1", "answer", FORGOTTEN),
];

impl Store {
    /// What was last done with each of these rows, in their order; `None` for one that is not known.
    ///
    /// # Errors
    /// When the database fails.
    pub fn handed_on(&self, flow: &str, keys: &[Key]) -> Result<Vec<Option<HandedOn>>, StoreError> {
        // Of whichever table it has read: a row that was copied to another one is the same lead.
        let mut ask = self.db.prepare_cached(&format!(
            "SELECT run, mail FROM keys WHERE source IN {SOURCES} AND key = ?2 ORDER BY run DESC LIMIT 1"
        ))?;
        let of = |key: &Key| {
            Ok(ask.query_row(params![flow, key.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
        };
        keys.iter().map(of).collect()
    }

    /// Everything that was done with a row, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn proofs(&self, flow: &str, key: Key) -> Result<Vec<HandedOn>, StoreError> {
        let mut ask = self.db.prepare_cached(&format!(
            "SELECT run, mail FROM earlier WHERE source IN {SOURCES} AND key = ?2
             UNION SELECT run, mail FROM keys WHERE source IN {SOURCES} AND key = ?2
             ORDER BY run"
        ))?;
        let found = ask.query_map(params![flow, key.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// The numbers of all mails whose text is kept.
    ///
    /// # Errors
    /// When the database fails.
    pub fn kept_mails(&self) -> Result<Vec<i64>, StoreError> {
        let mut ask = self.db.prepare("SELECT DISTINCT mail FROM texts ORDER BY mail")?;
        let found = ask.query_map([], |row| row.get(0))?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// Forgets a mail's text and subject, here and in the history. Returns whether it could: one that
    /// is still to be sent stays.
    ///
    /// # Errors
    /// When the database fails.
    pub fn forget_mail(&mut self, mail: i64) -> Result<bool, StoreError> {
        let tx = self.db.transaction()?;
        let forget = "UPDATE mails SET subject = '(forgotten)'
            WHERE id = ?1 AND next_try IS NULL AND sending = 0";
        let is_done = tx.execute(forget, [mail])? > 0;
        if is_done {
            tx.execute("DELETE FROM texts WHERE mail = ?1", [mail])?;
            // The step that rendered it names its subject and, where a template failed, its values.
            tx.execute(
                "UPDATE steps SET outputs = '{\"forgotten\":true}' WHERE name = 'render'
                 AND run = (SELECT run FROM mails WHERE id = ?1)",
                [mail],
            )?;
        }
        tx.commit()?;
        Ok(is_done)
    }

    /// Whether the mail is still to be sent, or is being sent.
    ///
    /// # Errors
    /// When the database fails.
    pub fn is_waiting(&self, mail: i64) -> Result<bool, StoreError> {
        let mut ask = self
            .db
            .prepare_cached("SELECT 1 FROM mails WHERE id = ?1 AND (next_try IS NOT NULL OR sending = 1)")?;
        Ok(ask.exists([mail])?)
    }

    /// Replaces every text of the history that is found; the subject of a mail that is still to be sent
    /// stays with it. Returns how many there were.
    ///
    /// # Errors
    /// When the database fails.
    pub fn forget_texts(&mut self, is_found: impl Fn(&str) -> bool) -> Result<usize, StoreError> {
        let mut replaced = 0;
        for Text { table, keys, column, only, instead } in TEXTS {
            let mut found: Vec<(Value, Value)> = Vec::new();
            {
                // Looked for before anything is locked: there may be many.
                let look =
                    format!("SELECT {column}, {keys} FROM {table} WHERE {column} IS NOT NULL AND {only}");
                let mut ask = self.db.prepare(&look)?;
                let mut rows = ask.query([])?;
                while let Some(row) = rows.next()? {
                    if is_found(&row.get::<_, String>(0)?) {
                        found.push((row.get(1)?, row.get(2)?));
                    }
                }
            }
            let replace = format!("UPDATE {table} SET {column} = ?1 WHERE ({keys}) = (?2, ?3) AND {only}");
            for (first, second) in found {
                replaced += self.db.execute(&replace, params![instead, first, second])?;
            }
        }
        Ok(replaced)
    }

    /// Writes the whole database anew, without what stands in pages that are not used any more. It takes as
    /// much of the disk once more, and writers wait for its end.
    ///
    /// # Errors
    /// When another process writes for too long, the disk is full, or the database fails.
    pub fn write_anew(&self) -> Result<(), StoreError> {
        Ok(self.db.execute_batch("VACUUM")?)
    }

    /// Empties the write-ahead log, in which what was deleted still stands. Returns whether it could:
    /// not while another process reads.
    ///
    /// # Errors
    /// When the database fails.
    pub fn empty_log(&self) -> Result<bool, StoreError> {
        let busy: i64 = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        Ok(busy == 0)
    }
}
