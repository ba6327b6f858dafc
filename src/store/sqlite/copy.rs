//! The whole state given to another backend, or taken from one.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{ToSql, Transaction, params, params_from_iter};
use tokio::sync::mpsc;

use super::{Database, Failure};
use crate::store::copy::{Gatherer, NUMBERED, Piece, TABLES, Table, Value, text};
use crate::store::{Home, StoreError};

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl Database {
    /// Gives every row away, as they are at one moment.
    pub(in crate::store) fn give_all(&mut self, send: &mpsc::Sender<Piece>) -> Result<(), Failure> {
        let give = |piece| send.blocking_send(piece).map_err(|_| Failure::from(StoreError::Stopped));
        let tx = self.db.transaction()?;
        for (index, table) in TABLES.iter().enumerate() {
            give_table(&tx, table, |rows| give(Piece::Rows(index, rows)))?;
        }
        for (index, table) in NUMBERED.iter().enumerate() {
            let last = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?1";
            give(Piece::LastNumber(index, tx.query_row(last, [table], |row| row.get(0))?))?;
        }
        give(Piece::End)
    }

    /// Takes every row, all or nothing.
    pub(in crate::store) fn take_all(&mut self, receive: &mut mpsc::Receiver<Piece>) -> Result<(), Failure> {
        let tx = self.db.transaction()?;
        tx.pragma_update(None, "defer_foreign_keys", true)?;
        for table in TABLES.iter().filter(|table| table.name != "meta") {
            if tx.prepare(&format!("SELECT 1 FROM {}", table.name))?.exists([])? {
                return Err(StoreError::NotEmpty(Home::Folder).into());
            }
        }
        tx.execute("DELETE FROM meta", [])?;
        loop {
            match receive.blocking_recv() {
                Some(Piece::Rows(index, rows)) => take_rows(&tx, &TABLES[index], rows)?,
                Some(Piece::LastNumber(index, last)) => {
                    tx.execute("DELETE FROM sqlite_sequence WHERE name = ?1", [NUMBERED[index]])?;
                    let set = "INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)";
                    tx.execute(set, params![NUMBERED[index], last])?;
                }
                Some(Piece::End) => break,
                None => return Err(StoreError::Stopped.into()),
            }
        }
        tx.commit()?;
        Ok(())
    }
}

fn give_table(
    tx: &Transaction<'_>,
    table: &Table,
    mut give: impl FnMut(Vec<Vec<Value>>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let ask = format!("SELECT {} FROM {} ORDER BY {}", table.list(), table.name, table.order);
    let mut ask = tx.prepare(&ask)?;
    let mut found = ask.query([])?;
    let mut gatherer = Gatherer::default();
    while let Some(row) = found.next()? {
        let value = |index| {
            Ok(match row.get_ref(index)? {
                ValueRef::Integer(number) => Value::Integer(number),
                ValueRef::Text(bytes) => text(&String::from_utf8_lossy(bytes)),
                ValueRef::Blob(bytes) => Value::Bytes(bytes.to_owned()),
                ValueRef::Null | ValueRef::Real(_) => Value::Null,
            })
        };
        let row: Vec<Value> = (0..table.columns.len()).map(value).collect::<rusqlite::Result<_>>()?;
        if let Some(rows) = gatherer.add(row) {
            give(rows)?;
        }
    }
    give(gatherer.take())
}

fn take_rows(tx: &Transaction<'_>, table: &Table, rows: Vec<Vec<Value>>) -> Result<(), Failure> {
    let places = vec!["?"; table.columns.len()].join(", ");
    let insert = format!("INSERT INTO {} ({}) VALUES ({places})", table.name, table.list());
    let mut insert = tx.prepare_cached(&insert)?;
    for row in rows {
        insert.execute(params_from_iter(row))?;
    }
    Ok(())
}
