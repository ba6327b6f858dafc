//! What programs ask the daemon to do.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;

use super::callers::Operator;
use super::{json, json_with};
use crate::history::{Cause, RowRange};
use crate::store::Request;
use crate::views::api::PerformedView;
use crate::web::access::Visitor;
use crate::web::actions::{self, Performed, perform};
use crate::web::data;
use crate::web::extract::{Json, Path};
use crate::web::failure::Failure;
use crate::web::site::Site;

type Answer = Result<Response, Failure>;

async fn asked(site: &Site, by: &Visitor, request: Request) -> Answer {
    Ok(match perform(site, by, request).await? {
        Performed::Done => json(&PerformedView { state: "done", run: None }),
        Performed::Run(run) => json(&PerformedView { state: "begun", run: Some(run) }),
        Performed::Pending => json_with(StatusCode::ACCEPTED, &PerformedView { state: "queued", run: None }),
    })
}

/// Runs a flow now, as `leadflow trigger` does.
///
/// The answer comes when the run has begun; GET /api/v1/runs/RUN says what becomes of it.
#[cfg_attr(test, utoipa::path(
    post, path = "/flows/{flow}/run", responses((status = 200, body = PerformedView)), security(("token" = []))
))]
pub(super) async fn run_flow(
    State(site): State<Arc<Site>>,
    Operator(by): Operator,
    Path(flow): Path<String>,
) -> Answer {
    data::flow_of(&site.loaded(), &flow)?;
    asked(&site, &by, actions::run_of(&flow)).await
}

/// Turns a flow on, as `leadflow on` does.
#[cfg_attr(test, utoipa::path(
    post, path = "/flows/{flow}/on", responses((status = 200, body = PerformedView)), security(("token" = []))
))]
pub(super) async fn turn_flow_on(
    State(site): State<Arc<Site>>,
    Operator(by): Operator,
    Path(flow): Path<String>,
) -> Answer {
    data::flow_of(&site.loaded(), &flow)?;
    asked(&site, &by, Request::On(flow)).await
}

/// Turns a flow off until it is turned on again, as `leadflow off` does.
#[cfg_attr(test, utoipa::path(
    post, path = "/flows/{flow}/off", responses((status = 200, body = PerformedView)), security(("token" = []))
))]
pub(super) async fn turn_flow_off(
    State(site): State<Arc<Site>>,
    Operator(by): Operator,
    Path(flow): Path<String>,
) -> Answer {
    data::flow_of(&site.loaded(), &flow)?;
    asked(&site, &by, Request::Off(flow)).await
}

/// Which rows of the past.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayRange {
    /// Rows that were written later than this.
    from: Timestamp,
    /// And not later than this; it is later than `from`.
    to: Timestamp,
    /// Also rows that were mailed.
    #[serde(default)]
    again: bool,
}

/// Mails rows of a past range, as `leadflow replay` does.
///
/// The watermark does not move.
#[cfg_attr(test, utoipa::path(
    post, path = "/flows/{flow}/replay", request_body = ReplayRange, responses((status = 200, body = PerformedView)),
    security(("token" = []))
))]
pub(super) async fn replay_flow(
    State(site): State<Arc<Site>>,
    Operator(by): Operator,
    Path(flow): Path<String>,
    Json(ReplayRange { from, to, again }): Json<ReplayRange>,
) -> Answer {
    data::flow_of(&site.loaded(), &flow)?;
    if from >= to {
        return Err(Failure::bad_request("the begin of the range is not before its end"));
    }
    let range = RowRange::Replay { from, to, again };
    asked(&site, &by, Request::Run { flow, cause: Cause::Replay, range }).await
}

/// Of a run of the past.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Resubmit {
    /// Also rows that were mailed.
    #[serde(default)]
    again: bool,
}

/// Runs the window of a past run again and mails what it missed, as `leadflow resubmit` does.
///
/// The watermark does not move.
#[cfg_attr(test, utoipa::path(
    post, path = "/runs/{run}/resubmit", request_body = Resubmit, responses((status = 200, body = PerformedView)),
    security(("token" = []))
))]
pub(super) async fn resubmit_run(
    State(site): State<Arc<Site>>,
    Operator(by): Operator,
    Path(run): Path<i64>,
    Json(Resubmit { again }): Json<Resubmit>,
) -> Answer {
    let request = actions::resubmit_of(&site, run, again).await?;
    asked(&site, &by, request).await
}

/// Tries every waiting and held mail again, as `leadflow outbox retry` does.
#[cfg_attr(test, utoipa::path(
    post, path = "/outbox/retry", responses((status = 200, body = PerformedView)), security(("token" = []))
))]
pub(super) async fn retry_mails(State(site): State<Arc<Site>>, Operator(by): Operator) -> Answer {
    asked(&site, &by, Request::Retry(None)).await
}

/// Tries a waiting or held mail again.
#[cfg_attr(test, utoipa::path(
    post, path = "/mails/{mail}/retry", responses((status = 200, body = PerformedView)), security(("token" = []))
))]
pub(super) async fn retry_mail(
    State(site): State<Arc<Site>>,
    Operator(by): Operator,
    Path(mail): Path<i64>,
) -> Answer {
    let request = actions::retry_of(&site, mail).await?;
    asked(&site, &by, request).await
}

/// Drops a mail: it is not sent to those who do not have it yet.
#[cfg_attr(test, utoipa::path(
    post, path = "/mails/{mail}/drop", responses((status = 200, body = PerformedView)), security(("token" = []))
))]
pub(super) async fn drop_mail(
    State(site): State<Arc<Site>>,
    Operator(by): Operator,
    Path(mail): Path<i64>,
) -> Answer {
    let request = actions::drop_of(&site, mail).await?;
    asked(&site, &by, request).await
}
