//! Looks for a person in all that statements can read of the database.

use std::borrow::Cow;
use std::pin::pin;

use futures::TryStreamExt as _;
use tokio_postgres::Row;

use super::erasure::Finds;
use super::{Client, Failure, rows};
use crate::store::{AbsenceReport, Place};
use crate::text::foreign;

/// What no statement reaches, and what is so not searched.
const OUT_OF_REACH: &str = "in PostgreSQL, the write-ahead log, the server's log, free space in its files, its standbys and its \
                            backups keep what was deleted until the server writes over or removes it; other machines that \
                            share the state have state folders and mail folders of their own: type the command there, too";

/// Every column of a table that may hold a text, and whether it may be read.
const COLUMNS: &str = "SELECT quote_ident(nspname) || '.' || quote_ident(relname), quote_ident(attname),
        atttypid = 'bytea'::regtype,
        has_schema_privilege(pg_namespace.oid, 'USAGE') AND has_column_privilege(pg_class.oid, attnum, 'SELECT')
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
        JOIN pg_type ON pg_type.oid = atttypid
    WHERE relkind IN ('r', 'm') AND attnum > 0 AND NOT attisdropped
        AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'
        AND (typcategory IN ('S', 'A') OR typname IN ('bytea', 'json', 'jsonb', 'xml', 'hstore'))
    ORDER BY 1, attnum";

/// What the server notes of the values of columns, for its plans.
const NOTED: &str = "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename), quote_ident(attname),
        concat_ws(' ', most_common_vals::text, histogram_bounds::text, most_common_elems::text)
    FROM pg_stats WHERE schemaname <> 'information_schema' AND schemaname NOT LIKE 'pg\\_%'";

/// What the server says of something that cannot be read.
const SHOWN: usize = 200;

/// A column that may hold a text.
struct Column {
    name: String,
    is_bytes: bool,
}

impl Client {
    /// Looks through every column of every table that may hold a text.
    pub(in crate::store) async fn prove_absent(&self, is_found: Finds<'_>) -> Result<AbsenceReport, Failure> {
        let mut report = AbsenceReport { out_of_reach: Some(OUT_OF_REACH), ..AbsenceReport::default() };
        let mut tables: Vec<(String, Vec<Column>)> = Vec::new();
        for row in rows(self, COLUMNS, &[]).await? {
            let (table, name): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            if !row.try_get::<_, bool>(3)? {
                let why = "this user may not read it".to_owned();
                report.unreadable.push((Place::Column { table, column: name }, why));
                continue;
            }
            let column = Column { name, is_bytes: row.try_get(2)? };
            match tables.last_mut() {
                Some((last, columns)) if *last == table => columns.push(column),
                _ => tables.push((table, vec![column])),
            }
        }
        let look = async {
            for (table, columns) in &tables {
                self.look_through(table, columns, is_found, &mut report).await?;
            }
            Ok(())
        };
        self.patiently(look).await?;
        for row in rows(self, NOTED, &[]).await? {
            if is_found(row.try_get(2)?) {
                found_in(&mut report, row.try_get(0)?, row.try_get(1)?);
            }
        }
        Ok(report)
    }

    async fn look_through(
        &self,
        table: &str,
        columns: &[Column],
        is_found: Finds<'_>,
        report: &mut AbsenceReport,
    ) -> Result<(), Failure> {
        let text =
            |column: &Column| format!("{}{}", column.name, if column.is_bytes { "" } else { "::text" });
        let names: Vec<String> = columns.iter().map(text).collect();
        let look = format!("SELECT {} FROM {table}", names.join(", "));
        let looked = self.each_row(&look, |row| {
            for (at, column) in columns.iter().enumerate() {
                let text: Option<Cow<'_, str>> = if column.is_bytes {
                    row.try_get::<_, Option<&[u8]>>(at)?.map(String::from_utf8_lossy)
                } else {
                    row.try_get::<_, Option<&str>>(at)?.map(Cow::Borrowed)
                };
                let Some(text) = text else { continue };
                report.bytes += text.len() as u64;
                if is_found(&text) {
                    found_in(report, table, &column.name);
                }
            }
            Ok(())
        });
        match looked.await {
            Ok(()) => report.columns += columns.len(),
            // The table is gone meanwhile, or the like; the others can be read.
            Err(Failure::Database(error)) if error.as_db_error().is_some() && !self.is_closed() => {
                let why = error.as_db_error().map_or("", |error| error.message());
                let place = Place::Column { table: table.to_owned(), column: names.join(", ") };
                report.unreadable.push((place, foreign::line(why, SHOWN)));
            }
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    /// Takes each row as it comes, so that no table is in memory.
    async fn each_row(
        &self,
        look: &str,
        mut take: impl FnMut(&Row) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut all = pin!(self.query_raw(look, std::iter::empty::<&str>()).await?);
        while let Some(row) = all.try_next().await? {
            take(&row)?;
        }
        Ok(())
    }
}

fn found_in(report: &mut AbsenceReport, table: &str, column: &str) {
    let place = Place::Column { table: table.to_owned(), column: column.to_owned() };
    if !report.left.contains(&place) {
        report.left.push(place);
    }
}
