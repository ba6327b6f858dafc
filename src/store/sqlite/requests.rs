//! What commands leave for the daemon, which reads it at each tick.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, params};
use serde_json::{Value, json};

use super::{Store, StoreError, from_db, to_db};
use crate::history::{Cause, Range};
use crate::outbox::Redirect;

/// Something that a command asks of the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `leadflow off FLOW`.
    Off(String),
    /// `leadflow on FLOW`.
    On(String),
    /// `leadflow trigger`, `resubmit` and `replay`.
    Run {
        /// The flow's name.
        flow: String,
        /// Which of the three.
        cause: Cause,
        /// Which rows.
        range: Range,
    },
    /// `leadflow outbox retry`: one mail, or all that wait or are held.
    Retry(Option<i64>),
    /// `leadflow outbox drop`.
    Drop(i64),
    /// `leadflow outbox send`.
    Send(i64, Redirect),
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The daemon has not come to it yet.
    Waits,
    /// It began this run.
    Run(i64),
    /// It was refused, in a sentence.
    Refused(String),
    /// It is done.
    Done,
}

impl Request {
    fn kind(&self) -> &'static str {
        match self {
            Self::Off(_) => "off",
            Self::On(_) => "on",
            Self::Run { .. } => "run",
            Self::Retry(_) => "retry",
            Self::Drop(_) => "drop",
            Self::Send(..) => "send",
        }
    }

    fn flow(&self) -> &str {
        match self {
            Self::Off(flow) | Self::On(flow) | Self::Run { flow, .. } => flow,
            Self::Retry(_) | Self::Drop(_) | Self::Send(..) => "",
        }
    }

    fn about(&self) -> Value {
        match self {
            Self::Off(_) | Self::On(_) => json!({}),
            Self::Retry(mail) => json!({ "mail": mail }),
            Self::Drop(mail) => json!({ "mail": mail }),
            Self::Send(mail, Redirect { to, instead_of }) => {
                json!({ "mail": mail, "to": to, "instead_of": instead_of })
            }
            Self::Run { cause, range: Range::New, .. } => json!({ "cause": cause.word() }),
            Self::Run { cause, range: Range::Past { from, to, again }, .. } => {
                json!({ "cause": cause.word(), "from": to_db(*from), "to": to_db(*to), "again": again })
            }
        }
    }

    /// `None` for a kind that this version does not know.
    fn of(kind: &str, flow: String, about: &Value) -> Option<Self> {
        let moment = |name: &str| about[name].as_i64().map(from_db);
        Some(match kind {
            "off" => Self::Off(flow),
            "on" => Self::On(flow),
            "retry" => Self::Retry(about["mail"].as_i64()),
            "drop" => Self::Drop(about["mail"].as_i64()?),
            "send" => {
                let to =
                    about["to"].as_array()?.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                let instead_of = about["instead_of"].as_str().map(str::to_owned);
                Self::Send(about["mail"].as_i64()?, Redirect { to, instead_of })
            }
            "run" => {
                let cause = Cause::of_word(about["cause"].as_str()?)?;
                let range = match (moment("from"), moment("to")) {
                    (Some(from), Some(to)) => Range::Past { from, to, again: about["again"] == true },
                    _ => Range::New,
                };
                Self::Run { flow, cause, range }
            }
            _ => return None,
        })
    }
}

impl Store {
    /// Leaves a request for the daemon and returns its number.
    ///
    /// # Errors
    /// When the database fails.
    pub fn leave_request(&mut self, request: &Request, now: Timestamp) -> Result<i64, StoreError> {
        self.db.execute(
            "INSERT INTO requests (kind, flow, about, created) VALUES (?1, ?2, ?3, ?4)",
            params![request.kind(), request.flow(), request.about().to_string(), to_db(now)],
        )?;
        Ok(self.db.last_insert_rowid())
    }

    /// The requests that wait, in their order; those of a kind that this version does not know are
    /// left alone.
    ///
    /// # Errors
    /// When the database fails.
    pub fn requests(&self) -> Result<Vec<(i64, Request)>, StoreError> {
        let mut ask = self.db.prepare_cached(
            "SELECT id, kind, flow, about FROM requests WHERE run IS NULL AND answer IS NULL ORDER BY id",
        )?;
        let rows = ask.query_map([], |row| {
            let (kind, about): (String, String) = (row.get(1)?, row.get(3)?);
            let about = serde_json::from_str(&about).unwrap_or_default();
            Ok(Request::of(&kind, row.get(2)?, &about).map(|request| (row.get(0), request)))
        })?;
        let mut found = Vec::new();
        for row in rows {
            if let Some((id, request)) = row? {
                found.push((id?, request));
            }
        }
        Ok(found)
    }

