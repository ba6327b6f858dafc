//! What programs ask the daemon to do. A cookie is not enough for it: another site could use it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;

use super::{json, json_with};
use crate::history::{Cause, RowRange};
use crate::store::Request;
use crate::views::api::PerformedView;
use crate::web::access::Way;
use crate::web::actions::{self, Performed, perform};
use crate::web::data;
use crate::web::failure::Failure;
use crate::web::frame::Frame;
use crate::web::site::Site;

type Answer = Result<Response, Failure>;

fn needs_token(frame: &Frame) -> Result<(), Failure> {
    if frame.visitor.way == Way::Token {
        return frame.needs_operator();
    }
    let help = "`leadflow page token` makes one; send it as Authorization: Bearer TOKEN";
    Err(Failure::new(StatusCode::UNAUTHORIZED, "this needs a token").with_help(help))
}

async fn asked(site: &Site, frame: &Frame, request: Request) -> Answer {
    Ok(match perform(site, &frame.visitor, request).await? {
        Performed::Done => json(&PerformedView { state: "done", run: None }),
        Performed::Run(run) => json(&PerformedView { state: "begun", run: Some(run) }),
        Performed::Pending => json_with(StatusCode::ACCEPTED, &PerformedView { state: "queued", run: None }),
    })
}

pub(super) async fn run(State(site): State<Arc<Site>>, frame: Frame, Path(flow): Path<String>) -> Answer {
    needs_token(&frame)?;
    data::flow_of(&site.loaded(), &flow)?;
    asked(&site, &frame, actions::run_of(&flow)).await
}

pub(super) async fn on(State(site): State<Arc<Site>>, frame: Frame, Path(flow): Path<String>) -> Answer {
    needs_token(&frame)?;
    data::flow_of(&site.loaded(), &flow)?;
    asked(&site, &frame, Request::On(flow)).await
}

pub(super) async fn off(State(site): State<Arc<Site>>, frame: Frame, Path(flow): Path<String>) -> Answer {
    needs_token(&frame)?;
    data::flow_of(&site.loaded(), &flow)?;
    asked(&site, &frame, Request::Off(flow)).await
}

/// Which rows of the past.
#[derive(Debug, Deserialize)]
pub(super) struct ReplayRange {
    from: Timestamp,
    to: Timestamp,
    /// Also rows that were mailed.
    #[serde(default)]
    again: bool,
}

pub(super) async fn replay(
    State(site): State<Arc<Site>>,
    frame: Frame,
    Path(flow): Path<String>,
    Json(ReplayRange { from, to, again }): Json<ReplayRange>,
) -> Answer {
    needs_token(&frame)?;
    data::flow_of(&site.loaded(), &flow)?;
    if from >= to {
        return Err(Failure::bad_request("the begin of the range is not before its end"));
    }
    let range = RowRange::Replay { from, to, again };
    asked(&site, &frame, Request::Run { flow, cause: Cause::Replay, range }).await
}

/// Of a run of the past.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Resubmit {
    /// Also rows that were mailed.
    #[serde(default)]
    again: bool,
}

pub(super) async fn resubmit(
    State(site): State<Arc<Site>>,
    frame: Frame,
    Path(run): Path<i64>,
    Json(Resubmit { again }): Json<Resubmit>,
) -> Answer {
    needs_token(&frame)?;
    let request = actions::resubmit_of(&site, run, again).await?;
    asked(&site, &frame, request).await
}

pub(super) async fn retry_all(State(site): State<Arc<Site>>, frame: Frame) -> Answer {
    needs_token(&frame)?;
    asked(&site, &frame, Request::Retry(None)).await
}

pub(super) async fn retry(State(site): State<Arc<Site>>, frame: Frame, Path(mail): Path<i64>) -> Answer {
    needs_token(&frame)?;
    let request = actions::retry_of(&site, mail).await?;
    asked(&site, &frame, request).await
}

pub(super) async fn drop_mail(State(site): State<Arc<Site>>, frame: Frame, Path(mail): Path<i64>) -> Answer {
    needs_token(&frame)?;
    let request = actions::drop_of(&site, mail).await?;
    asked(&site, &frame, request).await
}
