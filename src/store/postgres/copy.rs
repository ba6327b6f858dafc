//! The whole state given to another backend, or taken from one.

use std::pin::pin;

use deadpool_postgres::Transaction;
use futures::TryStreamExt as _;
use tokio::sync::mpsc;
use tokio_postgres::types::ToSql;
use tokio_postgres::{IsolationLevel, Row};
use uuid::Uuid;

use super::{Client, Failure, execute, row};
use crate::store::copy::{Gatherer, Kind, NUMBERED, Piece, TABLES, Table, Value, text};
use crate::store::{Home, StoreError};

/// A copy takes as long as it takes, and nobody begins to work meanwhile.
const ALONE: &str = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;
    LOCK TABLE nodes IN EXCLUSIVE MODE";

/// A column of flows that refers to a table which comes later.
const REFERS_AHEAD: (&str, &str) = ("flows", "source_id");

impl Client {
    /// Gives every row away, as they are at one moment.
    pub(in crate::store) async fn give_all(&mut self, send: &mpsc::Sender<Piece>) -> Result<(), Failure> {
        let give = async |piece| send.send(piece).await.map_err(|_| Failure::from(StoreError::Stopped));
        let tx = self.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start().await?;
        tx.batch_execute(ALONE).await?;
        for (index, table) in TABLES.iter().enumerate() {
            let ask = format!("SELECT {} FROM {} ORDER BY {}", table.list(), table.name, table.order);
            let mut found = pin!(tx.query_raw(&ask, std::iter::empty::<&str>()).await?);
            let mut gatherer = Gatherer::default();
            while let Some(row) = found.try_next().await? {
                if let Some(rows) = gatherer.add(values(&row, table)?) {
                    give(Piece::Rows(index, rows)).await?;
                }
            }
            give(Piece::Rows(index, gatherer.take())).await?;
        }
        for (index, table) in NUMBERED.iter().enumerate() {
            let last =
                "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence($1, 'id')::regclass), 0)";
            give(Piece::LastNumber(index, row(&tx, last, &[table]).await?.try_get(0)?)).await?;
        }
        give(Piece::End).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Takes every row, all or nothing.
    pub(in crate::store) async fn take_all(
        &mut self,
        receive: &mut mpsc::Receiver<Piece>,
    ) -> Result<(), Failure> {
        let tx = self.transaction().await?;
        tx.batch_execute(ALONE).await?;
        let others = TABLES.iter().filter(|table| table.name != "meta");
        let looks: Vec<_> = others.map(|table| format!("EXISTS (SELECT 1 FROM {})", table.name)).collect();
        if row(&tx, &format!("SELECT {}", looks.join(" OR ")), &[]).await?.try_get(0)? {
            return Err(StoreError::NotEmpty(Home::Database).into());
        }
        execute(&tx, "DELETE FROM meta", &[]).await?;
        let mut ahead: Vec<(i64, i64)> = Vec::new();
        loop {
            match receive.recv().await {
                Some(Piece::Rows(index, mut rows)) => {
                    let table = &TABLES[index];
                    if table.name == REFERS_AHEAD.0 {
                        ahead.extend(take_ahead(table, &mut rows));
                    }
                    take_rows(&tx, table, &rows).await?;
                }
                Some(Piece::LastNumber(index, last)) => number_from(&tx, NUMBERED[index], last).await?,
                Some(Piece::End) => break,
                None => return Err(StoreError::Stopped.into()),
            }
        }
        let (flows, sources): (Vec<i64>, Vec<i64>) = ahead.into_iter().unzip();
        let refer = "UPDATE flows SET source_id = known.source FROM unnest($1::bigint[], $2::bigint[]) AS known (flow, source)
            WHERE flows.id = known.flow";
        execute(&tx, refer, &[&flows, &sources]).await?;
        for table in ["flows", "sources"] {
            let last = format!("SELECT coalesce(max(id), 0) FROM {table}");
            number_from(&tx, table, row(&tx, &last, &[]).await?.try_get(0)?).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// The cells of a row that was found.
fn values(row: &Row, table: &Table) -> Result<Vec<Value>, Failure> {
    let value = |(index, (_, kind)): (usize, &(&str, Kind))| {
        let value = match kind {
            Kind::Integer => row.try_get::<_, Option<i64>>(index)?.map(Value::Integer),
            Kind::Boolean => row.try_get::<_, Option<bool>>(index)?.map(|value| Value::Integer(value.into())),
            Kind::Text => row.try_get::<_, Option<&str>>(index)?.map(text),
            Kind::Key => {
                row.try_get::<_, Option<Uuid>>(index)?.map(|key| Value::Bytes(key.as_bytes().to_vec()))
            }
            Kind::Bytes => row.try_get::<_, Option<Vec<u8>>>(index)?.map(Value::Bytes),
        };
        Ok(value.unwrap_or(Value::Null))
    };
    table.columns.iter().enumerate().map(value).collect()
}

/// Takes what refers to a later table out of the rows, by the number of each.
fn take_ahead(table: &Table, rows: &mut [Vec<Value>]) -> Vec<(i64, i64)> {
    let Some(place) = table.columns.iter().position(|(name, _)| *name == REFERS_AHEAD.1) else {
        return Vec::new();
    };
    let mut taken = Vec::new();
    for row in rows {
        if let (Value::Integer(id), Value::Integer(there)) = (&row[0], &row[place]) {
            taken.push((*id, *there));
        }
        row[place] = Value::Null;
    }
    taken
}

async fn take_rows(tx: &Transaction<'_>, table: &Table, rows: &[Vec<Value>]) -> Result<(), Failure> {
    let mut columns: Vec<Box<dyn ToSql + Sync + Send>> = Vec::new();
    let mut types = Vec::new();
    for (index, (_, kind)) in table.columns.iter().enumerate() {
        let cells = rows.iter().map(|row| &row[index]);
        let number = |value: &Value| if let Value::Integer(number) = value { Some(*number) } else { None };
        let bytes = |value: &Value| if let Value::Bytes(bytes) = value { Some(bytes.clone()) } else { None };
        let (column, kind): (Box<dyn ToSql + Sync + Send>, &str) = match kind {
            Kind::Integer => (Box::new(cells.map(number).collect::<Vec<_>>()), "bigint"),
            Kind::Boolean => {
                let flag = |value| number(value).map(|number| number != 0);
                (Box::new(cells.map(flag).collect::<Vec<_>>()), "boolean")
            }
            Kind::Text => {
                let text =
                    |value: &Value| if let Value::Text(text) = value { Some(text.clone()) } else { None };
                (Box::new(cells.map(text).collect::<Vec<_>>()), "text")
            }
            Kind::Key => {
                let key = |value| bytes(value).and_then(|bytes| Uuid::from_slice(&bytes).ok());
                (Box::new(cells.map(key).collect::<Vec<_>>()), "uuid")
            }
            Kind::Bytes => (Box::new(cells.map(bytes).collect::<Vec<_>>()), "bytea"),
        };
        columns.push(column);
        types.push(format!("${}::{kind}[]", index + 1));
    }
    let insert =
        format!("INSERT INTO {} ({}) SELECT * FROM unnest({})", table.name, table.list(), types.join(", "));
    let values: Vec<&(dyn ToSql + Sync)> =
        columns.iter().map(|column| column.as_ref() as &(dyn ToSql + Sync)).collect();
    execute(tx, &insert, &values).await.map(drop)
}

/// The next number of a table is the one after `last`.
async fn number_from(tx: &Transaction<'_>, table: &str, last: i64) -> Result<(), Failure> {
    let set =
        "SELECT setval(pg_get_serial_sequence($1, 'id')::regclass, greatest($2::bigint, 1), $2::bigint > 0)";
    row(tx, set, &[&table, &last]).await.map(drop)
}
