//! What the state forgets of a person.

use std::io;
use std::path::Path;

use rusqlite::params;
use serde_json::Value;

use super::in_place::FILES;
use super::{Database, Failure};
use crate::platform::pieces::find_in_file;
use crate::store::contents::{FORGOTTEN, FORGOTTEN_JSON, TEXTS, Text};
use crate::store::{AbsenceReport, Place};

impl Database {
    /// The numbers of all mails whose text is kept.
    pub(crate) fn kept_messages(&self) -> Result<Vec<i64>, Failure> {
        let mut ask = self.db.prepare("SELECT DISTINCT mail FROM texts ORDER BY mail")?;
        let found = ask.query_map([], |row| row.get(0))?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// Forgets a mail's text and subject, here and in the history. Returns whether it could: one that
    /// is still to be sent stays.
    pub(crate) fn erase_message(&mut self, mail: i64) -> Result<bool, Failure> {
        let tx = self.db.transaction()?;
        let forget = "UPDATE mails SET subject = ?2 WHERE id = ?1 AND next_try IS NULL AND sending = 0";
        let is_done = tx.execute(forget, params![mail, FORGOTTEN])? > 0;
        if is_done {
            tx.execute("DELETE FROM texts WHERE mail = ?1", [mail])?;
            // The step that rendered it names its subject and, where a template failed, its values.
            tx.execute(
                "UPDATE steps SET outputs = ?2 WHERE name = 'render'
                 AND run = (SELECT run FROM mails WHERE id = ?1)",
                params![mail, FORGOTTEN_JSON],
            )?;
        }
        tx.commit()?;
        Ok(is_done)
    }

    /// Whether the mail is still to be sent, or is being sent.
    pub(crate) fn is_waiting(&self, mail: i64) -> Result<bool, Failure> {
        let mut ask = self
            .db
            .prepare_cached("SELECT 1 FROM mails WHERE id = ?1 AND (next_try IS NOT NULL OR sending = 1)")?;
        Ok(ask.exists([mail])?)
    }

    /// Replaces every text of the history that is found; the subject of a mail that is still to be sent
    /// stays with it. Returns how many there were.
    pub(crate) fn erase_texts(&mut self, is_found: &dyn Fn(&str) -> bool) -> Result<usize, Failure> {
        let mut replaced = 0;
        for text in &TEXTS {
            // Looked for before anything is locked: there may be many.
            let rows = self.rows_with(text, is_found)?;
            if rows.is_empty() {
                continue;
            }
            let Text { table, keys, column, only, instead } = text;
            let picked: Vec<String> = (0..keys.len()).map(|index| format!("value ->> {index}")).collect();
            let replace = format!(
                "UPDATE {table} SET {column} = ?1 WHERE ({}) IN (SELECT {} FROM json_each(?2)) AND ({only})",
                keys.join(", "),
                picked.join(", ")
            );
            replaced += self.db.execute(&replace, params![instead, Value::Array(rows).to_string()])?;
        }
        Ok(replaced)
    }

    /// The keys of the rows whose text is found.
    fn rows_with(&self, text: &Text, is_found: &dyn Fn(&str) -> bool) -> Result<Vec<Value>, Failure> {
        let Text { table, keys, column, only, .. } = text;
        let keys = keys.join(", ");
        let look = format!(
            "SELECT {column}, json_array({keys}) FROM {table} WHERE {column} IS NOT NULL AND \
             ({only})"
        );
        let mut ask = self.db.prepare(&look)?;
        let mut rows = ask.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            if is_found(&row.get::<_, String>(0)?) {
                found.push(serde_json::from_str(&row.get::<_, String>(1)?).unwrap_or_default());
            }
        }
        Ok(found)
    }

    /// Empties the write-ahead log, which still contains what was deleted. Not while another process reads.
    pub(crate) fn purge_remains(&mut self) -> Result<bool, Failure> {
        let busy: i64 = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        Ok(busy == 0)
    }

    /// Looks through the files of the database. Where another program has deleted something from it, that may still
    /// be in pages that are not used: then the whole is written again, which takes as much of the disk once more.
    pub(crate) fn prove_absent(&mut self, is_found: &dyn Fn(&str) -> bool) -> AbsenceReport {
        let Some(files) = &self.files else { return AbsenceReport::default() };
        let folder = files.folder().to_owned();
        let found = look_through(&folder, is_found);
        if found.left.is_empty() || !self.is_written_anew() {
            return found;
        }
        look_through(&folder, is_found)
    }

    fn is_written_anew(&mut self) -> bool {
        self.db.execute_batch("VACUUM").is_ok() && self.purge_remains().unwrap_or_default()
    }
}

fn look_through(folder: &Path, is_found: &dyn Fn(&str) -> bool) -> AbsenceReport {
    let mut absence = AbsenceReport::default();
    for path in FILES.map(|name| folder.join(name)) {
        match find_in_file(&path, is_found) {
            Ok((bytes, is_named)) => {
                absence.files += 1;
                absence.bytes += bytes;
                if is_named {
                    absence.left.push(Place::File(path));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => absence.unreadable.push((Place::File(path), error.to_string())),
        }
    }
    absence
}