    /// Does what a request says that needs no run, then takes it away. Doing it twice does no harm.
    ///
    /// # Errors
    /// When the database fails.
    pub fn fulfil(&mut self, id: i64, request: &Request, now: Timestamp) -> Result<(), StoreError> {
        match request {
            Request::Off(flow) => self.set_off(flow, Some(now), now)?,
            Request::On(flow) => self.set_off(flow, None, now)?,
            Request::Retry(mail) => drop(self.retry(*mail, now)?),
            Request::Drop(mail) => drop(self.drop_mail(*mail)?),
            Request::Send(mail, redirect) => drop(self.redirect(*mail, redirect, now)?),
            Request::Run { .. } => return Ok(()),
        }
        self.db.execute("DELETE FROM requests WHERE id = ?1", [id])?;
        Ok(())
    }

    /// Fulfils every request that needs no run, for a command that works on the state itself.
    ///
    /// # Errors
    /// When the database fails.
    pub fn fulfil_all(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.requests()?.iter().try_for_each(|(id, request)| self.fulfil(*id, request, now))
    }

    /// Refuses a request.
    ///
    /// # Errors
    /// When the database fails.
    pub fn refuse_request(&mut self, id: i64, answer: &str) -> Result<(), StoreError> {
        self.db.execute("UPDATE requests SET answer = ?2 WHERE id = ?1", params![id, answer])?;
        Ok(())
    }

    /// What became of a request.
    ///
    /// # Errors
    /// When the database fails.
    pub fn answer(&self, id: i64) -> Result<Answer, StoreError> {
        let mut ask = self.db.prepare_cached("SELECT run, answer FROM requests WHERE id = ?1")?;
        let found: Option<(Option<i64>, Option<String>)> =
            ask.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        Ok(match found {
            None => Answer::Done,
            Some((Some(run), _)) => Answer::Run(run),
            Some((None, Some(answer))) => Answer::Refused(answer),
            Some((None, None)) => Answer::Waits,
        })
    }

    /// Forgets the requests that were answered before this moment.
    ///
    /// # Errors
    /// When the database fails.
    pub fn forget_answered(&mut self, before: Timestamp) -> Result<(), StoreError> {
        let old = "DELETE FROM requests WHERE (run IS NOT NULL OR answer IS NOT NULL) AND created < ?1";
        self.db.execute(old, [to_db(before)])?;
        Ok(())
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
        assert_eq!(store.answer(id).unwrap(), Answer::Waits);
        store.fulfil(id, &off, now).unwrap();
        assert_eq!(store.answer(id).unwrap(), Answer::Done);
        assert_eq!(store.off_since("leads").unwrap(), Some(now));
        assert!(store.requests().unwrap().is_empty());
    }

    #[test]
    fn every_request_comes_back_as_it_was_left() {
        let folder = tempfile::tempdir().unwrap();
        let now: Timestamp = "2026-01-05T08:00:00Z".parse().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        let flow = || "leads".to_owned();
        let past = Range::Past { from: now, to: now, again: true };
        let all = [
            Request::On(flow()),
            Request::Run { flow: flow(), cause: Cause::Trigger, range: Range::New },
            Request::Run { flow: flow(), cause: Cause::Replay, range: past },
            Request::Retry(None),
            Request::Retry(Some(7)),
            Request::Drop(8),
            Request::Send(9, Redirect { to: vec!["a@b.example".to_owned()], instead_of: None }),
            Request::Send(9, Redirect { to: vec![], instead_of: Some("c@b.example".to_owned()) }),
        ];
        for request in &all {
            store.leave_request(request, now).unwrap();
        }
        let found: Vec<_> = store.requests().unwrap().into_iter().map(|(_, request)| request).collect();
        assert_eq!(found, all);
        store.refuse_request(2, "no").unwrap();
        assert_eq!(store.answer(2).unwrap(), Answer::Refused("no".to_owned()));
        store.forget_answered(now + jiff::SignedDuration::from_secs(1)).unwrap();
        assert_eq!(store.requests().unwrap().len(), all.len() - 1);
    }
}
