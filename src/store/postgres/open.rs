//! Looks at the tables of the database, makes them, and brings them to the schema of this version.

use std::fmt::Write as _;

use super::connect::SESSION;
use super::failure::{create_schema, quoted};
use super::{Client, Failure, execute, maybe_row, row};
use crate::store::copy::{TABLES, Table};

/// The schema of this version.
const SCHEMA: i32 = 2;

/// What leads from one schema to the next, and its name.
pub(super) const MIGRATIONS: [(&str, &str); SCHEMA as usize] =
    [("state", include_str!("migrations/1.sql")), ("asked_by", include_str!("migrations/2.sql"))];

/// What the versions are kept in. Its name and form are those of the library that the first releases used.
const HISTORY: &str = "refinery_schema_history";
pub(super) const HISTORY_TABLE: &str =
    "CREATE TABLE IF NOT EXISTS refinery_schema_history (version int4 PRIMARY KEY,
    name varchar(255), applied_on varchar(255), checksum varchar(255))";

/// Tables that every schema has, and hardly another program.
const OURS: [&str; 4] = ["flows", "keys", "mails", "recipients"];

/// One process at a time brings a database on.
const LOCK: i64 = 0x6c65_6164_666c_6f77;

/// What there is of a state.
pub(super) enum Schema {
    /// That of this version.
    There,
    /// None, and none is to be made.
    Missing,
    /// None, or one of an earlier version.
    ToBeMade,
}

impl Client {
    /// Whether the tables are there, or are to be made or brought to this version.
    pub(super) async fn look_at_schema(&mut self, is_to_be_made: bool) -> Result<Schema, Failure> {
        match self.schema().await? {
            Some(SCHEMA) => Ok(Schema::There),
            Some(later) if later > SCHEMA => Err(later_schema(later)),
            Some(_) => Ok(Schema::ToBeMade),
            None if !is_to_be_made => Ok(Schema::Missing),
            None => self.check_is_free().await.map(|()| Schema::ToBeMade),
        }
    }

    /// Makes the tables, or brings them to this version. Several processes may be at it at the same moment.
    pub(super) async fn migrate(&mut self) -> Result<(), Failure> {
        // Tables that others use are waited for, and much may have to be written anew.
        self.batch_execute("SET lock_timeout = '60s'; SET statement_timeout = 0").await?;
        execute(self, "SELECT pg_advisory_lock($1)", &[&LOCK]).await?;
        let done = self.apply_migrations().await;
        execute(self, "SELECT pg_advisory_unlock($1)", &[&LOCK]).await?;
        self.batch_execute(SESSION).await?;
        done
    }

    /// Whether there is a state of this version.
    pub(super) async fn check_schema_to_read(&mut self) -> Result<bool, Failure> {
        match self.schema().await? {
            Some(SCHEMA) => Ok(true),
            Some(later) if later > SCHEMA => Err(later_schema(later)),
            Some(earlier) => Err(earlier_schema(earlier)),
            None => Ok(false),
        }
    }

    /// Writes no row into each table, or makes a table and undoes it: the server says what keeps this role from it.
    pub(super) async fn try_to_write(&mut self) -> Result<(), Failure> {
        let statements = match self.schema().await? {
            None => "CREATE TABLE leadflow_may_make_tables (x int)".to_owned(),
            Some(_) => TABLES.iter().fold(String::new(), |mut text, Table { name, .. }| {
                let _ = write!(
                    text,
                    "INSERT INTO {name} SELECT * FROM {name} WHERE false; DELETE FROM {name} WHERE false;"
                );
                text
            }),
        };
        Ok(self.batch_execute(&format!("BEGIN; {statements}; ROLLBACK")).await?)
    }

    /// Each in a transaction, with its line in the history.
    async fn apply_migrations(&mut self) -> Result<(), Failure> {
        self.batch_execute(HISTORY_TABLE).await?;
        let made = self.schema().await?.unwrap_or_default();
        for (version, (name, text)) in (1..).zip(MIGRATIONS).filter(|(version, _)| *version > made) {
            let change = self.transaction().await?;
            change.batch_execute(text).await?;
            let line = "INSERT INTO refinery_schema_history (version, name, applied_on) VALUES ($1, $2, now()::text)";
            change.execute(line, &[&version, &name]).await?;
            change.commit().await?;
        }
        Ok(())
    }

    /// The newest schema that was made; `None` where there is none.
    async fn schema(&mut self) -> Result<Option<i32>, Failure> {
        let ask = "SELECT current_schema()::text, to_regclass($1)::text, current_user::text";
        let place = row(self, ask, &[&HISTORY]).await?;
        let (schema, history): (Option<String>, Option<String>) = (place.get(0), place.get(1));
        if schema.is_none() {
            return Err(Failure::Refused {
                what: "its search path names no schema that is there".to_owned(),
                help: create_schema(&quoted(place.get(2))),
            });
        }
        if history.is_none() {
            return Ok(None);
        }
        let found = maybe_row(self, "SELECT max(version) FROM refinery_schema_history", &[]).await?;
        Ok(found.and_then(|row| row.get(0)))
    }

    /// That no other program has tables of these names.
    async fn check_is_free(&mut self) -> Result<(), Failure> {
        let ask = "SELECT relname::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace
            AND relname = ANY ($1) AND to_regclass($2) IS NULL LIMIT 1";
        // Another process may have begun to make them since there was no history.
        let Some(found) = maybe_row(self, ask, &[&OURS.as_slice(), &HISTORY]).await? else { return Ok(()) };
        let table: String = found.get(0);
        Err(Failure::Refused {
            what: format!("it has a table `{table}` of another program"),
            help: "name a database of its own in `settings.postgres`; nothing was changed".to_owned(),
        })
    }
}

fn later_schema(schema: i32) -> Failure {
    Failure::Refused {
        what: format!(
            "it was written by a later leadflow (its schema is {schema}; this one, leadflow {}, supports up to {SCHEMA})",
            env!("CARGO_PKG_VERSION")
        ),
        help: "install the later leadflow on this machine, too; nothing was changed".to_owned(),
    }
}

fn earlier_schema(schema: i32) -> Failure {
    Failure::Refused { what: format!("it is still one of an earlier leadflow (its schema is {schema}, this one reads {SCHEMA})"),
        help: "start leadflow, or restart it if it runs (sudo systemctl restart leadflow), which upgrades the state; nothing was \
               changed"
            .to_owned(), }
}
