//! What an error of `SQLite` means for who asked.

use std::path::PathBuf;

use rusqlite::ErrorCode;

use crate::store::error::END_HOLDER;
use crate::store::{Kind, StoreError};

/// Why an operation on the database failed. It keeps the backend's own errors out of what the others see.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) StoreError);

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self(error)
    }
}

impl From<Failure> for StoreError {
    fn from(Failure(error): Failure) -> Self {
        error
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        let (kind, help) = match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                return Self(StoreError::damaged(&error));
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (Kind::Transient, END_HOLDER),
            Some(ErrorCode::DiskFull) => (Kind::Transient, "make room on its disk"),
            Some(ErrorCode::ConstraintViolation) => (Kind::Conflict, "try again"),
            _ => (Kind::Fatal, "check its disk and its file system, and start leadflow again"),
        };
        let database = PathBuf::from("leadflow.db");
        Self(StoreError::Backend { kind, database, message: error.to_string(), help })
    }
}

impl From<rusqlite_migration::Error> for Failure {
    fn from(error: rusqlite_migration::Error) -> Self {
        Self(StoreError::Migration(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::{Connection, Error, ffi};

    use super::*;

    #[test]
    fn every_error_has_its_kind() {
        let code = |code| Error::SqliteFailure(ffi::Error::new(code), None);
        for (error, kind) in [
            (code(ffi::SQLITE_BUSY), Kind::Transient),
            (code(ffi::SQLITE_BUSY_SNAPSHOT), Kind::Transient),
            (code(ffi::SQLITE_LOCKED), Kind::Transient),
            (code(ffi::SQLITE_FULL), Kind::Transient),
            (code(ffi::SQLITE_CONSTRAINT_UNIQUE), Kind::Conflict),
            (code(ffi::SQLITE_CORRUPT), Kind::Fatal),
            (code(ffi::SQLITE_NOTADB), Kind::Fatal),
            (code(ffi::SQLITE_IOERR_FSYNC), Kind::Fatal),
            (code(ffi::SQLITE_READONLY), Kind::Fatal),
            (Error::QueryReturnedNoRows, Kind::Fatal),
        ] {
            let text = error.to_string();
            assert_eq!(StoreError::from(Failure::from(error)).kind(), kind, "{text}");
        }
        let twice = Connection::open_in_memory().unwrap();
        twice.execute_batch("CREATE TABLE t (x UNIQUE); INSERT INTO t VALUES (1)").unwrap();
        let error = twice.execute("INSERT INTO t VALUES (1)", []).unwrap_err();
        assert_eq!(StoreError::from(Failure::from(error)).kind(), Kind::Conflict);
    }
}
