//! The whole state as rows of values, which another backend takes as they are.

mod tables;
#[cfg(test)]
mod tests;

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::{Backend, Store, StoreError};
pub(super) use tables::{Kind, NUMBERED, TABLES, Table};

/// A cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// What goes from one backend to another.
#[derive(Debug)]
pub(super) enum Piece {
    /// Rows of the table at this place among [`TABLES`].
    Rows(usize, Vec<Vec<Value>>),
    /// The last number that a table of [`NUMBERED`] has given.
    LastNumber(usize, i64),
    /// That was all.
    End,
}

/// Rows of a piece, and about as many bytes.
const ROWS: usize = 2_000;
const BYTES: usize = 4 << 20;
/// Pieces that wait for who takes them.
const WAITING: usize = 2;

/// Gathers rows to pieces.
#[derive(Debug, Default)]
pub(super) struct Gatherer {
    rows: Vec<Vec<Value>>,
    bytes: usize,
}

impl Gatherer {
    /// Takes a row; returns those that are enough for a piece.
    pub(super) fn add(&mut self, row: Vec<Value>) -> Option<Vec<Vec<Value>>> {
        let size = |value: &Value| match value {
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::Null | Value::Integer(_) => 8,
        };
        self.bytes += row.iter().map(size).sum::<usize>();
        self.rows.push(row);
        (self.rows.len() >= ROWS || self.bytes >= BYTES).then(|| self.take())
    }

    /// What is left.
    pub(super) fn take(&mut self) -> Vec<Vec<Value>> {
        self.bytes = 0;
        std::mem::take(&mut self.rows)
    }
}

/// A text as every backend keeps it.
pub(super) fn text(text: &str) -> Value {
    Value::Text(text.replace('\0', "\u{fffd}"))
}

/// What a table holds: two of the same rows are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDigest {
    /// The table.
    pub table: &'static str,
    /// How many rows it has.
    pub rows: u64,
    /// Of all its rows in their order.
    pub digest: [u8; 32],
}

impl Store {
    /// Copies every row of another state into this one, which has none: all or nothing.
    ///
    /// # Errors
    /// [`StoreError::NotEmpty`]; and as every operation, for either of them.
    pub async fn copy_from(&self, source: &Self) -> Result<(), StoreError> {
        let (send, receive) = mpsc::channel(WAITING);
        let (given, taken) = tokio::join!(source.give_all(send), self.take_all(receive));
        // Who cannot go on ends the other, too: the one who failed says why.
        match (given, taken) {
            (Err(StoreError::Stopped) | Ok(()), Err(error)) | (Err(error), _) => Err(error),
            (Ok(()), Ok(())) => Ok(()),
        }
    }

    /// What each table holds, and the last numbers that were given, by which a copy is held against its original.
    ///
    /// # Errors
    /// As every operation.
    pub async fn digests(&self) -> Result<(Vec<TableDigest>, Vec<i64>), StoreError> {
        let (send, mut receive) = mpsc::channel(WAITING);
        let read = async {
            let mut hashes = vec![(0, Sha256::new()); TABLES.len()];
            let mut numbers = vec![0; NUMBERED.len()];
            while let Some(piece) = receive.recv().await {
                match piece {
                    Piece::Rows(table, rows) => {
                        let (count, hash) = &mut hashes[table];
                        *count += rows.len() as u64;
                        rows.iter().flatten().for_each(|value| digest(hash, value));
                    }
                    Piece::LastNumber(table, last) => numbers[table] = last,
                    Piece::End => {}
                }
            }
            (hashes, numbers)
        };
        let (given, (hashes, numbers)) = tokio::join!(self.give_all(send), read);
        given?;
        let digests = TABLES.iter().zip(hashes).map(|(table, (rows, hash))| TableDigest {
            table: table.name,
            rows,
            digest: hash.finalize().into(),
        });
        Ok((digests.collect(), numbers))
    }

    async fn give_all(&self, send: mpsc::Sender<Piece>) -> Result<(), StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.call(move |db| db.give_all(&send)).await,
            Backend::Postgres(postgres) => {
                postgres.call_for_copy(async move |db| db.give_all(&send).await).await
            }
        }
    }

    async fn take_all(&self, mut receive: mpsc::Receiver<Piece>) -> Result<(), StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.call(move |db| db.take_all(&mut receive)).await,
            Backend::Postgres(postgres) => {
                postgres.call_for_copy(async move |db| db.take_all(&mut receive).await).await
            }
        }
    }
}

fn digest(hash: &mut Sha256, value: &Value) {
    let (mark, bytes): (u8, &[u8]) = match value {
        Value::Null => (0, &[]),
        Value::Integer(number) => (1, &number.to_be_bytes()),
        Value::Text(text) => (2, text.as_bytes()),
        Value::Bytes(bytes) => (3, bytes),
    };
    hash.update([mark]);
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}
