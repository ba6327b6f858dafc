//! The table `requests`; its column `about` has the arguments of a request.

use deadpool_postgres::Transaction;
use jiff::Timestamp;

use super::flows::set_off;
use super::outbox_admin::{drop_mail, is_sending, redirect, retry};
use super::{Client, Db, Failure, Values, execute, maybe_row, row, rows, text, to_db};
use crate::store::{Answer, QueuedRequest, Request};

/// What wakes the daemons up that listen.
pub(super) const CHANNEL: &str = "leadflow";

/// The requests that wait, in their order.
macro_rules! waiting {
    () => {
        "SELECT id, kind, flow, about, asked_by FROM requests WHERE run IS NULL AND answer IS NULL ORDER BY id"
    };
}

impl Client {
    /// Leaves a request for the daemons and returns its number.
    pub(in crate::store) async fn add_request(
        &self,
        request: &Request,
        asked_by: &str,
        now: Timestamp,
    ) -> Result<i64, Failure> {
        const ADD: &str = "WITH added AS (
                INSERT INTO requests (kind, flow, about, created, asked_by) VALUES ($1, $2, $3, $4, $5) RETURNING id)
            SELECT id, pg_notify($6, '')::text FROM added";
        let about = request.arguments().to_string();
        let (flow, asked_by) = (text(request.flow()), text(asked_by));
        let values: Values<'_> = &[&request.kind(), &flow, &about, &to_db(now), &asked_by, &CHANNEL];
        Ok(row(self, ADD, values).await?.try_get(0)?)
    }

    /// Takes the requests that wait, in their order; what needs no run is done and taken away, all or nothing. What
    /// can not be done now is refused.
    pub(in crate::store) async fn take_requests(
        &mut self,
        now: Timestamp,
    ) -> Result<Vec<QueuedRequest>, Failure> {
        /// What two nodes do beside each other has no order.
        const ALONE: &str = "SELECT pg_try_advisory_xact_lock(hashtextextended('requests', 0))";
        let waiting = requests(self, waiting!()).await?;
        if waiting.iter().all(is_for_a_run) {
            return Ok(waiting);
        }
        let tx = self.transaction().await?;
        if !row(&tx, ALONE, &[]).await?.try_get::<_, bool>(0)? {
            return Ok(waiting.into_iter().filter(is_for_a_run).collect());
        }
        let mut taken = Vec::new();
        for queued in requests(&tx, concat!(waiting!(), " FOR UPDATE SKIP LOCKED")).await? {
            if let Some(why) = refusal(&tx, &queued.request).await? {
                refuse(&tx, queued.id, &why).await?;
            } else {
                fulfil(&tx, &queued, now).await?;
                taken.push(queued);
            }
        }
        tx.commit().await?;
        Ok(taken)
    }

    /// Refuses a request.
    pub(in crate::store) async fn refuse_request(&self, id: i64, answer: &str) -> Result<(), Failure> {
        refuse(self, id, answer).await
    }

    /// What became of a request.
    pub(in crate::store) async fn answer(&self, id: i64) -> Result<Answer, Failure> {
        let ask = "SELECT run, answer FROM requests WHERE id = $1";
        let Some(found) = maybe_row(self, ask, &[&id]).await? else { return Ok(Answer::Done) };
        Ok(match (found.try_get(0)?, found.try_get(1)?) {
            (Some(run), _) => Answer::Run(run),
            (None, Some(answer)) => Answer::Refused(answer),
            (None, None) => Answer::Pending,
        })
    }
}

fn is_for_a_run(queued: &QueuedRequest) -> bool {
    matches!(queued.request, Request::Run { .. })
}

/// Those of a kind that this version does not know are left alone.
async fn requests(db: &impl Db, ask: &str) -> Result<Vec<QueuedRequest>, Failure> {
    let mut found = Vec::new();
    for row in rows(db, ask, &[]).await? {
        let arguments = serde_json::from_str(row.try_get(3)?).unwrap_or_default();
        if let Some(request) = Request::from_parts(row.try_get(1)?, row.try_get(2)?, &arguments) {
            found.push(QueuedRequest { id: row.try_get(0)?, request, asked_by: row.try_get(4)? });
        }
    }
    Ok(found)
}

async fn refuse(db: &impl Db, id: i64, answer: &str) -> Result<(), Failure> {
    execute(db, "UPDATE requests SET answer = $2 WHERE id = $1", &[&id, &text(answer)]).await.map(drop)
}

/// Why what a request asks for can not be done now.
async fn refusal(tx: &Transaction<'_>, request: &Request) -> Result<Option<String>, Failure> {
    let (Request::Drop(mail) | Request::Send(mail, _)) = request else { return Ok(None) };
    let is_under_way = is_sending(tx, *mail).await?;
    Ok(is_under_way.then(|| format!("mail {mail} is being sent right now; try again")))
}

/// Does what a request says that needs no run, then takes it away. Doing it twice does no harm.
async fn fulfil(tx: &Transaction<'_>, queued: &QueuedRequest, now: Timestamp) -> Result<(), Failure> {
    let QueuedRequest { id, request, asked_by } = queued;
    let asked_by = asked_by.as_deref();
    match request {
        Request::Off(flow) => set_off(tx, flow, Some(now), asked_by, now).await?,
        Request::On(flow) => set_off(tx, flow, None, None, now).await?,
        Request::Retry(mail) => retry(tx, *mail, asked_by, now).await?,
        Request::Drop(mail) => drop_mail(tx, *mail, asked_by).await?,
        Request::Send(mail, to) => redirect(tx, *mail, to, asked_by, now).await?,
        Request::Run { .. } => return Ok(()),
    }
    execute(tx, "DELETE FROM requests WHERE id = $1", &[id]).await.map(drop)
}
