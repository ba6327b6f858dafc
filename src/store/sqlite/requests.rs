//! The table `requests`; its column `about` has the arguments of a request.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::flows::set_off;
use super::outbox_admin::{drop_mail, redirect, retry};
use super::{Database, Failure, to_db};
use crate::store::{Answer, QueuedRequest, Request};

impl Database {
    /// Leaves a request for the daemon and returns its number.
    pub(crate) fn add_request(
        &mut self,
        request: &Request,
        asked_by: &str,
        now: Timestamp,
    ) -> Result<i64, Failure> {
        let about = request.arguments().to_string();
        self.db.execute(
            "INSERT INTO requests (kind, flow, about, created, asked_by) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![request.kind(), request.flow(), about, to_db(now), asked_by],
        )?;
        Ok(self.db.last_insert_rowid())
    }

    /// Takes the requests that wait, in their order; what needs no run is done and taken away, all or nothing. What
    /// can not be done now is refused.
    pub(crate) fn take_requests(&mut self, now: Timestamp) -> Result<Vec<QueuedRequest>, Failure> {
        let requests = self.requests()?;
        if requests.iter().all(|one| matches!(one.request, Request::Run { .. })) {
            return Ok(requests);
        }
        let tx = self.db.transaction()?;
        let mut taken = Vec::new();
        for queued in requests {
            if let Some(why) = refusal(&tx, &queued.request)? {
                refuse(&tx, queued.id, &why)?;
            } else {
                fulfil(&tx, &queued, now)?;
                taken.push(queued);
            }
        }
        tx.commit()?;
        Ok(taken)
    }

    /// The requests that wait, in their order; those of a kind that this version does not know are
    /// left alone.
    pub(super) fn requests(&self) -> Result<Vec<QueuedRequest>, Failure> {
        let mut ask = self.db.prepare_cached(
            "SELECT id, kind, flow, about, asked_by FROM requests WHERE run IS NULL AND answer IS NULL ORDER BY id",
        )?;
        let rows = ask.query_map([], |row| {
            let (kind, arguments): (String, String) = (row.get(1)?, row.get(3)?);
            let arguments = serde_json::from_str(&arguments).unwrap_or_default();
            let (id, asked_by) = (row.get(0)?, row.get(4)?);
            let request = Request::from_parts(&kind, row.get(2)?, &arguments);
            Ok(request.map(|request| QueuedRequest { id, request, asked_by }))
        })?;
        let found: Vec<Option<QueuedRequest>> = rows.collect::<Result<_, _>>()?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Refuses a request.
    pub(crate) fn refuse_request(&mut self, id: i64, answer: &str) -> Result<(), Failure> {
        refuse(&self.db, id, answer)
    }

    /// What became of a request.
    pub(crate) fn answer(&self, id: i64) -> Result<Answer, Failure> {
        let mut ask = self.db.prepare_cached("SELECT run, answer FROM requests WHERE id = ?1")?;
        let found: Option<(Option<i64>, Option<String>)> =
            ask.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        Ok(match found {
            None => Answer::Done,
            Some((Some(run), _)) => Answer::Run(run),
            Some((None, Some(answer))) => Answer::Refused(answer),
            Some((None, None)) => Answer::Pending,
        })
    }
}

fn refuse(db: &Connection, id: i64, answer: &str) -> Result<(), Failure> {
    db.execute("UPDATE requests SET answer = ?2 WHERE id = ?1", params![id, answer])?;
    Ok(())
}

/// Why what a request asks for can not be done now.
fn refusal(tx: &Transaction<'_>, request: &Request) -> Result<Option<String>, Failure> {
    let (Request::Drop(mail) | Request::Send(mail, _)) = request else { return Ok(None) };
    let is_under_way =
        tx.prepare_cached("SELECT 1 FROM mails WHERE id = ?1 AND sending <> 0")?.exists([mail])?;
    Ok(is_under_way.then(|| format!("mail {mail} is being sent right now; try again")))
}

/// Does what a request says that needs no run, then takes it away. Doing it twice does no harm.
fn fulfil(tx: &Transaction<'_>, queued: &QueuedRequest, now: Timestamp) -> Result<(), Failure> {
    let QueuedRequest { id, request, asked_by } = queued;
    let asked_by = asked_by.as_deref();
    match request {
        Request::Off(flow) => set_off(tx, flow, Some(now), asked_by, now)?,
        Request::On(flow) => set_off(tx, flow, None, None, now)?,
        Request::Retry(mail) => retry(tx, *mail, asked_by, now)?,
        Request::Drop(mail) => drop_mail(tx, *mail, asked_by)?,
        Request::Send(mail, to) => redirect(tx, *mail, to, asked_by, now)?,
        Request::Run { .. } => return Ok(()),
    }
    tx.execute("DELETE FROM requests WHERE id = ?1", [id])?;
    Ok(())
}
