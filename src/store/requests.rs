//! What commands leave for the daemon, which reads it at each tick.

use jiff::Timestamp;
use rusqlite::params;

use super::{Store, StoreError, to_db};

/// Something that a command asks of the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `leadflow off FLOW`.
    Off(String),
    /// `leadflow on FLOW`.
    On(String),
}

impl Store {
    /// Leaves a request for the daemon and returns its number.
    ///
    /// # Errors
    /// When the database fails.
    pub fn leave_request(&mut self, request: &Request, now: Timestamp) -> Result<i64, StoreError> {
        let (kind, flow) = match request {
            Request::Off(flow) => ("off", flow),
            Request::On(flow) => ("on", flow),
        };
        self.db.execute(
            "INSERT INTO requests (kind, flow, created) VALUES (?1, ?2, ?3)",
            params![kind, flow, to_db(now)],
        )?;
        Ok(self.db.last_insert_rowid())
    }

    /// The requests in their order; those of a kind that this version does not know are left alone.
    ///
    /// # Errors
    /// When the database fails.
    pub fn requests(&self) -> Result<Vec<(i64, Request)>, StoreError> {
        let mut ask = self.db.prepare_cached("SELECT id, kind, flow FROM requests ORDER BY id")?;
        let rows = ask.query_map([], |row| {
            let (id, kind, flow): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(match kind.as_str() {
                "off" => Some((id, Request::Off(flow))),
                "on" => Some((id, Request::On(flow))),
                _ => None,
            })
        })?;
        Ok(rows.filter_map(Result::transpose).collect::<Result<_, _>>()?)
    }

    /// Fulfils a request: does what it says, then takes it away. Doing it twice does no harm.
    ///
    /// # Errors
    /// When the database fails.
    pub fn fulfil(&mut self, id: i64, request: &Request, now: Timestamp) -> Result<(), StoreError> {
        match request {
            Request::Off(flow) => self.set_off(flow, Some(now), now)?,
            Request::On(flow) => self.set_off(flow, None, now)?,
        }
        self.db.execute("DELETE FROM requests WHERE id = ?1", [id])?;
        Ok(())
    }

    /// Fulfils every request, for a command that works on the state itself.
    ///
    /// # Errors
    /// When the database fails.
    pub fn fulfil_all(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.requests()?.iter().try_for_each(|(id, request)| self.fulfil(*id, request, now))
    }

    /// Whether the request still waits.
    ///
    /// # Errors
    /// When the database fails.
    pub fn request_waits(&self, id: i64) -> Result<bool, StoreError> {
        Ok(self.db.prepare_cached("SELECT 1 FROM requests WHERE id = ?1")?.exists([id])?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_fulfilled_and_gone() {
        let folder = tempfile::tempdir().unwrap();
        let now: Timestamp = "2026-01-05T08:00:00Z".parse().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        let off = Request::Off("leads".to_owned());
        let id = store.leave_request(&off, now).unwrap();
        assert_eq!(Store::open(folder.path()).unwrap().requests().unwrap(), [(id, off.clone())]);
        store.fulfil(id, &off, now).unwrap();
        assert!(!store.request_waits(id).unwrap());
        assert_eq!(store.off_since("leads").unwrap(), Some(now));
        assert!(store.requests().unwrap().is_empty());
    }
}
