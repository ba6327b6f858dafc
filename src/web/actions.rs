//! What the page asks of the daemon, by the requests that commands leave.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::info;

use super::access::Visitor;
use super::data;
use super::failure::Failure;
use super::site::Site;
use crate::history::{Cause, RowRange};
use crate::store::{Answer, Request};
use crate::tasks::{outbox, replay};

/// How long the daemon may take until the answer says that it has not picked the request up yet.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Performed {
    /// It is done.
    Done,
    /// It has begun this run.
    Run(i64),
    /// The daemon has not picked it up yet; it remains queued.
    Pending,
}

/// Leaves a request and waits a moment for what becomes of it.
pub(super) async fn perform(site: &Site, by: &Visitor, request: Request) -> Result<Performed, Failure> {
    let store = site.store().await?;
    let asked_by = by.as_asker();
    info!(by = asked_by, flow = request.flow(), mail = request.mail(), "asked for: {}", request.kind());
    let id = store.add_request(request, &asked_by, site.clock.now()).await?;
    let began = Instant::now();
    loop {
        match store.answer(id).await? {
            Answer::Done => return Ok(Performed::Done),
            Answer::Run(run) => return Ok(Performed::Run(run)),
            Answer::Refused(reason) => return Err(Failure::conflict(reason)),
            Answer::Pending if began.elapsed() > PATIENCE => return Ok(Performed::Pending),
            Answer::Pending => sleep(PAUSE).await,
        }
    }
}

/// To run a flow now.
pub(super) fn run_of(flow: &str) -> Request {
    Request::Run { flow: flow.to_owned(), cause: Cause::Trigger, range: RowRange::New }
}

/// To run the window of an earlier run again.
///
/// # Errors
/// When the run has read nothing, or is not there.
pub(super) async fn resubmit_of(site: &Site, run: i64, again: bool) -> Result<Request, Failure> {
    let store = site.store().await?;
    let none = || Failure::not_found(format!("there is no run {run}, or it is older than settings.history"));
    let run = store.run(run).await?.ok_or_else(none)?;
    let window = replay::window_of(&store, &run).await?;
    let (from, to) = window.ok_or_else(|| {
        Failure::conflict(format!("run {} has read nothing, so there is no window to resubmit", run.id))
    })?;
    Ok(Request::Run { flow: run.flow, cause: Cause::Resubmit, range: RowRange::Replay { from, to, again } })
}

/// To try a mail again.
///
/// # Errors
/// When it cannot be.
pub(super) async fn retry_of(site: &Site, mail: i64) -> Result<Request, Failure> {
    outbox::may_retry(&data::mail(site, mail).await?).map_err(Failure::conflict)?;
    Ok(Request::Retry(Some(mail)))
}

/// To drop a mail.
///
/// # Errors
/// When it cannot be.
pub(super) async fn drop_of(site: &Site, mail: i64) -> Result<Request, Failure> {
    outbox::may_drop(&data::mail(site, mail).await?).map_err(Failure::conflict)?;
    Ok(Request::Drop(mail))
}
